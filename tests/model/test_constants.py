"""Constants of every type: read without a copy, dequantized, replaced."""

from __future__ import annotations

import struct
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from tests.model.independent import buffer, constant, model, packed, quantization, schema, subgraph, tensor
from tests.strategies import model_bytes

from unlite.errors import (
    CorruptFileError,
    InvalidTypeError,
    InvalidValueError,
    NoDataError,
    NotQuantizedError,
    UnliteError,
    UnsupportedFormatError,
)
from unlite.model.model import open_model

ARRAYS: dict[str, np.ndarray[Any, Any]] = {
    "FLOAT32": np.array([[1.5, -2.0], [np.inf, 0.1]], "<f4"),
    "FLOAT16": np.array([1.5, -2.0, 65504.0], "<f2"),
    "FLOAT64": np.array([0.1, -1e300], "<f8"),
    "INT8": np.array([-128, 127, 0], "i1"),
    "UINT8": np.array([0, 255], "u1"),
    "INT16": np.array([-32768, 32767], "<i2"),
    "UINT16": np.array([65535], "<u2"),
    "INT32": np.array([[-(2**31)], [2**31 - 1]], "<i4"),
    "UINT32": np.array([2**32 - 1], "<u4"),
    "INT64": np.array([-(2**63), 2**63 - 1], "<i8"),
    "UINT64": np.array([2**64 - 1], "<u8"),
    "BOOL": np.array([True, False, True]),
    "COMPLEX64": np.array([1 + 2j, -0.5j], "<c8"),
    "COMPLEX128": np.array([1 + 2j], "<c16"),
    "BFLOAT16": np.array([1.5, -3.0, 3.38e38], ml_dtypes.bfloat16),
    "FLOAT8_E4M3FN": np.array([1.5, -448.0], ml_dtypes.float8_e4m3fn),
    "FLOAT8_E5M2": np.array([1.5, -57344.0], ml_dtypes.float8_e5m2),
}


def first(data: bytes) -> Any:
    return open_model(data).main.tensors[0]


@pytest.mark.parametrize("dtype", ARRAYS)
def test_every_type(dtype: str) -> None:
    array = ARRAYS[dtype]
    data = constant(array, dtype)
    found = first(data)
    values = found.numpy()
    assert values.dtype == array.dtype == found.numpy_dtype
    assert values.shape == found.shape == array.shape
    assert values.tobytes() == array.tobytes()
    assert found.nbytes == array.nbytes
    assert not values.flags.writeable
    assert np.shares_memory(values, np.frombuffer(data, "u1"))
    with pytest.raises(ValueError, match="read-only"):
        values[...] = 0


@pytest.mark.parametrize("dtype", ARRAYS)
def test_every_type_can_be_replaced(dtype: str) -> None:
    array = ARRAYS[dtype]
    found = first(constant(array, dtype))
    found.data = array[::-1]
    assert found.numpy().tobytes() == array[::-1].tobytes()
    assert bytes(found.data) == array[::-1].tobytes()


# Values by hand: element 0 in the lowest bits.
PACKED = [
    ("INT4", [3], b"\xf8\x07", [-8, -1, 7], "i1"),
    ("UINT4", [3], b"\xf8\x07", [8, 15, 7], "u1"),
    ("INT2", [5], b"\xe4\x02", [0, 1, -2, -1, -2], "i1"),
]


@pytest.mark.parametrize(("dtype", "shape", "data", "values", "kind"), PACKED)
def test_packed_types(dtype: str, shape: list[int], data: bytes, values: list[int], kind: str) -> None:
    found = first(model([tensor("t", shape, dtype, 1, quantization=quantization([0.5]))], [buffer(data)]))
    array = found.numpy()
    assert (array.dtype, array.tolist(), found.nbytes) == (np.dtype(kind), values, len(data))
    assert found.dequantize().tolist() == [0.5 * value for value in values]
    found.data = array[::-1]
    assert found.numpy().tolist() == values[::-1]
    for wrong in (8 if dtype == "INT4" else 16 if dtype == "UINT4" else 2, -9 if dtype == "INT4" else -3):
        if kind == "i1" or wrong > 0:
            with pytest.raises(InvalidValueError, match="holds"):
                found.data = np.full(shape, wrong, kind)


def test_strings() -> None:
    data = struct.pack("<4i", 2, 16, 19, 23) + b"one" + "zwö".encode()
    found = first(model([tensor("t", [2, 1], "STRING", 1)], [buffer(data)]))
    assert found.numpy().tolist() == [[b"one"], ["zwö".encode()]]
    assert (found.numpy_dtype, found.nbytes) == (np.dtype(object), len(data))
    found.data = [["four"], [b"\xff"]]
    assert found.numpy().tolist() == [[b"four"], [b"\xff"]]
    found.data = np.array([[b"a"], [b""]])
    assert found.numpy().tolist() == [[b"a"], [b""]]
    with pytest.raises(InvalidValueError):
        found.data = [b"one"]
    with pytest.raises(InvalidValueError):
        found.data = [[1], [2]]


def test_mapped_files_are_not_copied(tmp_path: Any) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(constant(np.arange(1000, dtype="<f4"), "FLOAT32"))
    opened = open_model(path)
    one, other = opened.main.tensors[0].numpy(), opened.main.tensors[0].numpy()
    assert np.shares_memory(one, other)
    assert np.shares_memory(one, np.frombuffer(opened.source.view(0, opened.source.size), "u1"))
    opened.close()
    assert one[999] == 999.0


@pytest.mark.parametrize("shift", [1, 2, 3, 5, 7])
def test_any_alignment(shift: int) -> None:
    """A model at an odd place of memory: nothing is aligned, and nothing is copied."""
    array = np.arange(-8, 8, dtype="<i8").reshape(4, 4)
    data = constant(array, "INT64")
    place = bytes(shift) + data
    opened = open_model(memoryview(place)[shift:])
    values = opened.main.tensors[0].numpy()
    assert values.tolist() == array.tolist()
    assert np.shares_memory(values, np.frombuffer(place, "u1"))


SHAPES = [([], 4), ([0], 0), ([3, 0, 2], 0), ([1], 4), ([1] * 32, 4)]


@pytest.mark.parametrize(("shape", "length"), SHAPES)
def test_shapes(shape: list[int], length: int) -> None:
    found = first(model_bytes(one_tensor(shape, bytes(length))))
    assert found.numpy().shape == tuple(shape)


def one_tensor(shape: list[int], data: bytes, dtype: str = "FLOAT32") -> dict[str, Any]:
    graph = {"tensors": [{"shape": shape, "type": dtype, "buffer": 1}]}
    return {"version": 3, "subgraphs": [graph], "buffers": [{}, {"data": data}]}


MISFITS = [
    ([2], 4),
    ([2], 12),
    ([-2], 8),
    ([-2, -1], 8),
    ([1] * 33, 4),
    ([2**31 - 1] * 200_000, 4),
    ([2**31 - 1, 2], 8),
]


@pytest.mark.parametrize(("shape", "length"), MISFITS, ids=lambda value: str(value)[:20])
def test_shapes_that_do_not_fit(shape: list[int], length: int) -> None:
    found = first(model_bytes(one_tensor(shape, bytes(length))))
    assert found.nbytes >= 0 or min(shape) < 0
    with pytest.raises(CorruptFileError) as caught:
        found.numpy()
    assert caught.value.path == "subgraphs[0].tensors[0]"
    assert len(str(caught.value)) < 500


def test_data_of_no_bytes() -> None:
    """Present with nothing in it: no constant, unless the tensor has no elements."""
    assert not first(model_bytes(one_tensor([2], b""))).is_constant
    assert first(model_bytes(one_tensor([0], b""))).is_constant
    with pytest.raises(NoDataError):
        first(model_bytes(one_tensor([2], b""))).numpy()


def test_no_constant() -> None:
    found = first(model([tensor("act", [2])], []))
    assert not found.is_constant
    for ask in (found.numpy, found.dequantize, lambda: found.data, lambda: setattr(found, "data", np.zeros(2, "f4"))):
        with pytest.raises(NoDataError, match="'act'"):
            ask()


@pytest.mark.parametrize("dtype", ["RESOURCE", "VARIANT", 99])
def test_types_without_values(dtype: str | int) -> None:
    found = first(model_bytes(one_tensor([1], bytes(4), dtype)))  # type: ignore[arg-type]
    assert found.nbytes == 0
    with pytest.raises(UnsupportedFormatError):
        found.numpy()


WRONG: list[tuple[Any, type[Exception]]] = [
    (np.zeros(3, "f4"), InvalidValueError),
    (np.zeros((2, 1), "f4"), InvalidValueError),
    (np.zeros(2, "f8"), InvalidTypeError),
    (np.zeros(2, "i4"), InvalidTypeError),
    (np.zeros(2, ">f4"), InvalidTypeError),
    ([[1], [1, 2]], InvalidValueError),
    ("text", UnliteError),
    (None, UnliteError),
    (1.0, InvalidValueError),
]


@pytest.mark.parametrize(("value", "kind"), WRONG, ids=str)
def test_arrays_that_do_not_fit(value: Any, kind: type[Exception]) -> None:
    found = first(constant(np.zeros(2, "<f4"), "FLOAT32"))
    with pytest.raises(kind) as caught:
        found.data = value
    assert isinstance(caught.value, (ValueError, TypeError))
    assert found.numpy().tolist() == [0.0, 0.0]


def test_buffers_take_any_bytes() -> None:
    opened = open_model(constant(np.zeros(2, "<f4"), "FLOAT32"))
    for value in (b"\0\0\x80?" * 2, bytearray(b"\0\0\x80?" * 2), np.ones(2, "<f4"), np.ones((2, 1), "<f4")):
        opened.buffers[1].data = b""
        opened.buffers[1].data = value
        assert opened.main.tensors[0].numpy().tolist() == [1.0, 1.0]
    munged = opened.buffers[1].data
    assert munged is not None
    opened.buffers[1].data = np.round(np.frombuffer(munged, "f4") / 0.02).astype("f4") * np.float32(0.02)
    assert np.allclose(opened.main.tensors[0].numpy(), 1.0)
    with pytest.raises(InvalidTypeError):
        opened.buffers[1].data = "text"


# -- real values -----------------------------------------------------------------------------------


def test_one_scale() -> None:
    # 0.5 * (q - 3): -131 / 2, 0, 124 / 2
    found = first(constant(np.array([-128, 3, 127], "i1"), "INT8", quantization=quantization([0.5], [3])))
    assert found.dequantize().tolist() == [-65.5, 0.0, 62.0]
    assert found.dequantize().dtype == np.float32


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_scale_for_each_channel(axis: int) -> None:
    values = np.arange(12, dtype="i1").reshape(2, 3, 2)
    scale = [0.5, 2.0, 4.0][: values.shape[axis]]
    found = first(constant(values, "INT8", quantization=quantization(scale, [1, 0, -1][: len(scale)], axis)))
    expected = [
        [
            [scale[(i, j, k)[axis]] * (int(values[i, j, k]) - [1, 0, -1][(i, j, k)[axis]]) for k in range(2)]
            for j in range(3)
        ]
        for i in range(2)
    ]
    assert found.dequantize().tolist() == expected


def test_a_bias_that_names_the_weights_dimension() -> None:
    found = first(constant(np.array([2, 4], "<i4"), "INT32", quantization=quantization([0.5, 0.25], None, 3)))
    assert found.dequantize().tolist() == [1.0, 1.0]


def test_large_integers_are_rounded_once() -> None:
    # float32(2^24 + 1) is 2^24; times 3 that is 50331648; the exact product 50331651 rounds to 50331652.
    found = first(constant(np.array([2**24 + 1], "<i4"), "INT32", quantization=quantization([3.0])))
    assert found.dequantize().tolist() == [50331652.0]


@pytest.mark.parametrize("dtype", ["FLOAT32", "FLOAT16", "BFLOAT16", "FLOAT8_E4M3FN", "FLOAT8_E5M2"])
def test_float_types_are_widened(dtype: str) -> None:
    found = first(constant(ARRAYS[dtype], dtype)).dequantize()
    assert found.dtype == np.float32
    assert found.tolist() == ARRAYS[dtype].astype("f4").tolist()


@pytest.mark.parametrize("dtype", ["INT8", "BOOL", "COMPLEX64", "STRING"])
def test_not_quantized(dtype: str) -> None:
    data = (
        constant(ARRAYS[dtype], dtype)
        if dtype != "STRING"
        else model([tensor("t", [0], dtype, 1)], [buffer(struct.pack("<2i", 0, 8))])
    )
    with pytest.raises(NotQuantizedError):
        first(data).dequantize()
    only_range = schema.QuantizationParametersT()
    only_range.min, only_range.max = [0.0], [1.0]
    with pytest.raises(NotQuantizedError):
        first(constant(np.zeros(1, "i1"), "INT8", quantization=only_range)).dequantize()


@pytest.mark.parametrize(("scale", "zero", "axis"), [([1, 1], [0, 0], 5), ([1, 1, 1], [0, 0, 0], 0), ([1, 1], [0], 0)])
def test_scales_that_do_not_fit(scale: list[float], zero: list[int], axis: int) -> None:
    found = first(constant(np.zeros((2, 2), "i1"), "INT8", quantization=quantization(scale, zero, axis)))
    with pytest.raises(CorruptFileError) as caught:
        found.dequantize()
    assert caught.value.path == "subgraphs[0].tensors[0]"


def blockwise(zero_points: int, shape: tuple[int, ...] = (2, 2)) -> Any:
    """INT8 [2, 4] in blocks of 2 along the last dimension; scales are tensor 1, zero points tensor 2."""
    details = schema.BlockwiseQuantizationT()
    details.scales, details.zeroPoints, details.blockSize = 1, zero_points, 2
    parameters = schema.QuantizationParametersT()
    parameters.details, parameters.detailsType = details, schema.QuantizationDetails.BlockwiseQuantization
    parameters.quantizedDimension = 1
    weights = np.arange(8, dtype="i1").reshape(2, 4)
    scales = np.array([1, 2, 4, 8], "<f2").reshape(shape)
    zeros = np.array([0, 1, 2, 3], "i1").reshape(shape)
    return model(
        [
            tensor("w", [2, 4], "INT8", 1, quantization=parameters),
            tensor("s", list(shape), "FLOAT16", 2),
            tensor("z", list(shape), "INT8", 3),
        ],
        [buffer(weights), buffer(scales), buffer(zeros)],
    )


@pytest.mark.parametrize("shape", [(2, 2), (4,)])
def test_blockwise(shape: tuple[int, ...]) -> None:
    found = first(blockwise(-1, shape))
    assert found.quantization.kind == "blockwise"
    # rows 0 1 | 2 3 and 4 5 | 6 7, times 1, 2, 4, 8
    assert found.dequantize().tolist() == [[0, 1, 4, 6], [16, 20, 48, 56]]
    # minus 0, 1, 2, 3 before
    assert first(blockwise(2, shape)).dequantize().tolist() == [[0, 1, 2, 4], [8, 12, 24, 32]]


def test_blockwise_that_names_nothing() -> None:
    with pytest.raises(CorruptFileError, match="99"):
        first(blockwise(99)).dequantize()


def test_multi_axis() -> None:
    details = schema.MultiAxisQuantizationT()
    details.scales, details.zeroPoints, details.blockSize, details.quantizedDimensions = 1, -1, 0, [0, 2]
    parameters = schema.QuantizationParametersT()
    parameters.details, parameters.detailsType = details, schema.QuantizationDetails.MultiAxisQuantization
    weights = np.ones((2, 2, 2), "i1")
    scales = np.array([[1, 2], [3, 4]], "<f4")
    data = model(
        [tensor("w", [2, 2, 2], "INT8", 1, quantization=parameters), tensor("s", [2, 2], "FLOAT32", 2)],
        [buffer(weights), buffer(scales)],
    )
    found = first(data)
    assert found.quantization.kind == "multi-axis"
    # [i, j, k] has scale [i, k]
    assert found.dequantize().tolist() == [[[1, 2], [1, 2]], [[3, 4], [3, 4]]]


def test_huge_scales_are_no_warning() -> None:
    found = first(constant(np.array([127, 0], "i1"), "INT8", quantization=quantization([3e38])))
    assert found.dequantize().tolist() == [np.inf, 0.0]
    found = first(constant(np.array([1, 0], "i1"), "INT8", quantization=quantization([np.inf])))
    assert str(found.dequantize().tolist()) == "[inf, nan]"


def test_the_same_names_in_two_graphs() -> None:
    """Scales are tensors of the same subgraph."""
    assert packed(schema.ModelT()) is not None
    graphs = [subgraph([tensor("a", [1], "INT8", 1)], [], [], []), subgraph([tensor("a", [1], "INT8", 2)], [], [], [])]
    opened = open_model(model([], [buffer(b"\1"), buffer(b"\2")], graphs=graphs))
    assert [graph.tensors["a"].numpy().tolist() for graph in opened.subgraphs] == [[1], [2]]
