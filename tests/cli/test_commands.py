"""What all commands have in common: help with examples, start-up, progress on standard error alone."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.model.small import dense_layer

from unlite.cli import main
from unlite.cli.progress import progress

COMMANDS = ("verify", "c-array", "weights", "set", "metadata", "compare", "dump", "flatbuffer", "doctor")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    out = capsys.readouterr().out
    assert f"usage: unlite {command}" in out
    assert re.search(rf"^examples:\n  unlite {command}", out, re.MULTILINE)


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "doctor"])
def test_without_arguments_the_help_is_shown(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command]) == 2
    assert "examples:" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "m.tflite"],
        ["c-array", "m.tflite"],
        ["metadata", "m.tflite"],
        ["set", "m.tflite", "description=x", "-o", "n.tflite"],
        ["flatbuffer", "m.tflite", "--schema", "tflite"],
        ["doctor"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_no_command_loads_numpy_that_needs_none(arguments: list[str], root: Path, tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(dense_layer())
    code = f"import sys; sys.path.insert(0, {str(root / 'src')!r}); from unlite.cli import main; main({arguments!r})"
    code += "; print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    modules = set(done.stderr.splitlines()[-1].split())
    assert "unlite.cli" in modules
    assert not modules & {"numpy", "orjson", "safetensors", "rich", "torch", "urllib.request"}


class Terminal(io.StringIO):
    """Takes text as a terminal does."""

    def isatty(self) -> bool:
        return True


def test_progress_is_silent_in_a_pipe(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unlite.cli.progress.PATIENCE", -1)
    with progress("writing", 10) as advance:
        advance(5)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_progress_shows_on_a_terminal_when_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress("writing", 10) as advance:
        advance(5)
    assert terminal.getvalue() == ""
    monkeypatch.setattr("unlite.cli.progress.PATIENCE", -1)
    with progress("writing", 10) as advance:
        advance(5)
        advance(5)
    assert "writing" in terminal.getvalue()
