"""``to_onnx``: names, types of the ends, memories, metadata, files, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")
onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra 'onnx')")
pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra 'onnx')")
pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed (extra 'onnx')")

from tests.onnx.running import run_file, session  # noqa: E402
from tests.pytorch.litert import Constant, Made, one_operator  # noqa: E402

import unlite  # noqa: E402
from unlite.errors import InvalidValueError, MissingExtraError, SaveError, UnsupportedOperatorError  # noqa: E402
from unlite.onnx import files  # noqa: E402
from unlite.onnx.convert import to_ir  # noqa: E402

FLOAT, INT8 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT8


def types(model: Any) -> tuple[list[int], list[int]]:
    return (
        [end.type.tensor_type.elem_type for end in model.graph.input],
        [end.type.tensor_type.elem_type for end in model.graph.output],
    )


def properties(model: Any) -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props}


@pytest.fixture(scope="module")
def tiny(shared: Path) -> Path:
    """An int8 network of four layers."""
    return shared / "models" / "tiny_cnn_int8.tflite"


def test_names_are_the_files(tiny: Path) -> None:
    made = unlite.to_onnx(tiny)
    names = {tensor.name for tensor in unlite.open(tiny).main.tensors}
    places = json.loads(properties(made)["unlite.tensors"])
    assert {"input", "conv_3x3_output", "pooled", "logits", "probabilities"} <= set(places)
    assert set(places) <= names
    assert {entry.name for entry in made.graph.initializer} >= {"conv_3x3_weights", "dense_bias"}
    for name, (subgraph, index, _) in places.items():
        assert unlite.open(tiny).subgraphs[subgraph].tensors[index].name == name


def test_an_output_is_known_as_the_output_not_as_a_tensor_of_equal_value(shared: Path) -> None:
    """Its last operator only changes the type: one value, two tensors, of which the output has a scale of its own."""
    path = shared / "models" / "keyword_scrambled_svdf.tflite"
    made = unlite.to_onnx(path)
    places = json.loads(properties(made)["unlite.tensors"])
    assert places[made.graph.output[0].name][1] == unlite.open(path).main.outputs[0].index


def test_ends_keep_the_files_type_or_are_real(tiny: Path) -> None:
    assert types(unlite.to_onnx(tiny)) == ([INT8], [INT8])
    assert types(unlite.to_onnx(tiny, real_io=True)) == ([FLOAT], [FLOAT])


def test_an_integer_output_is_rounded_once(tiny: Path) -> None:
    assert [node.op_type for node in unlite.to_onnx(tiny).graph.node][-2:] == ["Softmax", "QuantizeLinear"]


def test_weights_stay_integers_unless_plain_float_is_wanted(tiny: Path) -> None:
    def stored(quantized: str) -> set[int]:
        made = unlite.to_onnx(tiny, quantized=quantized, real_io=True)
        return {entry.data_type for entry in made.graph.initializer if entry.name.startswith("conv_3x3_weights")}

    assert INT8 in stored("qdq")
    assert stored("float") == {FLOAT}


def test_an_integer_input_means_what_a_real_one_does(tiny: Path) -> None:
    integers = np.random.default_rng(0).integers(-128, 128, (1, 8, 8, 1)).astype(np.int8)
    tensor = unlite.open(tiny).main.inputs[0]
    assert tensor.quantization is not None
    integers = np.resize(integers, tensor.shape)
    real = ((integers.astype(np.float64) - tensor.quantization.zero_point[0]) * tensor.quantization.scale[0]).astype(
        "f4"
    )
    (stored,) = run_file(unlite.to_onnx(tiny).SerializeToString(), [integers])
    (floats,) = run_file(unlite.to_onnx(tiny, real_io=True).SerializeToString(), [real])
    output = unlite.open(tiny).main.outputs[0].quantization
    assert output is not None
    np.testing.assert_allclose(floats, (stored.astype("f8") - output.zero_point[0]) * output.scale[0], atol=1e-6)


def test_names_borne_twice_are_numbered() -> None:
    data = one_operator("ADD", [np.ones(3, "f4"), Constant(np.ones(3, "f4"))], [Made("FLOAT32", (3,))])
    model = unlite.open(data)
    for tensor in model.main.tensors:
        tensor.name = "same"
    made = unlite.to_onnx(model)
    assert [made.graph.input[0].name, made.graph.output[0].name] == ["same", "same_2"]
    assert made.graph.initializer[0].name == "same_3"
    np.testing.assert_array_equal(run_file(made.SerializeToString(), [np.array([1, 2, 3], "f4")])[0], [2, 3, 4])


def test_an_output_that_is_an_input_is_copied() -> None:
    data = one_operator("RESHAPE", [np.ones(3, "f4"), Constant(np.array([3], "i4"))], [Made("FLOAT32", (3,))])
    values = np.array([1, 2, 3], "f4")
    np.testing.assert_array_equal(run_file(unlite.to_onnx(data).SerializeToString(), [values])[0], values)


def test_a_free_batch_is_a_free_dimension() -> None:
    model = unlite.open(
        one_operator("ADD", [np.ones((1, 3), "f4"), Constant(np.ones(3, "f4"))], [Made("FLOAT32", (1, 3))])
    )
    for table in model.root["subgraphs"][0]["tensors"]:
        if list(table["shape"]) == [1, 3]:
            table.shape_signature = [-1, 3]
    made = unlite.to_onnx(model)
    assert made.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    (result,) = run_file(made.SerializeToString(), [np.zeros((5, 3), "f4")])
    np.testing.assert_array_equal(result, np.ones((5, 3)))


def test_memories_are_inputs_and_outputs(shared: Path) -> None:
    made = unlite.to_onnx(shared / "models" / "mnist_lstm_fp32.tflite")
    given = [end.name for end in made.graph.input[1:]]
    assert [f"{name}.next" for name in given] == [end.name for end in made.graph.output[1:]]
    runner = session(made.SerializeToString())
    names = [end.name for end in runner.get_outputs()]
    x = np.random.default_rng(0).standard_normal([1, 28, 28]).astype("f4")
    first = dict(zip(names, runner.run(None, {made.graph.input[0].name: x}), strict=True))
    memory = {name: first[f"{name}.next"] for name in given}
    second = runner.run(names[:1], {made.graph.input[0].name: x, **memory})[0]
    module = unlite.to_torch(shared / "models" / "mnist_lstm_fp32.tflite")
    with torch.no_grad():
        expected = [module(torch.from_numpy(x)).numpy() for _ in range(2)]
    assert not np.allclose(expected[0], expected[1])
    np.testing.assert_allclose(first[names[0]], expected[0], atol=1e-5)
    np.testing.assert_allclose(second, expected[1], atol=1e-5)


def test_metadata_travels(shared: Path) -> None:
    found = properties(unlite.to_onnx(shared / "models" / "mobilenet_v1_025_uint8.tflite"))
    assert found["file:labels.txt"].splitlines()[:2] == ["background", "tench"]
    assert found["name"]
    assert [fact["layout"] for fact in json.loads(found["unlite.io"])] == ["NCHW", "file"]


def test_large_weights_lie_in_a_file_of_their_own(shared: Path, tmp_path: Path) -> None:
    model = unlite.open(shared / "models" / "mnist_conv_fc_fp32.tflite")
    written = files.write(to_ir(model, model.main), str(tmp_path / "m.onnx"), largest=1000)
    assert [path.rpartition("/")[2] for path in written] == ["m.onnx", "m.onnx.data"]
    x = np.random.default_rng(0).standard_normal(model.main.inputs[0].shape).astype("f4")
    whole = unlite.to_onnx(model)
    np.testing.assert_array_equal(run_file(written[0], [x])[0], run_file(whole.SerializeToString(), [x])[0])
    assert files.is_written(written[0])


def test_a_message_that_would_be_too_large_is_refused(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LARGEST", 10)
    with pytest.raises(SaveError, match="2 GiB"):
        unlite.to_onnx(tiny)


def test_what_onnx_cannot_say_is_named_with_its_place() -> None:
    data = one_operator("BITCAST", [np.ones(3, "f4")], [Made("INT32", (3,))])
    with pytest.raises(UnsupportedOperatorError, match=r"BITCAST x1") as caught:
        unlite.to_onnx(data)
    assert caught.value.operators == ("subgraphs[0].operators[0] BITCAST 'output_0'",)


def test_wrong_choices_are_refused(tiny: Path) -> None:
    with pytest.raises(InvalidValueError, match="quantized='int8'"):
        unlite.to_onnx(tiny, quantized="int8")
    with pytest.raises(InvalidValueError, match="layout='chw'"):
        unlite.to_onnx(tiny, layout="chw")


def test_a_missing_library_is_named(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxscript" else found(name))
    with pytest.raises(MissingExtraError, match=r"unlite\[onnx\]"):
        unlite.to_onnx(tiny)


SAMPLE = (
    "arg_min_max",
    "conv__",
    "gather_nd",
    "h_fake_quant",
    "h_nms_v4",
    "h_useq_lstm_cifg1",
    "q_net_lenet__fp16",
    "topk",
)
"""Beginnings of case names: one case of each is run here, and docs/measured/measure_onnx.py runs them all."""


@pytest.mark.parametrize("start", SAMPLE)
def test_cases_of_the_suite(start: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "docs" / "measured")
    from measure_onnx import float_cases, outcome

    case = next((case for case in float_cases() if case["id"].startswith(start)), None)
    if case is None:
        pytest.skip("../shared/opsuite is not there")
    assert outcome(case) == ""


def test_small_scores_keep_their_digits() -> None:
    """ONNX Runtime's own Sigmoid has one digit in ten of a millionth."""
    x = np.linspace(-90, 90, 64).astype("f4")
    data = one_operator("LOGISTIC", [x], [Made("FLOAT32", x.shape)])
    (scores,) = run_file(unlite.to_onnx(data).SerializeToString(), [x])
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-x.astype("f8"))), rtol=1e-6, atol=1e-38)


@pytest.mark.parametrize("shape", [(2, 5), (1, 4, 5), (1, 3, 4, 5)])
@pytest.mark.parametrize("slopes", [[0.25, -0.5, 0.0, 1.0, 3.0], [0.1]])
def test_slopes_are_written_in_operators_that_onnx_runtime_is_quick_at(
    shape: tuple[int, ...], slopes: list[float]
) -> None:
    x = np.random.default_rng(0).standard_normal(shape, "f4")
    x.flat[:4] = np.inf, -1e30, 0.0, -0.0
    alpha = np.array(slopes, "f4")
    data = one_operator("PRELU", [x, Constant(alpha)], [Made("FLOAT32", x.shape)])
    made = unlite.to_onnx(data)
    assert "PRelu" not in {node.op_type for node in made.graph.node}
    (found,) = run_file(made.SerializeToString(), [x])
    np.testing.assert_array_equal(found, np.where(x > 0, x, x * alpha))
