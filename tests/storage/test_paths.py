"""Paths that no file can have, and files that cannot be mapped, through every function that takes a path."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.model.small import dense_layer

import unlite
from unlite.cli import main
from unlite.errors import InvalidValueError, UnliteError, UnsupportedFormatError
from unlite.model.formats.weight_files import open_weights, write_weights
from unlite.model.model import open_model
from unlite.storage import paths
from unlite.storage.source import MappedFile

posix = pytest.mark.skipif(os.name != "posix", reason="such files are there on POSIX systems")
BAD = ["a\0b", "\ud800x"]

READS: dict[str, Callable[[str], Any]] = {
    "open": unlite.open,
    "flatbuffers.open": lambda path: unlite.flatbuffers.open(path, "tflite"),
    "schema": lambda path: unlite.flatbuffers.open(dense_layer(), path + ".bfbs"),
    "npz": lambda path: open_weights(path + ".npz"),
    "safetensors": lambda path: open_weights(path + ".safetensors"),
}
WRITES: dict[str, Callable[[str], Any]] = {
    "save": lambda path: open_model(dense_layer()).save(path),
    "npz": lambda path: write_weights(dense_layer(), path + ".npz"),
    "safetensors": lambda path: write_weights(dense_layer(), path + ".safetensors"),
}


@pytest.mark.parametrize("path", BAD)
@pytest.mark.parametrize("name", READS)
def test_paths_to_read(name: str, path: str) -> None:
    with pytest.raises(InvalidValueError, match="no file can have this name"):
        READS[name](path)


@pytest.mark.parametrize("path", BAD)
@pytest.mark.parametrize("name", WRITES)
def test_paths_to_write(name: str, path: str) -> None:
    with pytest.raises(InvalidValueError, match="no file can have this name"):
        WRITES[name](path)


@pytest.mark.parametrize("path", BAD)
@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "BAD"],
        ["verify", "BAD"],
        ["json", "BAD"],
        ["json", "MODEL", "-o", "BAD"],
        ["build", "BAD", "-o", "OUT"],
        ["c-array", "MODEL", "-o", "BAD"],
        ["weights", "MODEL", "-o", "BAD.npz"],
        ["weights", "BAD.npz", "--into", "MODEL", "-o", "OUT"],
        ["set", "MODEL", "description=x", "-o", "BAD"],
        ["set", "MODEL", "tensors[1].data=@BAD", "-o", "OUT"],
        ["set", "MODEL", "tensors[1].data=@BAD.npy", "-o", "OUT"],
        ["flatbuffer", "MODEL", "--schema", "BAD.bfbs"],
    ],
    ids=" ".join,
)
def test_paths_of_commands(arguments: list[str], path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(dense_layer())
    names = {"MODEL": str(model), "OUT": str(tmp_path / "out")}
    given = [names.get(argument, argument.replace("BAD", path)) for argument in arguments]
    assert main(given) in (1, 2)
    said = capsys.readouterr()
    assert "no file can have this name" in said.err + said.out
    assert sorted(tmp_path.iterdir()) == [model]


@posix
def test_a_model_out_of_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(dense_layer(),))
    writer.start()
    model = unlite.open(pipe)
    writer.join()
    assert model.main.tensors["bias"].numpy().tolist() == [1, 2, 3]
    assert model.save(tmp_path / "copy.tflite").how == "copied"
    assert (tmp_path / "copy.tflite").read_bytes() == dense_layer()


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="Linux has such files")
def test_a_file_that_gives_no_length() -> None:
    source = MappedFile("/proc/self/status")
    assert source.size
    assert bytes(source.view(0, 5)) == b"Name:"
    with pytest.raises(UnliteError):
        unlite.open("/proc/self/status")


@posix
def test_what_has_no_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "UNMAPPED_MOST", 1 << 22)
    with pytest.raises(UnsupportedFormatError, match="cannot be mapped"):
        unlite.open("/dev/zero")


def test_folders_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(UnliteError):
        unlite.open(tmp_path)
    (tmp_path / "empty.tflite").touch()
    with pytest.raises(UnsupportedFormatError):
        unlite.open(tmp_path / "empty.tflite")
