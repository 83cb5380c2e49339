"""A re-trained state of a converted folder goes back into the model, however it was saved.

What must come out is told by ``store_weights``, which knows the module's graph; and LiteRT runs the result.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.model.small import dense_layer

import unlite
from unlite.cli import main
from unlite.errors import InvalidValueError, UnliteError
from unlite.pytorch.source.folder import load_folder

State = dict[str, torch.Tensor]
SAVED: dict[str, Callable[[State, Path], Path]] = {}


def way(function: Callable[[State, Path], Path]) -> Callable[[State, Path], Path]:
    SAVED[function.__name__] = function
    return function


@way
def torch_save(state: State, folder: Path) -> Path:
    torch.save(state, folder / "w.pth")
    return folder / "w.pth"


@way
def in_a_checkpoint(state: State, folder: Path) -> Path:
    torch.save({"epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1}}, folder / "w.pt")
    return folder / "w.pt"


@way
def of_wrapped_modules(state: State, folder: Path) -> Path:
    torch.save({f"module._orig_mod.{key}": value for key, value in state.items()}, folder / "w.pth")
    return folder / "w.pth"


@way
def safetensors(state: State, folder: Path) -> Path:
    save_file({key: value.contiguous().clone() for key, value in state.items()}, folder / "w.safetensors")
    return folder / "w.safetensors"


@way
def over_the_own_file(state: State, folder: Path) -> Path:
    path = folder / "net" / "model.safetensors"
    save_file({key: value.contiguous().clone() for key, value in state.items()}, path)
    return path


NAMES = [
    "blazeface_front_fp16",
    "face_full_range_sparse_fp16",
    "hello_world_int8",
    "mnist_conv_fc_fp32",
    "mnist_lstm_fp32",
    "mobilenet_v1_025_uint8",
]


def converted(model: Path, folder: Path, *options: str) -> torch.nn.Module:
    assert main(["convert", str(model), "--to", "torch", "--no-compare", "-o", str(folder / "net"), *options]) == 0
    return load_folder(str(folder / "net"))


def retrained(net: torch.nn.Module) -> State:
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(0.9)
    return net.state_dict()


@pytest.mark.parametrize("saved", SAVED)
@pytest.mark.parametrize("name", NAMES)
def test_a_state_goes_back(shared: Path, name: str, saved: str, tmp_path: Path) -> None:
    path = shared / f"models/{name}.tflite"
    net = converted(path, tmp_path)
    state = retrained(net)
    wanted = unlite.open(path)
    report = unlite.store_weights(wanted, net)
    assert report.changed
    wanted.save(tmp_path / "wanted.tflite")
    file = SAVED[saved](state, tmp_path)
    assert main(["weights", str(file), "--into", str(path), "-o", str(tmp_path / "tuned.tflite")]) == 0
    assert (tmp_path / "tuned.tflite").read_bytes() == (tmp_path / "wanted.tflite").read_bytes()


def test_store_weights_after_the_folders_own_file_was_replaced(shared: Path, tmp_path: Path) -> None:
    path = shared / "models/mnist_conv_fc_fp32.tflite"
    state = retrained(converted(path, tmp_path))
    over_the_own_file(state, tmp_path)
    net: Any = load_folder(str(tmp_path / "net"))
    report = unlite.store_weights(path, net)
    assert len(report.changed) == 5


@pytest.mark.parametrize(
    "options",
    [["--layout", "nhwc"], ["--quantized", "exact"], ["--requantize", "round"], ["--integer-io"]],
    ids=" ".join,
)
def test_every_way_to_convert(shared: Path, options: list[str], tmp_path: Path) -> None:
    path = shared / "models/hello_world_int8.tflite"
    net = converted(path, tmp_path, *options)
    torch.save(net.state_dict(), tmp_path / "w.pth")
    assert main(["weights", str(tmp_path / "w.pth"), "--into", str(path), "-o", str(tmp_path / "same.tflite")]) == 0
    assert (tmp_path / "same.tflite").read_bytes() == path.read_bytes()


def test_litert_runs_the_result(shared: Path, tmp_path: Path) -> None:
    """The re-trained module and LiteRT on the model that its state went into give the same."""
    pytest.importorskip("ai_edge_litert")
    path = shared / "models/mnist_conv_fc_fp32.tflite"
    net = converted(path, tmp_path, "--layout", "nhwc")
    torch.save(retrained(net), tmp_path / "w.pth")
    assert main(["weights", str(tmp_path / "w.pth"), "--into", str(path), "-o", str(tmp_path / "tuned.tflite")]) == 0
    tensor = unlite.open(path).main.inputs[0]
    x = np.random.default_rng(0).random(tensor.shape, np.float32)
    outputs = {
        file.name: next(iter(unlite.run(file, [x], runtime="litert").values()))
        for file in (path, tmp_path / "tuned.tflite")
    }
    with torch.no_grad():
        expected = net(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(outputs["tuned.tflite"], expected, rtol=1e-4, atol=1e-5)
    assert np.abs(outputs[path.name] - expected).max() > 1e-3


def test_a_state_of_something_else_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.tflite").write_bytes(dense_layer())
    torch.save({"a.weight": torch.zeros(3, 2)}, tmp_path / "w.pth")
    assert main(["weights", str(tmp_path / "w.pth"), "--into", str(tmp_path / "m.tflite")]) == 2
    assert "the state of no conversion" in capsys.readouterr().err
    assert (tmp_path / "m.tflite").read_bytes() == dense_layer()


def test_several_dictionaries_in_a_file(tmp_path: Path) -> None:
    from unlite.pytorch.weights.files import read_pth

    torch.save({"generator": {"a": torch.ones(1)}, "critic": {"b": torch.ones(1)}}, tmp_path / "two.pth")
    with pytest.raises(UnliteError, match="more than a dictionary of tensors"):
        read_pth(tmp_path / "two.pth")
    torch.save({"model": {"a": torch.ones(1)}, "ema": {"a": torch.zeros(1)}}, tmp_path / "model.pth")
    assert read_pth(tmp_path / "model.pth")["a"].tolist() == [1]
    assert issubclass(InvalidValueError, UnliteError)
