"""New constants without NumPy. What NumPy wrote, and what it reads, decides which bytes are right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.model.small import Builder, quantized

from unlite.errors import NoDataError, UnliteError
from unlite.model.model import open_model
from unlite.model.setting.paths import assign_path
from unlite.model.values.plain_values import plain_content, read_npy

TYPES = {
    "FLOAT32": "<f4",
    "FLOAT16": "<f2",
    "FLOAT64": "<f8",
    "INT8": "i1",
    "UINT8": "u1",
    "INT16": "<i2",
    "UINT16": "<u2",
    "INT32": "<i4",
    "UINT32": "<u4",
    "INT64": "<i8",
    "UINT64": "<u8",
    "BOOL": "?",
    "COMPLEX64": "<c8",
    "COMPLEX128": "<c16",
}


def model_of(dtype: str, values: np.ndarray) -> bytes:
    made = Builder()
    made.constant(made.graph(), "w", values, dtype)
    return made.data()


def tensor_of(dtype: str, values: np.ndarray):
    return open_model(model_of(dtype, values)).main.tensors[0]


# -- .npy --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (1, 2, 1, 3)])
@pytest.mark.parametrize("dtype", TYPES)
def test_an_array_of_the_same_type_and_shape_is_taken_as_it_lies(tmp_path: Path, dtype: str, shape: tuple[int, ...]):
    new = np.arange(1, 1 + np.prod(shape, dtype=int)).astype(TYPES[dtype]).reshape(shape)
    path = str(tmp_path / "new.npy")
    np.save(path, new)
    found = read_npy(path)
    assert found is not None
    assert (found.kind, found.shape, bytes(found.span.view())) == (TYPES[dtype], shape, new.tobytes())
    span = plain_content(tensor_of(dtype, np.zeros(shape, TYPES[dtype])), f"@{path}")
    assert span is not None
    assert bytes(span.view()) == new.tobytes()


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_npy(tmp_path: Path, version: tuple[int, int]) -> None:
    new = np.array([[1.5, -2], [3, 4]], "<f4")
    with open(tmp_path / "new.npy", "wb") as file:
        np.lib.format.write_array(file, new, version)
    found = read_npy(str(tmp_path / "new.npy"))
    assert found is not None
    assert bytes(found.span.view()) == new.tobytes()


@pytest.mark.parametrize(
    "array",
    [
        np.asfortranarray([[1, 2], [3, 4]], "<f4"),
        np.array([1, 2], ">f4"),
        np.array(["ab", "cd"]),
        np.array([(1, 2)], [("a", "<i4"), ("b", "<i4")]),
        np.array(["2020-01-01"], "M8[D]"),
    ],
    ids=["Fortran order", "big-endian", "text", "records", "dates"],
)
def test_other_arrays_are_left_to_numpy(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "new.npy", array)
    assert read_npy(str(tmp_path / "new.npy")) is None


@pytest.mark.parametrize(
    ("dtype", "shape", "new"),
    [
        ("FLOAT32", (2, 2), np.zeros((4,), "<f4")),
        ("FLOAT32", (4,), np.zeros((4,), "<i4")),
        ("FLOAT16", (4,), np.zeros((4,), "<f4")),
        ("INT8", (4,), np.zeros((4,), "u1")),
    ],
    ids=["shape", "type", "width", "sign"],
)
def test_what_does_not_fit_is_left_to_numpy(
    tmp_path: Path, dtype: str, shape: tuple[int, ...], new: np.ndarray
) -> None:
    np.save(tmp_path / "new.npy", new)
    assert plain_content(tensor_of(dtype, np.ones(shape, TYPES[dtype])), f"@{tmp_path / 'new.npy'}") is None


def test_packed_types_are_left_to_numpy(tmp_path: Path) -> None:
    made = Builder()
    made.tensor(made.graph(), "w", [2], "INT4", made.buffer(b"\x21"))
    np.save(tmp_path / "new.npy", np.array([3, 4], "i1"))
    assert plain_content(open_model(made.data()).main.tensors[0], f"@{tmp_path / 'new.npy'}") is None


NPY = b"\x93NUMPY\1\0"
GOOD = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n"


def npy(header: bytes, data: bytes = bytes(8), length: int | None = None) -> bytes:
    return NPY + (len(header) if length is None else length).to_bytes(2, "little") + header + data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        NPY,
        npy(GOOD, bytes(7)),
        npy(GOOD, bytes(9)),
        npy(GOOD, length=65535),
        npy(GOOD.replace(b"(2,)", b"(-2,)")),
        npy(GOOD.replace(b"(2,)", b"(%s,)" % (b"9" * 600))),
        npy(GOOD.replace(b"(2,)", b"(%s)" % (b"0, " * 200)), b""),
        npy(GOOD.replace(b"(2,)", b"(%s" % (b"1, " * 200))),
        npy(b"{'descr': __import__('os'), 'fortran_order': False, 'shape': (2,), }\n"),
        npy(GOOD.rstrip(b"\n") + b" " * 20_000 + b"\n"),
        b"\x93NUMPY\2\0\xff\xff\xff\xff" + GOOD,
    ],
)
def test_damaged_and_odd_files_are_left_to_numpy(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "new.npy").write_bytes(data)
    tensor = tensor_of("FLOAT32", np.ones(2, "<f4"))
    assert plain_content(tensor, f"@{tmp_path / 'new.npy'}") is None


def test_a_good_header_by_hand_is_taken(tmp_path: Path) -> None:
    """So that the cases above are refused for what is wrong in each of them."""
    (tmp_path / "new.npy").write_bytes(npy(GOOD))
    found = read_npy(str(tmp_path / "new.npy"))
    assert found is not None
    assert found.shape == (2,)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnliteError, match="cannot be opened"):
        plain_content(tensor_of("FLOAT32", np.ones(2, "<f4")), f"@{tmp_path / 'none.npy'}")


def test_a_tensor_without_a_constant(tmp_path: Path) -> None:
    made = Builder()
    made.tensor(made.graph(), "x", [2])
    with pytest.raises(NoDataError):
        plain_content(open_model(made.data()).main.tensors[0], "[1, 2]")


def test_stored_bytes_of_the_right_length(tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"\1\2\3\4\5\6\7\x08")
    tensor = tensor_of("INT32", np.zeros(2, "<i4"))
    span = plain_content(tensor, f"@{tmp_path / 'new'}")
    assert span is not None
    assert bytes(span.view()) == b"\1\2\3\4\5\6\7\x08"
    (tmp_path / "new").write_bytes(b"\1\2\3\4\5\6\7")
    assert plain_content(tensor, f"@{tmp_path / 'new'}") is None


# -- numbers as JSON ---------------------------------------------------------------------------------------------------

WHOLE = [name for name in TYPES if "INT" in name]


@given(st.sampled_from(WHOLE), st.lists(st.integers(-(2**65), 2**65) | st.integers(-300, 300), min_size=1, max_size=6))
def test_whole_numbers_are_those_of_numpy_or_left_to_it(dtype: str, values: list[int]) -> None:
    span = plain_content(tensor_of(dtype, np.zeros(len(values), TYPES[dtype])), json.dumps(values))
    limits = np.iinfo(TYPES[dtype])
    if all(int(limits.min) <= value <= int(limits.max) for value in values):
        assert span is not None
        assert bytes(span.view()) == np.array(values, TYPES[dtype]).tobytes()
    else:
        assert span is None


@given(st.lists(st.floats(width=64) | st.integers(-(2**60), 2**60), min_size=1, max_size=6))
def test_real_numbers_are_those_of_numpy_or_left_to_it(values: list[float]) -> None:
    for dtype, kind, exact in (("FLOAT32", "<f4", 2**24), ("FLOAT64", "<f8", 2**53)):
        span = plain_content(tensor_of(dtype, np.zeros(len(values), kind)), json.dumps(values))
        with np.errstate(over="ignore"):
            wanted = np.array(values, "<f8").astype(kind)
        lost = bool((np.isinf(wanted) & np.isfinite(np.array(values, "<f8"))).any())
        if lost or any(isinstance(value, int) and abs(value) > exact for value in values):
            assert span is None
        else:
            assert span is not None
            assert np.array_equal(np.frombuffer(span.view(), kind), wanted, equal_nan=True)


@pytest.mark.parametrize(
    ("dtype", "shape", "text", "wanted"),
    [
        ("FLOAT32", (), "2.5", np.float32(2.5)),
        ("INT16", (2, 2), "[[1, 2], [3, -4]]", np.array([[1, 2], [3, -4]], "<i2")),
        ("BOOL", (2,), "[true, false]", np.array([True, False])),
        ("FLOAT32", (2,), "[NaN, -Infinity]", np.array([np.nan, -np.inf], "<f4")),
        ("FLOAT32", (2,), "[1, 2, 3]", None),
        ("FLOAT32", (2, 1), "[1, 2]", None),
        ("FLOAT32", (2,), "[[1], [2]]", None),
        ("FLOAT32", (2,), '["1", "2"]', None),
        ("INT32", (2,), "[1.0, 2.0]", None),
        ("INT32", (2,), "[true, false]", None),
        ("BOOL", (2,), "[1, 0]", None),
        ("FLOAT16", (2,), "[1.0, 2.0]", None),
        ("COMPLEX64", (2,), "[1.0, 2.0]", None),
        ("FLOAT32", (2,), "round(x, 1)", None),
        ("FLOAT32", (2,), "[" * 100_000, None),
    ],
)
def test_numbers_of_several_types(dtype: str, shape: tuple[int, ...], text: str, wanted: np.ndarray | None) -> None:
    span = plain_content(tensor_of(dtype, np.zeros(shape, TYPES[dtype])), text)
    if wanted is None:
        assert span is None
    else:
        assert span is not None
        assert bytes(span.view()) == wanted.tobytes()


# -- what becomes of them ----------------------------------------------------------------------------------------------


def test_equal_values_are_no_change(tmp_path: Path) -> None:
    old = np.array([1, 2, 3], "<f4")
    model = open_model(model_of("FLOAT32", old))
    np.save(tmp_path / "same.npy", old)
    for value in (f"@{tmp_path / 'same.npy'}", "[1, 2, 3]"):
        assign_path(model, f"tensors[w].data={value}")
        assert not model.is_changed


@pytest.mark.parametrize("rewrite", [False, True])
def test_what_is_assigned_is_seen_at_once_and_saved(tmp_path: Path, rewrite: bool) -> None:
    new = np.arange(50_000, dtype="<f4").reshape(100, 500)  # long enough for a copy inside the kernel
    model = open_model(model_of("FLOAT32", np.zeros((100, 500), "<f4")))
    np.save(tmp_path / "new.npy", new)
    assign_path(model, f"tensors[w].data=@{tmp_path / 'new.npy'}")
    assert np.array_equal(model.main.tensors[0].numpy(), new)
    report = model.save(tmp_path / "out.tflite", rewrite=rewrite)
    assert report.how == ("rewritten" if rewrite else "patched")
    assert np.array_equal(open_model(tmp_path / "out.tflite").main.tensors[0].numpy(), new)


def test_a_weight_of_a_file_beside_the_model_moves_into_it(tmp_path: Path) -> None:
    made = Builder()
    made.tensor(made.graph(), "w", [2], external_buffer=7)
    made.rest = {
        "external_buffer_groups": [{"name": "weights.bin"}],
        "external_buffers": [{"id": 7, "group": 0, "offset": 4, "length": 8}],
    }
    (tmp_path / "m.tflite").write_bytes(made.data())
    (tmp_path / "weights.bin").write_bytes(bytes(4) + np.array([1, 2], "<f4").tobytes())
    model = open_model(tmp_path / "m.tflite")
    np.save(tmp_path / "new.npy", np.array([3, 4], "<f4"))
    assign_path(model, f"tensors[w].data=@{tmp_path / 'new.npy'}")
    model.save(tmp_path / "out.tflite")
    (tmp_path / "weights.bin").unlink()
    assert open_model(tmp_path / "out.tflite").main.tensors[0].numpy().tolist() == [3, 4]


CHANGES = {
    "an array": "tensors[q].data=@new.npy",
    "numbers": "tensors[q].data=[9, 8, 7]",
    "bytes": "tensors[q].data=@new.bin",
    "the bytes of a buffer": "buffers[1].data=@new.npy",
    "a scale": "tensors[q].quantization.scale=[0.25]",
    "a name": "tensors[q].name=v",
}


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_the_command_does_not_load_numpy(tmp_path: Path, change: str, in_place: bool) -> None:
    (tmp_path / "m.tflite").write_bytes(quantized([1, 2, 3]))
    new = np.array([9, 8, 7], "i1")
    np.save(tmp_path / "new.npy", new)
    (tmp_path / "new.bin").write_bytes(new.tobytes())
    program = "import sys, unlite.cli; unlite.cli.main(); print('numpy' in sys.modules, file=sys.stderr)"
    where = ["--in-place"] if in_place else ["-o", "out.tflite"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, "set", "m.tflite", CHANGES[change], *where]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "False"
    changed = open_model(tmp_path / ("m.tflite" if in_place else "out.tflite"))
    assert changed.is_changed is False
    if "scale" not in change and "name" not in change:
        assert changed.main.tensors[0].numpy().tolist() == [9, 8, 7]
