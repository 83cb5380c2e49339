"""``unlite verify``: findings as lines and as JSON, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.model.small import Builder, dense_layer

from unlite.cli import main


def broken() -> bytes:
    """An operator that reads a tensor which is not there."""
    made = Builder()
    graph = made.graph()
    x = made.tensor(graph, "x", [1])
    made.operator(graph, "ADD", [x, 77], [x], builtin_options_type="AddOptions", builtin_options={})
    return made.data()


def test_a_sound_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.tflite").write_bytes(dense_layer())
    assert main(["verify", str(tmp_path / "m.tflite")]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith("m.tflite: 0 errors, 0 warnings, 0 notes\n")


def test_a_broken_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.tflite").write_bytes(broken())
    assert main(["verify", str(tmp_path / "m.tflite")]) == 1
    head, first, *_ = capsys.readouterr().out.splitlines()
    assert head == "severity\tpath\tbyte\tmessage"
    severity, path, offset, message = first.split("\t")
    assert (severity, path) == ("error", "subgraphs[0].operators[0].inputs[1]")
    assert offset.startswith("0x")
    assert "77" in message


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.tflite").write_bytes(broken())
    assert main(["verify", str(tmp_path / "m.tflite"), "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert set(findings[0]) == {"severity", "path", "offset", "message"}
    assert isinstance(findings[0]["offset"], int)
    (tmp_path / "m.tflite").write_bytes(dense_layer())
    assert main(["verify", str(tmp_path / "m.tflite"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"findings": []}


@pytest.mark.parametrize("data", [b"", b"PK\3\4" + bytes(100), dense_layer()[:7], b"\xff\xff\xff\x7fTFL3" + bytes(100)])
def test_no_model_at_all_is_one_error(data: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.tflite").write_bytes(data)
    assert main(["verify", str(tmp_path / "m.tflite"), "--json"]) == 1
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert finding["severity"] == "error"
    assert finding["path"] == "root"


def test_no_file_is_trouble(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(tmp_path / "none.tflite")]) == 2
    assert "none.tflite: cannot be opened" in capsys.readouterr().err


def test_several_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").write_bytes(dense_layer())
    (tmp_path / "b").write_bytes(broken())
    assert main(["verify", str(tmp_path / "a"), str(tmp_path / "b")]) == 1
    head, first, *_ = capsys.readouterr().out.splitlines()
    assert head.startswith("file\tseverity")
    assert first.startswith(str(tmp_path / "b"))


def test_damaged_files(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = sorted((shared / "malformed").rglob("*.tflite"))[:40]
    for file in files:
        assert main(["verify", str(file), "--json"]) in (0, 1)
        json.loads(capsys.readouterr().out)


def test_names_do_not_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m\x1b[31m.tflite").write_bytes(b"")
    assert main(["verify", str(tmp_path / "m\x1b[31m.tflite")]) == 1
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err
