"""``unlite compare`` and ``unlite dump``: exit codes, verdict line, JSON, files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.model.small import dense_layer

import unlite
from unlite.cli import main

pytest.importorskip("ai_edge_litert", reason="LiteRT is the judge here")
pytest.importorskip("torch", reason="conversions are run in PyTorch")


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "m.tflite"
    path.write_bytes(dense_layer())
    return str(path)


@pytest.fixture
def other(tmp_path: Path) -> str:
    changed = unlite.open(dense_layer())
    changed.main.tensors["bias"].data = np.array([1, 2, 4], np.float32)
    changed.save(tmp_path / "n.tflite")
    return str(tmp_path / "n.tflite")


def test_same(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", model]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "same: 1 tensor agrees."
    assert out[1] == "reference: LiteRT, reference kernels"
    assert out[3].startswith("operator\ttensor\tmax_abs")
    assert out[4].startswith("0 FULLY_CONNECTED\t3 y\t0\t0\t")


def test_different(model: str, other: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", model, other, "--json"]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert facts["verdict"] == "different"
    assert facts["first_divergence"] == {
        "subgraph": 0, "operator": 0, "name": "FULLY_CONNECTED", "tensor": 3, "tensor_name": "y",
        "max_abs": pytest.approx(1), "floor": facts["tensors"][0]["floor"], "source_line": None,
    }  # fmt: skip


def test_not_comparable(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(shared / "models/person_detect_int8.tflite")]) == 2
    assert capsys.readouterr().out.startswith("not comparable: LiteRT refuses it: ")


def test_inputs_are_saved_and_read(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = str(tmp_path / "in.npz")
    assert main(["compare", model, "--seed", "7", "--save-inputs", place, "--json"]) == 0
    with np.load(place) as stored:
        assert stored["x"].shape == (1, 2)
    first = capsys.readouterr().out
    assert main(["compare", model, "--inputs", place, "--json", "--isolated", "--kernels", "reference"]) == 0
    assert capsys.readouterr().out == first


def test_a_page(model: str, tmp_path: Path) -> None:
    assert main(["compare", model, "--html", str(tmp_path / "r.html")]) == 0
    assert "same" in (tmp_path / "r.html").read_text()


def test_trouble(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", model, "--inputs", str(tmp_path / "none.npz")]) == 2
    assert main(["compare", model, str(tmp_path / "none.onnx")]) == 2
    assert main(["dump", model, "--input", str(tmp_path / "none.png"), "-o", str(tmp_path / "d")]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("runtime", ["torch", "litert"])
def test_dump(shared: Path, tmp_path: Path, runtime: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(shared / "models/mnist_conv_fc_fp32.tflite")
    (tmp_path / "labels").write_text("\n".join(f"<digit {i}>" for i in range(10)))
    folder = tmp_path / "out"
    options = ["--labels", str(tmp_path / "labels"), "--runtime", runtime, "-o", str(folder), "--json"]
    assert main(["dump", path, *options]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts == json.loads((folder / "index.json").read_text())
    graph = unlite.open(path).main
    with np.load(folder / "tensors.npz") as arrays:
        assert set(arrays.files) == {row["array"] for row in facts["tensors"]}
        for row in facts["tensors"]:
            assert arrays[row["array"]].shape == tuple(row["shape"])
        scores = arrays[f"t{graph.outputs[0].index}"].ravel()
    (classes,) = facts["labels"]
    assert classes["top"][0] == {
        "class": int(scores.argmax()), "label": f"<digit {scores.argmax()}>", "score": float(scores.max())
    }  # fmt: skip
    images = [row["image"] for row in facts["tensors"] if row["image"]]
    assert images
    assert all((folder / image).read_bytes().startswith(b"\x89PNG") for image in images)
    text = (folder / "index.html").read_text()
    assert "&lt;digit" in text
    assert "<digit" not in text


def test_dump_a_picture(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from unlite.comparison.images import png

    pytest.importorskip("PIL", reason="pictures need Pillow")
    (tmp_path / "p.png").write_bytes(png(np.full((10, 10, 3), 255, np.uint8)))
    path = str(shared / "models/mnist_conv_fc_fp32.tflite")
    options = ["--input", str(tmp_path / "p.png"), "--mean", "0", "--std", "255", "-o", str(tmp_path / "d")]
    assert main(["dump", path, *options]) == 0
    with np.load(tmp_path / "d/tensors.npz") as arrays:
        assert arrays["t0"].min() == arrays["t0"].max() == 1.0
    assert "pictures" in capsys.readouterr().out
    assert main(["dump", path, *options, "--mean", "x"]) == 2


def test_labels_that_fit_no_output(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "labels").write_text("one\ntwo\n")
    model = str(shared / "models" / "mnist_conv_fc_fp32.tflite")
    options = ["--labels", str(tmp_path / "labels"), "-o", str(tmp_path / "out")]
    assert main(["dump", model, *options]) == 2
    assert "2 labels fit no output" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
