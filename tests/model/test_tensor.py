"""Tensors, subgraphs and operators: what they say, by index and by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.model.independent import buffer, code, metadata, model, operator, quantization, schema, subgraph, tensor
from tests.strategies import model_bytes

from unlite.errors import AmbiguousNameError, CorruptFileError, InvalidTypeError, NoSuchIndexError, NotFoundError
from unlite.model.model import open_model
from unlite.model.objects.quantization import Quantization


def conv() -> Any:
    options = schema.Conv2DOptionsT()
    options.padding, options.strideW, options.strideH = 1, 2, 3
    options.fusedActivationFunction = 3
    return options


def small() -> bytes:
    """Two convolutions and a custom operator, names that occur twice, two subgraphs."""
    main = subgraph(
        [
            tensor("in", [1, 4, 4, 1], shapeSignature=[-1, 4, 4, 1], hasRank=True),
            tensor("weights", [2, 1, 1, 1], buffer=1, quantization=quantization([0.5])),
            tensor("twice", [1], isVariable=True),
            tensor("twice", [1]),
            tensor("out", []),
        ],
        [
            operator([0, 1, -1], [2], 0, conv()),
            operator([2, 2, 1], [3, 4], 1, customOptions=[1, 2], intermediates=[2]),
            operator([3], [4], 2),
        ],
        [0],
        [4, 4],
    )
    other = subgraph([tensor("x", [1])], [], [0], [0], "other")
    # ATAN2's number, 156, does not fit the old field, which says 127 then
    return model(
        [],
        [buffer(np.ones(2, "<f4"))],
        codes=[code("CONV_2D", 3), code("CUSTOM", custom="Mine"), code("ATAN2")],
        graphs=[main, other],
    )


@pytest.fixture
def opened() -> Any:
    return open_model(small())


def test_the_same_object_each_time(opened: Any) -> None:
    graph = opened.main
    assert graph is opened.subgraphs[0] is opened.subgraphs["main"] is opened.subgraphs[-2]
    tensor = graph.tensors["weights"]
    assert tensor is graph.tensors[1] is graph.tensors[-4] is graph.tensors[np.int64(1)]
    assert tensor in graph.tensors
    assert graph.operators[1].inputs[2] is tensor
    assert graph.inputs[0] is graph.tensors["in"]
    assert graph.operators["out"] is graph.operators[2]
    assert tensor.buffer is opened.buffers[1]
    assert graph.operators[0].code is opened.operator_codes[0]


def test_names_that_occur_twice(opened: Any) -> None:
    with pytest.raises(AmbiguousNameError, match="2, 3") as caught:
        opened.main.tensors["twice"]
    assert (caught.value.name, caught.value.indices, caught.value.path) == ("twice", (2, 3), "subgraphs[0].tensors")
    assert isinstance(caught.value, LookupError)
    opened.main.tensors[3].name = "once"
    assert opened.main.tensors["twice"].index == 2
    assert opened.main.tensors["once"].index == 3
    assert opened.main.operators["once"].index == 1


def test_names_and_indices_that_are_not_there(opened: Any) -> None:
    with pytest.raises(NotFoundError, match="weights") as found:
        opened.main.tensors["weihgts"]
    assert isinstance(found.value, LookupError)
    for index in (5, -6, 10**30):
        with pytest.raises(NoSuchIndexError) as caught:
            opened.main.tensors[index]
        assert isinstance(caught.value, IndexError)
    with pytest.raises(InvalidTypeError):
        opened.main.tensors[1.5]
    with pytest.raises(InvalidTypeError):
        opened.buffers["name"]
    assert opened.main.tensors[1:3] == [opened.main.tensors[1], opened.main.tensors[2]]
    assert list(opened.main.tensors) == [opened.main.tensors[i] for i in range(5)]
    assert opened.main.tensors.index(opened.main.tensors[2]) == 2


def test_what_a_tensor_says(opened: Any) -> None:
    first, weights, state, _, out = opened.main.tensors
    assert (first.shape, first.shape_signature, first.has_rank) == ((1, 4, 4, 1), (-1, 4, 4, 1), True)
    assert (out.shape, out.shape_signature, out.has_rank) == ((), (), False)
    assert (weights.dtype, weights.nbytes, weights.numpy_dtype) == ("FLOAT32", 8, np.dtype("f4"))
    assert (weights.is_constant, weights.is_variable, weights.is_sparse) == (True, False, False)
    assert (state.is_constant, state.is_variable) == (False, True)
    assert first.quantization is None
    assert weights.quantization == Quantization([0.5])
    assert repr(first) == "<Tensor 0 'in' FLOAT32 [-1, 4, 4, 1]>"
    assert first.path == "subgraphs[0].tensors[0]"


def test_producers_and_consumers(opened: Any) -> None:
    graph = opened.main
    first, second, third = graph.operators
    assert graph.tensors[0].producer is None
    assert graph.tensors[0].consumers == (first,)
    assert graph.tensors[1].consumers == (first, second)
    assert graph.tensors[2].producer is first
    assert graph.tensors[2].consumers == (second,)  # once, though it goes in twice
    assert graph.tensors[4].producer is second  # the first that writes it
    assert third.inputs == (graph.tensors[3],)
    assert graph.outputs == (graph.tensors[4], graph.tensors[4])
    assert opened.subgraphs[1].inputs == opened.subgraphs[1].outputs == (opened.subgraphs[1].tensors[0],)


def test_what_an_operator_says(opened: Any) -> None:
    first, second, third = opened.main.operators
    assert (first.name, first.custom, first.version) == ("CONV_2D", False, 3)
    assert first.inputs == (opened.main.tensors[0], opened.main.tensors[1], None)
    assert first.label == "subgraphs[0].operators[0] CONV_2D 'twice'"
    options = first.options
    assert (options.padding, options.stride_w, options.stride_h) == ("VALID", 2, 3)
    assert (options.fused_activation_function, options.dilation_w_factor) == ("RELU6", 1)
    assert str(options).startswith("Conv2DOptions(padding='VALID', stride_w=2, stride_h=3")
    assert str(first.options) == str(options)
    assert (second.name, second.custom, second.options) == ("Mine", True, None)
    assert second.intermediates == (opened.main.tensors[2],)
    assert (bytes(second.custom_options_bytes), second.custom_options) == (b"\1\2", b"\1\2")
    assert (third.name, third.code.builtin_code, third.custom_options) == ("ATAN2", 156, None)
    assert third.code._table["deprecated_builtin_code"] == 127


def test_operator_codes_of_all_ages() -> None:
    """The larger of two fields counts: old writers fill one, new ones both, some only the new one."""
    values = {
        "version": 3,
        "operator_codes": [
            {"deprecated_builtin_code": 3},
            {"builtin_code": "CONV_2D"},
            {"builtin_code": "ATAN2", "deprecated_builtin_code": 127},
            {"builtin_code": "CUSTOM", "custom_code": "A"},
            {"deprecated_builtin_code": 32},
            {"builtin_code": 5000, "deprecated_builtin_code": 127},
        ],
    }
    codes = open_model(model_bytes(values)).operator_codes
    assert [each.name for each in codes] == ["CONV_2D", "CONV_2D", "ATAN2", "A", "CUSTOM", "UNKNOWN_5000"]
    assert [each.custom for each in codes] == [False, False, False, True, True, False]
    assert [each.custom_code for each in codes] == [None, None, None, "A", None, None]


def test_custom_options_can_be_flexbuffers(opened: Any) -> None:
    import flatbuffers.flexbuffers as flexbuffers

    second = opened.main.operators[1]
    second.custom_options = {"stride": 2, "name": "x"}
    assert second.custom_options == {"stride": 2, "name": "x"}
    assert flexbuffers.Loads(bytes(second.custom_options_bytes)) == {"stride": 2, "name": "x"}
    second.custom_options = None
    assert second.custom_options is None
    with pytest.raises(InvalidTypeError, match="builtin"):
        opened.main.operators[0].custom_options = b"x"


@pytest.mark.parametrize(
    ("where", "value"),
    [("inputs", 5), ("inputs", -2), ("outputs", 2**31 - 1), ("outputs", -(2**31)), ("intermediates", 5)],
)
def test_indices_out_of_range(where: str, value: int) -> None:
    table = {"opcode_index": 0, "inputs": [0], "outputs": [0], where: [value]}
    values = {
        "version": 3,
        "operator_codes": [{"builtin_code": "ADD"}],
        "subgraphs": [{"tensors": [{"name": "a"}], "operators": [table]}],
    }
    found = open_model(model_bytes(values)).main.operators[0]
    with pytest.raises(CorruptFileError) as caught:
        getattr(found, where)
    assert caught.value.path == f"subgraphs[0].operators[0].{where}[0]"


def test_other_indices_out_of_range() -> None:
    values = {
        "version": 3,
        "operator_codes": [],
        "buffers": [{}],
        "subgraphs": [{"tensors": [{"buffer": 7}], "inputs": [-1], "outputs": [3], "operators": [{"opcode_index": 4}]}],
        "signature_defs": [{"signature_key": "s", "subgraph_index": 9}, {"inputs": [{"name": "x", "tensor_index": 5}]}],
        "metadata": [{"name": "m", "buffer": 8}],
    }
    opened = open_model(model_bytes(values))
    graph = opened.main
    for question, path in (
        (lambda: graph.inputs, "subgraphs[0].inputs"),
        (lambda: graph.outputs, "subgraphs[0].outputs[0]"),
        (lambda: graph.tensors[0].is_constant, "subgraphs[0].tensors[0]"),
        (lambda: graph.operators[0].name, "subgraphs[0].operators[0]"),
        (lambda: opened.signatures[0].inputs, "signature_defs[0]"),
        (lambda: opened.signatures[1].inputs, "signature_defs[1].inputs[0]"),
        (lambda: opened.metadata["m"], "metadata[0]"),
    ):
        with pytest.raises(CorruptFileError) as caught:
            question()
        assert caught.value.path == path
    with pytest.raises(NoSuchIndexError):
        graph.tensors[0].buffer  # noqa: B018 - asking is the test


def test_a_model_with_nothing_in_it() -> None:
    opened = open_model(model_bytes({"version": 3}))
    assert (opened.description, len(opened.subgraphs), len(opened.buffers), len(opened.metadata)) == ("", 0, 0, 0)
    assert (len(opened.signatures), len(opened.operator_codes), len(opened.associated_files)) == (0, 0, 0)
    with pytest.raises(NoSuchIndexError):
        _ = opened.main


def test_signatures(opened: Any) -> None:
    made = schema.SignatureDefT()
    made.signatureKey, made.subgraphIndex = "serving", 1
    end = schema.TensorMapT()
    end.name, end.tensorIndex = "x_in", 0
    made.inputs = [end]
    raw = model(
        [], [], graphs=[subgraph([], [], [], []), subgraph([tensor("x", [1])], [], [0], [0])], signatureDefs=[made]
    )
    signed = open_model(raw)
    signature = signed.signatures["serving"]
    assert signature.subgraph is signed.subgraphs[1]
    assert (list(signature.inputs), signature.inputs["x_in"]) == (["x_in"], signed.subgraphs[1].tensors[0])
    assert signature.outputs == {}


def test_overlapping_operators_end() -> None:
    """Operators whose inputs are all the same long vector: who consumes what is not counted without end."""
    count = 3000
    long_vector = [0] * count
    values = {
        "version": 3,
        "operator_codes": [{"builtin_code": "ADD"}],
        "subgraphs": [{"tensors": [{"name": "a"}], "operators": [{"inputs": long_vector}, {"inputs": []}] * 2}],
    }
    graph = open_model(model_bytes(values)).main
    assert len(graph.tensors[0].consumers) == 2
    shared_vector = open_model(model_bytes(values)).root["subgraphs"][0]["operators"][0]["inputs"]
    values["subgraphs"] = [{"tensors": [{"name": "a"}], "operators": [{"inputs": shared_vector}] * count}]
    graph = open_model(model_bytes(values)).main
    with pytest.raises(CorruptFileError, match="more inputs and outputs"):
        _ = graph.tensors[0].consumers


# -- quantization ----------------------------------------------------------------------------------


def test_quantization_kinds() -> None:
    assert Quantization().kind == "none"
    assert Quantization([1.0]).kind == "per-tensor"
    assert Quantization([1.0, 2.0]).kind == "per-channel"
    assert Quantization([1.0, 2.0]).zero_point == (0, 0)
    assert Quantization([1.0]) == Quantization((1.0,), [0])
    assert Quantization([1.0]) != Quantization([1.0], [1])
    assert "scale=(1.0,)" in repr(Quantization([1.0]))


def test_quantization_is_assigned(tmp_path: Any) -> None:
    opened = open_model(small())
    opened.main.tensors[0].quantization = Quantization([0.5, 0.25], [1, -1], 3, min=[-1.0], max=[1.0])
    opened.main.tensors[1].quantization = None
    opened.save(tmp_path / "out")
    first, second = open_model(tmp_path / "out").main.tensors[:2]
    assert first.quantization == Quantization([0.5, 0.25], [1, -1], 3, [-1.0], [1.0])
    assert second.quantization is None
    found = schema.ModelT.InitFromObj(schema.Model.GetRootAs((tmp_path / "out").read_bytes()))
    stored = found.subgraphs[0].tensors[0].quantization
    assert (stored.scale.tolist(), stored.zeroPoint.tolist(), stored.quantizedDimension) == ([0.5, 0.25], [1, -1], 3)


def test_quantization_that_does_not_fit() -> None:
    opened = open_model(small())
    with pytest.raises(InvalidTypeError):
        opened.main.tensors[0].quantization = 0.5
    with pytest.raises(ValueError, match="zero points"):
        opened.main.tensors[0].quantization = Quantization([0.5], [1, 2])
    assert opened.main.tensors[0].quantization is None


def test_numpy_values_as_quantization(tmp_path: Any) -> None:
    opened = open_model(small())
    opened.main.tensors[1].quantization = Quantization(np.array([0.25], "f4"), np.array([3]))  # type: ignore[arg-type]
    opened.save(tmp_path / "out")
    assert open_model(tmp_path / "out").main.tensors[1].quantization == Quantization([0.25], [3])


def test_an_empty_table_says_nothing() -> None:
    empty = schema.QuantizationParametersT()
    assert open_model(model([tensor("a", [1], quantization=empty)], [])).main.tensors[0].quantization is None


def test_metadata_decoded() -> None:
    data = model(
        [],
        [buffer(b"1.5.0\0\0\0"), buffer(b"\xff\x00"), buffer(b"junk")],
        metadata=[
            metadata("min_runtime_version", 1),
            metadata("raw", 2),
            metadata("TFLITE_METADATA", 3),
            metadata("none", 0),
        ],
    )
    opened = open_model(data)
    assert opened.metadata.decoded("min_runtime_version") == "1.5.0"
    assert opened.metadata.decoded("raw") == b"\xff\x00"
    assert opened.metadata.decoded("TFLITE_METADATA") == b"junk"
    assert opened.metadata.decoded("none") == ""
    assert "raw" in opened.metadata
    assert opened.metadata.get("nose") is None
    with pytest.raises(KeyError) as caught:
        opened.metadata["nose"]
    assert isinstance(caught.value, NotFoundError)
    assert "nose" in str(caught.value)
