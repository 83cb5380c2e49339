"""``.pth``: PyTorch itself reads what is written, and writes what is read."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from tests.model.small import Builder, dense_layer, quantized

from unlite.cli import main
from unlite.errors import UnliteError, UnsupportedFormatError
from unlite.model.formats.weights import keyed_constants, put_weights, read_weights
from unlite.model.model import open_model
from unlite.pytorch.weights.axes import torch_axes
from unlite.pytorch.weights.files import read_pth, write_pth

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")


def mixed() -> bytes:
    """Constants of types that PyTorch and NumPy share, of some that they do not, and strings."""
    made = Builder()
    main = made.graph()
    made.constant(main, "f32", np.arange(6, dtype="<f4").reshape(2, 3))
    made.constant(main, "f16", np.array([0.5, -2], "<f2"), "FLOAT16")
    made.constant(main, "i8", np.arange(5, dtype="i1"), "INT8")
    made.constant(main, "u16", np.array([65535], "<u2"), "UINT16")
    made.constant(main, "scalar", np.array(7, "<i8"), "INT64")
    made.constant(main, "yes", np.array([True, False]), "BOOL")
    made.constant(main, "c64", np.array([1 + 2j], "<c8"), "COMPLEX64")
    # 0x3FC0 is 1.5 in BFLOAT16, 0x3C is 1.5 in FLOAT8_E4M3FN, 0x3E is 1.5 in FLOAT8_E5M2.
    made.tensor(main, "bf16", [1], "BFLOAT16", made.buffer(b"\xc0\x3f"))
    made.tensor(main, "e4m3", [1], "FLOAT8_E4M3FN", made.buffer(b"\x3c"))
    made.tensor(main, "e5m2", [1], "FLOAT8_E5M2", made.buffer(b"\x3e"))
    made.tensor(main, "words", [1], "STRING", made.buffer(np.array([1, 12, 13], "<i4").tobytes() + b"a"))
    return made.data()


def test_torch_reads_it(tmp_path: Path) -> None:
    pytest.importorskip("ml_dtypes", reason="low-precision types need it")
    report = write_pth(read_weights(mixed()), tmp_path / "w.pth")
    assert report.skipped == {"words": "STRING"}
    state = torch.load(tmp_path / "w.pth", weights_only=True)
    assert list(state) == ["f32", "f16", "i8", "u16", "scalar", "yes", "c64", "bf16", "e4m3", "e5m2"]
    assert state["f32"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert state["scalar"].shape == ()
    assert [state[name].float().item() for name in ("bf16", "e4m3", "e5m2")] == [1.5, 1.5, 1.5]
    assert [state[name].dtype for name in ("f16", "u16", "bf16", "e4m3", "e5m2")] == [
        torch.float16,
        torch.uint16,
        torch.bfloat16,
        torch.float8_e4m3fn,
        torch.float8_e5m2,
    ]


def test_there_and_back_changes_nothing(tmp_path: Path) -> None:
    pytest.importorskip("ml_dtypes", reason="low-precision types need it")
    write_pth(read_weights(mixed()), tmp_path / "w.pth")
    model = open_model(mixed())
    assert put_weights(model, read_pth(tmp_path / "w.pth")).changed == []


def test_a_state_dict_of_a_module(tmp_path: Path) -> None:
    linear = torch.nn.Linear(2, 3)
    torch.save({"weights": linear.weight, "bias": linear.bias.detach()}, tmp_path / "w.pth")
    model = open_model(dense_layer())
    assert put_weights(model, read_pth(tmp_path / "w.pth")).changed == ["weights", "bias"]
    assert np.array_equal(model.main.tensors["weights"].numpy(), linear.weight.detach().numpy())


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.tflite").write_bytes(quantized([1, 5]))
    assert main(["weights", "m.tflite", "-o", "w.pth", "--dequantize"]) == 0
    assert torch.load("w.pth", weights_only=True)["q"].tolist() == [-1, 1]  # 0.5 * (q - 3)
    assert main(["weights", "w.pth", "--into", "m.tflite", "-o", "n.tflite"]) == 0
    assert Path("n.tflite").read_bytes() == quantized([1, 5])


def test_layouts_are_those_of_torchs_modules() -> None:
    """Each module computes with the array what the operator's definition says, written out in loops."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((1, 4, 5, 2)).astype("f4")
    image = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())

    def weights(operator: str, shape: list[int], *, transposed: bool = False) -> tuple[np.ndarray, torch.Tensor]:
        made = Builder()
        graph = made.graph()
        stored = generator.standard_normal(shape).astype("<f4")
        w, other = made.constant(graph, "w", stored), made.tensor(graph, "x", [1])
        inputs = [other, w, other] if transposed else [other, w]
        made.operator(graph, operator, inputs, [made.tensor(graph, "y", [1])])
        ((_, _, array),) = read_weights(made.data(), axes=torch_axes)
        return stored, torch.from_numpy(np.ascontiguousarray(array))

    stored, w = weights("CONV_2D", [3, 2, 2, 2])
    expected = np.zeros((1, 3, 4, 3), "f4")
    for o, y, z in np.ndindex(3, 3, 4):
        expected[0, y, z, o] = (x[0, y : y + 2, z : z + 2] * stored[o]).sum()
    assert np.allclose(torch.nn.functional.conv2d(image, w).numpy().transpose(0, 2, 3, 1), expected, atol=1e-5)

    stored, w = weights("DEPTHWISE_CONV_2D", [1, 2, 2, 4])  # output channel = input channel * 2 + multiple
    expected = np.zeros((1, 3, 4, 4), "f4")
    for c, y, z in np.ndindex(4, 3, 4):
        expected[0, y, z, c] = (x[0, y : y + 2, z : z + 2, c // 2] * stored[0, :, :, c]).sum()
    result = torch.nn.functional.conv2d(image, w, groups=2)
    assert np.allclose(result.numpy().transpose(0, 2, 3, 1), expected, atol=1e-5)

    stored, w = weights("TRANSPOSE_CONV", [3, 2, 3, 2], transposed=True)
    expected = np.zeros((1, 9, 11, 3), "f4")
    for y, z, o in np.ndindex(4, 5, 3):  # each input spreads over a window of the output
        expected[0, 2 * y : 2 * y + 2, 2 * z : 2 * z + 3, o] += stored[o] @ x[0, y, z]
    result = torch.nn.functional.conv_transpose2d(image, w, stride=2).numpy().transpose(0, 2, 3, 1)
    assert np.allclose(result, expected[:, :8], atol=1e-5)

    volume = generator.standard_normal((1, 3, 4, 5, 2)).astype("f4")
    cube = torch.from_numpy(volume.transpose(0, 4, 1, 2, 3).copy())
    stored, w = weights("CONV_3D", [2, 2, 3, 2, 4])
    expected = np.zeros((1, 2, 3, 3, 4), "f4")
    for d, y, z in np.ndindex(2, 3, 3):
        expected[0, d, y, z] = np.einsum("dhwi,dhwio->o", volume[0, d : d + 2, y : y + 2, z : z + 3], stored)
    result = torch.nn.functional.conv3d(cube, w).numpy().transpose(0, 2, 3, 4, 1)
    assert np.allclose(result, expected, atol=1e-5)

    stored, w = weights("CONV_3D_TRANSPOSE", [2, 2, 3, 4, 2], transposed=True)
    expected = np.zeros((1, 4, 5, 7, 4), "f4")
    for d, y, z in np.ndindex(3, 4, 5):
        expected[0, d : d + 2, y : y + 2, z : z + 3] += stored @ volume[0, d, y, z]
    result = torch.nn.functional.conv_transpose3d(cube, w).numpy().transpose(0, 2, 3, 4, 1)
    assert np.allclose(result, expected, atol=1e-5)


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> object:
        return print, ("it ran",)


@pytest.mark.parametrize("what", ["pickle", "zip", "text", "list", "nested", "sparse"])
def test_anything_else_is_refused(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "w.pth"
    if what == "pickle":
        path.write_bytes(pickle.dumps(Evil()))
    elif what == "zip":
        torch.save(Evil(), path)
    elif what == "text":
        path.write_bytes(b"what?")
    else:
        values = {
            "list": [torch.zeros(1)],
            "nested": {"a": {"b": torch.zeros(1)}, "c": {"d": torch.zeros(1)}},  # which of the two is not clear
            "sparse": {"a": torch.eye(2).to_sparse()},
        }
        torch.save(values[what], path)
    with pytest.raises(UnsupportedFormatError):
        read_pth(path)
    assert "it ran" not in capsys.readouterr().out


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UnliteError, match="cannot be opened"):
        read_pth(tmp_path / "none.pth")


def test_a_real_model(shared: Path, tmp_path: Path) -> None:
    path = shared / "models/mnist_conv_fc_int8.tflite"
    write_pth(read_weights(path, dequantize=True, axes=torch_axes), tmp_path / "w.pth")
    state = torch.load(tmp_path / "w.pth", weights_only=True)
    assert set(state) == set(keyed_constants(open_model(path)))
    model = open_model(path)
    put_weights(model, read_pth(tmp_path / "w.pth"), axes=torch_axes)
    assert not model.is_changed
