"""File objects, and URLs of all schemes."""

from __future__ import annotations

import io
import os
import struct
import sys
from typing import TYPE_CHECKING, BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlite.errors import CorruptFileError, InvalidTypeError, InvalidValueError, MissingExtraError, TransferError
from unlite.storage.blocks import BLOCK, EXACT, HEAD
from unlite.storage.remote import FileObjectSource, open_url
from unlite.storage.source import open_source

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = bytes(index * 7 % 251 for index in range(300_000))


class Odd(io.BytesIO):
    """A file object that gives what it is told to: by default fewer bytes than it is asked for."""

    def __init__(self, data: bytes, answer: object = ..., most: int = 1000) -> None:
        super().__init__(data)
        self.answer = answer
        self.most = most

    def read(self, size: int | None = -1, /) -> bytes:
        if isinstance(self.answer, Exception):
            raise self.answer
        return super().read(min(size or 0, self.most)) if self.answer is ... else cast("bytes", self.answer)


@given(
    size=st.integers(0, len(PLAIN)),
    most=st.sampled_from([997, HEAD, 1 << 20]),
    spans=st.lists(st.tuples(st.integers(0, len(PLAIN)), st.integers(0, EXACT + BLOCK)), max_size=10),
)
def test_reads_equal_the_plain_bytes(size: int, most: int, spans: list[tuple[int, int]]) -> None:
    source = FileObjectSource(Odd(PLAIN[:size], most=most))
    assert source.size == size
    for offset, length in spans:
        if offset + length > size:
            with pytest.raises(CorruptFileError):
                source.view(offset, length)
        else:
            assert source.view(offset, length) == PLAIN[offset : offset + length]
            assert source.unpack(struct.Struct(f"{length}s"), offset) == (PLAIN[offset : offset + length],)


def test_file_on_disk(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(PLAIN)
    with (tmp_path / "model.tflite").open("rb") as file:
        source = open_source(file)
        assert isinstance(source, FileObjectSource)
        assert source.name == str(tmp_path / "model.tflite")
        assert b"".join(source.chunks(0, source.size)) == PLAIN
        assert (source.requests, source.transferred) == (2, HEAD + len(PLAIN))
        source.close()
        assert not file.closed
        assert source.view(5, 5) == PLAIN[5:10]


def test_owned_file_is_closed() -> None:
    file = io.BytesIO(PLAIN)
    FileObjectSource(file, "mine", owned=True).close()
    assert file.closed


def test_name_of_a_nameless_object() -> None:
    assert FileObjectSource(io.BytesIO(b"")).name == "<file object>"
    with os.fdopen(os.open(os.devnull, os.O_RDONLY), "rb") as file:  # its name is a number
        assert FileObjectSource(file).name == "<file object>"


def test_text_is_refused_with_a_mend() -> None:
    with pytest.raises(InvalidTypeError, match="gives str, not bytes") as caught:
        FileObjectSource(cast("BinaryIO", io.StringIO("TFL3" * 10)))
    assert "'rb'" in str(caught.value)


def test_a_pipe_is_refused_with_a_mend() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    for buffering in (-1, 0):
        with os.fdopen(reader, "rb", buffering, closefd=False) as file:
            with pytest.raises(InvalidValueError, match="cannot seek") as caught:
                FileObjectSource(cast("BinaryIO", file))
            assert "pass the bytes" in str(caught.value)
    os.close(reader)


def test_closed_file() -> None:
    file = io.BytesIO(PLAIN)
    source = FileObjectSource(file)
    file.close()
    with pytest.raises(TransferError, match="closed file"):
        source.view(200_000, 10)
    with pytest.raises(TransferError, match="closed file"):
        FileObjectSource(file)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "gives no bytes yet"),
        (bytes(HEAD + 1), f"gives {HEAD + 1} bytes where {HEAD} were asked for"),
        (b"", "ends at byte 0x0, before its own size, 0x493E0"),
        (OSError(5, "Input/output error"), "Input/output error"),
        (KeyError("session"), "KeyError: 'session'"),
    ],
)
def test_odd_objects(answer: object, message: str) -> None:
    with pytest.raises(TransferError, match=message) as caught:
        FileObjectSource(Odd(PLAIN, answer), "odd.tflite")
    assert caught.value.file == "odd.tflite"


def test_file_that_shrinks(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(PLAIN)
    with path.open("rb") as file:
        source = FileObjectSource(file)
        os.truncate(path, 150_000)
        with pytest.raises(TransferError, match="ends at byte 0x249F0, before its own size, 0x493E0"):  # 150000, 300000
            source.view(140_000, 100_000)


def test_no_memory() -> None:
    file = Odd(PLAIN)
    source = FileObjectSource(file)
    file.answer = MemoryError()
    with pytest.raises(TransferError, match="do not fit into memory"):
        source.view(0, 290_000)


def test_fsspec_serves_other_schemes(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec", reason="the remote extra is not installed")
    fsspec.filesystem("memory").pipe("/folder/model.tflite", PLAIN)
    (tmp_path / "model.tflite").write_bytes(PLAIN)
    for url in ("memory://folder/model.tflite", f"file://{tmp_path}/model.tflite"):
        source = open_url(url)
        assert source.name == url
        assert source.size == len(PLAIN)
        assert source.view(123_456, 100_000) == PLAIN[123_456:223_456]
        source.close()


def test_fsspec_fetches_the_ranges_alone() -> None:
    fsspec = pytest.importorskip("fsspec", reason="the remote extra is not installed")
    from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

    fetched: list[tuple[int, int]] = []

    class CountedFile(AbstractBufferedFile):
        def _fetch_range(self, start: int, end: int) -> bytes:
            fetched.append((start, end))
            return PLAIN[start:end]

    class Counted(AbstractFileSystem):
        protocol = "counted"

        def _open(self, path: str, mode: str = "rb", **options: object) -> CountedFile:
            return CountedFile(self, path, mode, size=len(PLAIN), **options)

    fsspec.register_implementation("counted", Counted)
    source = open_url("counted://model.tflite")
    source.view(200_000, 10)
    assert fetched == [(0, HEAD), (196_608, 212_992)]  # block 12 of 16 KiB
    source.close()


def test_fsspec_errors_are_ours() -> None:
    pytest.importorskip("fsspec", reason="the remote extra is not installed")
    with pytest.raises(TransferError, match="FileNotFoundError"):
        open_url("memory://user:secret@nowhere/model.tflite")
    with pytest.raises(InvalidValueError, match="Protocol not known: nonsense") as caught:
        open_url("nonsense://user:secret@host/model.tflite")
    assert "secret" not in str(caught.value)


def test_missing_package_behind_a_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fsspec", reason="the remote extra is not installed")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(TransferError, match="s3fs"):
        open_url("s3://bucket/model.tflite")


def test_missing_fsspec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(MissingExtraError, match="opening s3: URLs needs fsspec") as caught:
        open_url("s3://bucket/model.tflite")
    assert caught.value.extra == "remote"
