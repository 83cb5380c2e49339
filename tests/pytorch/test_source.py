"""Written source: it reads well, needs PyTorch and safetensors alone, and computes what the lowered module computes.

The judge of a written file is that module, run in this process, while the file runs in a fresh one; whether the module
itself is right is judged by LiteRT elsewhere.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.model.small import Builder, dense_layer

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from unlite.model.model import open_model  # noqa: E402
from unlite.pytorch.module import to_torch  # noqa: E402
from unlite.pytorch.source.folder import load_folder  # noqa: E402
from unlite.pytorch.source.lines import WIDTH, wrapped  # noqa: E402
from unlite.pytorch.source.naming import Identifiers, class_name, literal, own_name, quoted  # noqa: E402
from unlite.pytorch.source.write import Source, write_source  # noqa: E402

REAL = (
    "blazeface_front_fp16",
    "face_landmark_fp32",
    "hand_landmark_lite_fp16",
    "mnist_conv_fc_fp32",
    "mnist_lstm_fp32",
    "mobilenet_v1_025_fp32",
    "palm_detection_lite_fp16",
    "selfie_segmentation_landscape_fp16",
)
RUN = """
import sys
sys.modules["unlite"] = None  # importing it is an error from here on
sys.dont_write_bytecode = True
import numpy as np, torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
import model
given = np.load(sys.argv[2])
network = model.load()
with torch.no_grad():
    results = network(*(torch.from_numpy(given[key]) for key in given.files))
results = results if isinstance(results, tuple) else (results,)
np.savez(sys.argv[3], *(result.numpy() for result in results))
print(*network.state_dict(), sep="\\n")
"""


def write(model: Any, folder: Path) -> tuple[Any, Source]:
    """The lowered module, and its source in ``folder``."""
    opened = open_model(model)
    module = to_torch(opened)
    folder.mkdir(exist_ok=True)
    return module, write_source(module, opened.main, folder)


def inputs_of(module: Any) -> list[Any]:
    torch.manual_seed(1)
    fakes = [node.meta["val"] for node in module.graph.nodes if node.op == "placeholder"]
    return [torch.rand(f.shape) if f.dtype is torch.float32 else torch.zeros(f.shape, dtype=f.dtype) for f in fakes]


def check(model: Any, folder: Path) -> Source:
    """Writes a model, lints and runs what was written, and compares the outputs with the module's."""
    module, source = write(model, folder)
    lint(folder)
    given = inputs_of(module)
    np.savez(folder.with_suffix(".in.npz"), *(value.numpy() for value in given))
    arguments = [str(folder), str(folder.with_suffix(".in.npz")), str(folder.with_suffix(".out.npz"))]
    done = subprocess.run(
        [sys.executable, "-I", "-c", RUN, *arguments], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == set(source.tensors)
    with torch.no_grad():
        expected = module(*given)
    expected = expected if isinstance(expected, tuple) else (expected,)
    results = np.load(folder.with_suffix(".out.npz"))
    assert len(results.files) == len(expected)
    for key, value in zip(results.files, expected, strict=True):
        np.testing.assert_allclose(results[key], value.numpy(), rtol=0, atol=1e-6 * max(1.0, float(value.abs().max())))
    assert sorted(path.name for path in folder.iterdir()) == ["model.py", "model.safetensors"]
    return source


def lint(folder: Path) -> None:
    command = ["ruff", "check", "--isolated", "--no-cache", "--line-length", "120", "--select", "E,F", str(folder)]
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", REAL)
def test_real_models(name: str, shared: Path, tmp_path: Path) -> None:
    source = check(shared / "models" / f"{name}.tflite", tmp_path / "out")
    assert "import unlite" not in source.text


def test_what_blazeface_reads_like(face: Path, tmp_path: Path) -> None:
    _, source = write(face, tmp_path / "out")
    classes = {node.name: node for node in ast.parse(source.text).body if isinstance(node, ast.ClassDef)}
    # Counted by hand in the file: 5 blocks keep the channels, 8 widen them, 3 halve the picture.
    assert list(classes) == ["ResidualBlock", "WideningResidualBlock", "DownsamplingResidualBlock", "FacedetectorFront"]
    assert source.text.count(" = ResidualBlock(") == 5
    assert source.text.count(" = WideningResidualBlock(") == 8
    assert source.text.count(" = DownsamplingResidualBlock(") == 3
    assert "self.conv2d = nn.Conv2d(3, 24, kernel_size=5, stride=2)" in source.text
    assert source.text.count("permute(") == 5  # one for the input, one for each of the four heads
    lines = source.text.splitlines()
    assert "self.block1 = ResidualBlock(24)" in lines[source.lines[0, 10] - 1]
    assert "tflite operators 6-11" in lines[source.lines[0, 10] - 1]


def test_bounds_of_blocks_are_parameters(shared: Path, tmp_path: Path) -> None:
    """Quantized blocks differ in the range of their values; they are the same blocks all the same."""
    module, source = write(shared / "models/mobilenet_v2_nchw_int8.tflite", tmp_path / "out")
    with torch.no_grad():
        results = [network(*inputs_of(module)).numpy() for network in (load_folder(tmp_path / "out"), module)]
    # Their pictures lie differently in memory, so that convolutions add in another order; a wrong bound is 1e-2 apart.
    np.testing.assert_allclose(*results, rtol=0, atol=1e-5 * abs(results[1]).max())
    # MobileNetV2: of its 17 blocks, 10 add their input, 4 halve the picture; the first one does not expand, nor repeat.
    assert source.text.count(" = InvertedResidual(") == 10
    assert source.text.count(" = DownsamplingInvertedBottleneck(") == 4
    assert source.text.count(" = InvertedBottleneck(") == 2
    (block,) = (line for line in source.text.splitlines() if "self.block10 = " in line)
    assert "= InvertedBottleneck(64, 96, 384, high=1.58" in block


def test_parts_of_a_loop(shared: Path, tmp_path: Path) -> None:
    source = check(shared / "models/precise_vad_while_drq.tflite", tmp_path / "out")
    classes = {node.name: node for node in ast.parse(source.text).body if isinstance(node, ast.ClassDef)}
    assert ast.get_docstring(classes["Condition"]) == "Whether the loop goes on, a part of PreciseVadWhileDrq."
    assert ast.get_docstring(classes["Body"]) == "One round of the loop, a part of PreciseVadWhileDrq."
    (condition, body) = (
        next(each for each in classes[name].body if isinstance(each, ast.FunctionDef)).args
        for name in ("Condition", "Body")
    )
    # What comes in has the name of what is handed over at first: time, time, tensor_arrayv2_1, zeros.
    assert [arg.arg for arg in body.args[:5]] == ["self", "time", "time_2", "tensor_arrayv2_1", "zeros"]
    assert condition.vararg is not None  # the weights, which it does not read
    assert len(condition.args) < len(body.args)


def test_constants_without_names(shared: Path, tmp_path: Path) -> None:
    """They are called by the part that they play. Places of the inputs: LiteRT tflite/kernels/lstm_shared.h."""
    path = shared / "models/dtln_lstm_int8.tflite"
    source = check(path, tmp_path / "out")
    values = load_file(tmp_path / "out/model.safetensors")
    operators = [operator for operator in open_model(path).main.operators if "LSTM" in operator.name]
    places = {"input_to_input_weights": 1, "input_to_forget_weights": 2, "recurrent_to_cell_weights": 7}
    places |= {"recurrent_to_output_weights": 8, "forget_gate_bias": 13, "output_gate_bias": 15}
    for suffix, operator in zip(("", "_2"), operators, strict=True):
        for name, place in places.items():
            stored = operator.inputs[place]
            assert stored is not None
            np.testing.assert_array_equal(values[f"{name}{suffix}"].numpy(), stored.dequantize())
    assert {"output_state", "cell_state", "output_state_2", "cell_state_2"} <= set(source.tensors)
    assert "output_state_2 = self.output_state_2.clone()" in source.text
    assert "self.cell_state_2.copy_(next_cell_state_2.detach())" in source.text
    assert ".transpose(0, 1).transpose(0, 1)" not in source.text


def test_numbers_are_short(shared: Path, tmp_path: Path) -> None:
    """The shortest number that is the same in float32."""
    source = check(shared / "models/toy_transformer_kv_cache.tflite", tmp_path / "out")
    assert "+ 1e-06)" in source.text
    assert "* 0.044715" in source.text
    assert "9.99999997" not in source.text


def test_the_header_tells_the_tensors(face: Path, tmp_path: Path) -> None:
    _, source = write(face, tmp_path / "out")
    data = (tmp_path / "out/model.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    tensors = json.loads(header["__metadata__"]["unlite.tensors"])
    assert set(tensors) == set(source.tensors) == set(header) - {"__metadata__"}
    assert tensors["conv2d.weight"] == "conv2d/Kernel_dequantize"
    assert tensors["block1.depthwise.bias"] == "depthwise_conv2d/Bias_dequantize"
    assert header["conv2d.weight"]["shape"] == [24, 3, 5, 5]


# -- names out of a file -----------------------------------------------------------------------------------------------

HOSTILE = (
    '"""\nimport os\nos.abort()\n"""',
    "__import__('os').abort()",
    "x\\",
    "class",
    "torch",
    "self",
    "forward",
    "F.relu",
    "\u202egnp.exe\x00\x1b[2J\r\n",
    "层/卷积",
    "a" * 10_000,
    "\udc80\udcff",
    "'; raise SystemExit #",
    "",
    "load",
    "x",
    "training",
)


def two_layers(names: list[str], description: str = "") -> bytes:
    """y = x @ a.T + b and z = y @ c.T: names of x, a, b, y, c, z, and of the subgraph."""
    made = Builder()
    main = made.graph(names[6].encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
    names = [name.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for name in names]
    x = made.tensor(main, names[0], [1, 2])
    a = made.constant(main, names[1], np.arange(6, dtype="<f4").reshape(3, 2))
    b = made.constant(main, names[2], np.array([1, 2, 3], "<f4"))
    y = made.tensor(main, names[3], [1, 3])
    c = made.constant(main, names[4], np.arange(12, dtype="<f4").reshape(4, 3))
    z = made.tensor(main, names[5], [1, 4])
    options = {
        "builtin_options_type": "FullyConnectedOptions",
        "builtin_options": {"fused_activation_function": "NONE"},
    }
    made.operator(main, "FULLY_CONNECTED", [x, a, b], [y], **options)
    made.operator(main, "FULLY_CONNECTED", [y, c, -1], [z], **options)
    main["inputs"], main["outputs"] = [x], [y, z]
    made.rest["description"] = description
    return made.data()


def assert_harmless(source: Source) -> None:
    """The text has the statements that any network's has, is ASCII, and calls what a network calls."""
    assert source.text.isascii()
    assert all(char.isprintable() for line in source.text.split("\n") for char in line)
    tree = ast.parse(source.text)
    kinds = {type(node) for node in tree.body}
    assert kinds <= {ast.Expr, ast.Import, ast.ImportFrom, ast.Assign, ast.ClassDef, ast.FunctionDef, ast.If}
    assert sum(isinstance(node, ast.Expr) for node in tree.body) == 1  # the docstring
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported <= {"torch", "torch.nn.functional"}
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert called <= {"Path", "load_file", "load", "super", "print", "list", source.class_name}


def test_hostile_names(tmp_path: Path) -> None:
    for place, name in enumerate(HOSTILE):
        _, source = write(
            two_layers([name] * 7, name[:1000].encode("utf-8", "replace").decode()), tmp_path / str(place)
        )
        assert_harmless(source)
    lint(tmp_path)
    check(two_layers(list(HOSTILE[:7])), tmp_path / "all")
    check(two_layers(["same"] * 7), tmp_path / "same")


@settings(max_examples=30)
@given(st.lists(st.text(max_size=40), min_size=7, max_size=7))
def test_any_names(names: list[str]) -> None:
    from unlite.pytorch.source.write import Writer

    model = open_model(two_layers([name.encode("utf-8", "replace").decode() for name in names]))
    assert_harmless(Writer(to_torch(model), model.main).source())


@given(st.text())
def test_text_stays_text(text: str) -> None:
    assert ast.literal_eval(literal(text)) == text
    code = f'"""{quoted(text)}"""'
    assert isinstance(ast.literal_eval(code), str)
    assert len(quoted(text)) <= 45
    for name in (Identifiers().make(text, "tensor"), class_name(text)):
        assert name.isidentifier()
        assert name.isascii()
        ast.parse(f"{name} = 1")


@given(st.floats() | st.integers() | st.booleans() | st.none() | st.tuples(st.integers(), st.floats()))
def test_values_stay_values(value: Any) -> None:
    found = eval(literal(value), {"__builtins__": {}, "float": float})  # noqa: S307 - of our own making
    assert repr(found) == repr(value)


# Names that converters gave in real models, and the part that a person had given.
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("conv2d/Kernel_dequantize", "conv2d"),
        ("sequential/conv2d/Relu;sequential/conv2d/BiasAdd;sequential/conv2d/Conv2D", "conv2d"),
        ("model_1/model/batch_normalization_4/FusedBatchNormV3;model_1/model/dep/depthwise", "dep"),
        ("MobilenetV1/Conv2d_7_pointwise/weights", "Conv2d_7_pointwise"),
        ("MobilenetV1/MobilenetV1/Conv2d_0/weights_quant/FakeQuantWithMinMaxVars", "Conv2d_0"),
        ("arith.constant1", ""),
        ("tfl.unidirectional_sequence_lstm1", ""),
        ("tfl.pseudo_qconst12", ""),
        ("StatefulPartitionedCall:0", ""),
        ("serving_default_input_2:0", "input_2"),
        ("", ""),
    ],
)
def test_own_names(name: str, expected: str) -> None:
    assert own_name(name) == expected


# -- shapes of networks ------------------------------------------------------------------------------------------------


def test_two_outputs_one_of_them_the_input(tmp_path: Path) -> None:
    made = Builder()
    main = made.graph()
    x, y = made.tensor(main, "x", [2]), made.tensor(main, "y", [2])
    made.operator(main, "ADD", [x, x], [y], builtin_options_type="AddOptions", builtin_options={})
    main["inputs"], main["outputs"] = [x], [y, x]
    assert "x + x" in check(made.data(), tmp_path / "out").text


def test_scalars_are_numbers_and_other_constants_are_state(tmp_path: Path) -> None:
    made = Builder()
    main = made.graph()
    x, y, z = (made.tensor(main, name, [2]) for name in "xyz")
    half = made.constant(main, "half", np.array(0.5, "<f4"))
    pair = made.constant(main, "pair", np.array([1, 2], "<f4"))
    made.operator(main, "ADD", [x, half], [y], builtin_options_type="AddOptions", builtin_options={})
    made.operator(main, "ADD", [pair, y], [z], builtin_options_type="AddOptions", builtin_options={})
    main["inputs"], main["outputs"] = [x], [z]
    source = check(made.data(), tmp_path / "out")
    assert "self.pair + (x + 0.5)" in source.text
    assert list(source.tensors) == ["pair"]


def test_a_constant_as_output_and_no_input(tmp_path: Path) -> None:
    made = Builder()
    main = made.graph()
    c = made.constant(main, "c", np.arange(3, dtype="<i4"), "INT32")
    main["inputs"], main["outputs"] = [], [c]
    assert 'self.register_buffer("c", torch.empty(3, dtype=torch.int32))' in check(made.data(), tmp_path / "out").text


def test_layers_that_share_weights(tmp_path: Path) -> None:
    """The same layer twice is one layer; a large weight that two different ones read is stored once."""
    for rows, biases in ((4, ("b", "b")), (100, ("b", "c"))):
        made = Builder()
        main = made.graph()
        x, y, z = (made.tensor(main, name, [1, rows]) for name in "xyz")
        weight = made.constant(main, "w", np.eye(rows, dtype="<f4") * 2)
        known = {name: made.constant(main, name, np.ones(rows, "<f4")) for name in dict.fromkeys(biases)}
        options = {"builtin_options_type": "FullyConnectedOptions", "builtin_options": {}}
        made.operator(main, "FULLY_CONNECTED", [x, weight, known[biases[0]]], [y], **options)
        made.operator(main, "FULLY_CONNECTED", [y, weight, known[biases[1]]], [z], **options)
        main["inputs"], main["outputs"] = [x], [z]
        source = check(made.data(), tmp_path / f"out{rows}")
        assert [stored.key for stored in source.tensors.values()].count("w") == 1
        assert source.text.count("nn.Linear(") == (biases[0] == biases[1])


def test_one_layer(tmp_path: Path) -> None:
    source = check(dense_layer(), tmp_path / "out")
    assert source.text.startswith('# Written by unlite convert.\n"""model, converted from a model in memory.\n')
    assert "self.y = nn.Linear(2, 3)  # tflite operator 0" in source.text
    assert "return self.y(x)" in source.text


def test_every_helper_can_be_written(tmp_path: Path) -> None:
    """Each helper alone, with what it calls: valid source without names that are not there."""
    import unlite.pytorch.ops  # noqa: F401 - the families register their helpers
    from unlite.pytorch.source.helper_text import HelperTexts
    from unlite.pytorch.trace import HELPERS

    for place, function in enumerate(sorted(HELPERS, key=lambda function: (function.__module__, function.__name__))):
        texts = HelperTexts([function])
        head = ["from __future__ import annotations", *sorted(texts.imports), "import torch"]
        used = "\n\n\n".join(texts.texts())
        head += ["import torch.nn.functional as F"] if "F." in used else []
        head += ["from torch import Tensor"] if "Tensor" in used.replace("torch.Tensor", "") else []
        text = "\n".join([*head, used, f"print({texts.names[function]}, torch)", ""])
        (tmp_path / f"helper_{place}.py").write_text(text)
    command = ["ruff", "check", "--isolated", "--no-cache", "--select", "F821,F811,E9", str(tmp_path)]
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@given(st.lists(st.text("abc, '\"\\()[]{}", max_size=30), max_size=12))
def test_broken_lines_say_the_same(words: list[str]) -> None:
    text = f"x = call({', '.join(map(literal, words))})"
    lines = wrapped(text)
    assert ast.dump(ast.parse("\n".join(lines))) == ast.dump(ast.parse(text))
    assert len(lines) == 1 or all(len(line) + 8 <= WIDTH for line in lines)
