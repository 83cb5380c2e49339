"""The other sides of a comparison: modules in PyTorch's layout, written folders, ONNX Runtime, Core ML."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="conversions are run in PyTorch")
pytest.importorskip("ai_edge_litert", reason="LiteRT is the judge here")

import torch

import unlite
from unlite.cli import main
from unlite.comparison.compare import compare
from unlite.comparison.inputs import make_inputs
from unlite.comparison.litert import Run, run_litert
from unlite.comparison.measured import Measured
from unlite.comparison.names import from_metadata
from unlite.comparison.torch_judge import TorchJudge
from unlite.errors import InvalidValueError, UnsupportedFormatError

needs_onnx = pytest.mark.skipif(not (find_spec("onnx") and find_spec("onnxruntime")), reason="extra 'onnx'")
needs_coreml = pytest.mark.skipif(not find_spec("coremltools"), reason="extra 'coreml'")
MNIST, HAND, QUANTIZED = "mnist_conv_fc_fp32", "hand_recrop_fp32", "hello_world_int8"


def place(shared: Path, name: str) -> Path:
    return shared / "models" / f"{name}.tflite"


class TestChannelsFirst:
    @pytest.mark.parametrize("mode", ["accumulated", "isolated"])
    def test_every_tensor_in_the_files_order(self, shared: Path, mode: str) -> None:
        path = place(shared, HAND)
        module = unlite.to_torch(path, layout="nchw")
        assert {end["layout"] for end in module.meta["unlite.io"]} == {"NCHW"}
        found = compare(path, module, mode=mode)
        assert found.verdict == "same", found.reason
        assert len(found.tensors) == len(unlite.open(path).main.operators)

    def test_a_fault(self, shared: Path) -> None:
        path = place(shared, HAND)
        module = unlite.to_torch(path, layout="nchw")
        node = [node for node in module.graph.nodes if node.target is torch.nn.functional.conv2d][5]
        right = node.target
        node.target = lambda *args, **kwargs: right(*args, **kwargs).flip(1)
        found = compare(path, module)
        assert found.first_divergence is not None
        assert found.first_divergence.operator == node.meta["tflite"][1]


class TestIntegers:
    def test_one_step_in_one_element(self, shared: Path) -> None:
        path = place(shared, QUANTIZED)
        module = unlite.to_torch(path, quantized="exact")
        assert compare(path, module).verdict == "same"
        node = next(node for node in module.graph.nodes if (0, 7) in node.meta.get("tensors", ()))
        right = node.target
        wrong = lambda *args, **kwargs: last_bit(call(right, args, kwargs))  # noqa: E731
        node.op, node.target = "call_function", wrong
        found = compare(path, module)
        assert found.verdict == "different"
        row = next(row for row in found.tensors if row.index == 7)
        assert (row.steps, row.differing, row.is_exact, row.state) == (1.0, 1, True, "differs")
        assert row.to_json()["steps"] == 1.0

    def test_on_the_command_line(self, shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = str(place(shared, QUANTIZED))
        assert main(["compare", path, "--quantized", "exact", "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert "3 of them integers that are equal in every element" in facts["reason"]
        assert [row["steps"] for row in facts["tensors"]] == [0, 0, 0]
        assert main(["compare", path, path, "--quantized", "exact"]) == 2

    @pytest.mark.parametrize("steps", [2, 3])
    def test_rounding_is_told_and_allowed(self, shared: Path, steps: int) -> None:
        """Two kernels differ by 2 steps in the last tensor: so may a module of integers; by 3 it may not."""
        model = unlite.open(place(shared, QUANTIZED))
        values = make_inputs(model)
        run = run_litert(model, values)
        assert isinstance(run, Run)
        last = model.main.outputs[0].index
        default = {**run.tensors, last: run.tensors[last] + np.int8(2)}
        module = unlite.to_torch(model, quantized="exact")
        if steps == 3:
            node = next(node for node in module.graph.nodes if (0, last) in node.meta.get("tensors", ()))
            right = node.target
            node.op, node.target = "call_function", lambda *args, **kwargs: call(right, args, kwargs) - 1
        judge = TorchJudge(module, Measured(model.main, values, default, run.tensors, allows_rounding=True))
        row = next(row for row in judge.judge(isolated=False) if row.index == last)
        assert row.steps == steps
        if steps == 2:
            assert (judge.divergence, row.state) == (None, "rounding")
        else:
            assert judge.divergence is not None
            assert judge.divergence.operator == len(model.main.operators) - 1
            assert row.state == "differs"


def call(target: Any, args: Any, kwargs: Any) -> Any:
    return getattr(args[0], target)(*args[1:], **kwargs) if isinstance(target, str) else target(*args, **kwargs)


def last_bit(value: torch.Tensor) -> torch.Tensor:
    changed = value.clone()
    changed.view(-1)[0] ^= 1
    return changed


@pytest.fixture(scope="module")
def folder(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("folders") / "hand"
    assert main(["convert", str(place(shared, HAND)), "--to", "torch", "-o", str(path), "--no-compare"]) == 0
    return path


CHANGES = {
    # text in model.py, what it becomes: the operator that is named, and a part of the line
    ("[:1, :16, :2, :2] + y", "[:1, :16, :2, :2] - y"): (61, "- y"),
    ("F.pad(F.max_pool2d(x, 2), [0, 0, 0, 0, 0, self.pad])", "F.pad(F.avg_pool2d(x, 2), [0, 0, 0, 0, 0, self.pad])"): (
        8,
        "avg_pool2d",
    ),
    ("total // 2, total - total // 2", "total - total // 2, total // 2"): (0, "self.conv"),
}


class TestFolders:
    def test_as_written(self, shared: Path, folder: Path) -> None:
        found = compare(place(shared, HAND), folder)
        assert found.verdict == "same", found.reason
        assert len(found.tensors) == 63

    @pytest.mark.parametrize("change", list(CHANGES), ids=["subtraction", "mean", "padding"])
    def test_what_was_changed_is_named_with_its_line(
        self, shared: Path, folder: Path, tmp_path: Path, change: tuple[str, str]
    ) -> None:
        edited = tmp_path / "edited"
        shutil.copytree(folder, edited)
        text = (edited / "model.py").read_text()
        assert change[0] in text
        text = text.replace(*change)
        (edited / "model.py").write_text(text)
        found = compare(place(shared, HAND), edited)
        operator, part = CHANGES[change]
        assert found.verdict == "different"
        assert found.first_divergence is not None
        assert found.first_divergence.operator == operator
        assert found.first_divergence.source_line is not None
        assert part in text.splitlines()[found.first_divergence.source_line - 1]

    def test_changed_weights(self, shared: Path, folder: Path, tmp_path: Path) -> None:
        from safetensors import safe_open
        from safetensors.torch import save_file

        edited = tmp_path / "edited"
        shutil.copytree(folder, edited)
        with safe_open(edited / "model.safetensors", "pt") as file:
            metadata = file.metadata()
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no dictionary
        weights["output_crop.bias"] = weights["output_crop.bias"] + 1
        save_file(weights, edited / "model.safetensors", metadata)
        found = compare(place(shared, HAND), edited)
        assert found.first_divergence is not None
        assert found.first_divergence.operator == 62

    def test_what_is_not_ours_is_not_run(self, shared: Path, folder: Path, tmp_path: Path) -> None:
        other = tmp_path / "other"
        shutil.copytree(folder, other)
        (other / "model.py").write_text("raise SystemExit('it was run')")
        with pytest.raises(UnsupportedFormatError, match="is no folder that unlite convert wrote"):
            compare(place(shared, HAND), other)

    def test_isolated_is_for_modules(self, shared: Path, folder: Path) -> None:
        with pytest.raises(InvalidValueError, match="is for modules"):
            compare(place(shared, HAND), folder, mode="isolated")


@pytest.fixture(scope="module")
def proto(shared: Path) -> Any:
    to_onnx = pytest.importorskip("unlite.onnx.convert", reason="extra 'onnx'").to_onnx
    return to_onnx(place(shared, MNIST))


@needs_onnx
class TestOnnx:
    def test_every_named_tensor(self, shared: Path, proto: Any, tmp_path: Path) -> None:
        import onnx

        onnx.save(proto, tmp_path / "m.onnx")
        for other in (proto, tmp_path / "m.onnx"):
            found = compare(place(shared, MNIST), other)
            assert found.verdict == "same", found.reason
            assert found.runtime == "ONNX Runtime"
            assert len(found.tensors) == 6

    def test_the_first_wrong_node(self, shared: Path, proto: Any) -> None:
        import onnx

        wrong = onnx.ModelProto()
        wrong.CopyFrom(proto)
        model = unlite.open(place(shared, MNIST))
        operator = next(op for op in model.main.operators if op.name == "FULLY_CONNECTED")
        name = operator.outputs[0].name
        node = next(node for node in wrong.graph.node if name in node.output)
        node.output[list(node.output).index(name)] = "before"
        wrong.graph.node.insert(
            list(wrong.graph.node).index(node) + 1, onnx.helper.make_node("Neg", ["before"], [name])
        )
        found = compare(model, wrong)
        assert found.verdict == "different"
        assert found.first_divergence is not None
        assert found.first_divergence.operator == operator.index

    def test_what_onnx_runtime_refuses(self, shared: Path, tmp_path: Path) -> None:
        (tmp_path / "x.onnx").write_bytes(b"\xff\xff\xff no protobuf")
        with pytest.raises(UnsupportedFormatError):
            compare(place(shared, MNIST), tmp_path / "x.onnx")
        with pytest.raises(UnsupportedFormatError):
            compare(place(shared, MNIST), tmp_path / "missing.onnx")

    def test_another_models_inputs(self, shared: Path, proto: Any) -> None:
        with pytest.raises(UnsupportedFormatError, match=r"wants .* for input|has \d+ inputs"):
            compare(place(shared, HAND), proto)


@needs_coreml
def test_core_ml(shared: Path, tmp_path: Path) -> None:
    to_coreml = pytest.importorskip("unlite.coreml.module", reason="extra 'coreml'").to_coreml
    path = tmp_path / "m.mlpackage"
    to_coreml(place(shared, MNIST), precision="float32").save(str(path))
    found = compare(place(shared, MNIST), path)
    assert found.verdict == "same", found.reason
    assert found.tensors


class TestNames:
    def test_none(self) -> None:
        assert from_metadata({}) == ([], {})

    def test_places(self) -> None:
        ends, places = from_metadata(
            {
                "unlite.io": '[{"kind": "input", "index": 0, "layout": "NCHW"}]',
                "unlite.tensors": '{"a": [0, 3, [0, 2, 1]]}',
            }
        )
        assert ends[0]["layout"] == "NCHW"
        assert tuple(places["a"]) == (0, 3, (0, 2, 1))

    @pytest.mark.parametrize(
        "text",
        ["[", "5", '{"a": 1}', '{"a": [0, -1, null]}', '{"a": [0, 1, [0, 0]]}', '{"a": [0, true, null]}', "[" * 99999],
    )
    def test_damaged(self, text: str) -> None:
        with pytest.raises(UnsupportedFormatError, match="damaged"):
            from_metadata({"unlite.tensors": text})


def test_axes_of_a_value() -> None:
    """[N, H, W, C] stored as NCHW, and a vector that broadcasting lengthened."""
    from unlite.comparison.candidate import as_file

    x = np.arange(24).reshape(1, 2, 3, 4)
    back = as_file(x.transpose(0, 3, 1, 2), (0, 3, 1, 2), 4)
    assert back is not None
    assert np.array_equal(back, x)
    vector = np.arange(4)
    back = as_file(vector.reshape(1, 1, 1, 4).transpose(0, 3, 1, 2), (0, 3, 1, 2), 1)
    assert back is not None
    assert np.array_equal(back, vector)
    assert as_file(vector, (1, 0), 1) is None


@needs_coreml
@pytest.mark.parametrize("requantize", ["round", "none"])
def test_core_ml_on_the_grid_of_the_file(shared: Path, tmp_path: Path, requantize: str) -> None:
    """Every quantized tensor keeps its place in the program; what it means is told on the grid that it is on."""
    from unlite.comparison.coreml_run import run_coreml

    model = unlite.open(place(shared, QUANTIZED))
    path = tmp_path / "m.mlpackage"
    unlite.to_coreml(model, precision="float32", requantize=requantize).save(str(path))
    found = run_coreml(path, model.main, make_inputs(model))
    assert found.rounds == (requantize == "round")
    assert {tensor.index for op in model.main.operators for tensor in op.outputs} <= set(found.values)


@pytest.mark.parametrize(("off", "verdict"), [(5e-8, "same"), (1e-6, "different")])
def test_scores_are_right_to_the_last_bit_of_1(off: float, verdict: str) -> None:
    from tests.pytorch.litert import Made, one_operator

    x = np.linspace(-18, -16, 8).astype("f4")
    data = one_operator("LOGISTIC", [x], [Made("FLOAT32", x.shape)])
    module = unlite.to_torch(data)
    node = next(node for node in module.graph.nodes if node.target is torch.sigmoid)
    node.target = lambda values: torch.sigmoid(values) + off
    assert compare(data, module, [x]).verdict == verdict


@needs_coreml
@pytest.mark.parametrize(
    ("name", "verdict"), [("seanet_conv_int16x8", "same"), ("keyword_scrambled_svdf", "not comparable"), (HAND, "same")]
)
def test_core_ml_in_float16_is_no_fault(shared: Path, tmp_path: Path, name: str, verdict: str) -> None:
    """16 bits of integers, and sums of large numbers that cancel, are more than float16 holds."""
    path = tmp_path / "m.mlpackage"
    unlite.to_coreml(place(shared, name)).save(str(path))
    found = compare(place(shared, name), path)
    assert found.verdict == verdict, found.reason


@needs_coreml
@pytest.mark.parametrize("name", ["seanet_conv_int16x8", HAND, "mobilenet_v1_025_uint8", "mnist_lstm_fp32"])
def test_core_ml_in_float16_with_a_fault(shared: Path, tmp_path: Path, name: str) -> None:
    """Half of an operator's weights in another order."""
    wrong = unlite.open(place(shared, name))
    kinds = ("CONV_2D", "FULLY_CONNECTED")
    changed = [op for op in wrong.main.operators if op.name in kinds][-1]
    weights = changed.inputs[1]
    assert weights is not None
    values = np.array(weights.numpy())
    half = len(values) // 2 or 1
    values[:half] = values[:half][..., ::-1]
    weights.data = values
    path = tmp_path / "m.mlpackage"
    unlite.to_coreml(wrong).save(str(path))
    found = compare(place(shared, name), path)
    assert found.verdict in ("different", "not comparable"), found.reason
    if found.verdict == "different":
        assert found.first_divergence is not None
        assert found.first_divergence.operator == changed.index
    else:
        assert f"operators[{changed.index}] {changed.name}" in found.reason


def test_an_lstm_on_the_grids_of_its_kernel(shared: Path) -> None:
    """Gates, cells and outputs are rounded in every step: then the integers are LiteRT's."""
    path = place(shared, "dtln_lstm_int8")
    found = compare(path, unlite.to_torch(path, requantize="round"))
    assert found.verdict == "same"
    assert max(tensor.max_abs / tensor.step for tensor in found.tensors if tensor.step) < 0.01
