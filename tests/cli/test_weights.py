"""``unlite weights``: out of a model and back, and what it says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.model.small import Builder, dense_layer, quantized

from unlite.cli import main
from unlite.model.model import open_model


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small model in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.tflite").write_bytes(dense_layer())
    return tmp_path / "m.tflite"


@pytest.mark.parametrize("name", ["w.npz", "w.safetensors"])
def test_out_and_back(name: str, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "m.tflite", "-o", name]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "arrays\t2"
    assert main(["weights", name, "--into", "m.tflite", "-o", "new.tflite"]) == 0
    assert "how\tcopied" in capsys.readouterr().out
    assert Path("new.tflite").read_bytes() == dense_layer()


def test_back_into_the_model_itself(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez("w.npz", weights=np.ones((3, 2), np.float32), bias=np.array([1, 2, 3], np.float32))
    assert main(["weights", "w.npz", "--into", "m.tflite", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["how"], said["changed"], said["unchanged"]) == ("patched", ["weights"], 1)
    assert open_model(model).main.tensors["weights"].numpy().tolist() == [[1, 1]] * 3


def test_real_values_and_clipping(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model.write_bytes(quantized([1, 5]))
    assert main(["weights", "m.tflite", "-o", "w.npz", "--dequantize"]) == 0
    with np.load("w.npz") as arrays:
        assert arrays["q"].tolist() == [-1, 1]
    np.savez("w.npz", q=np.array([100, 1], np.float32))
    assert main(["weights", "w.npz", "--into", "m.tflite"]) == 0
    assert "clipped\tq (1)" in capsys.readouterr().out
    assert open_model(model).main.tensors["q"].numpy().tolist() == [127, 5]


def convolution() -> bytes:
    made = Builder()
    graph = made.graph()
    kernel = made.constant(graph, "k", np.arange(24, dtype="<f4").reshape(2, 2, 2, 3))
    made.operator(graph, "CONV_2D", [made.tensor(graph, "x", [1]), kernel], [made.tensor(graph, "y", [1])])
    return made.data()


def test_layout(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model.write_bytes(convolution())
    assert main(["weights", "m.tflite", "-o", "w.safetensors", "--layout", "torch"]) == 0
    # The file knows its layout; a .npz must be told.
    assert main(["weights", "w.safetensors", "--into", "m.tflite", "-o", "a.tflite"]) == 0
    assert main(["weights", "w.safetensors", "--into", "m.tflite", "--layout", "tflite"]) == 2
    assert "--layout torch" in capsys.readouterr().err
    assert main(["weights", "m.tflite", "-o", "w.npz", "--layout", "torch"]) == 0
    with np.load("w.npz") as arrays:
        assert arrays["k"].shape == (2, 3, 2, 2)
    assert main(["weights", "w.npz", "--into", "m.tflite"]) == 2
    assert "layout" in capsys.readouterr().err
    assert main(["weights", "w.npz", "--into", "m.tflite", "--layout", "torch", "-o", "b.tflite"]) == 0
    assert Path("a.tflite").read_bytes() == Path("b.tflite").read_bytes() == convolution()


def test_strings_are_named_when_they_are_left_out(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = Builder()
    strings = np.array([1, 12, 13], "<i4").tobytes() + b"a"
    made.tensor(made.graph(), "words", [1], "STRING", made.buffer(strings))
    model.write_bytes(made.data())
    assert main(["weights", "m.tflite", "-o", "w.npz"]) == 0
    captured = capsys.readouterr()
    assert "words" in captured.err
    assert "skipped\twords (STRING)" in captured.out
    assert main(["weights", "w.npz", "--into", "m.tflite"]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["m.tflite"], "-o weights.npz"),
        (["w.npz", "-o", "x.npz"], "--into MODEL"),
        (["m.tflite", "-o", "w.bin"], ".safetensors"),
        (["w.npz", "--into", "m.tflite"], "is not there"),
        (["w.npz", "--into", "m.tflite", "--dequantize"], "float32"),
        (["none.tflite", "-o", "w.npz"], "cannot be opened"),
    ],
)
def test_trouble(arguments: list[str], words: str, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", *arguments]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.out == ""
    assert model.read_bytes() == dense_layer()


def test_without_torch_the_mend_is_told(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it fails
    assert main(["weights", "m.tflite", "-o", "w.pth"]) == 2
    assert "pip install 'unlite[torch]'" in capsys.readouterr().err
    assert not Path("w.pth").exists()


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_the_state_of_a_conversion_goes_back(
    layout: str, model: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    from unlite.pytorch.module import to_torch

    model.write_bytes(dense_layer())
    net = to_torch(model, layout=layout)
    with torch.no_grad():
        net.get_parameter("bias").add_(1)
    state = net.state_dict()
    assert list(state) == ["weights", "bias"]  # the tensors' own names: the file's keys, too
    torch.save(state, "state.pth")
    assert main(["weights", "state.pth", "--into", "m.tflite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] == ["bias"]
    assert open_model(model).main.tensors["bias"].numpy().tolist() == [2, 3, 4]


def renamed() -> bytes:
    """The small model, its tensors named as TensorFlow does; no key of a state can be like that."""
    changed = open_model(dense_layer())
    for tensor in changed.main.tensors:
        tensor.name = f"net/{tensor.name}:0"
    changed.save("renamed.tflite")
    return Path("renamed.tflite").read_bytes()


def test_states_with_keys_of_their_own(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    from unlite.pytorch.module import to_torch
    from unlite.pytorch.source.write import write_source

    model.write_bytes(renamed())
    net = to_torch(model)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(2)
    torch.save(net.state_dict(), "state.pth")
    Path("net").mkdir()
    write_source(net, open_model(model).main, "net")
    for name in ("state.pth", "net/model.safetensors"):
        assert main(["weights", name, "--into", "m.tflite", "-o", "new.tflite", "--json"]) == 0
        assert sorted(json.loads(capsys.readouterr().out)["changed"]) == ["net/bias:0", "net/weights:0"]
        assert open_model("new.tflite").main.tensors["net/bias:0"].numpy().tolist() == [2, 4, 6]


def test_a_state_of_another_model(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"other.weight": torch.zeros(2)}, "state.pth")
    assert main(["weights", "state.pth", "--into", "m.tflite"]) == 2
    assert "state of no conversion" in capsys.readouterr().err


def test_new_scales(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "m.tflite", "-o", "w.npz", "--new-scales"]) == 2
    assert "--into" in capsys.readouterr().err
    model.write_bytes(quantized([1, 5]))
    np.savez("w.npz", q=np.array([100, 1], np.float32))
    assert main(["weights", "w.npz", "--into", "m.tflite", "--new-scales", "--json"]) == 0
    # ADD takes any scale in principle; only where it is known that a kernel does is one given.
    assert list(json.loads(capsys.readouterr().out)["scales kept"]) == ["q"]
