"""Constants out of a model and back. Judges: LiteRT's interpreter, NumPy's reader of .npz, the safetensors library."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.model.small import Builder, dense_layer, quantized

from unlite.errors import (
    CorruptFileError,
    InvalidTypeError,
    InvalidValueError,
    NotQuantizedError,
    UnliteError,
    UnsupportedFormatError,
)
from unlite.model.formats.weight_files import open_weights, write_weights
from unlite.model.formats.weights import keyed_constants, put_weights, read_weights
from unlite.model.model import open_model
from unlite.model.setting.paths import assign_path
from unlite.model.values.requantize import stored_values
from unlite.pytorch.weights.axes import torch_axes


def litert(data: bytes | Path):
    """An interpreter of a model; its tensors are allocated."""
    module = pytest.importorskip("ai_edge_litert.interpreter", reason="the judge is not installed")
    content = data if isinstance(data, bytes) else data.read_bytes()
    interpreter = module.Interpreter(
        model_content=content,
        experimental_op_resolver_type=module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    return interpreter


# -- keys --------------------------------------------------------------------------------------------------------------


def test_keys_are_unique_and_say_where_names_do_not() -> None:
    made = Builder()
    main, other = made.graph(), made.graph("other")
    one = np.ones(1, "<f4")
    for name in ("a", "b", "", "b", "c#0.1", "__metadata__", "tab\there"):
        made.constant(main, name, one)
    made.constant(other, "b", one)
    made.constant(other, "d", one)
    keys = list(keyed_constants(open_model(made.data())))
    assert keys == ["a", "b#0.1", "#0.2", "b#0.3", "c#0.1#0.4", "__metadata__#0.5", "tab\ufffdhere", "b#1.0", "d"]


def test_tensors_without_data_have_no_key() -> None:
    assert list(keyed_constants(open_model(dense_layer()))) == ["weights", "bias"]


def test_subgraphs_that_share_a_buffer_share_the_entry() -> None:
    made = Builder()
    main, other = made.graph(), made.graph("other")
    shared = made.buffer(np.arange(4, dtype="<f4"))
    scaled = {"quantization": {"scale": [0.5], "zero_point": [0]}}
    made.tensor(main, "first", [4], buffer=shared)
    made.tensor(main, "again", [4], buffer=shared)  # the same subgraph: a tensor of its own
    made.tensor(main, "square", [2, 2], buffer=shared)
    made.tensor(other, "renamed", [4], buffer=shared)
    made.tensor(other, "scaled", [4], buffer=shared, **scaled)
    constants = keyed_constants(open_model(made.data()))
    assert {key: [alias.name for alias in constant.aliases] for key, constant in constants.items()} == {
        "first": ["renamed"],
        "again": [],
        "square": [],
        "scaled": [],
    }


def test_many_buffers_with_the_same_bytes_are_refused() -> None:
    """The same, where each tensor has a buffer of its own and all buffers point to the same bytes."""
    made = Builder()
    main = made.graph()
    for index in range(2000):
        made.buffers.append({"offset": 1000, "size": 1 << 16})
        made.tensor(main, f"t{index}", [1 << 14], "FLOAT32", index + 1)
    data = made.data() + bytes(1 << 16)
    with pytest.raises(CorruptFileError, match="out of all proportion"):
        assign_path(data, "tensors[*].data=add(x, 1)")
    with pytest.raises(CorruptFileError, match="out of all proportion"):
        list(read_weights(data))


def test_a_file_that_unfolds_is_refused() -> None:
    """2000 tensors of 64 KiB over one buffer: 131 MB of values in a file of 0.2 MB."""
    made = Builder()
    main = made.graph()
    shared = made.buffer(bytes(1 << 16))
    for index in range(2000):
        made.tensor(main, f"t{index}", [1 << 16], "INT8", shared)
    with pytest.raises(CorruptFileError, match="out of all proportion"):
        list(read_weights(made.data()))


# -- real values to stored ones ----------------------------------------------------------------------------------------


def test_quantizing_rounds_halves_away_from_zero_and_clips() -> None:
    tensor = open_model(quantized([0] * 8)).main.tensors["q"]  # real = 0.5 * (q - 3)
    real = np.array([1.25, -1.25, 0.75, -0.75, 0.24, -0.26, 1000, -1000], np.float32)
    stored, clipped = stored_values(tensor, real)
    # 2.5 -> 3, -2.5 -> -3, 1.5 -> 2, -1.5 -> -2, 0.48 -> 0, -0.52 -> -1, each + 3; 2000 and -2000 do not fit.
    assert stored.tolist() == [6, 0, 5, 1, 3, 2, 127, -128]
    assert stored.dtype == np.int8
    assert clipped == 2


def test_values_that_did_not_change_keep_their_integers() -> None:
    """float32 cannot tell 2^24 + 1 from 2^24, so that the way there and back would lose the bias."""
    values = [2**24 + 1, 2**30 + 3, -(2**24) - 1, 5]
    model = open_model(quantized(values, "INT32", scale=1.0, zero_point=0))
    tensor = model.main.tensors["q"]
    real = tensor.dequantize().copy()
    assert real.astype(np.int64).tolist() != values
    real[3] = 6
    stored, clipped = stored_values(tensor, real)
    assert stored.tolist() == [*values[:3], 6]
    assert clipped == 0


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20), st.floats(1e-6, 1e3), st.integers(-128, 127))
def test_quantizing_is_within_half_a_step(real: list[float], scale: float, zero_point: int) -> None:
    tensor = open_model(quantized([0] * len(real), scale=scale, zero_point=zero_point)).main.tensors["q"]
    scale32 = float(np.float32(scale))
    stored, _ = stored_values(tensor, np.array(real, np.float32))
    for value, q in zip(real, stored.tolist(), strict=True):
        if -128 < q < 127:
            assert abs(value - scale32 * (q - zero_point)) <= scale32 * 0.5 * (1 + 1e-9) + 1e-9 * abs(value)


@pytest.mark.parametrize("value", [float("nan")])
def test_nan_has_no_integer(value: float) -> None:
    tensor = open_model(quantized([0])).main.tensors["q"]
    with pytest.raises(InvalidValueError, match="NaN"):
        stored_values(tensor, np.array([value], np.float32))


def test_a_scale_of_zero_is_refused() -> None:
    tensor = open_model(quantized([1], scale=0.0)).main.tensors["q"]
    with pytest.raises(InvalidValueError, match="scale of 0"):
        stored_values(tensor, np.array([0], np.float32))


def test_without_a_scale_there_is_nothing_to_quantize_with() -> None:
    made = Builder()
    made.constant(made.graph(), "plain", np.array([1], "i1"), "INT8")
    tensor = open_model(made.data()).main.tensors["plain"]
    with pytest.raises(NotQuantizedError):
        stored_values(tensor, np.array([1], np.float32))


@pytest.mark.parametrize(
    ("dtype", "kind", "largest"),
    [
        ("FLOAT16", np.float16, 65504),
        ("BFLOAT16", ml_dtypes.bfloat16, 3.3895314e38),
        ("FLOAT8_E4M3FN", ml_dtypes.float8_e4m3fn, 448),
    ],
)
def test_what_a_float_type_cannot_hold_is_an_error(dtype: str, kind: type, largest: float) -> None:
    made = Builder()
    made.constant(made.graph(), "w", np.zeros(3, kind), dtype)
    tensor = open_model(made.data()).main.tensors["w"]
    stored, _ = stored_values(tensor, np.array([largest, -largest, 0.5], np.float32))
    assert stored.astype(np.float64).tolist() == pytest.approx([largest, -largest, 0.5])
    with pytest.raises(InvalidValueError, match="too large"):
        stored_values(tensor, np.array([largest * 1.25 if dtype != "BFLOAT16" else 3.4028235e38, 0, 0], np.float32))


# -- files -------------------------------------------------------------------------------------------------------------


def mixed() -> bytes:
    """A constant of every kind of type that matters to files."""
    made = Builder()
    main = made.graph()
    made.constant(main, "f32", np.arange(6, dtype="<f4").reshape(2, 3))
    made.constant(main, "f16", np.arange(2, dtype="<f2"), "FLOAT16")
    made.constant(main, "bf16", np.array([1.5, -2], ml_dtypes.bfloat16), "BFLOAT16")
    made.constant(main, "f8", np.array([1.5, -2, 448], ml_dtypes.float8_e4m3fn), "FLOAT8_E4M3FN")
    made.constant(main, "i8", np.arange(5, dtype="i1"), "INT8", quantization={"scale": [0.25], "zero_point": [1]})
    made.constant(main, "scalar", np.array(7, "<i4"), "INT32")
    made.constant(main, "c128", np.array([1 + 2j]), "COMPLEX128")
    made.constant(main, "yes", np.array([True, False]), "BOOL")
    # Elements -1 and 2, then 3: the first in the lowest bits of a byte.
    made.tensor(main, "i4", [3], "INT4", made.buffer(b"\x2f\x03"))
    # Two strings: count 2, offsets 16, 17, 19.
    strings = np.array([2, 16, 17, 19], "<i4").tobytes() + b"abc"
    made.tensor(main, "words", [2], "STRING", made.buffer(strings))
    return made.data()


def test_npz_is_what_numpy_reads(tmp_path: Path) -> None:
    report = write_weights(mixed(), tmp_path / "w.npz")
    assert report.skipped == {"words": "STRING"}
    assert report.widened == ["bf16", "f8"]
    assert report.size == (tmp_path / "w.npz").stat().st_size
    with np.load(tmp_path / "w.npz", allow_pickle=False) as arrays:
        assert list(arrays) == ["f32", "f16", "bf16", "f8", "i8", "scalar", "c128", "yes", "i4"]
        assert arrays["f32"].tolist() == [[0, 1, 2], [3, 4, 5]]
        assert arrays["f32"].dtype == np.float32
        assert arrays["bf16"].tolist() == [1.5, -2]
        assert arrays["bf16"].dtype == np.float32
        assert arrays["f8"].tolist() == [1.5, -2, 448]
        assert arrays["i8"].tolist() == [0, 1, 2, 3, 4]
        assert arrays["scalar"].shape == ()
        assert arrays["c128"].tolist() == [1 + 2j]
        assert arrays["i4"].tolist() == [-1, 2, 3]
    with zipfile.ZipFile(tmp_path / "w.npz") as archive:
        # Readers in C want sizes in the local headers, not behind the data (flag 8).
        assert not any(member.flag_bits & 8 for member in archive.infolist())


def test_npz_with_real_values(tmp_path: Path) -> None:
    write_weights(mixed(), tmp_path / "w.npz", dequantize=True)
    with np.load(tmp_path / "w.npz") as arrays:
        assert arrays["i8"].tolist() == [-0.25, 0, 0.25, 0.5, 0.75]  # 0.25 * (q - 1)
        assert arrays["i8"].dtype == np.float32
        assert arrays["f16"].dtype == np.float32
        assert arrays["scalar"].dtype == np.int32


def test_safetensors_is_what_the_library_reads(tmp_path: Path) -> None:
    from safetensors import safe_open

    path = tmp_path / "w.safetensors"
    report = write_weights(mixed(), path, layout="tflite")
    assert report.skipped == {"c128": "COMPLEX128", "words": "STRING"}
    with safe_open(path, framework="np") as arrays:
        assert set(arrays.keys()) == {"f32", "f16", "bf16", "f8", "i8", "scalar", "yes", "i4"}
        assert arrays.get_tensor("f32").tolist() == [[0, 1, 2], [3, 4, 5]]
        assert arrays.get_tensor("yes").tolist() == [True, False]
        assert arrays.get_tensor("scalar").shape == ()
        assert arrays.get_slice("f8").get_dtype() == "F8_E4M3"
        assert arrays.get_slice("bf16").get_dtype() == "BF16"
        assert arrays.get_tensor("bf16").astype(np.float32).tolist() == [1.5, -2]
        metadata = arrays.metadata()
    assert metadata["unlite.layout"] == "tflite"
    assert json.loads(metadata["unlite.tensors"])["f16"] == "subgraphs[0].tensors[1]"
    # Each array starts at a multiple of its element's size, as readers that map the file want it.
    header = json.loads(path.read_bytes()[8 : 8 + int.from_bytes(path.read_bytes()[:8], "little")])
    assert header["f32"]["data_offsets"][0] % 4 == header["f16"]["data_offsets"][0] % 2 == 0


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
@pytest.mark.parametrize("dequantize", [False, True])
def test_there_and_back_changes_nothing(ending: str, dequantize: bool, tmp_path: Path) -> None:
    data = mixed()
    write_weights(data, tmp_path / f"w.{ending}", dequantize=dequantize)
    model = open_model(data)
    report = put_weights(model, open_weights(tmp_path / f"w.{ending}"))
    assert report.changed == []
    assert report.unchanged == 10
    assert not model.is_changed


def test_float8_comes_back_bit_by_bit(tmp_path: Path) -> None:
    write_weights(mixed(), tmp_path / "w.safetensors")
    array = open_weights(tmp_path / "w.safetensors")["f8"]
    assert array.dtype == ml_dtypes.float8_e4m3fn
    assert array.astype(np.float32).tolist() == [1.5, -2, 448]


REAL = [
    "blazeface_front_fp16",
    "face_full_range_sparse_fp16",
    "mnist_conv_fc_int8",
    "microwakeword_hey_jarvis_int8",
    "mobilenet_v1_025_uint8",
    "person_detect_int8",
    "precise_vad_while_drq",
    "toy_transformer_kv_cache",
    "weight_sharing_two_subgraphs",
    "sentencepiece_flex",
]


@pytest.mark.parametrize("name", REAL)
def test_real_models_come_back_byte_by_byte(name: str, shared: Path, tmp_path: Path) -> None:
    path = shared / "models" / f"{name}.tflite"
    for ending, options in ((".npz", {}), (".safetensors", {"dequantize": True, "axes": torch_axes})):
        write_weights(path, tmp_path / f"w{ending}", **options)
        model = open_model(path)
        put_weights(model, open_weights(tmp_path / f"w{ending}"), axes=options.get("axes"))
        assert model.save(tmp_path / "out.tflite").how == "copied"
        assert (tmp_path / "out.tflite").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", ["blazeface_front_fp16", "mnist_conv_fc_int8", "hello_world_int8"])
def test_values_are_those_that_litert_sees(name: str, shared: Path, tmp_path: Path) -> None:
    path = shared / "models" / f"{name}.tflite"
    judge = litert(path)
    details = {entry["index"]: entry for entry in judge.get_tensor_details()}
    seen = 0
    real = {key: array for key, _, array in read_weights(path, dequantize=True)}
    for key, tensor, array in read_weights(path):
        theirs = judge.get_tensor(tensor.index)
        assert np.array_equal(theirs, array)
        parameters = details[tensor.index]["quantization_parameters"]
        count = len(parameters["scales"])
        if count:
            along = [1] * theirs.ndim
            if count > 1:
                along[parameters["quantized_dimension"]] = count
            scale = parameters["scales"].astype(np.float64).reshape(along)
            by_hand = (theirs.astype(np.float64) - parameters["zero_points"].reshape(along)) * scale
            assert np.array_equal(real[key], by_hand.astype(np.float32))
            seen += 1
    assert seen or "int8" not in name


# -- back into the model -----------------------------------------------------------------------------------------------


def test_litert_computes_with_new_weights(tmp_path: Path) -> None:
    model = open_model(dense_layer())
    arrays = {key: array.copy() for key, _, array in read_weights(model)}
    arrays["weights"] = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
    report = put_weights(model, arrays)
    assert (report.changed, report.unchanged, report.clipped) == (["weights"], 1, {})
    assert model.save(tmp_path / "new.tflite").how == "patched"
    judge = litert(tmp_path / "new.tflite")
    judge.set_tensor(judge.get_input_details()[0]["index"], np.array([[10, 20]], np.float32))
    judge.invoke()
    # The products are 10, 20 and 30; the biases 1, 2 and 3.
    assert judge.get_tensor(judge.get_output_details()[0]["index"]).tolist() == [[11, 22, 33]]


def test_litert_reads_new_integers(tmp_path: Path) -> None:
    model = open_model(quantized([0, 1, 2, 3]))
    report = put_weights(model, {"q": np.array([1.25, -1.5, 99, 0], np.float32)})
    assert report.clipped == {"q": 1}
    model.save(tmp_path / "new.tflite")
    # 1.25 / 0.5 = 2.5 -> 3; -3; 198 does not fit; 0; each + 3.
    assert litert(tmp_path / "new.tflite").get_tensor(0).tolist() == [6, 0, 127, 3]


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_a_real_model_takes_new_weights_from_a_file(ending: str, shared: Path, tmp_path: Path) -> None:
    path = shared / "models/mnist_conv_fc_int8.tflite"
    write_weights(path, tmp_path / f"w.{ending}", dequantize=True, axes=torch_axes)
    arrays = {key: np.array(array) for key, array in open_weights(tmp_path / f"w.{ending}").items()}
    constants = keyed_constants(open_model(path))
    key = next(key for key, constant in constants.items() if len(constant.tensor.shape) == 4)
    arrays[key][:] = 0
    np.savez(tmp_path / "changed.npz", **arrays)
    model = open_model(path)
    report = put_weights(model, open_weights(tmp_path / "changed.npz"), axes=torch_axes)
    assert report.changed == [key]
    assert model.save(tmp_path / "new.tflite").how == "patched"
    judge = litert(tmp_path / "new.tflite")
    assert not judge.get_tensor(constants[key].tensor.index).any()


def test_misfits_are_all_listed_and_change_nothing() -> None:
    model = open_model(dense_layer())
    arrays = {"weight": np.zeros((3, 2), np.float32), "bias": np.ones(4, np.float32)}
    with pytest.raises(InvalidValueError) as caught:
        put_weights(model, arrays)
    message = str(caught.value)
    assert "1 unknown to the model: 'weight'" in message
    assert "1 missing: 'weights'" in message
    assert "'bias' is [4], not [3]" in message
    assert "'weight' -> 'weights'" in message
    assert not model.is_changed


def test_axes_in_another_order_are_recognised() -> None:
    model = open_model(dense_layer())
    with pytest.raises(InvalidValueError, match="layout"):
        put_weights(model, {"weights": np.zeros((2, 3), np.float32), "bias": np.zeros(3, np.float32)})


def test_a_late_error_changes_nothing() -> None:
    model = open_model(dense_layer())
    with pytest.raises(InvalidTypeError, match="float64"):
        put_weights(model, {"weights": np.zeros((3, 2), np.float32), "bias": np.zeros(3, np.float64)})
    assert not model.is_changed


def test_integers_of_another_type_are_refused() -> None:
    with pytest.raises(InvalidTypeError, match="int8 is wanted, or float32 for real values, not int32"):
        put_weights(open_model(quantized([1])), {"q": np.array([1], np.int32)})


def test_packed_types_are_checked() -> None:
    made = Builder()
    main = made.graph()
    made.tensor(main, "i4", [3], "INT4", made.buffer(b"\x21\x03"))
    model = open_model(made.data())
    with pytest.raises(InvalidValueError, match="-8 to 7"):
        put_weights(model, {"i4": np.array([1, 2, 8], np.int8)})
    put_weights(model, {"i4": np.array([-8, 7, 0], np.int8)})
    assert bytes(model.buffers[1].data or b"") == b"\x78\x00"  # -8 is 0b1000, 7 is 0b0111


def test_big_endian_arrays_are_taken() -> None:
    model = open_model(dense_layer())
    arrays = {"weights": np.ones((3, 2), ">f4"), "bias": np.array([1, 2, 3], ">f4")}
    assert put_weights(model, arrays).changed == ["weights"]
    assert model.main.tensors["weights"].numpy().tolist() == [[1, 1]] * 3


def shared_within() -> bytes:
    made = Builder()
    main, other = made.graph(), made.graph("other")
    buffer = made.buffer(np.arange(4, dtype="<f4"))
    made.tensor(main, "one", [4], buffer=buffer)
    made.tensor(main, "two", [2, 2], buffer=buffer)
    made.tensor(other, "one again", [4], buffer=buffer)
    return made.data()


def values(model, graph: int = 0) -> list[list[float]]:
    return [tensor.numpy().reshape(-1).tolist() for tensor in model.subgraphs[graph].tensors]


def test_tensors_that_shared_a_buffer_part_where_values_do(tmp_path: Path) -> None:
    """``one`` is one constant in both subgraphs; ``two`` shares the buffer and keeps its values."""
    model = open_model(shared_within())
    put_weights(model, {"one": np.full(4, 9, np.float32), "two": np.arange(4, dtype=np.float32).reshape(2, 2)})
    model.save(tmp_path / "new.tflite")
    again = open_model(tmp_path / "new.tflite")
    assert values(again) == [[9, 9, 9, 9], [0, 1, 2, 3]]
    assert values(again, 1) == [[9, 9, 9, 9]]
    assert len(again.buffers) == 3


def test_tensors_that_share_a_buffer_stay_together_where_values_do() -> None:
    model = open_model(shared_within())
    put_weights(model, {"one": np.full(4, 9, np.float32), "two": np.full((2, 2), 9, np.float32)})
    assert values(model) == [[9, 9, 9, 9], [9, 9, 9, 9]]
    assert len(model.buffers) == 2


def test_two_new_values_for_one_buffer() -> None:
    model = open_model(shared_within())
    put_weights(model, {"one": np.full(4, 9, np.float32), "two": np.full((2, 2), 8, np.float32)})
    assert values(model) == [[9, 9, 9, 9], [8, 8, 8, 8]]
    assert values(model, 1) == [[9, 9, 9, 9]]


def test_sparse_stays_sparse(shared: Path, tmp_path: Path) -> None:
    path = shared / "models/face_full_range_sparse_fp16.tflite"
    model = open_model(path)
    arrays = {key: array for key, _, array in read_weights(model)}
    key, tensor = next((key, entry.tensor) for key, entry in keyed_constants(model).items() if entry.tensor.is_sparse)
    arrays[key] = arrays[key] * np.float16(2)
    put_weights(model, arrays)
    assert model.save(tmp_path / "new.tflite").how == "patched"
    again = open_model(tmp_path / "new.tflite").main.tensors[tensor.index]
    assert again.is_sparse
    assert np.array_equal(again.numpy(), arrays[key])
    filled = {**arrays, key: np.ones(tensor.shape, np.float16)}
    fresh = open_model(path)
    with pytest.raises(InvalidValueError, match="sparse tensor stores none"):
        put_weights(fresh, filled)
    assert not fresh.is_changed


def test_values_outside_a_sparse_pattern_change_nothing() -> None:
    """Stored are 1, 2 and 3, for the dense tensor 0 1 0 / 2 0 3."""
    compressed = {
        "format": "SPARSE_CSR",
        "array_segments_type": "Uint8Vector",
        "array_segments": {"values": [0, 1, 3]},
        "array_indices_type": "Uint8Vector",
        "array_indices": {"values": [1, 0, 2]},
    }
    pattern = {"traversal_order": [0, 1], "dim_metadata": [{"format": "DENSE", "dense_size": 2}, compressed]}
    made = Builder()
    main = made.graph()
    buffer = made.buffer(np.array([1, 2, 3], "<f4"))
    made.tensor(main, "s", [2, 3], buffer=buffer, sparsity=pattern)
    made.constant(main, "first", np.zeros(1, "<f4"))
    model = open_model(made.data())
    assert {key: array.tolist() for key, _, array in read_weights(model)}["s"] == [[0, 1, 0], [2, 0, 3]]
    with pytest.raises(InvalidValueError, match="sparse tensor stores none"):
        put_weights(model, {"first": np.ones(1, np.float32), "s": np.ones((2, 3), np.float32)})
    assert not model.is_changed
    put_weights(model, {"first": np.ones(1, np.float32), "s": np.array([[0, 4, 0], [5, 0, 0]], np.float32)})
    assert np.frombuffer(model.buffers[buffer].data or b"", "<f4").tolist() == [4, 5, 0]


def test_external_weights_move_into_the_model(tmp_path: Path) -> None:
    made = Builder()
    main, other = made.graph(), made.graph("other")
    for graph, name, shape in ((main, "a", [2]), (main, "b", [1, 2]), (main, "c", [2]), (other, "a again", [2])):
        made.tensor(graph, name, shape, external_buffer=7)
    made.rest = {
        "external_buffer_groups": [{"name": "w.bin"}],
        "external_buffers": [{"id": 7, "group": 0, "offset": 4, "length": 8}],
    }
    (tmp_path / "m.tflite").write_bytes(made.data())
    weights = b"skip" + np.array([1, 2], "<f4").tobytes()
    (tmp_path / "w.bin").write_bytes(weights)
    model = open_model(tmp_path / "m.tflite")
    new = {"a": np.array([3, 4], "f4"), "b": np.array([[3, 4]], "f4"), "c": np.array([1, 2], "f4")}
    assert put_weights(model, new).changed == ["a", "b"]
    model.save(tmp_path / "m.tflite")
    again = open_model(tmp_path / "m.tflite")
    assert values(again) == [[3, 4], [3, 4], [1, 2]]
    assert values(again, 1) == [[3, 4]]
    assert (tmp_path / "w.bin").read_bytes() == weights


# -- layouts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operator", "shape", "inputs", "expected"),
    [
        ("CONV_2D", [8, 3, 5, 4], "xw", [8, 4, 3, 5]),
        ("DEPTHWISE_CONV_2D", [1, 3, 5, 8], "xw", [8, 1, 3, 5]),
        ("TRANSPOSE_CONV", [8, 3, 5, 4], "swx", [4, 8, 3, 5]),
        ("CONV_3D", [2, 3, 5, 4, 8], "xw", [8, 4, 2, 3, 5]),
        ("CONV_3D_TRANSPOSE", [2, 3, 5, 8, 4], "swx", [4, 8, 2, 3, 5]),
        ("FULLY_CONNECTED", [8, 4], "xw", [8, 4]),
        ("CONV_2D", [8, 4], "xw", [8, 4]),  # of the wrong rank: left as it is
        ("CONV_2D", [8, 3, 5, 4], "wx", [8, 3, 5, 4]),  # the data, not the weights
        ("CONV_2D", [8, 3, 5, 4], "ww", [8, 3, 5, 4]),  # both
    ],
)
@pytest.mark.parametrize("between", [[], ["DEQUANTIZE"], ["DENSIFY", "DEQUANTIZE"]])
def test_torch_layout(operator: str, shape: list[int], inputs: str, expected: list[int], between: list[str]) -> None:
    made = Builder()
    main = made.graph()
    weights = made.constant(main, "w", np.arange(np.prod(shape), dtype="<f4").reshape(shape))
    places = {"x": made.tensor(main, "x", [1]), "s": made.tensor(main, "s", [4], "INT32"), "w": weights}
    for step in between:
        after = made.tensor(main, step, shape)
        made.operator(main, step, [places["w"]], [after])
        places["w"] = after
    made.operator(main, operator, [places[name] for name in inputs], [made.tensor(main, "y", [1])])
    model = open_model(made.data())
    ((_, _, array),) = read_weights(model, axes=torch_axes)
    assert list(array.shape) == expected
    assert put_weights(model, {"w": array}, axes=torch_axes).unchanged == 1


def test_torch_layout_of_a_convolution_by_element() -> None:
    """PyTorch's [out, in, height, width] from TFLite's [out, height, width, in]."""
    made = Builder()
    main = made.graph()
    stored = np.arange(2 * 3 * 4 * 5, dtype="<f4").reshape(2, 3, 4, 5)
    weights = made.constant(main, "w", stored)
    made.operator(main, "CONV_2D", [made.tensor(main, "x", [1]), weights], [made.tensor(main, "y", [1])])
    ((_, _, array),) = read_weights(made.data(), axes=torch_axes)
    assert all(array[o, i, y, x] == stored[o, y, x, i] for o, y, x, i in np.ndindex(2, 3, 4, 5))


def test_readers_that_disagree_leave_the_layout() -> None:
    made = Builder()
    main = made.graph()
    weights = made.constant(main, "w", np.zeros((1, 3, 3, 4), "<f4"))
    x, y = made.tensor(main, "x", [1]), made.tensor(main, "y", [1])
    made.operator(main, "CONV_2D", [x, weights], [y])
    made.operator(main, "DEPTHWISE_CONV_2D", [x, weights], [y])
    assert torch_axes(open_model(made.data()).main.tensors["w"]) is None


# -- hostile and other files -------------------------------------------------------------------------------------------


def npz(**members: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return data.getvalue()


def npy(header: str, content: bytes = b"") -> bytes:
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content


HOSTILE = {
    "pickle": npz(weights=npy("{'descr': '|O', 'fortran_order': False, 'shape': (3, 2)}", b"cos\nsystem\n")),
    "huge": npz(weights=npy("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99)}")),
    "wide": npz(weights=npy("{'descr': '|V2000000000', 'fortran_order': False, 'shape': (3, 2)}")),
    "records": npz(weights=npy("{'descr': '|V100', 'fortran_order': False, 'shape': (3, 2)}", bytes(600))),
    "cut": npz(weights=npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2)}", b"1234")),
    "no header": npz(weights=b"\x93NUMPY\x01\x00\xff\xff{"),
    "no array": npz(weights=b"what?"),
    "no zip": b"PK\3\4 and so on",
    "empty": b"",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_npz(what: str, tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    path.write_bytes(HOSTILE[what])
    model = open_model(dense_layer())
    with pytest.raises(UnliteError) as caught:
        put_weights(model, open_weights(path))
    assert not isinstance(caught.value, InvalidTypeError)
    assert not model.is_changed


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=4), st.booleans())
def test_damaged_files_are_read_or_refused(flips: list[tuple[int, int]], zipped: bool) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "w.npz" if zipped else "w.safetensors")
        write_weights(dense_layer(), path)
        data = bytearray(path.read_bytes())
        for position, value in flips:
            data[position % len(data)] = value
        path.write_bytes(data)
        try:
            put_weights(dense_layer(), open_weights(path))
        except UnliteError as error:
            assert str(error)


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFormatError, match=r"\.npz"):
        write_weights(dense_layer(), tmp_path / "w.bin")
    (tmp_path / "w.bin").write_bytes(b"")
    with pytest.raises(UnsupportedFormatError, match=r"\.npz"):
        open_weights(tmp_path / "w.bin")
    with pytest.raises(UnliteError, match="is not there"):
        open_weights(tmp_path / "none.npz")
    (tmp_path / "w.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(UnsupportedFormatError, match=r"no \.safetensors"):
        open_weights(tmp_path / "w.safetensors")


def test_nothing_is_left_where_writing_fails(tmp_path: Path) -> None:
    made = Builder()
    main = made.graph()
    made.tensor(main, "short", [9], "FLOAT32", made.buffer(b"1234"))
    (tmp_path / "w.npz").write_bytes(b"old")
    with pytest.raises(CorruptFileError):
        write_weights(made.data(), tmp_path / "w.npz")
    assert [file.name for file in tmp_path.iterdir()] == ["w.npz"]
    assert (tmp_path / "w.npz").read_bytes() == b"old"
