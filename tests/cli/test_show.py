"""``unlite show``: what is in a model, told to people, pipes and programs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from unlite.cli import main


def shown(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    assert main(["show", *arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_facts_of_real_models(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The manifest's figures come from other tools."""
    for row in json.loads((shared / "models/MANIFEST.json").read_text())["models"]:
        facts = shown(capsys, str(shared / "models" / row["file"]))
        assert set(facts) == {
            "schema_version",
            "description",
            "subgraphs",
            "signatures",
            "metadata",
            "associated_files",
        }
        assert facts["schema_version"] == row["schema_version"]
        assert len(facts["subgraphs"]) == row["subgraphs"]
        operators = [operator["name"] for graph in facts["subgraphs"] for operator in graph["operators"]]
        histogram = {**row["op_histogram"], **row["custom_ops"]}
        assert {name: operators.count(name) for name in set(operators)} == {
            k: v for k, v in histogram.items() if k in operators
        }
        assert sum(len(graph["tensors"]) for graph in facts["subgraphs"]) == row["tensors"]
        assert sorted(facts["associated_files"]) == sorted(row["associated_files"])
        assert [entry["name"] for entry in facts["metadata"]] == row["metadata"]


def test_tensors_as_the_interpreter_has_them(face: Path, capsys: pytest.CaptureFixture[str]) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is the judge").Interpreter(str(face))
    ours = {t["index"]: t for t in shown(capsys, str(face), "--tensors")["subgraphs"][0]["tensors"]}
    theirs = {t["index"]: t for t in interpreter.get_tensor_details() if t["index"] in ours}
    assert len(theirs) > 200
    for index, tensor in theirs.items():
        assert ours[index]["name"] == tensor["name"]
        assert ours[index]["shape"] == tensor["shape"].tolist()
        assert ours[index]["dtype"] == tensor["dtype"].__name__.upper()


def test_one_list_or_the_other(face: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "operators" not in shown(capsys, str(face), "--tensors")["subgraphs"][0]
    assert "tensors" not in shown(capsys, str(face), "--operators")["subgraphs"][0]
    first = shown(capsys, str(face), "--operators")["subgraphs"][0]["operators"][0]
    assert first["index"] == 0
    assert set(first) == {"index", "name", "custom", "version", "inputs", "input_names", "outputs", "options"}


def test_a_pipe_gets_lines(face: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(face), "--tensors"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("\t") == ["#", "name", "dtype", "shape", "quantization", "buffer", "bytes"]
    assert len(lines) == 251  # 250 tensors
    assert main(["show", str(face)]) == 0
    assert "file\t" in capsys.readouterr().out


def test_damaged_files_are_shown_as_far_as_they_can_be_read(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = 0
    for row in json.loads((shared / "malformed/manifest.json").read_text()):
        code = main(["show", str(shared / "malformed" / row["file"]), "--json"])
        out = capsys.readouterr()
        if code == 2:
            assert row["file"] == "not_flatbuffer.tflite", (row, out.err)
            continue
        facts = json.loads(out.out)
        assert ("findings" in facts) == (code == 1), row
        if code == 1:
            seen += 1
            assert any(f["severity"] == "error" and f["message"] for f in facts["findings"]), row
    assert seen > 20


def test_names_cannot_command_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from unlite.flatbuffers.write import build
    from unlite.schema import load

    tensor = {"name": "red \x1b[31m and\nmore", "shape": [1]}
    graph = {"tensors": [tensor], "inputs": [0], "outputs": [0], "operators": []}
    data = build(load().root, {"version": 3, "subgraphs": [graph], "buffers": [{}]}, b"TFL3")
    (tmp_path / "evil.tflite").write_bytes(data)
    assert main(["show", str(tmp_path / "evil.tflite"), "--tensors"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "red \\x1b[31m and\\x0amore" in out


def test_help_version_and_mistakes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "examples:" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert main(["shwo", "x"]) == 2
    assert "Did you mean 'show'" in capsys.readouterr().err
    assert main(["show"]) == 2
    assert "examples:" in capsys.readouterr().out
    assert main(["show", "nowhere.tflite"]) == 2
    assert "nowhere.tflite" in capsys.readouterr().err


def test_a_reader_that_has_enough(face: Path) -> None:
    command = f"{sys.executable} -m unlite show --tensors --json {face} | head -c 10"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)  # noqa: S602 - fixed text
    assert done.stdout.startswith('{"schema')
    assert done.stderr == ""


def test_inputs_go_by_name(capsys: pytest.CaptureFixture[str], face: Path) -> None:
    operators = shown(capsys, str(face), "--operators")["subgraphs"][0]["operators"]
    convolution = next(each for each in operators if each["name"] == "CONV_2D")
    assert (convolution["input_names"], convolution["inputs"]) == (["input", "filter", "bias"], [0, 224, 193])
    main(["show", str(face), "--operators"])
    assert "\tCONV_2D\tinput=0 filter=224 bias=193\t3\t" in capsys.readouterr().out
