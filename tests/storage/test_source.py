"""Sources: memory and mapped files, every request checked."""

from __future__ import annotations

import gc
import io
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unlite.errors import CorruptFileError, InvalidTypeError, UnliteError
from unlite.storage.source import CHUNK, MappedFile, MemorySource, Source, open_source

DATA = bytes(range(256)) * 40
WORD = struct.Struct("<I")


@pytest.fixture(params=["memory", "mapped", "closed"])
def source(request: Any, tmp_path: Path) -> Source:
    if request.param == "memory":
        return MemorySource(DATA)
    file = tmp_path / "file"
    file.write_bytes(DATA)
    mapped = MappedFile(file)
    if request.param == "closed":
        mapped.close()
    return mapped


def test_reading(source: Source) -> None:
    assert source.size == len(DATA)
    assert source.unpack(WORD, 4) == (0x07060504,)
    assert source.view(10, 3) == DATA[10:13]
    assert source.view(10, 3).readonly
    assert source.view(len(DATA), 0) == b""
    assert b"".join(source.chunks(5, 5000)) == DATA[5:5005]
    assert list(source.chunks(5, 0)) == []


@pytest.mark.parametrize(
    "place", [(-1, 4), (len(DATA) - 3, 4), (len(DATA) + 1, 0), (0, len(DATA) + 1), (2**70, 4), (4, -1), (-4, 4)]
)
def test_outside(source: Source, place: tuple[int, int]) -> None:
    offset, length = place
    for question in (source.view, source.check, lambda *a: list(source.chunks(*a))):
        with pytest.raises(CorruptFileError) as caught:
            question(offset, length)
        assert caught.value.offset == offset
        assert caught.value.file == source.name
    if length == 4:
        with pytest.raises(CorruptFileError):
            source.unpack(WORD, offset)


def test_chunks_are_small(tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(bytes(3 * CHUNK))
    for source in (MappedFile(file), MemorySource(bytes(3 * CHUNK))):
        sizes = [len(chunk) for chunk in source.chunks(1, 2 * CHUNK + 5)]
        assert sum(sizes) == 2 * CHUNK + 5
        assert max(sizes) <= CHUNK


def test_views_outlive_the_source(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(DATA)
    source = MappedFile(file)
    view = source.view(1, 4)
    source.close()
    del source
    gc.collect()
    file.unlink()
    assert view == DATA[1:5]


def test_an_unclosed_file_is_no_warning(tmp_path: Path) -> None:
    """Warnings are errors in these tests."""
    file = tmp_path / "file"
    file.write_bytes(DATA)
    MappedFile(file)
    gc.collect()


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    source = MappedFile(tmp_path / "empty")
    assert (source.size, source.view(0, 0)) == (0, b"")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, np.frombuffer])
def test_anything_with_a_buffer(kind: Any) -> None:
    source = open_source(kind(DATA) if kind is not np.frombuffer else np.frombuffer(DATA, "<u4"))
    assert bytes(source.view(0, source.size)) == DATA
    assert open_source(source) is source


def test_what_can_be_opened(tmp_path: Path) -> None:
    file = tmp_path / "fileß"
    file.write_bytes(DATA)
    for name in (file, str(file), os.fsencode(file)):
        source = open_source(name) if not isinstance(name, bytes) else MappedFile(name)
        assert source.view(0, 4) == DATA[:4]
        assert source.name == str(file)
    with open(file, "rb") as opened:
        assert open_source(opened).view(1, 3) == DATA[1:4]
    assert open_source(io.BytesIO(DATA)).view(1, 3) == DATA[1:4]


@pytest.mark.parametrize("wrong", [5, None, [1, 2], 1.5, object(), lambda: 0])
def test_what_cannot_be_opened(wrong: object) -> None:
    with pytest.raises(InvalidTypeError, match="is wanted") as caught:
        open_source(wrong)
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize("name", ["missing", "", ".", "nul\0inside", "x" * 5000])
def test_paths_that_do_not_open(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnliteError, match="cannot be opened") as caught:
        open_source(str(tmp_path / name) if "\0" not in name else f"{tmp_path}/{name}")
    assert caught.value.file


def test_what_cannot_be_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems map nothing, such as that of the kernel's own files."""
    (tmp_path / "file").write_bytes(b"data")

    def refused(*_: object, **__: object) -> None:
        raise OSError(19, "No such device")

    monkeypatch.setattr("mmap.mmap", refused)
    source = MappedFile(tmp_path / "file")
    assert (source.size, bytes(source.view(1, 2)), source.descriptor_at(0)) == (4, b"at", None)
