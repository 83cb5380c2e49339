"""Small files that once brought down a reader, or asked for all memory: each has its one right answer."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unlite
from tests.model.small import Builder, dense_layer
from unlite.cli import main
from unlite.errors import (
    CorruptFileError,
    InvalidValueError,
    MemoryLimitError,
    UnliteError,
    UnsupportedFormatError,
    UnsupportedOperatorError,
)
from unlite.flatbuffers.flexbuffers import encode
from unlite.flatbuffers.write import build
from unlite.model.formats.weight_files import open_weights
from unlite.model.model import open_model
from unlite.schema import load

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def reports(shared: Path) -> Path:
    if not (shared / "reports").is_dir():
        pytest.skip("../shared/reports is not there")
    return shared / "reports"


VIEWS = [["show"], ["show", "--tensors"], ["show", "--operators"], ["show", "--json"], ["verify", "--json"]]
MODELS = [
    "lim_RANGE_0__1e10_constant",
    "lim_variable_tensor__60000_60000_",
    "nan_scale",
    "shape8",
    "sparse_bomb_100000000",
    "sparse_bomb_2147483647",
    "unknown_field_root",
    "unknown_union_torch",
    "zero_dims",
]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("view", VIEWS, ids=" ".join)
def test_every_view_answers(reports: Path, name: str, view: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code = main([view[0], str(reports / f"{name}.tflite"), *view[1:]])
    said = capsys.readouterr().out
    assert code == (1 if name in ("shape8", "unknown_union_torch") and view[0] == "verify" else 0)
    assert said
    if "--json" in view:
        json.loads(said)


# -- memory ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("lim_RANGE_0__1e10_constant", 10_000_000_000 * 4),
        ("lim_variable_tensor__60000_60000_", 60000 * 60000 * 4),
        ("sparse_bomb_2147483647", 2147483647 * 4),
    ],
)
def test_a_conversion_cannot_ask_for_more(reports: Path, name: str, wanted: int) -> None:
    with pytest.raises(MemoryLimitError) as caught:
        unlite.to_torch(reports / f"{name}.tflite")
    assert (caught.value.wanted, caught.value.allowed) == (wanted, 1 << 30)
    assert caught.value.path is not None


def test_sparse_values_cannot_ask_for_more(reports: Path) -> None:
    model = unlite.open(reports / "sparse_bomb_2147483647.tflite")
    (tensor,) = (tensor for tensor in model.main.tensors if tensor.is_sparse)
    with pytest.raises(MemoryLimitError) as caught:
        tensor.numpy()
    assert caught.value.wanted == 2147483647 * 4


def test_below_1_gib_it_is_read_and_a_lower_limit_refuses_it(reports: Path) -> None:
    path = reports / "sparse_bomb_100000000.tflite"
    (tensor,) = (tensor for tensor in unlite.open(path).main.tensors if tensor.is_sparse)
    assert tensor.numpy().size == 100_000_000
    (tensor,) = (tensor for tensor in unlite.open(path, limit="1M").main.tensors if tensor.is_sparse)
    with pytest.raises(MemoryLimitError):
        tensor.numpy()
    with pytest.raises(MemoryLimitError):
        unlite.to_torch(path, limit="1M")


def test_limit_on_the_command_line(reports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = str(reports / "sparse_bomb_100000000.tflite"), str(tmp_path / "w.npz")
    assert main(["weights", path, "-o", out, "--limit", "1M"]) == 2
    assert "MemoryLimitError" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert main(["weights", path, "-o", out, "--limit", "1Q"]) == 2
    assert "is not a number of bytes" in capsys.readouterr().err


def expanding(operator: str, code: int, inputs: list[np.ndarray], **options: Any) -> bytes:
    """One operator on constants, whose result the file calls small."""
    made = Builder()
    main = made.graph()
    kinds = {"<i4": "INT32", "<f4": "FLOAT32", "<i8": "INT64"}
    given = [
        made.constant(main, f"c{i}", array, kinds[array.dtype.newbyteorder("<").str]) for i, array in enumerate(inputs)
    ]
    y = made.tensor(main, "y", [1])
    x, z = made.tensor(main, "x", [1]), made.tensor(main, "z", [1])
    made.codes.append(operator)
    from tests.model import small

    small.CODES.setdefault(operator, code)
    made.operator(main, operator, given, [y], **options)
    made.operator(main, "ADD", [y, x], [z], builtin_options_type="AddOptions", builtin_options={})
    main["inputs"], main["outputs"] = [x], [z]
    return made.data()


I4, F4 = np.dtype("<i4"), np.dtype("<f4")


@pytest.mark.parametrize(
    ("operator", "code", "inputs"),
    [
        ("RANGE", 96, [np.array(0, F4), np.array(1e10, F4), np.array(1, F4)]),
        ("FILL", 94, [np.array([100000, 100000], I4), np.array(1, F4)]),
        ("TILE", 69, [np.ones((10,), F4), np.array([2000000000], I4)]),
        ("BROADCAST_TO", 130, [np.ones((1, 1), F4), np.array([100000, 100000], I4)]),
        ("PAD", 34, [np.ones((1,), F4), np.array([[0, 2000000000]], I4)]),
    ],
)
@pytest.mark.parametrize("quantized", ["float", "exact"])
def test_operators_on_constants_cannot_ask_for_more(
    operator: str, code: int, inputs: list[np.ndarray], quantized: str
) -> None:
    with pytest.raises(MemoryLimitError) as caught:
        unlite.to_torch(expanding(operator, code, inputs), quantized=quantized)
    assert caught.value.path is not None
    assert operator in caught.value.path


def test_variables_are_added_up() -> None:
    """Each alone is allowed; together they are not."""
    made = Builder()
    main = made.graph()
    x = made.tensor(main, "x", [1])
    for i in range(3):
        v = made.tensor(main, f"v{i}", [1 << 27], is_variable=True)
        y = made.tensor(main, f"y{i}", [1 << 27])
        made.operator(main, "ADD", [x, v], [y], builtin_options_type="AddOptions", builtin_options={})
        main["outputs"].append(y)
    main["inputs"] = [x]
    with pytest.raises(MemoryLimitError, match="the variable 'v2'"):
        unlite.to_torch(made.data())


# -- shapes, unions, scales --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["shape8", "zero_dims"])
def test_shapes_that_no_array_has(reports: Path, name: str) -> None:
    path = reports / f"{name}.tflite"
    with pytest.raises(CorruptFileError, match="no array can have the shape"):
        unlite.to_torch(path)
    for tensor in unlite.open(path).main.tensors:
        if tensor.is_constant:
            with pytest.raises(CorruptFileError, match="no array can have the shape"):
                tensor.numpy()


def test_options_of_unknown_type_make_an_unsupported_operator(reports: Path) -> None:
    path = reports / "unknown_union_torch.tflite"
    with pytest.raises(UnsupportedOperatorError, match="a type that the schema does not know") as caught:
        unlite.to_torch(path)
    (operator,) = caught.value.operators
    assert operator.startswith("subgraphs[0].operators[0] ")


def test_options_of_unknown_type_are_shown(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(reports / "unknown_union_torch.tflite"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["subgraphs"][0]["operators"][0]
    assert shown["options"] == {"type": "unknown", "value": "a value of unknown type"}


def test_a_scale_that_is_no_number(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = reports / "nan_scale.tflite"
    with pytest.raises(CorruptFileError, match="a scale of nan"):
        unlite.to_torch(path, quantized="exact")
    assert main(["show", str(path), "--tensors"]) == 0
    assert "nan * (q - " in capsys.readouterr().out


def test_a_field_of_a_later_schema_is_kept(reports: Path, tmp_path: Path) -> None:
    path = reports / "unknown_field_root.tflite"
    model = unlite.open(path)
    unlite.to_torch(model)
    assert model.save(tmp_path / "copy.tflite").how == "copied"
    assert (tmp_path / "copy.tflite").read_bytes() == path.read_bytes()
    model.description = "a longer one than before, so that the file is written anew"
    with pytest.raises(UnliteError, match="would lose 1 field"):
        model.save(tmp_path / "new.tflite")


# -- weight files, schemas ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["npz_header_open.npz", "npz_lzma_damaged.npz"])
def test_damaged_npz(reports: Path, name: str) -> None:
    opened = open_weights(reports / name)
    (key,) = opened
    with pytest.raises(CorruptFileError, match="is damaged") as caught:
        opened[key]
    assert caught.value.file == str(reports / name)


@pytest.mark.parametrize("name", ["wfuzz_AssertionError_2.pth", "wfuzz_IndexError_1.pth", "wfuzz_error_5.pth"])
def test_damaged_pth(reports: Path, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from unlite.pytorch.weights.files import read_pth

    with pytest.raises(UnsupportedFormatError, match="is no file of tensors"):
        read_pth(reports / name)
    (tmp_path / "m.tflite").write_bytes(dense_layer())
    assert main(["weights", str(reports / name), "--into", str(tmp_path / "m.tflite")]) == 2
    assert "UnsupportedFormatError" in capsys.readouterr().err


def test_a_pth_that_expands_one_number(tmp_path: Path) -> None:
    from unlite.pytorch.weights.files import read_pth

    torch.save({"w": torch.zeros(1).expand(60000, 60000)}, tmp_path / "w.pth")
    assert (tmp_path / "w.pth").stat().st_size < 10_000
    with pytest.raises(MemoryLimitError) as caught:
        read_pth(tmp_path / "w.pth")
    assert caught.value.wanted == 60000 * 60000 * 4


def test_an_npz_that_inflates(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (300 << 20,)})
    path = tmp_path / "w.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("w.npy", "w") as file:
        file.write(header.getvalue())
        zeros = bytes(1 << 20)
        for _ in range(1200):
            file.write(zeros)
    with pytest.raises(MemoryLimitError) as caught:
        open_weights(tmp_path / "w.npz")["w"]
    assert caught.value.wanted == 4 * (300 << 20)


def test_a_schema_whose_identifier_is_no_text(reports: Path) -> None:
    path = reports / "bfbs_UnicodeEncodeError_0.bfbs"
    with pytest.raises(UnliteError) as caught:
        unlite.flatbuffers.open(dense_layer(), path)
    assert str(caught.value)


# -- values that hold themselves ---------------------------------------------------------------------------------------


def test_dicts_that_contain_themselves() -> None:
    circle: dict[str, Any] = {}
    circle["again"] = circle
    with pytest.raises(InvalidValueError):
        encode(circle)
    with pytest.raises(InvalidValueError, match="no JSON document"):
        unlite.from_json(circle)
    graph: dict[str, Any] = {}
    graph["tensors"] = [graph]
    model = open_model(dense_layer())
    with pytest.raises(UnliteError):
        model.root.subgraphs = [graph]


# -- mistakes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [AttributeError, TypeError, NameError])
def test_a_mistake_in_an_operators_function_comes_out(kind: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    from unlite.pytorch import lower

    def broken(*_: Any, options: Any) -> Any:
        raise kind("a mistake")

    monkeypatch.setitem(lower.OPERATORS, "FULLY_CONNECTED", broken)
    with pytest.raises(kind, match="a mistake") as caught:
        unlite.to_torch(dense_layer())
    assert not isinstance(caught.value, UnliteError)


def test_what_pytorch_refuses_is_an_unsupported_operator() -> None:
    made = Builder()
    main_graph = made.graph()
    x, w = made.tensor(main_graph, "x", [1, 2]), made.constant(main_graph, "w", np.ones((3, 5), "<f4"))
    y = made.tensor(main_graph, "y", [1, 3])
    made.operator(
        main_graph, "FULLY_CONNECTED", [x, w, -1], [y], builtin_options_type="FullyConnectedOptions", builtin_options={}
    )
    main_graph["inputs"], main_graph["outputs"] = [x], [y]
    with pytest.raises(UnsupportedOperatorError):
        unlite.to_torch(made.data())


@pytest.mark.parametrize(
    ("inputs", "message"), [([0], "is left out, and needed"), ([0, -1], "is left out, and needed")]
)
def test_operators_without_an_input_that_they_need(inputs: list[int], message: str) -> None:
    made = Builder()
    main_graph = made.graph()
    x, y = made.tensor(main_graph, "x", [1]), made.tensor(main_graph, "y", [1])
    made.operator(main_graph, "ADD", inputs, [y], builtin_options_type="AddOptions", builtin_options={})
    main_graph["inputs"], main_graph["outputs"] = [x], [y]
    with pytest.raises(UnsupportedOperatorError, match=message):
        unlite.to_torch(made.data())


def test_views_load_no_torch(reports: Path, root: Path) -> None:
    """What limits a file is known without the frameworks."""
    code = "import sys, unlite.storage.memory_limit; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(root / "src")})


@pytest.mark.parametrize("name", ["nan_scale", "shape8", "unknown_union_torch", "zero_dims"])
def test_running_and_converting_ends_with_a_verdict_or_a_refusal(reports: Path, name: str, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    path = str(reports / f"{name}.tflite")
    commands = [["compare", path], ["dump", path, "-o", str(tmp_path / "dump")]]
    commands.append(["convert", path, "--to", "torch", "-o", str(tmp_path / "net")])
    assert {main(command) for command in commands} <= {0, 1, 2}


def test_details_of_unknown_type_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = Builder()
    made.tensor(made.graph(), "x", [1], quantization={"details_type": "CustomQuantization", "details": {}})
    data = bytearray(made.data())
    quantization = open_model(bytes(data)).root.subgraphs[0].tensors[0].quantization
    fields = {field.name: field for field in quantization._object.fields}
    slot = quantization._wire.slots(quantization._position)[fields["details_type"].id]
    data[quantization._position + slot] = 200
    (tmp_path / "x.tflite").write_bytes(data)
    assert main(["show", str(tmp_path / "x.tflite"), "--tensors"]) == 0
    assert "a value of unknown type" in capsys.readouterr().out


# -- operators on types and values that no kernel takes ---------------------------------------------------------------


def chain(*operators: tuple[str, list[int], int], kinds: tuple[str, ...]) -> bytes:
    """Operators in a row; tensors of one element each, of these types."""
    names = list(dict.fromkeys(name for name, _, _ in operators))
    numbers = load().enum_named("tflite.BuiltinOperator")
    codes = [
        {"builtin_code": name, "deprecated_builtin_code": min(numbers.number(name) or 0, 127), "version": 1}
        for name in names
    ]
    graph = {
        "tensors": [{"name": f"t{i}", "shape": [1], "type": kind, "buffer": 0} for i, kind in enumerate(kinds)],
        "operators": [{"opcode_index": names.index(name), "inputs": i, "outputs": [o]} for name, i, o in operators],
        "inputs": [0],
        "outputs": [len(kinds) - 1],
    }
    model = {"version": 3, "operator_codes": codes, "subgraphs": [graph], "buffers": [{}]}
    return build(load().root, model, b"TFL3")


def test_a_type_that_the_operator_does_not_take_is_said() -> None:
    model = chain(("RIGHT_SHIFT", [0, 0], 1), kinds=("FLOAT32", "FLOAT32"))
    with pytest.raises(UnsupportedOperatorError, match="float32 is a type that it does not take"):
        unlite.to_torch(model)


def test_the_shape_of_a_shape() -> None:
    torch = pytest.importorskip("torch")
    net = unlite.to_torch(chain(("SHAPE", [0], 1), ("SHAPE", [1], 2), kinds=("FLOAT32", "INT32", "INT32")))
    assert net(torch.zeros(1)).tolist() == [1]
