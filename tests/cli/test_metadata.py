"""``unlite metadata``: entries decoded, associated files shown and extracted; archives are Python's."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from pathlib import Path

import pytest
from tests.model.small import Builder

from unlite.cli import main
from unlite.flatbuffers.write import build
from unlite.schema import load


def described() -> bytes:
    """A model with metadata of each kind."""
    made = Builder()
    made.graph()
    described = build(
        load("metadata").root,
        {
            "name": "classifier \x1b[31m",
            "subgraph_metadata": [{"output_tensor_metadata": [{"name": "p", "stats": {"max": [float("inf")]}}]}],
        },
        b"M001",
    )
    made.rest["metadata"] = [
        {"name": "min_runtime_version", "buffer": made.buffer(b"1.5.0" + bytes(11))},
        {"name": "TFLITE_METADATA", "buffer": made.buffer(described)},
        {"name": "own", "buffer": made.buffer(b"\x80\x01")},
        {"name": "lost", "buffer": 99},
    ]
    return made.data()


def zipped(files: dict[str, bytes] | list[tuple[str, bytes]]) -> bytes:
    """The same with an archive behind it."""
    data = io.BytesIO(described())
    data.seek(0, io.SEEK_END)
    with zipfile.ZipFile(data, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names that repeat
        for name, content in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, content)
    return data.getvalue()


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model with two associated files in the working folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "m.tflite"
    path.write_bytes(zipped({"labels.txt": b"cat\ndog\n", "more/vocab.txt": b"a"}))
    return path


def test_shown(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metadata", "m.tflite"]) == 0
    out = capsys.readouterr().out
    assert "min_runtime_version: 1.5.0\n" in out
    assert '  name: "classifier \\u001b[31m"\n' in out
    assert '        [0]: TensorMetadata\n          name: "p"\n' in out
    assert "own: 8001\n" in out
    assert "labels.txt\t8\nmore/vocab.txt\t1\n" in out
    assert "\x1b" not in out


def test_json(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metadata", "m.tflite", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    version, described, own, lost = said["metadata"]
    assert version == {"name": "min_runtime_version", "buffer": 1, "bytes": 16, "kind": "text", "value": "1.5.0"}
    assert described["kind"] == "FlatBuffer"
    # JSON has no infinity; it comes as text.
    assert described["value"]["subgraph_metadata"][0]["output_tensor_metadata"][0]["stats"]["max"] == ["Infinity"]
    assert (own["kind"], own["value"]) == ("bytes", "8001")
    assert lost["kind"] == "unreadable"
    assert said["associated_files"] == [{"name": "labels.txt", "bytes": 8}, {"name": "more/vocab.txt", "bytes": 1}]


def test_one_file_to_standard_output(model: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["metadata", "m.tflite", "--file", "labels.txt"]) == 0
    assert capsysbinary.readouterr().out == b"cat\ndog\n"
    assert main(["metadata", "m.tflite", "--file", "label.txt"]) == 2
    assert b"There is: labels.txt, more/vocab.txt" in capsysbinary.readouterr().err


def test_extraction(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metadata", "m.tflite", "--extract", "out"]) == 0
    assert Path("out/labels.txt").read_bytes() == b"cat\ndog\n"
    assert Path("out/more/vocab.txt").read_bytes() == b"a"
    assert capsys.readouterr().out.splitlines() == ["out/labels.txt", "out/more/vocab.txt"]
    assert main(["metadata", "m.tflite", "--extract", "one", "--file", "labels.txt"]) == 0
    assert [file.name for file in Path("one").iterdir()] == ["labels.txt"]


def test_files_that_are_there_stay(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("out/more").mkdir(parents=True)
    Path("out/more/vocab.txt").write_bytes(b"mine")
    assert main(["metadata", "m.tflite", "--extract", "out"]) == 2
    assert "--force" in capsys.readouterr().err
    assert Path("out/more/vocab.txt").read_bytes() == b"mine"
    assert not Path("out/labels.txt").exists()
    assert main(["metadata", "m.tflite", "--extract", "out", "--force"]) == 0
    assert Path("out/more/vocab.txt").read_bytes() == b"a"


def test_links_are_not_followed_out(model: Path) -> None:
    Path("target").write_bytes(b"mine")
    Path("out").mkdir()
    Path("out/labels.txt").symlink_to(Path("target").absolute())
    assert main(["metadata", "m.tflite", "--extract", "out"]) == 2
    assert Path("target").read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "C:evil", "..\\evil", "con.txt"])
def test_names_that_lead_out(name: str, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model.write_bytes(zipped({"fine.txt": b"1", name: b"2"}))
    assert main(["metadata", "m.tflite", "--extract", "out"]) == 2
    assert "could lead out" in capsys.readouterr().err
    assert [file.name for file in model.parent.iterdir()] == ["m.tflite"]


def test_names_that_repeat(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model.write_bytes(zipped([("a", b"1"), ("./a", b"2")]))
    assert main(["metadata", "m.tflite", "--extract", "out"]) == 2
    assert "several associated files" in capsys.readouterr().err


def test_nothing_there(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = Builder()
    made.graph()
    model.write_bytes(made.data())
    assert main(["metadata", "m.tflite"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "no metadata" in captured.err
    assert main(["metadata", "m.tflite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"metadata": [], "associated_files": []}


def test_a_tree_that_unfolds_is_cut(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A hundred subgraphs with a hundred tensors each."""
    tensor = {"name": "t", "dimension_names": ["d"] * 3}
    made = Builder()
    made.graph()
    graphs = [{"input_tensor_metadata": [tensor] * 100}] * 100
    data = build(load("metadata").root, {"subgraph_metadata": graphs}, b"M001")
    made.rest["metadata"] = [{"name": "TFLITE_METADATA", "buffer": made.buffer(data)}]
    model.write_bytes(made.data())
    assert main(["metadata", "m.tflite"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5002
    assert lines[-1].strip().startswith("...")


@pytest.mark.parametrize("name", ["automl_labeler_uint8", "hand_landmark_lite_fp16", "yamnet_int8"])
def test_real_models(name: str, shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = shared / "models" / f"{name}.tflite"
    assert main(["metadata", str(path)]) == 0
    assert "TFLITE_METADATA (FlatBuffer" in capsys.readouterr().out
    assert main(["metadata", str(path), "--extract", str(tmp_path)]) == 0
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            assert (tmp_path / member).read_bytes() == archive.read(member)
