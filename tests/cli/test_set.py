"""``unlite set``: what is saved, what is said, and that nothing is saved where anything fails."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.model.small import dense_layer

from unlite.cli import main
from unlite.model.model import open_model


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small model in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.tflite").write_bytes(dense_layer())
    return tmp_path / "m.tflite"


def test_several_changes(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["set", "m.tflite", "description=my own model", "tensors[*].data=scale(x, 2)", "-o", "n.tflite"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "description\t1 place",
        "tensors[*].data\t2 places, 2 tensors skipped that hold no float constant",
        f"saved\trewritten n.tflite, {Path('n.tflite').stat().st_size} bytes",
    ]
    new = open_model(Path("n.tflite").read_bytes())
    assert new.description == "my own model"
    assert new.main.tensors["bias"].numpy().tolist() == [2, 4, 6]
    assert model.read_bytes() == dense_layer()


def test_changes_may_stand_behind_options(model: Path) -> None:
    assert main(["set", "-o", "n.tflite", "m.tflite", "--json", "description=a", "subgraphs[0].name=b"]) == 0
    new = open_model(Path("n.tflite").read_bytes())
    assert (new.description, new.main.name) == ("a", "b")


def test_in_place_writes_the_changed_bytes_alone(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inode = model.stat().st_ino
    assert main(["set", "m.tflite", "description=SMALL", "--in-place", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["how"], said["changed bytes"], said["changes"][0]["path"]) == ("patched", 5, "description")
    assert model.read_bytes() == dense_layer().replace(b"small", b"SMALL")
    assert model.stat().st_ino == inode


def test_in_place_refuses_other_sizes(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["set", "m.tflite", "description=larger than it was", "--in-place"]) == 2
    assert "sizes" in capsys.readouterr().err
    assert model.read_bytes() == dense_layer()


def test_the_model_itself_may_be_the_output(model: Path) -> None:
    assert main(["set", "m.tflite", "description=larger than it was", "-o", "m.tflite"]) == 0
    assert open_model(model).description == "larger than it was"


def test_an_array_from_a_file(model: Path) -> None:
    np.save("w.npy", np.full((3, 2), 5, np.float32))
    assert main(["set", "m.tflite", "tensors[weights].data=@w.npy", "-o", "n.tflite"]) == 0
    assert open_model(Path("n.tflite").read_bytes()).main.tensors["weights"].numpy().tolist() == [[5, 5]] * 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["description=a"], "-o FILE"),
        (["description=a", "-o", "n.tflite", "--in-place"], "-o FILE"),
        (["description=a", "tensors[none].name=x", "-o", "n.tflite"], "nothing is called 'none'"),
        (["description=a", "tensors[0].nam=x", "-o", "n.tflite"], "Close: name"),
        (["description=a", "-o", "nowhere/n.tflite"], "nowhere"),
    ],
)
def test_nothing_is_saved_where_anything_fails(
    arguments: list[str], words: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["set", "m.tflite", *arguments]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.out == ""
    assert [file.name for file in model.parent.iterdir()] == ["m.tflite"]
    assert model.read_bytes() == dense_layer()


def test_fields_that_no_schema_knows(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The root's vtable gets a slot more than the schema has fields: field 10, where field 0 is."""
    data = bytearray(dense_layer())
    root = int.from_bytes(data[:4], "little")
    vtable = root - int.from_bytes(data[root : root + 4], "little", signed=True)
    size = int.from_bytes(data[vtable : vtable + 2], "little")
    slots = data[vtable + 4 : vtable + size]
    longer = bytearray((4 + 22).to_bytes(2, "little")) + data[vtable + 2 : vtable + 4]
    longer += slots + bytes(20 - len(slots)) + slots[:2]
    at = len(data) + len(data) % 2
    data += bytes(at - len(data)) + longer
    data[root : root + 4] = (root - at).to_bytes(4, "little", signed=True)
    model.write_bytes(data)
    assert main(["set", "m.tflite", "description=a longer one", "-o", "n.tflite"]) == 2
    assert "--drop-unknown" in capsys.readouterr().err
    assert main(["set", "m.tflite", "description=a longer one", "-o", "n.tflite", "--drop-unknown"]) == 0
    assert open_model(Path("n.tflite").read_bytes()).description == "a longer one"
