"""``compare``, ``run``, ``dump`` and the report: verdicts, names, and what is said where nothing can be compared."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.model.small import Builder, dense_layer

import unlite
from unlite.comparison.distance import measure, noise_floor
from unlite.comparison.litert import NotRunnable
from unlite.comparison.report import page
from unlite.comparison.result import Comparison, Divergence, TensorDistance
from unlite.errors import InvalidTypeError, InvalidValueError, UnliteError, UnsupportedFormatError

needs_litert = pytest.mark.skipif(not find_spec("ai_edge_litert"), reason="LiteRT is the judge here")
needs_torch = pytest.mark.skipif(not find_spec("torch"), reason="conversions are run in PyTorch")
X = np.array([[1.0, 2.0]], np.float32)
KEYS = {"subgraph", "index", "name", "max_abs", "max_rel", "floor", "differing", "steps", "ok"}


class TestDistance:
    def test_numbers(self) -> None:
        a, b = np.array([0.0, 1.0, -3.0], np.float32), np.array([0.0, 1.5, -3.0], np.float32)
        found = measure(a, b, 0.1)
        assert (found.max_abs, found.differing, found.range) == (0.5, 1, 4.0)
        assert found.max_rel == 0.125

    def test_nan_meets_nan_and_infinity_the_same(self) -> None:
        a = np.array([np.nan, np.inf, 1.0], np.float32)
        assert measure(a, a.copy(), 0.0).max_abs == 0
        assert measure(a, np.array([np.nan, -np.inf, 1.0], np.float32), 0.0).max_abs == np.inf
        assert measure(a, np.array([0.0, np.inf, 1.0], np.float32), 9.0).differing == 1

    @pytest.mark.parametrize("dtype", ["i8", "u8", "u1", "?", "c8", "f2"])
    def test_types(self, dtype: str) -> None:
        a = np.array([0, 1], dtype)
        assert measure(a, a, 0.0).max_abs == 0
        assert measure(a, a[::-1], 0.0).max_abs == 1

    def test_large_integers_are_exact(self) -> None:
        a = np.array([2**62, -(2**62)], np.int64)
        assert measure(a, a + 1, 0.0).max_abs == 1

    def test_shapes_and_strings(self) -> None:
        assert measure(np.zeros(2), np.zeros(3), 1.0).max_abs == np.inf
        assert measure(np.array([b"a"]), np.array([b"a"], object), 0.0).max_abs == 0
        assert measure(np.array([b"a"]), np.array([b"b"]), 0.0).differing == 1
        assert measure(np.zeros(0), np.zeros(0), 0.0).max_abs == 0

    def test_floors(self) -> None:
        a = np.array([0.0, 2.0], np.float32)
        assert noise_floor(a, None) == 1e-5  # 5e-6 of a range of 2
        assert noise_floor(a, a + np.float32(2**-12)) == pytest.approx(4 * 2**-12, rel=1e-3)
        assert noise_floor(a, np.zeros(2, np.float32)) == 1e-5  # no noise: the other kernels were not run
        assert noise_floor(a.astype(int), None) == 0


@needs_litert
@needs_torch
class TestModules:
    def test_a_conversion_is_the_same(self, shared: Path) -> None:
        path = shared / "models/mnist_conv_fc_fp32.tflite"
        found = unlite.compare(path)
        assert found.verdict == "same"
        assert found.first_divergence is None
        model = unlite.open(path)
        assert [row.name for row in found.tensors] == [op.outputs[0].name for op in model.main.operators]
        facts = found.to_json()
        assert set(facts) == {"verdict", "reason", "first_divergence", "tensors"}
        assert all(set(row) == KEYS for row in facts["tensors"])
        json.dumps(facts, allow_nan=False)

    @pytest.mark.parametrize("kernels", ["reference", "default"])
    @pytest.mark.parametrize("mode", ["accumulated", "isolated"])
    def test_modes(self, shared: Path, mode: str, kernels: str) -> None:
        found = unlite.compare(shared / "models/mnist_weight_dequant.tflite", mode=mode, kernels=kernels)
        assert found.verdict == "same"
        assert ("XNNPACK" in found.judge) == (kernels == "default")

    def test_ones_own_module_is_compared_at_its_outputs(self) -> None:
        import torch

        net = torch.nn.Linear(2, 3)
        with torch.no_grad():
            net.weight.copy_(torch.arange(6.0).reshape(3, 2))
            net.bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
        assert unlite.compare(dense_layer(), net, [X]).verdict == "same"
        with torch.no_grad():
            net.bias[0] = 7
        found = unlite.compare(dense_layer(), net, [X])
        assert found.verdict == "different"
        assert found.first_divergence is not None
        assert (found.first_divergence.tensor_name, found.first_divergence.max_abs) == ("y", 6.0)

    def test_a_module_that_fails(self) -> None:
        import torch

        found = unlite.compare(dense_layer(), torch.nn.Linear(5, 3), [X])
        assert found.verdict == "different"
        assert "RuntimeError" in found.reason

    def test_state_is_put_back(self, shared: Path) -> None:
        import torch

        path = shared / "models/microwakeword_hey_jarvis_int8.tflite"
        module = unlite.to_torch(path)
        before = {name: value.clone() for name, value in module.named_buffers()}
        unlite.compare(path, module)
        assert before
        assert all(torch.equal(before[name], value) for name, value in module.named_buffers())

    def test_a_second_signature(self, shared: Path) -> None:
        path = shared / "models/weight_sharing_two_subgraphs.tflite"
        key = next(s.key for s in unlite.open(path).signatures if s.subgraph.index == 1)
        found = unlite.compare(path, signature=key)
        assert found.verdict == "same"
        assert found.tensors[0].subgraph == 1

    def test_quantized_models_in_real_numbers_are_never_called_wrong(self, shared: Path) -> None:
        for name in ("hello_world_int8", "tiny_cnn_int8", "mobilenet_v1_025_uint8"):
            found = unlite.compare(shared / f"models/{name}.tflite")
            assert found.verdict in ("same", "not comparable")
            assert found.first_divergence is None
            assert "quantization steps" in found.reason
            assert all(row.step for row in found.tensors)


@needs_litert
class TestFiles:
    def test_the_same(self) -> None:
        assert unlite.compare(dense_layer(), dense_layer()).verdict == "same"

    def test_other_weights(self, tmp_path: Path) -> None:
        model = unlite.open(dense_layer())
        model.main.tensors["bias"].data = np.array([1, 2, 4], np.float32)
        model.save(tmp_path / "other.tflite")
        found = unlite.compare(dense_layer(), tmp_path / "other.tflite")
        assert found.verdict == "different"
        assert found.first_divergence is not None
        assert found.first_divergence.name == "FULLY_CONNECTED"
        assert found.first_divergence.max_abs == pytest.approx(1)

    def test_the_first_of_many(self, shared: Path) -> None:
        path = shared / "models/mnist_conv_fc_fp32.tflite"
        model = unlite.open(path)
        operator = next(op for op in model.main.operators if op.name == "FULLY_CONNECTED")
        weights = operator.inputs[1]
        weights.data = weights.numpy() * np.float32(1.01)
        found = unlite.compare(path, model)
        assert found.first_divergence is not None
        assert found.first_divergence.operator == operator.index
        assert [row.ok for row in found.tensors].index(False) == operator.index

    def test_isolated_is_for_modules(self) -> None:
        with pytest.raises(InvalidValueError, match="is for modules"):
            unlite.compare(dense_layer(), dense_layer(), mode="isolated")


class TestWithoutComparison:
    def test_what_litert_refuses_is_not_comparable(self, shared: Path) -> None:
        pytest.importorskip("ai_edge_litert", reason="LiteRT is the judge here")
        pytest.importorskip("torch", reason="conversions are run in PyTorch")
        found = unlite.compare(shared / "models/person_detect_int8.tflite")
        assert found.verdict == "not comparable"
        assert "quantized_dimension" in found.reason
        assert found.to_json() == {
            "verdict": "not comparable", "reason": found.reason, "first_divergence": None, "tensors": []
        }  # fmt: skip

    def test_without_litert(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("unlite.comparison.litert.find_spec", lambda _: None)
        found = unlite.compare(dense_layer(), dense_layer())
        assert found.verdict == "not comparable"
        assert "not installed" in found.reason

    @pytest.mark.parametrize(
        ("other", "words"),
        [
            ("net.pth", "cannot be compared with"),
            ("net.onnx", "is no ONNX model"),
            (".", "is no folder that unlite convert wrote"),
        ],
    )
    def test_other_formats(self, other: str, words: str) -> None:
        pytest.importorskip("torch", reason="conversions are run in PyTorch")
        if other.endswith(".onnx"):
            pytest.importorskip("onnx", reason="extra 'onnx'")
        with pytest.raises(UnsupportedFormatError, match=words):
            unlite.compare(dense_layer(), other)

    def test_wrong_arguments(self) -> None:
        pytest.importorskip("torch", reason="a module is asked for")
        with pytest.raises(InvalidTypeError):
            unlite.compare(dense_layer(), 5)
        for wrong in ({"mode": "x"}, {"kernels": "x"}):
            with pytest.raises(InvalidValueError):
                unlite.compare(dense_layer(), **wrong)


class TestRun:
    @pytest.mark.parametrize("runtime", ["torch", "litert"])
    def test_outputs_and_tensors_on_the_way(self, runtime: str) -> None:
        pytest.importorskip({"torch": "torch", "litert": "ai_edge_litert"}[runtime], reason="not installed")
        outputs = unlite.run(dense_layer(), [X], runtime=runtime)
        assert {key: value.tolist() for key, value in outputs.items()} == {"y": [[3.0, 10.0, 17.0]]}
        picked = unlite.run(dense_layer(), {"x": X}, runtime=runtime, tensors=["y", 0, "bias"])
        assert picked[0].tolist() == X.tolist()
        assert picked["bias"].tolist() == [1, 2, 3]
        assert list(unlite.run(dense_layer(), [X], runtime=runtime, tensors="all")) == [3]

    def test_what_litert_refuses(self, shared: Path) -> None:
        with pytest.raises(UnliteError, match="LiteRT"):
            unlite.run(shared / "models/person_detect_int8.tflite", runtime="litert")

    def test_unknown(self) -> None:
        with pytest.raises(InvalidValueError):
            unlite.run(dense_layer(), [X], runtime="x")
        with pytest.raises(UnliteError):
            unlite.run(dense_layer(), [X], tensors=["z"])


def found_distances() -> Comparison:
    name = "<script>alert(1)</script>\udc80"
    rows = [TensorDistance(0, i, name, i, "CONV_2D", 10.0**-i, 1.0, 1e-3, 3, i > 2) for i in range(5)]
    first = Divergence(0, 0, "CONV_2D", 0, name, float("inf"), 1e-3, "has shape [1], not [2]")
    return Comparison("different", f"{first.label} {first.problem}.", first, rows, "LiteRT", name)


class TestReport:
    def test_what_comes_out_of_a_file_is_escaped(self, tmp_path: Path) -> None:
        found = found_distances()
        found.save_html(tmp_path / "r.html")
        text = (tmp_path / "r.html").read_text("utf-8")
        assert "<script" not in text
        assert "&lt;script&gt;" in text
        assert "<svg" in text
        assert "http" not in text

    def test_it_is_well_formed(self) -> None:
        from html.parser import HTMLParser

        stack: list[str] = []

        class Checker(HTMLParser):
            def handle_starttag(self, tag: str, attrs: Any) -> None:
                if tag != "meta":
                    stack.append(tag)

            def handle_startendtag(self, tag: str, attrs: Any) -> None:
                pass

            def handle_endtag(self, tag: str) -> None:
                assert stack.pop() == tag

        Checker().feed(page(found_distances()))
        assert stack == []

    def test_nothing_compared(self) -> None:
        assert "not comparable" in page(Comparison("not comparable", NotRunnable("absent", "is absent").reason))


def test_json_has_no_nan() -> None:
    facts = found_distances().to_json()
    assert facts["first_divergence"]["max_abs"] is None
    json.dumps(facts, allow_nan=False)


def test_no_tensor_at_all() -> None:
    made = Builder()
    made.graph()
    pytest.importorskip("ai_edge_litert", reason="LiteRT is the judge here")
    pytest.importorskip("torch", reason="conversions are run in PyTorch")
    assert unlite.compare(made.data()).verdict == "not comparable"
