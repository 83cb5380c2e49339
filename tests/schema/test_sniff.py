"""Telling the version of a file from its bytes."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest
from tests.schema.old_models import VERSIONS, old_model

from unlite.errors import UnsupportedFormatError
from unlite.model.model import open_model
from unlite.schema.sniff import sniff
from unlite.storage.source import MemorySource


@pytest.mark.parametrize("version", VERSIONS)
def test_old_versions(version: int, tmp_path: Path) -> None:
    found = sniff(MemorySource(old_model(version, tmp_path)))
    assert (found.version, found.schema, found.origin) == (version, f"tflite_v{version}", 0)


def test_version_1_that_does_not_say_so(tmp_path: Path) -> None:
    """Model.version was left out by early writers."""
    assert sniff(MemorySource(old_model(1, tmp_path, version=None))).version == 1


def test_version_3(models: list[Path]) -> None:
    for path in models:
        with open(path, "rb") as file:
            data = file.read()
        found = sniff(MemorySource(data))
        assert (found.version, found.schema, found.origin) == (3, "tflite", 0)


def test_a_size_prefix(face: Path) -> None:
    data = face.read_bytes()
    prefixed = struct.pack("<I", len(data)) + data
    assert sniff(MemorySource(prefixed)).origin == 4
    assert len(open_model(prefixed).main.tensors) == len(open_model(data).main.tensors)
    behind = prefixed + b"more"
    assert sniff(MemorySource(behind)).origin == 4


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr("a.tflite", b"x" * 100)
    return file.getvalue()


OTHERS = {
    "nothing": (b"", "empty"),
    "one byte": (b"\x1c", "right file"),
    "zeros": (bytes(64), "right file"),
    "ones": (b"\xff" * 64, "right file"),
    "zip": (archive(), "ZIP"),
    "zip behind a zero": (b"\0" + archive(), "ZIP"),
    "litertlm": (b"LITERTLM" + bytes(64), "litertlm"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "LFS"),
    "page": (b"<!DOCTYPE html><html>Not Found</html>", "web page"),
    "json": (b'{"version": 3, "subgraphs": []}', "JSON"),
    "protocol buffer": (b"\x08\x07\x12\x0bpytorch 2.13" + bytes(32), "protocol buffer"),
    "schema": (struct.pack("<I", 24) + b"BFBS" + bytes(64), "schema"),
    "other flatbuffer": (struct.pack("<IIiHHHHI", 20, 0, 0, 0, 0, 8, 8, 0), "right file"),
    "text": (b"just some text that is no model at all\n", "right file"),
}


@pytest.mark.parametrize(("data", "hint"), OTHERS.values(), ids=OTHERS)
def test_what_is_no_model(data: bytes, hint: str) -> None:
    with pytest.raises(UnsupportedFormatError) as caught:
        open_model(data)
    assert hint in str(caught.value)
    assert caught.value.file == "<memory>"
    assert caught.value.path == "root"


def test_a_model_with_another_identifier(face: Path) -> None:
    """It can be read, and the runtime will refuse it."""
    data = bytearray(face.read_bytes())
    data[4:8] = b"TFL4"
    model = open_model(bytes(data))
    assert len(model.main.operators) == 164
    assert any("TFL3" in finding.message for finding in model.verify() if finding.severity == "error")
