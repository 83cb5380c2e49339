"""``unlite convert``: outcomes and exit codes, and a folder that is there as a whole or not at all."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.model.small import CODES, Builder, dense_layer

from unlite.cli import main
from unlite.cli.convert import OPTIONS

pytest.importorskip("torch")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "dense.tflite"
    path.write_bytes(dense_layer())
    return path


def convert(*arguments: object) -> int:
    return main(["convert", *map(str, arguments), "--to", "torch"])


def outcome(monkeypatch: pytest.MonkeyPatch, verdict: str, **facts: Any) -> None:
    """Makes the comparison come to a verdict."""
    from unlite.comparison.result import Comparison

    monkeypatch.setattr(
        "unlite.comparison.compare.Reference.compare", lambda *_, **__: Comparison(verdict, "the reason.", **facts)
    )


def divergence() -> Any:
    from unlite.comparison.result import Divergence

    return Divergence(0, 0, "FULLY_CONNECTED", 3, "y", 1.0, 0.1, "differs")


def test_same(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ai_edge_litert")
    assert convert(model, "-o", tmp_path / "out", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert list(said) == ["output", "verdict", "reason", "first_divergence"]
    assert said["output"] == str(tmp_path / "out")
    assert said["verdict"] == "same"
    assert said["first_divergence"] is None
    assert sorted(os.listdir(tmp_path / "out")) == ["model.py", "model.safetensors"]
    assert sorted(os.listdir(tmp_path)) == ["dense.tflite", "out"]


@pytest.mark.parametrize("options", [["--requantize", "round"], ["--integer-io"], ["--quantized", "exact"]])
@pytest.mark.parametrize("name", ["tiny_cnn_int8", "dtln_lstm_int8"])
def test_quantized(name: str, options: list[str], shared: Path, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    assert convert(shared / "models" / f"{name}.tflite", "-o", tmp_path / "out", *options) == 0


def test_not_comparable_is_written(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome(monkeypatch, "not comparable")
    assert convert(model, "-o", tmp_path / "out") == 0
    assert (tmp_path / "out/model.py").is_file()


@pytest.mark.parametrize("keep", [False, True])
def test_different(
    keep: bool, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome(monkeypatch, "different", first_divergence=divergence())
    assert convert(model, "-o", tmp_path / "out", "--json", *["--keep"] * keep) == 1
    said = json.loads(capsys.readouterr().out)
    assert (tmp_path / "out").is_dir() == keep
    assert said["output"] == (str(tmp_path / "out") if keep else None)
    assert said["first_divergence"]["name"] == "FULLY_CONNECTED"
    if keep:
        line = (tmp_path / "out/model.py").read_text().splitlines()[said["first_divergence"]["source_line"] - 1]
        assert "nn.Linear(2, 3)" in line


def test_no_compare_still_loads(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Any] = []
    from unlite.pytorch.source import folder

    original = folder.load_folder
    monkeypatch.setattr(folder, "load_folder", lambda path: loaded.append(path) or original(path))
    monkeypatch.setattr("unlite.comparison.compare.Reference", None)
    assert convert(model, "-o", tmp_path / "out", "--no-compare") == 0
    assert len(loaded) == 1


def test_a_result_that_does_not_load_is_not_written(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from unlite.pytorch.source.frame import Frame

    monkeypatch.setattr(Frame, "loader", lambda _: ["def load() -> None:", "    raise ValueError('broken')"])
    assert convert(model, "-o", tmp_path / "out", "--no-compare") == 2
    assert "does not load: ValueError: broken" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["dense.tflite"]


def test_source_that_computes_something_else_is_not_written(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from unlite.pytorch.source.statements import Forward

    original = Forward.lines

    def wrong(self: Forward) -> Any:
        lines = original(self)
        lines[-1].text += " + 1"
        return lines

    monkeypatch.setattr(Forward, "lines", wrong)
    outcome(monkeypatch, "same")
    assert convert(model, "-o", tmp_path / "out") == 2
    assert "gives another output 0" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["dense.tflite"]


def test_all_unsupported_operators_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(CODES, "CUSTOM", 32)
    made = Builder()
    graph = made.graph()
    x, y, z = (made.tensor(graph, name, [2]) for name in "xyz")
    made.operator(graph, "CUSTOM", [x], [y])
    made.operator(graph, "CUSTOM", [y], [z])
    graph["inputs"], graph["outputs"] = [x], [z]
    (tmp_path / "m.tflite").write_bytes(made.data())
    assert convert(tmp_path / "m.tflite", "-o", tmp_path / "out") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "subgraphs[0].operators[0]" in said.err
    assert "subgraphs[0].operators[1]" in said.err
    assert os.listdir(tmp_path) == ["m.tflite"]


def test_a_folder_that_convert_wrote_is_replaced(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert convert(model, "-o", out, "--no-compare") == 0
    before = (out / "model.py").stat().st_ino
    assert convert(model, "-o", out, "--no-compare") == 0
    assert (out / "model.py").stat().st_ino != before
    assert sorted(os.listdir(tmp_path)) == ["dense.tflite", "out"]


@pytest.mark.parametrize("change", ["edited", "more files", "other weights", "a file", "empty", "link to nothing"])
def test_anything_else_is_left_alone(
    change: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    if change in ("edited", "more files", "other weights"):
        assert convert(model, "-o", out, "--no-compare") == 0
    if change == "edited":
        (out / "model.py").write_text((out / "model.py").read_text() + "# mine\n")
    elif change == "more files":
        (out / "train.py").write_text("# mine\n")
    elif change == "other weights":
        from safetensors.numpy import save_file

        save_file({"a": np.zeros(3)}, out / "model.safetensors")
    elif change == "a file":
        out.write_text("mine")
    elif change == "empty":
        out.mkdir()
    else:
        out.symlink_to(out)
    kept = {path.name: path.read_bytes() for path in out.iterdir()} if out.is_dir() else None
    assert convert(model, "-o", out, "--no-compare") == 2
    assert "left alone" in capsys.readouterr().err
    assert (kept if out.is_dir() else None) == kept
    assert kept is None or {path.name: path.read_bytes() for path in out.iterdir()} == kept


def test_an_interruption_leaves_nothing(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    assert convert(model, "-o", out, "--no-compare") == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for place in ("unlite.pytorch.source.folder.load_folder", "safetensors.torch.save_file", "os.fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(place, interrupt)
            assert convert(model, "-o", out, "--no-compare") == 130
        assert {path.name: path.read_bytes() for path in out.iterdir()} == before
        assert sorted(os.listdir(tmp_path)) == ["dense.tflite", "out"]


def test_the_old_folder_comes_back_when_the_rename_fails(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert convert(model, "-o", out, "--no-compare") == 0
    original = os.rename

    def fail(source: str, target: str) -> None:
        if os.fspath(target) == str(out) and ".tmp" in os.path.dirname(source):
            raise OSError(28, "No space left on device")
        original(source, target)

    monkeypatch.setattr("unlite.storage.new_output.exchange", lambda *_: False)  # a system that has two steps for it
    monkeypatch.setattr(os, "rename", fail)
    assert convert(model, "-o", out, "--no-compare") == 2
    assert sorted(os.listdir(out)) == ["model.py", "model.safetensors"]
    assert sorted(os.listdir(tmp_path)) == ["dense.tflite", "out"]


def test_a_folder_that_cannot_be_made(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(model, "-o", tmp_path / "none/out", "--no-compare") == 2
    assert "SaveError" in capsys.readouterr().err


def test_a_signature_that_is_not_there(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(model, "-o", tmp_path / "out", "--signature", "serve", "--no-compare") == 2
    assert "serve" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["dense.tflite"]


@pytest.mark.parametrize(
    ("layout", "shape"), [("nchw", "[1, 3, 4, 6]"), ("nhwc", "[1, 4, 6, 3]"), (None, "[1, 3, 4, 6]")]
)
def test_layout(layout: str | None, shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Builder()
    graph = made.graph()
    x, y = made.tensor(graph, "x", [1, 4, 6, 3]), made.tensor(graph, "y", [1, 4, 6, 5])
    kernel = made.constant(graph, "kernel", np.arange(15, dtype="f4").reshape(5, 1, 1, 3))
    monkeypatch.setitem(CODES, "CONV_2D", 3)
    strides = {"builtin_options_type": "Conv2DOptions", "builtin_options": {"stride_w": 1, "stride_h": 1}}
    made.operator(graph, "CONV_2D", [x, kernel], [y], **strides)
    graph["inputs"], graph["outputs"] = [x], [y]
    (tmp_path / "m.tflite").write_bytes(made.data())
    assert convert(tmp_path / "m.tflite", "-o", tmp_path / "out", *(["--layout", layout] if layout else [])) == 0
    assert f"\n    x {shape} float32\n" in (tmp_path / "out/model.py").read_text()


def test_an_option_of_another_target(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(OPTIONS, "--of-another", (("onnx",), {"help": "text"}))
    assert convert(model, "-o", tmp_path / "out", "--of-another", "x") == 2
    assert "--of-another is an option of --to onnx, not of torch" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["dense.tflite"]


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["convert", "--help"])
    assert "examples:\n  unlite convert" in capsys.readouterr().out


@pytest.mark.parametrize(("target", "ending"), [("onnx", ".onnx"), ("coreml", ".mlpackage")])
def test_the_command_leaves_out_what_it_does_not_use(target: str, ending: str, model: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime" if target == "onnx" else "coremltools")
    given = ["unlite", "convert", str(model), "--to", target, "-o", str(tmp_path / f"out{ending}"), "--json"]
    script = (
        f"import sys; from unlite.cli import main; sys.argv = {given!r}; code = main(); "
        "left = {'networkx.classes', 'coremltools.optimize.torch.quantization'}; "
        "assert 'torch._dynamo' in sys.modules; assert not left & sys.modules.keys(); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["output"] == str(tmp_path / f"out{ending}")


def test_a_process_of_others_keeps_its_modules(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    before = gc.get_threshold()
    assert main(["convert", str(model), "--to", "onnx", "-o", str(tmp_path / "out.onnx"), "--no-compare"]) == 0
    assert gc.get_threshold() == before
    assert sys.modules["networkx"].__file__ is not None
