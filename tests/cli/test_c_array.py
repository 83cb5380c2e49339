"""``unlite c-array``: files, standard output, headers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.model.small import dense_layer

from unlite.cli import main
from unlite.model.formats.c_array import from_c_array, to_c_array


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small model in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.tflite").write_bytes(dense_layer())
    return tmp_path / "m.tflite"


def test_to_standard_output(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["c-array", "m.tflite"]) == 0
    assert capsys.readouterr().out == to_c_array(dense_layer())


def test_to_a_file(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["c-array", "m.tflite", "-o", "net.cc", "--name", "net"]) == 0
    assert Path("net.cc").read_text() == to_c_array(dense_layer(), "net")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"{len(dense_layer())} bytes as net" in captured.err


def test_with_a_header_a_compiler_finds_it(model: Path) -> None:
    Path("include").mkdir()
    Path("src").mkdir()
    assert main(["c-array", "m.tflite", "-o", "src/net.cc", "--name", "net", "--header", "include/net.h"]) == 0
    text = Path("src/net.cc").read_text()
    assert '#include "../include/net.h"' in text
    assert from_c_array(text).description == "small"
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    done = subprocess.run([compiler, "-std=c++11", "-Wall", "-Werror", "-c", "src/net.cc", "-o", "net.o"], check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("arguments", [["--name", "class"], ["--header", "a b.h"], ["-o", "nowhere/x.cc"]])
def test_trouble_leaves_nothing(arguments: list[str], model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["c-array", "m.tflite", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err
    assert captured.out == ""
    assert [file.name for file in model.parent.iterdir()] == ["m.tflite"]
