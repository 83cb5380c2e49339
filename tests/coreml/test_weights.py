"""Constants of packages: what is found again of the file's compression, and lists of indices that become slices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")
pytest.importorskip("coremltools", reason="coremltools is not installed (extra 'coreml')")

from hypothesis import given
from hypothesis import strategies as st
from tests.coreml.running import run_package, saved
from tests.pytorch.litert import Constant, Made, one_operator

import unlite
from unlite.coreml.gathers import MOST_RUNS, runs

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
"""coremltools leaves a temporary folder to the garbage collector."""


def kinds(path: Path) -> dict[str, int]:
    """How often each operator stands in a package."""
    from coremltools.models.utils import load_spec

    main = load_spec(str(path)).mlProgram.functions["main"]
    found: dict[str, int] = {}
    for block in main.block_specializations.values():
        for op in block.operations:
            found[op.type] = found.get(op.type, 0) + 1
    return found


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=5))
def test_runs_give_the_indices_again(ends: list[tuple[int, int]]) -> None:
    indices = np.concatenate([np.arange(a, b + (1 if a <= b else -1), 1 if a <= b else -1) for a, b in ends])
    found = runs(indices)
    if found is not None:
        again = [np.arange(a, b + (1 if a <= b else -1), 1 if a <= b else -1) for a, b in found]
        np.testing.assert_array_equal(np.concatenate(again), indices)


def test_scattered_indices_are_no_runs() -> None:
    assert runs(np.arange(0, 4 * MOST_RUNS, 2)) is None


@pytest.mark.parametrize("axis", [1, -1])
def test_mirrored_indices_become_slices(axis: int, tmp_path: Path) -> None:
    """Down, up, and down again, as a mirrored border runs."""
    x = np.random.default_rng(0).random((2, 80, 80)).astype("f4")
    indices = np.concatenate([np.arange(20, 0, -1), np.arange(80), np.arange(78, 60, -1)]).astype("i4")
    shape = (2, len(indices), 80) if axis == 1 else (2, 80, len(indices))
    data = one_operator("GATHER", [x, Constant(indices)], [Made("FLOAT32", shape)], ("GatherOptions", {"axis": axis}))
    program = saved(data, tmp_path, precision="float32")
    (value,) = program.results(program.run(program.feed([x])))
    np.testing.assert_array_equal(value, x.take(indices, axis))
    assert "gather" not in kinds(tmp_path / "model.mlpackage")


def test_gates_of_their_own_scales_stay_in_8_bits(tmp_path: Path) -> None:
    path = Path(__file__).parents[3] / "shared" / "models" / "dtln_lstm_int8.tflite"
    if not path.is_file():
        pytest.skip("../shared is not there")
    saved(path, tmp_path, precision="float32")
    package = tmp_path / "model.mlpackage"
    size = sum(file.stat().st_size for file in package.rglob("*") if file.is_file())
    assert size <= 1.2 * path.stat().st_size


@pytest.mark.parametrize(("name", "join"), [("BITWISE_XOR", np.bitwise_xor)])
def test_bits_of_integers(name: str, join: Any, tmp_path: Path) -> None:
    values = np.array([0, 1, -1, 2**31 - 1, -(2**31), 0x55555555, -0x12345678], "i4")
    x, y = (np.ascontiguousarray(part) for part in np.broadcast_arrays(values[:, None], values[None]))
    data = one_operator(name, [x, y], [Made("INT32", x.shape)], ("BitwiseXorOptions", {}))
    program = saved(data, tmp_path, precision="float32")
    (value,) = run_package(program, unlite.open(data).main.inputs, [x, y])
    np.testing.assert_array_equal(value, join(x, y))


def test_shifts_by_computed_numbers(tmp_path: Path) -> None:
    values = np.array([1, -1, 2**31 - 1, -(2**31), 12345], "i4")
    x, y = (np.ascontiguousarray(part) for part in np.broadcast_arrays(values[:, None], np.arange(32, dtype="i4")))
    data = one_operator("RIGHT_SHIFT", [x, y], [Made("INT32", x.shape)], ("RightShiftOptions", {}))
    program = saved(data, tmp_path, precision="float32")
    (value,) = run_package(program, unlite.open(data).main.inputs, [x, y])
    np.testing.assert_array_equal(value, x >> y)
