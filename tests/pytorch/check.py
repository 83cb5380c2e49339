"""``check_operator``: a module made from a model of one operator, held against LiteRT's reference kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.pytorch.litert import Constant, Made, litert, one_operator

DTYPES = {"FLOAT16": np.float16, "FLOAT32": np.float32, "INT32": np.int32, "INT64": np.int64}


def random(*shape: int, dtype: str = "float32", seed: int = 0) -> np.ndarray:
    """Numbers around 0; of integer types over what they hold, up to 100."""
    generator = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return generator.standard_normal(shape).astype(kind)
    if kind.kind == "b":
        return generator.integers(0, 2, shape).astype(kind)
    return generator.integers(max(np.iinfo(kind).min, -100), 101, shape).astype(kind)


def check_operator(
    name: str,
    inputs: list[Any],
    shape: tuple[int, ...] | list[Made],
    options: tuple[str, dict[str, Any]] | None = None,
    *,
    resized: tuple[tuple[int, ...], ...] = (),
    tolerance: float = 1e-6,
    exports: bool = False,
) -> None:
    """Converts the operator's model and compares its outputs with LiteRT's.

    inputs: arrays for inputs of the model, Constants, None. shape: of the only output, which has the first array's
    type, or all outputs. resized: shapes of the first input to run as well. tolerance: of the largest value expected.
    exports: ``torch.export`` accepts the module, and what it makes gives the same.
    """
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")
    from unlite.model.model import open_model
    from unlite.pytorch.module import to_torch

    given = [value for value in inputs if isinstance(value, np.ndarray)]
    kinds = {np.dtype(kind).name: name for name, kind in DTYPES.items()}
    first = kinds.get(given[0].dtype.name, given[0].dtype.name.upper())
    outputs = shape if isinstance(shape, list) else [Made(first, shape)]
    data = one_operator(name, inputs, outputs, options)
    module = to_torch(open_model(data))
    runs = [given, *([random(*other, dtype=given[0].dtype.name, seed=1), *given[1:]] for other in resized)]
    for run, values in enumerate(runs):
        expected = litert(data, *values, resize=run > 0)
        with torch.no_grad():
            results = module(*map(torch.from_numpy, values))
        compare(expected, results, tolerance)
    if exports:
        example = tuple(map(torch.from_numpy, given))
        with torch.no_grad():
            compare(litert(data, *given), torch.export.export(module, example).module()(*example), tolerance)


def compare(expected: list[np.ndarray], results: Any, tolerance: float) -> None:
    """Same types and shapes; integers equal, real numbers within ``tolerance`` of the largest."""
    results = results if isinstance(results, tuple) else (results,)
    assert len(results) == len(expected)
    for one, result in zip(expected, results, strict=True):
        actual = result.detach().numpy()
        assert (actual.dtype, actual.shape) == (one.dtype, one.shape)
        if one.dtype.kind == "f":
            scale = np.abs(one).max(initial=1e-3)
            assert np.abs(actual - one).max(initial=0) <= tolerance * scale
        else:
            assert np.array_equal(actual, one)


__all__ = ["Constant", "Made", "check_operator", "compare", "random"]
