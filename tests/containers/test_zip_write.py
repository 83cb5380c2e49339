"""Archives with some files changed; the judges are Python's zipfile and unzip."""

from __future__ import annotations

import io
import shutil
import subprocess
import warnings
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlite.containers.zip_tail import find_zip_tail
from unlite.containers.zip_write import changed_archive, check_name
from unlite.errors import InvalidValueError, UnliteError, UnsafePathError
from unlite.storage.source import MemorySource

FRONT = b"\x1c\0\0\0TFL3" + bytes(range(200))
NEW = bytes(48)  # what the new archive stands behind


class Stream(io.RawIOBase):
    """A stream that cannot seek: zipfile then writes sizes behind each file, and 64-bit ones where it is told to."""

    def __init__(self, start: bytes) -> None:
        self.data = bytearray(start)

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self.data += bytes(data)  # type: ignore[call-overload]
        return len(bytes(data))  # type: ignore[call-overload]


def original(method: int, kind: str) -> bytes:
    """An archive of three files behind FRONT, with dates, an extra field, attributes and a comment."""
    stream: io.RawIOBase | io.BytesIO = Stream(FRONT) if kind == "stream" else io.BytesIO(FRONT)
    if isinstance(stream, io.BytesIO):
        stream.seek(0, io.SEEK_END)
    with zipfile.ZipFile(stream, "a" if isinstance(stream, io.BytesIO) else "w", method) as archive:  # type: ignore[arg-type]
        for number, name in enumerate(("labels.txt", "sub/vocab.txt", "ä.bin")):
            info = zipfile.ZipInfo(name, (2001 + number, 2, 3, 4, 5, 6))
            info.compress_type = method
            info.external_attr = 0o100600 << 16
            if kind != "stream":
                info.extra = b"\xfe\xca\x03\x00abc"
            with archive.open(info, "w", force_zip64=kind == "stream") as file:
                file.write(f"OLD {name}\n".encode() * 30)
        archive.comment = b"a comment"
    data = stream.getvalue() if isinstance(stream, io.BytesIO) else bytes(stream.data)  # type: ignore[attr-defined]
    assert data.startswith(FRONT)
    return data


def changed(data: bytes, changes: dict[str, bytes | None]) -> bytes:
    tail = find_zip_tail(MemorySource(data))
    return NEW + b"".join(changed_archive(tail, changes, len(NEW)))


@pytest.mark.parametrize("kind", ["plain", "stream"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_nobody_changed_stays(method: int, kind: str, tmp_path: Path) -> None:
    before = original(method, kind)
    after = changed(before, {"sub/vocab.txt": b"NEW\n", "more.txt": b"1", "gone.txt": None})
    with zipfile.ZipFile(io.BytesIO(before)) as old, zipfile.ZipFile(io.BytesIO(after)) as new:
        assert new.namelist() == ["labels.txt", "sub/vocab.txt", "ä.bin", "more.txt"]
        assert new.testzip() is None
        assert new.comment == old.comment
        for name in ("labels.txt", "ä.bin"):
            one, two = old.getinfo(name), new.getinfo(name)
            assert old.read(name) == new.read(name)
            for fact in (
                "date_time",
                "compress_type",
                "external_attr",
                "extra",
                "CRC",
                "compress_size",
                "create_system",
            ):
                assert getattr(one, fact) == getattr(two, fact), fact
        for name, content in ("sub/vocab.txt", b"NEW\n"), ("more.txt", b"1"):
            info = new.getinfo(name)
            assert new.read(name) == content
            assert (info.compress_type, info.date_time) == (zipfile.ZIP_STORED, (1980, 1, 1, 0, 0, 0))
    assert b"OLD sub" not in after
    unzip = shutil.which("unzip")
    if unzip is not None:
        (tmp_path / "a.zip").write_bytes(after)
        subprocess.run([unzip, "-q", "-t", "a.zip"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)


def test_sizes_behind_a_file_move_in_front_of_it() -> None:
    """Flag 8 and the 64-bit zeros of the local header go: sizes and checksum are known now."""
    before = original(zipfile.ZIP_STORED, "stream")
    with zipfile.ZipFile(io.BytesIO(before)) as archive:
        assert all(info.flag_bits & 8 for info in archive.infolist())
    after = changed(before, {"ä.bin": None})
    with zipfile.ZipFile(io.BytesIO(after)) as archive:
        assert not any(info.flag_bits & 8 for info in archive.infolist())
    # By hand: signature, version, flags, ..., then crc, 2 sizes of 30 * len("OLD labels.txt\n") = 450, no extra field.
    local = after[len(NEW) :]
    assert local[18:30] == (450).to_bytes(4, "little") * 2 + (10).to_bytes(2, "little") + b"\0\0"
    assert local[40:44] == b"OLD "


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.binary(max_size=40), max_size=5),
    st.dictionaries(st.sampled_from("abcdef"), st.none() | st.binary(max_size=40), max_size=5),
)
def test_any_changes(files: dict[str, bytes], changes: dict[str, bytes | None]) -> None:
    stream = io.BytesIO(FRONT)
    stream.seek(0, io.SEEK_END)
    with zipfile.ZipFile(stream, "a") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    after = changed(stream.getvalue(), changes)
    wanted = {name: content for name, content in {**files, **changes}.items() if content is not None}
    if not wanted:
        assert after == NEW
        return
    with zipfile.ZipFile(io.BytesIO(after)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == wanted
        assert archive.start_dir > 0
        assert min(info.header_offset for info in archive.infolist()) == len(NEW)


def test_a_name_that_repeats_is_replaced_by_one() -> None:
    stream = io.BytesIO(FRONT)
    stream.seek(0, io.SEEK_END)
    with zipfile.ZipFile(stream, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for content in (b"first", b"other", b"last"):
            archive.writestr("x" if content != b"other" else "y", content)
    after = changed(stream.getvalue(), {"x": b"new"})
    with zipfile.ZipFile(io.BytesIO(after)) as archive:
        assert archive.namelist() == ["x", "y"]
        assert archive.read("x") == b"new"
    assert b"first" not in after
    assert b"last" not in after


@pytest.mark.parametrize(
    "name", ["", "..", "../x", "a/../x", "/etc/x", "a\0b", "a\\b", "folder/", "./a", "a//b", "C:x", "con.txt", "\ud800"]
)
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(UnsafePathError) as error:
        check_name(name)
    assert "labels.txt" in str(error.value)


@pytest.mark.parametrize("name", ["x" * 65536, "ä" * 32768, 3, None, b"a"])
def test_names_that_are_no_names(name: object) -> None:
    with pytest.raises(InvalidValueError):
        check_name(name)


@pytest.mark.parametrize("name", ["labels.txt", "a/b.txt", "ä 名.txt", "x" * 65535])
def test_names_that_are_taken(name: str) -> None:
    assert check_name(name) == name


def test_too_many_files() -> None:
    with pytest.raises(UnliteError, match="65535 files"):
        b"".join(changed_archive(None, dict.fromkeys(map(str, range(65535)), b""), 0))
