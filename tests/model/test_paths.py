"""``PATH=VALUE``: places by name and index, values, functions. Values by hand; LiteRT reads some of the results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.model.small import Builder, dense_layer, quantized
from tests.strategies import rewritten

from unlite.errors import (
    AmbiguousNameError,
    InvalidTypeError,
    InvalidValueError,
    NoDataError,
    NoSuchIndexError,
    NotFoundError,
    UnknownFieldError,
    UnliteError,
)
from unlite.flatbuffers.flexbuffers import encode, locate
from unlite.flatbuffers.write import build
from unlite.model.model import open_model
from unlite.model.setting.functions import parse
from unlite.model.setting.paths import Part, assign_path, parse_path
from unlite.schema import load


def network() -> bytes:
    """Two CONV_2D that share their operator code, constants of several types, a signature, metadata."""
    made = Builder()
    main, other = made.graph(), made.graph("other")
    x = made.tensor(main, "x", [1, 4, 4, 1])
    kernel = made.constant(main, "conv/kernel", np.array([0.011, -0.5, 1.0, 3.0], "<f4").reshape(1, 2, 2, 1))
    half = made.constant(main, "half", np.array([0.1, 70], "<f2"), "FLOAT16")
    made.constant(main, "axis", np.array([1, 2], "<i4"), "INT32")
    made.constant(main, "odd=name]", np.array([5], "<f4"))
    made.constant(
        main,
        "q",
        np.array([1, 5], "i1"),
        "INT8",
        quantization={"scale": [0.5], "zero_point": [3], "min": [0], "max": [1]},
    )
    y, z = made.tensor(main, "y", [1, 3, 3, 1]), made.tensor(main, "z", [1, 2, 2, 1])
    options = {"padding": "VALID", "stride_w": 1, "stride_h": 1}
    for source, target in ((x, y), (y, z)):
        made.operator(
            main,
            "CONV_2D",
            [source, kernel, half],
            [target],
            builtin_options_type="Conv2DOptions",
            builtin_options=options,
        )
    made.tensor(other, "kernel again", [4], buffer=main["tensors"][kernel]["buffer"])
    made.rest = {
        "description": "before",
        "metadata": [{"name": "my_key", "buffer": made.buffer(b"old")}],
        "signature_defs": [{"signature_key": "serve", "subgraph_index": 0}],
    }
    return made.data()


def changed(*texts: str, data: bytes | None = None):
    """The model after the assignments, saved and opened again."""
    import tempfile

    model = open_model(network() if data is None else data)
    for text in texts:
        assign_path(model, text)
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder, "m.tflite"))
        return open_model(Path(folder, "m.tflite").read_bytes())


# -- paths -------------------------------------------------------------------------------------------------------------


def field(name: str) -> Part:
    return Part("field", name)


@pytest.mark.parametrize(
    ("text", "parts", "rest"),
    [
        ("description=a.b[c]", [field("description")], "=a.b[c]"),
        ("tensors[3].name", [field("tensors"), Part("index", 3), field("name")], ""),
        ("tensors[-1].name", [field("tensors"), Part("index", -1), field("name")], ""),
        ("tensors[conv2d/Kernel:0].data=x", [field("tensors"), Part("name", "conv2d/Kernel:0"), field("data")], "=x"),
        ("tensors['odd=name]'].data=x", [field("tensors"), Part("name", "odd=name]"), field("data")], "=x"),
        ('tensors["it\'s"]', [field("tensors"), Part("name", "it's")], ""),
        (r"tensors['it\'s \\']", [field("tensors"), Part("name", r"it's \ ".strip())], ""),
        ("tensors['3']", [field("tensors"), Part("name", "3")], ""),
        ("tensors['*']", [field("tensors"), Part("name", "*")], ""),
        ("tensors[*].data", [field("tensors"), Part("all", "*"), field("data")], ""),
        ("a[0][1]", [field("a"), Part("index", 0), Part("index", 1)], ""),
        ("a.b c", [field("a"), field("b")], " c"),
    ],
)
def test_parse(text: str, parts: list[Part], rest: str) -> None:
    assert parse_path(text) == (parts, rest)


@pytest.mark.parametrize("text", ["", "=1", "3=1", "a.=1", "a[", "a[]=1", "a['b]=1", "a..b=1", "[0]=1"])
def test_no_path(text: str) -> None:
    with pytest.raises(InvalidValueError, match="is no path"):
        parse_path(text)


@given(st.text(max_size=40))
@example("1E100")
def test_any_text_is_read_or_refused(text: str) -> None:
    model = open_model(dense_layer())
    for assignment in (text, f"tensors[1].data={text}", f"tensors[{text}].name=x", f"operators[0].options.{text}"):
        try:
            assign_path(model, assignment)
        except UnliteError as error:
            assert str(error)


# -- fields ------------------------------------------------------------------------------------------------------------


def test_text_with_and_without_quotes() -> None:
    assert changed("description=plain text").description == "plain text"
    assert changed('description="quoted \\u00e9"').description == "quoted \u00e9"
    assert changed("description=12").description == "12"
    assert changed("description=").description == ""
    assert changed("description=a=b").description == "a=b"
    assert changed("description=null").root.description is None


def test_names() -> None:
    model = changed("tensors[0].name=image", "subgraphs[other].tensors[0].name=k", "subgraphs[1].name=second")
    assert model.main.tensors[0].name == "image"
    assert model.subgraphs[1].name == "second"
    assert model.subgraphs[1].tensors[0].name == "k"


def test_new_names_count_at_once() -> None:
    model = changed("tensors[x].name=image", "tensors[image].shape=[1, 8, 8, 1]")
    assert model.main.tensors["image"].shape == (1, 8, 8, 1)


def test_options_of_one_operator() -> None:
    model = changed("operators[0].options.stride_w=2", "operators[z].options.padding=SAME")
    first, second = model.main.operators
    assert (first.options.stride_w, first.options.padding) == (2, "VALID")
    assert (second.options.stride_w, second.options.padding) == (1, "SAME")


def test_the_version_of_one_operator() -> None:
    model = changed("operators[1].version=5")
    assert [operator.version for operator in model.main.operators] == [1, 5]
    model = changed("operator_codes[0].version=3")
    assert [operator.version for operator in model.main.operators] == [3, 3]


def test_quantization() -> None:
    model = changed("tensors[q].quantization.scale=[0.25]", "tensors[q].quantization.zero_point=[-1]")
    quantization = model.main.tensors["q"].quantization
    assert quantization is not None
    assert (quantization.scale, quantization.zero_point, quantization.max) == ((0.25,), (-1,), (1.0,))


def test_quantization_where_there_was_none() -> None:
    model = changed("tensors[axis].quantization.scale=[0.25]", "tensors[axis].quantization.zero_point=[3]")
    assert model.main.tensors["axis"].dequantize().tolist() == [-0.5, -0.25]  # 0.25 * (1 - 3), 0.25 * (2 - 3)
    whole = changed('tensors[axis].quantization={"scale": [0.25], "zero_point": [3]}')
    assert whole.main.tensors["axis"].dequantize().tolist() == [-0.5, -0.25]
    assert changed("tensors[q].quantization=null").main.tensors["q"].quantization is None


def test_shapes() -> None:
    model = changed("tensors[x].shape=[1,8,8,1]", "tensors[x].shape_signature=[-1,8,8,1]", "tensors[y].shape[1]=7")
    assert model.main.tensors["x"].shape_signature == (-1, 8, 8, 1)
    assert model.main.tensors["x"].shape == (1, 8, 8, 1)
    assert model.main.tensors["y"].shape == (1, 7, 3, 1)


def test_other_schema_paths() -> None:
    model = changed("signature_defs[0].signature_key=infer", "tensors[x].is_variable=true", "metadata[0].name=renamed")
    assert model.signatures[0].key == "infer"
    assert model.main.tensors["x"].is_variable
    assert list(model.metadata) == ["renamed"]
    assert changed("signature_defs[serve].signature_key=infer").signatures[0].key == "infer"


def test_all_entries() -> None:
    model = open_model(network())
    assert assign_path(model, "subgraphs[*].tensors[*].has_rank=true").places == 9
    assert all(tensor.has_rank for graph in model.subgraphs for tensor in graph.tensors)
    assert assign_path(model, "operators[*].inputs[2]=-1").places == 2
    assert [operator.inputs[2] for operator in model.main.operators] == [None, None]


def test_metadata(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"\0\1")
    model = changed("metadata[my_key]=new", f"metadata[other]=@{tmp_path / 'f'}", 'metadata[third]="\u00e9"')
    assert {name: bytes(data) for name, data in model.metadata.items()} == {
        "my_key": b"new",
        "other": b"\0\1",
        "third": b"\xc3\xa9",
    }
    assert not changed("metadata[my_key]=null").metadata


def test_buffers(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"12345678")
    assert bytes(changed(f"buffers[3].data=@{tmp_path / 'raw'}").buffers[3].data) == b"12345678"
    assert bytes(changed("buffers[3].data=[1, 2, 255]").buffers[3].data) == b"\1\2\xff"
    np.save(tmp_path / "a.npy", np.array([1], "<f4"))
    assert bytes(changed(f"buffers[3].data=@{tmp_path / 'a.npy'}").buffers[3].data) == b"\0\0\x80\x3f"


# -- data --------------------------------------------------------------------------------------------------------------


def test_data_from_a_file(tmp_path: Path) -> None:
    new = np.arange(4, dtype="<f4").reshape(1, 2, 2, 1)
    np.save(tmp_path / "k.npy", new)
    (tmp_path / "k.bin").write_bytes(new.tobytes())
    for name in ("k.npy", "k.bin"):
        model = changed(f"tensors[conv/kernel].data=@{tmp_path / name}")
        assert np.array_equal(model.main.tensors["conv/kernel"].numpy(), new)
        assert model.subgraphs[1].tensors[0].numpy().tolist() == [0, 1, 2, 3]


def test_real_values_for_a_quantized_tensor(tmp_path: Path) -> None:
    np.save(tmp_path / "r.npy", np.array([1.25, 100], "<f4"))
    model = open_model(network())
    assert assign_path(model, f"tensors[q].data=@{tmp_path / 'r.npy'}").clipped == 1
    assert model.main.tensors["q"].numpy().tolist() == [6, 127]  # 2.5 -> 3, + 3; 200 + 3 does not fit


def test_data_as_json() -> None:
    assert changed("tensors[axis].data=[7, -1]").main.tensors["axis"].numpy().tolist() == [7, -1]
    assert changed("tensors[q].data=[7, -1]").main.tensors["q"].numpy().tolist() == [7, -1]
    assert changed("tensors[q].data=[1.0, 2.0]").main.tensors["q"].numpy().tolist() == [5, 7]  # 2 * real + 3
    assert changed("tensors['odd=name]'].data=[2.5]").main.tensors[4].numpy().tolist() == [2.5]


def test_strings_as_json() -> None:
    made = Builder()
    main = made.graph()
    strings = np.array([2, 16, 17, 19], "<i4").tobytes() + b"abc"
    made.tensor(main, "words", [2], "STRING", made.buffer(strings))
    model = changed('tensors[words].data=["x", "\u00e9y"]', data=made.data())
    assert model.main.tensors["words"].numpy().tolist() == [b"x", b"\xc3\xa9y"]


def values(function: str, tensor: str = "conv/kernel") -> list[float]:
    return changed(f"tensors[{tensor}].data={function}").main.tensors[tensor].numpy().reshape(-1).tolist()


def f4(*numbers: float) -> list[float]:
    return [float(np.float32(number)) for number in numbers]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("round(x, 0.02)", f4(0.02, -0.5, 1.0, 3.0)),  # 0.011 / 0.02 = 0.55 -> 1 step
        ("round( x ,2 )", f4(0, -0.0, 0, 4)),  # 0.5 steps -> 0, 1.5 steps -> 2: halves to the even one
        ("clip(x, -0.25, 2)", f4(0.011, -0.25, 1, 2)),
        ("clip(x, -inf, 0)", f4(0, -0.5, 0, 0)),
        ("scale(x, -2)", [-2 * number for number in f4(0.011, -0.5, 1, 3)]),
        ("add(x, 1e0)", f4(float(np.float32(0.011)) + 1, 0.5, 2, 4)),
        ("zero(x)", [0, 0, 0, 0]),
        ("prune(x, 0.5)", f4(0, -0.5, 1, 3)),
        ("float16(x)", [float(np.float16(0.011)), -0.5, 1, 3]),
        ("round(clip(x, -1, 1), 0.5)", f4(0, -0.5, 1, 1)),
    ],
)
def test_functions(function: str, expected: list[float]) -> None:
    assert values(function) == expected


def test_functions_on_other_types() -> None:
    assert values("scale(x, 2)", "half") == [float(np.float16(0.2)), 140]
    assert values("add(x, 1)", "axis") == [2, 3]
    assert values("scale(x, 0.6)", "axis") == [1, 1]  # 0.6 -> 1, 1.2 -> 1
    assert values("add(x, 0.5)", "q") == [2, 6]  # one step of 0.5
    with pytest.raises(InvalidValueError, match="too large for float16"):
        values("scale(x, 1000)", "half")
    with pytest.raises(InvalidValueError, match="float16 makes 2 values too large"):
        changed("tensors[conv/kernel].data=float16(scale(x, 1e5))")


def test_functions_clip_and_say_so() -> None:
    model = open_model(network())
    assert assign_path(model, "tensors[q].data=scale(x, 1000)").clipped == 2  # real -1 and 1
    assert model.main.tensors["q"].numpy().tolist() == [-128, 127]


def test_a_function_on_all_tensors() -> None:
    model = open_model(network())
    change = assign_path(model, "subgraphs[*].tensors[*].data=add(x, 1)")
    # kernel, half and odd; the second subgraph's kernel is the same buffer; x, y, z, axis and q are skipped.
    assert (change.places, change.skipped) == (3, 5)
    assert model.main.tensors["conv/kernel"].numpy().reshape(-1).tolist() == f4(float(np.float32(0.011)) + 1, 0.5, 2, 4)
    assert model.main.tensors["q"].numpy().tolist() == [1, 5]


def test_a_function_that_changes_nothing_leaves_the_file(tmp_path: Path) -> None:
    model = open_model(network())
    assign_path(model, "tensors[*].data=add(x, 0)")
    assert model.save(tmp_path / "m.tflite").how == "copied"


def test_litert_reads_what_was_set(tmp_path: Path) -> None:
    module = pytest.importorskip("ai_edge_litert.interpreter", reason="the judge is not installed")
    model = open_model(dense_layer())
    for text in ("tensors[weights].data=scale(x, 10)", "tensors[bias].data=[7, 8, 9]", "tensors[x].name=image"):
        assign_path(model, text)
    model.save(tmp_path / "m.tflite")
    interpreter = module.Interpreter(str(tmp_path / "m.tflite"))
    interpreter.allocate_tensors()
    (given,) = interpreter.get_input_details()
    assert given["name"] == "image"
    interpreter.set_tensor(given["index"], np.array([[1, 2]], np.float32))
    interpreter.invoke()
    # Rows 0 1, 20 30, 40 50 times 1 2 make 20, 80 and 140; the biases are 7, 8 and 9.
    assert interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).tolist() == [[27, 88, 149]]


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("description", InvalidValueError, "is no assignment"),
        ("descripton=x", UnknownFieldError, "Close: description"),
        ("tensors[conv/kernle].data=zero(x)", NotFoundError, "Close: conv/kernel"),
        ("tensors[99].name=x", NoSuchIndexError, "no entry 99"),
        ("tensors.name=x", InvalidTypeError, "index first"),
        ("tensors[0]=x", InvalidTypeError, "Assign to a field"),
        ("description[0]=x", InvalidTypeError, "no value that can be assigned"),
        ("description.x=1", InvalidTypeError, "no fields"),
        ("buffers[a].data=x", InvalidTypeError, "no names"),
        ("operator_codes[a].version=1", InvalidTypeError, "no names"),
        ("description[*].x=1", InvalidTypeError, "list of entries"),
        ("tensors[0].data=zero(x)", NoDataError, "holds no constant"),
        ("tensors[0].dta=zero(x)", UnknownFieldError, "Close: data"),
        ("tensors[0].type=FLOAT", InvalidValueError, "FLOAT32"),
        ("tensors[0].shape=1", UnliteError, "a list of numbers"),
        ("tensors[0].shape=[1", InvalidValueError, "cannot be read"),
        ("tensors[0].shape[9]=1", NoSuchIndexError, "no entry 9"),
        ("tensors[0].shape[a]=1", InvalidTypeError, "no names"),
        ("operators[0].options.padding=SAM", InvalidValueError, "SAME"),
        ("operators[0].options.stride=2", UnknownFieldError, "stride_w"),
        ("operators[0].options=2", InvalidTypeError, "one by one"),
        ("operators[0].version=[]", UnliteError, "number"),
        ("metadata[my_key].x=1", InvalidTypeError, "no fields"),
        ("tensors[half].data=[1]", InvalidValueError, r"shape [2] is wanted"),
        ("tensors[axis].data=[1.5, 2]", InvalidTypeError, "int32 is wanted"),
        ("tensors[axis].data=[1, 3000000000]", InvalidValueError, "does not fit"),
        ("tensors[axis].data=[[1], 2]", InvalidValueError, "numbers"),
        ('tensors[axis].data=["a", "b"]', InvalidValueError, "numbers"),
        ("tensors[axis].data=what", InvalidValueError, "round(x, step)"),
        ("tensors[axis].data=@/nowhere.npy", UnliteError, "cannot be opened"),
        ("tensors[axis].data=@/nowhere", UnliteError, "cannot be opened"),
        ("tensors[*].data=[1]", InvalidValueError, "only a function"),
        ("buffers[3].data=[256]", InvalidValueError, "0 to 255"),
        ("tensors[half].data=sqrt(x)", InvalidValueError, "there is no function 'sqrt'"),
        ("tensors[half].data=round(x)", InvalidValueError, "round wants x, step"),
        ("tensors[half].data=round(x, 1, 2)", InvalidValueError, "2 arguments"),
        ("tensors[half].data=round(x, a)", InvalidValueError, "is a number"),
        ("tensors[half].data=round(x, 0)", InvalidValueError, "more than 0"),
        ("tensors[half].data=round(x, nan)", InvalidValueError, "cannot be nan"),
        ("tensors[half].data=scale(x, inf)", InvalidValueError, "cannot be inf"),
        ("tensors[half].data=clip(x, 2, 1)", InvalidValueError, "low <= high"),
        ("tensors[half].data=round(y, 1)", InvalidValueError, "cannot be read"),
        ("tensors[half].data=zero(x) + 1", InvalidValueError, "behind the function"),
        ("tensors[half].data=__import__('os').system('true')", InvalidValueError, "cannot be read"),
        ("tensors[half].data=" + "zero(" * 17 + "x" + ")" * 17, InvalidValueError, "more than 16"),
    ],
)
def test_errors_name_the_place_and_the_mend(text: str, kind: type[UnliteError], words: str) -> None:
    with pytest.raises(kind) as caught:
        assign_path(open_model(network()), text)
    assert words in str(caught.value)
    if kind is not InvalidValueError or "=" in text:
        assert caught.value.path


def test_a_name_of_several() -> None:
    made = Builder()
    main = made.graph()
    made.tensor(main, "twice", [1])
    made.tensor(main, "twice", [1])
    with pytest.raises(AmbiguousNameError, match="0, 1"):
        assign_path(made.data(), "tensors[twice].name=once")


def test_functions_of_a_string_tensor() -> None:
    made = Builder()
    strings = np.array([1, 12, 13], "<i4").tobytes() + b"a"
    made.tensor(made.graph(), "words", [1], "STRING", made.buffer(strings))
    with pytest.raises(InvalidTypeError, match="not on STRING"):
        assign_path(made.data(), "tensors[words].data=zero(x)")


def test_python_objects_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "o.npy", np.array([{}, {}], object), allow_pickle=True)
    with pytest.raises(InvalidValueError, match=r"is no \.npy that can be read"):
        assign_path(network(), f"tensors[axis].data=@{tmp_path / 'o.npy'}")


def test_parse_of_functions() -> None:
    assert parse("round(x, 0.5)") == [("round", (0.5,))]
    assert parse("round(clip(x, -1, 1), 0.5)") == [("clip", (-1.0, 1.0)), ("round", (0.5,))]
    assert parse("[1, 2]") is None
    assert parse("x") is None


def test_scalars_and_empty_arrays_from_a_file(tmp_path: Path) -> None:
    made = Builder()
    main = made.graph()
    made.constant(main, "scalar", np.array(1, "<f4"))
    made.tensor(main, "none", [0, 3], buffer=made.buffer(b""))
    np.save(tmp_path / "s.npy", np.array(2, "<f4"))
    np.save(tmp_path / "n.npy", np.zeros((0, 3), "<f4"))
    model = changed(
        f"tensors[scalar].data=@{tmp_path / 's.npy'}", f"tensors[none].data=@{tmp_path / 'n.npy'}", data=made.data()
    )
    assert model.main.tensors["scalar"].numpy() == 2
    assert model.main.tensors["none"].numpy().shape == (0, 3)


def test_a_star_that_changes_no_place_is_an_error_that_says_why() -> None:
    model = open_model(quantized([1, 2]))
    with pytest.raises(InvalidValueError, match=r"none of the 2 tensors holds a float constant"):
        assign_path(model, "tensors[*].data=zero(x)")
    with pytest.raises(NotFoundError, match="no place was changed"):
        assign_path(model, "signature_defs[*].signature_key=x")
    assert not model.is_changed


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ("tensors[0].data[1]=5", [1, 5]),
        ("tensors[0].data[-1]=5", [1, 5]),
        ("tensors[0].data[0]=-3", [-3, 2]),
        ("tensors[0].data=zero(x)", None),
    ],
)
def test_one_element_of_a_constant(change: str, wanted: list[int] | None) -> None:
    model = open_model(quantized([1, 2]))
    tensor = next(tensor for tensor in model.main.tensors if tensor.is_constant)
    assert assign_path(model, change.replace("[0].data", f"[{tensor.index}].data", 1)).places == 1
    if wanted is not None:
        assert tensor.numpy().tolist() == wanted
    else:  # real zeros: the integer that stands for 0
        assert tensor.dequantize().tolist() == [0, 0]


def test_elements_by_several_axes_and_as_real_numbers() -> None:
    model = open_model(network())
    kernel = model.main.tensors["conv/kernel"]
    assign_path(model, "tensors[conv/kernel].data[0][1][0]=[0.25]")
    assign_path(model, "tensors[conv/kernel].data[0][1][1][0]=7")
    assert kernel.numpy().reshape(-1).tolist() == [np.float32(0.011), -0.5, 0.25, 7.0]


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ("tensors[conv/kernel].data[0]=1", InvalidValueError, r"shape \[2, 2, 1\] is wanted there"),
        ("tensors[conv/kernel].data[1][0][0][0]=1", NoSuchIndexError, "no element"),
        ("tensors[conv/kernel].data[0][0][0][0][0]=1", NoSuchIndexError, "no element"),
        ("tensors[axis].data[0]=0.5", InvalidTypeError, "INT32 is wanted"),
        ("tensors[x].data[0]=1", NoDataError, "holds no constant"),
        ("tensors[*].data[0]=1", InvalidValueError, "one tensor at a time"),
        ("tensors[axis].data[x]=1", InvalidTypeError, "told by numbers"),
    ],
)
def test_elements_that_are_not_there(change: str, kind: type[UnliteError], message: str) -> None:
    model = open_model(network())
    with pytest.raises(kind, match=message):
        assign_path(model, change)
    assert not model.is_changed


def custom_network(options: object) -> bytes:
    """One custom operator with these options, as a FlexBuffer or as bytes."""
    data = options if isinstance(options, bytes) else encode(options)
    graph = {
        "tensors": [{"name": "x", "shape": [1]}, {"name": "y", "shape": [1]}],
        "inputs": [0],
        "outputs": [1],
        "operators": [{"opcode_index": 0, "inputs": [0], "outputs": [1], "custom_options": data}],
    }
    code = {"builtin_code": "CUSTOM", "deprecated_builtin_code": 32, "custom_code": "Mine"}
    model = {"version": 3, "operator_codes": [code], "subgraphs": [graph], "buffers": [{}]}
    return build(load().root, model, b"TFL3")


OPTIONS = {"nms_iou_threshold": 0.5, "max": 10, "on": True, "label": "old", "sizes": [1, 2], "deep": {"a": [{"b": 1}]}}


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ("nms_iou_threshold=0.45", {"nms_iou_threshold": float(np.float32(0.45))}),
        ("nms_iou_threshold=2", {"nms_iou_threshold": 2.0}),
        ("max=11", {"max": 11}),
        ("max=100000", {"max": 100000}),
        ("on=false", {"on": False}),
        ("label=new name", {"label": "new name"}),
        ("sizes=[3, 4, 5]", {"sizes": [3, 4, 5]}),
        ("sizes[1]=7", {"sizes": [1, 7]}),
        ("deep.a[0].b=9", {"deep": {"a": [{"b": 9}]}}),
    ],
)
def test_keys_of_custom_options(change: str, wanted: dict[str, object]) -> None:
    model = open_model(custom_network(OPTIONS))
    assert assign_path(model, f"operators[0].custom_options.{change}").places == 1
    assert model.main.operators[0].custom_options == {**OPTIONS, **wanted}
    flexbuffers = pytest.importorskip("flatbuffers.flexbuffers")
    stored = bytes(open_model(rewritten(model)).main.operators[0].custom_options_bytes)
    assert flexbuffers.Loads(bytearray(stored)) == {**OPTIONS, **wanted}


def test_a_number_in_custom_options_changes_only_its_own_bytes() -> None:
    before = open_model(custom_network(OPTIONS))
    old = bytes(before.main.operators[0].custom_options_bytes)
    assign_path(before, "operators[0].custom_options.nms_iou_threshold=0.45")
    new = bytes(before.main.operators[0].custom_options_bytes)
    assert len(new) == len(old)
    place = locate(old, "nms_iou_threshold")
    assert [i for i in range(len(old)) if old[i] != new[i]] == list(range(place.position, place.position + 4))
    assert np.frombuffer(new, "<f4", 1, place.position)[0] == np.float32(0.45)


@pytest.mark.parametrize(
    ("options", "change", "kind", "message"),
    [
        (OPTIONS, "custom_options.nope=1", NotFoundError, "no key 'nope'"),
        (OPTIONS, "custom_options.sizes[2]=1", NotFoundError, "no entry 2, only 2"),
        (OPTIONS, "custom_options.max.x=1", InvalidTypeError, "behind a plain value"),
        (OPTIONS, "custom_options.max=0.5", InvalidTypeError, "a int stands there"),
        (OPTIONS, "custom_options.on=1", InvalidTypeError, "a bool stands there"),
        (b"\1\2\3\4\5\6\7\0", "custom_options.max=1", InvalidTypeError, "are no FlexBuffer"),
    ],
)
def test_custom_options_that_are_not_there(options: object, change: str, kind: type[UnliteError], message: str) -> None:
    model = open_model(custom_network(options))
    with pytest.raises(kind, match=message):
        assign_path(model, f"operators[0].{change}")
    assert not model.is_changed


def test_null_takes_a_key_out_of_custom_options() -> None:
    model = open_model(custom_network(OPTIONS))
    assign_path(model, "operators[0].custom_options.label=null")
    assert model.main.operators[0].custom_options == {key: OPTIONS[key] for key in OPTIONS if key != "label"}
