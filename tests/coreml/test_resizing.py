"""Resized pictures as ML programs, judged by LiteRT's reference kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")
pytest.importorskip("coremltools", reason="coremltools is not installed (extra 'coreml')")

from tests.coreml.running import run_package, saved
from tests.pytorch.litert import Constant, Made, litert, one_operator

from unlite.model.model import open_model

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
"""coremltools leaves a temporary folder to the garbage collector."""


@pytest.mark.parametrize(
    ("name", "table", "variant"),
    [
        ("RESIZE_BILINEAR", "ResizeBilinearOptions", {}),
        ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions", {"half_pixel_centers": True}),
    ],
)
@pytest.mark.parametrize("size", [(9, 4), (3, 13)])
def test_variant(name: str, table: str, variant: dict[str, bool], size: tuple[int, int], tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((2, 6, 5, 3)).astype("f4")
    data = one_operator(name, [x, Constant(np.array(size, "i4"))], [Made("FLOAT32", (2, *size, 3))], (table, variant))
    model = open_model(data)
    (result,) = run_package(saved(model, tmp_path, precision="float32"), model.main.inputs, [x])
    np.testing.assert_allclose(result, litert(data, x)[0], rtol=0, atol=1e-5)
