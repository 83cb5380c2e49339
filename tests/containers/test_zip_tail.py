"""Archives behind models: found, read, moved and written; the judges are Python's zipfile and unzip."""

from __future__ import annotations

import io
import random
import shutil
import struct
import subprocess
import sys
import tracemalloc
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlite.containers.zip_records import Record, read_directory
from unlite.containers.zip_tail import ZipTail, find_zip_tail, safe_name, shifted
from unlite.containers.zip_write import write_zip_tail
from unlite.errors import (
    AmbiguousNameError,
    CorruptFileError,
    InvalidValueError,
    NotFoundError,
    SaveError,
    UnliteError,
    UnsafePathError,
    UnsupportedFormatError,
)
from unlite.storage.source import MemorySource

if TYPE_CHECKING:
    from collections.abc import Iterator

# What shared/models/README says of its files, and unzip -l.
REAL = {
    "automl_labeler_uint8": ["labels.txt"],
    "dilated_conv": [],
    "face_attention_customops_fp16": [],
    "hand_landmark_lite_fp16": ["handedness.txt"],
    "mobilenet_v1_025_uint8": ["labels.txt"],
    "nl_classifier_regex_tokenizer": ["vocab.txt", "labels.txt"],
    "selfie_segmentation_landscape_fp16": ["labels.txt"],
    "ssd_mobilenet_v1_uint8": ["labelmap.txt"],
    "text_embedder_regex": ["vocab.txt"],
    "yamnet_int8": ["yamnet_label_list.txt"],
}
FILES = {"labels.txt": b"cat\ndog\n", "sub/vocab.bin": bytes(range(256)) * 9, "ä.txt": b"", "plain": b"x" * 5000}
MODEL = b"\x1c\0\0\0TFL3" + random.Random(1).randbytes(992)


def packed(
    files: dict[str, bytes] = FILES, method: int = zipfile.ZIP_DEFLATED, prefix: bytes = b"", comment: bytes = b""
) -> bytes:
    """``prefix`` with an archive behind it whose offsets count from the start of the whole."""
    file = io.BytesIO(prefix)
    file.seek(0, io.SEEK_END)
    with zipfile.ZipFile(file, "a", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.comment = comment
    return file.getvalue()


def found(data: bytes) -> ZipTail:
    tail = find_zip_tail(MemorySource(data))
    assert tail is not None
    return tail


def contents(tail: ZipTail) -> dict[str, bytes]:
    return {name: tail.read(name) for name in tail.entries}


def judged(data: bytes) -> dict[str, bytes]:
    """What zipfile reads, checksums verified."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


# Reading


def test_real_models(models: list[Path]) -> None:
    with_archives = {}
    for path in models:
        tail = find_zip_tail(MemorySource(path.read_bytes()))
        assert (tail is not None) == zipfile.is_zipfile(path)
        if tail is None:
            continue
        with_archives[path.stem] = list(tail.entries)
        assert tail.end == path.stat().st_size
        assert tail.base == 0
        with zipfile.ZipFile(path) as archive:
            assert [entry.name for entry in tail.members] == archive.namelist()
            for info in archive.infolist():
                entry = tail.entries[info.filename]
                assert tail.read(info.filename) == archive.read(info.filename)
                assert (entry.compressed_size, entry.size, entry.method, entry.crc) == (
                    info.compress_size,
                    info.file_size,
                    info.compress_type,
                    info.CRC,
                )
            assert tail.start == min([info.header_offset for info in archive.infolist()], default=archive.start_dir)
    assert with_archives == REAL


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("comment", [b"", b"c", b"-" * 65535])
@pytest.mark.parametrize("counts_from", ["file", "archive", "elsewhere", "lost"])
@pytest.mark.parametrize("files", [FILES, {}], ids=["files", "empty"])
def test_every_base(method: int, comment: bytes, counts_from: str, files: dict[str, bytes]) -> None:
    data, base, start = {
        "file": (packed(files, method, MODEL, comment), 0, 1000),
        "archive": (MODEL + packed(files, method, b"", comment), 1000, 1000),
        "elsewhere": (bytes(8) + packed(files, method, MODEL, comment), 8, 1008),
        "lost": (packed(files, method, MODEL, comment)[600:], -600, 400),
    }[counts_from]
    tail = found(data)
    assert (tail.start, tail.end, tail.base) == (start, len(data), base)
    assert contents(tail) == files == judged(data)


def test_signature_in_the_comment() -> None:
    """zipfile gives up here; unzip reads it."""
    assert contents(found(packed(prefix=MODEL, comment=b"PK\5\6 in a comment"))) == FILES


def test_bytes_behind_the_archive() -> None:
    data = packed(prefix=MODEL)
    tail = found(data + bytes(77))
    assert (tail.start, tail.end) == (1000, len(data))
    assert contents(tail) == FILES


def test_archive_inside_the_model_is_passed_over() -> None:
    inner = packed({"inner": b"1"}, zipfile.ZIP_STORED)
    assert list(found(MODEL + inner + packed({"outer": b"2"})).entries) == ["outer"]
    assert list(found(packed({"nested.zip": inner}, zipfile.ZIP_STORED, MODEL, b"comment")).entries) == ["nested.zip"]


@pytest.mark.parametrize("size", [0, 4, 21, 22, 65557, 65558, 100_000])
@pytest.mark.parametrize("seed", range(3))
def test_signatures_among_weights(size: int, seed: int) -> None:
    dice = random.Random(seed)
    data = bytearray(dice.randbytes(size))
    for _ in range(size // 40):
        signature = dice.choice([b"PK\5\6", b"PK\1\2", b"PK\3\4", b"PK\6\6", b"PK\6\7"])
        place = dice.randrange(size - 4)
        data[place : place + 4] = signature
    assert find_zip_tail(MemorySource(data)) is None
    assert find_zip_tail(MemorySource(data + b"PK\5\6" + dice.randbytes(18))) is None
    whole = packed(prefix=bytes(data), comment=b"c" * 500)
    assert contents(found(whole)) == FILES


END = struct.Struct("<4s4H2LH")
SOUND = packed(prefix=MODEL)
AT = found(SOUND).directory
LENGTH = len(SOUND) - 22 - AT


@pytest.mark.parametrize(
    ("directory", "fields"),
    [
        (b"", (0, 0, 1, 1, 46, 100, 0)),
        (b"", (0, 0, 4, 4, 1 << 30, 0, 0)),
        (b"", (0, 0, 1, 1, 0, 1000, 0)),
        (b"", (0, 0, 0, 0, 46, 1000, 0)),
        (SOUND[AT:-22], (1, 0, 4, 4, LENGTH, 1000, 0)),
        (SOUND[AT:-22], (0, 1, 4, 4, LENGTH, 1000, 0)),
        (SOUND[AT:-22], (0, 0, 3, 4, LENGTH, 1000, 0)),
        (SOUND[AT:-22], (0, 0, 3, 3, LENGTH, 1000, 0)),
        (SOUND[AT:-22], (0, 0, 5, 5, LENGTH, 1000, 0)),
        (SOUND[AT:-22], (0, 0, 4, 4, LENGTH - 46, 1000, 0)),
        (SOUND[AT:-22], (0, 0, 4, 4, LENGTH, 1000, 1)),
        (SOUND[AT:-23] + b"-" * 46, (0, 0, 4, 4, LENGTH + 45, 1000, 0)),
    ],
)
def test_false_end_records(directory: bytes, fields: tuple[int, ...]) -> None:
    """Plausible in every field but one."""
    data = MODEL + directory + END.pack(b"PK\5\6", *fields)
    assert find_zip_tail(MemorySource(data)) is None
    assert find_zip_tail(MemorySource(data + bytes(9))) is None


def test_comment_that_is_cut_short() -> None:
    assert find_zip_tail(MemorySource(SOUND[:-2] + b"\1\0")) is None


def test_extra_fields_that_leave_the_directory() -> None:
    """APPNOTE, 4.5.3: the size, all ones, is to be sought in an extra field."""
    data = bytearray(packed({"a": b"1"}))
    record = data.index(b"PK\1\2")
    struct.pack_into("<L", data, record + 24, 0xFFFFFFFF)
    struct.pack_into("<H", data, record + 30, 60000)
    assert find_zip_tail(MemorySource(data)) is None


def test_an_empty_archive_must_be_the_last_thing() -> None:
    end = END.pack(b"PK\5\6", 0, 0, 0, 0, 0, 0, 0)
    assert found(MODEL + end).entries == {}
    assert find_zip_tail(MemorySource(MODEL + end + b"more")) is None


def test_directory_without_its_files_is_no_silent_none() -> None:
    data = bytearray(packed(prefix=MODEL))
    data[1000] ^= 1
    with pytest.raises(CorruptFileError) as raised:
        find_zip_tail(MemorySource(data))
    assert raised.value.offset == 1000
    assert "labels.txt" in str(raised.value)


def test_many_snares_cost_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """End records by the hundred, each with a directory that is sound up to its last byte."""
    record = struct.pack("<4s6H3L5H2L", b"PK\1\2", *[0] * 11, 22, 0, 0, 0, 0)  # its comment takes 22 bytes
    data = b""
    for count in range(1, 500):
        data += record
        data += END.pack(b"PK\5\6", 0, 0, count, count, len(data), 0, 1)
    calls = []

    def counted(directory: memoryview, count: int) -> Iterator[Record]:
        calls.append(count)
        return read_directory(directory, count)

    monkeypatch.setattr("unlite.containers.zip_tail.read_directory", counted)
    assert find_zip_tail(MemorySource(data + b"..")) is None
    assert len(calls) == 8


class Counting(MemorySource):
    """Notes what is read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.read: list[tuple[int, int]] = []

    def unpack(self, layout: struct.Struct, offset: int) -> tuple[object, ...]:
        self.read.append((offset, layout.size))
        return super().unpack(layout, offset)

    def view(self, offset: int, length: int) -> memoryview:
        self.read.append((offset, length))
        return super().view(offset, length)


def test_reads_little() -> None:
    large = {"a": bytes(300_000), "b": bytes(300_000)}
    source = Counting(packed(large, zipfile.ZIP_STORED, MODEL))
    tail = find_zip_tail(source)
    assert tail is not None
    # The end record, the directory's two entries (46 bytes and a name each), the two local headers. The 20 bytes
    # where the locator of a 64-bit end record would stand lie within the directory.
    touched = {place for offset, length in source.read for place in range(offset, offset + length)}
    assert len(touched) == 22 + 2 * 47 + 2 * 30
    source = Counting(MODEL * 1000)
    assert find_zip_tail(source) is None
    assert min(offset for offset, _ in source.read) == 1_000_000 - 65557


@pytest.mark.parametrize("prefix", [b"", MODEL])
@pytest.mark.parametrize("counts_from", ["file", "archive"])
def test_64_bit_records(monkeypatch: pytest.MonkeyPatch, prefix: bytes, counts_from: str) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)
    data = packed(FILES, zipfile.ZIP_STORED, prefix) if counts_from == "file" else prefix + packed(FILES)
    tail = found(data)
    assert tail.end_record64 == len(data) - 22 - 20 - 56
    assert (tail.start, tail.base) == (len(prefix), 0 if counts_from == "file" else len(prefix))
    assert contents(tail) == FILES == judged(data)
    moved = b"".join([b"new", MODEL, *shifted(MemorySource(data), tail, 1003 - len(prefix))])
    assert judged(moved) == FILES
    assert contents(found(moved)) == FILES


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """An archive with 64-bit records, which begin 98 bytes before its end: 56, 20, 22."""
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)
    data = packed(FILES, zipfile.ZIP_STORED, MODEL)
    assert data[-98:-94] == b"PK\6\6"
    return data


def test_64_bit_record_with_fields_of_the_future(wide: bytes) -> None:
    """APPNOTE, 4.3.14: an extensible data sector may follow; its length counts from behind the length's own field."""
    longer = wide[:-98] + b"PK\6\6" + struct.pack("<Q", 44 + 8) + wide[-86:-42] + b"new data" + wide[-42:]
    assert contents(found(longer)) == FILES
    assert found(longer).end_record64 == len(longer) - 106


@pytest.mark.parametrize(
    ("place", "value"),
    [(-34, b"\1\0"), (-12, b"\3\0"), (-94, b"\1\0"), (-98, b"PX"), (-66, b"\5\0"), (-66 - 8, b"\5\0"), (-82, b"\1\0")],
    ids=["locator's offset", "short count", "length", "signature", "count", "count here", "disk"],
)
def test_false_64_bit_records(wide: bytes, place: int, value: bytes) -> None:
    data = bytearray(wide)
    data[place : place + len(value)] = value
    assert find_zip_tail(MemorySource(data)) is None


def test_names_that_repeat() -> None:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(file, "w") as archive:
            for content in ("one", "two", "three"):
                archive.writestr("same", content)
            archive.writestr("other", "four")
    tail = found(MODEL + file.getvalue())
    assert [tail.content(entry) for entry in tail.members] == [b"one", b"two", b"three", b"four"]
    assert tail.content(tail.entries["same"]) == b"three"
    assert tail.read("other") == b"four"
    with pytest.raises(AmbiguousNameError) as raised:
        tail.read("same")
    assert raised.value.indices == (0, 1, 2)
    with pytest.raises(NotFoundError):
        tail.read("none")


@pytest.mark.parametrize(
    ("raw", "flags", "name"),
    [
        (b"../../etc/passwd", 0, "../../etc/passwd"),
        (b"a\0b", 0, "a\0b"),
        (b"C:\\x", 0, "C:\\x"),
        (b"\x84.txt", 0, "ä.txt"),  # code page 437
        ("ä.txt".encode(), 0x800, "ä.txt"),
        (b"\xff.txt", 0x800, "\\xff.txt"),
    ],
)
def test_names_are_kept(raw: bytes, flags: int, name: str) -> None:
    plain = "n" * len(raw)
    data = bytearray(packed({plain: b"content"}, zipfile.ZIP_STORED))
    directory = data.rindex(b"PK\1\2")
    data[30 : 30 + len(raw)] = data[directory + 46 : directory + 46 + len(raw)] = raw
    struct.pack_into("<H", data, directory + 8, flags)
    assert contents(found(bytes(data))) == {name: b"content"}


# Archives that lie

ONE = packed({"a": b"text " * 100}, zipfile.ZIP_DEFLATED)
DIRECTORY = ONE.rindex(b"PK\1\2")


def changed(**fields: int) -> ZipTail:
    """The archive ``ONE`` with other numbers in its directory (APPNOTE, 4.3.12)."""
    places = {"flags": ("<H", 8), "method": ("<H", 10), "crc": ("<L", 16), "compressed": ("<L", 20), "size": ("<L", 24)}
    data = bytearray(ONE)
    for field, value in fields.items():
        struct.pack_into(places[field][0], data, DIRECTORY + places[field][1], value)
    return found(bytes(data))


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"crc": 1}, CorruptFileError),
        ({"size": 499}, CorruptFileError),
        ({"size": 501}, CorruptFileError),
        ({"size": 0}, CorruptFileError),
        ({"compressed": 5}, CorruptFileError),
        ({"method": 0}, CorruptFileError),
        ({"method": 12}, UnsupportedFormatError),
        ({"flags": 1}, UnsupportedFormatError),
        ({"size": 0xFFFFFFFF}, UnsupportedFormatError),
    ],
)
def test_numbers_that_lie(fields: dict[str, int], error: type[UnliteError]) -> None:
    tail = changed(**fields)
    with pytest.raises(error) as raised:
        tail.read("a")
    assert "'a'" in str(raised.value)


def test_damaged_stream() -> None:
    data = bytearray(ONE)
    data[31] = 0xFF  # the first block's type becomes 3, which there is not (RFC 1951, 3.2.3)
    with pytest.raises(CorruptFileError, match="compressed bytes"):
        found(bytes(data)).read("a")


def test_bombs_stop_at_the_limit() -> None:
    bomb = packed({"a": bytes(1 << 20)})
    assert len(bomb) < 2000
    assert len(found(bomb).read("a")) == 1 << 20
    assert len(found(bomb).read("a", limit=1 << 20)) == 1 << 20
    with pytest.raises(UnsupportedFormatError, match="limit is 1048575"):
        found(bomb).read("a", limit=(1 << 20) - 1)


def test_no_more_is_unpacked_than_promised() -> None:
    bomb = bytearray(packed({"a": bytes(10 << 20)}))
    struct.pack_into("<L", bomb, bomb.rindex(b"PK\1\2") + 24, 10)
    tail = found(bytes(bomb))
    tracemalloc.start()
    try:
        with pytest.raises(CorruptFileError):
            tail.read("a")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_files_must_not_overlap() -> None:
    """As in bombs whose entries share one stream."""
    data = bytearray(packed({"a": b"1" * 99, "b": b"2" * 99}, zipfile.ZIP_STORED))
    first = data.index(b"PK\1\2")
    second = data.index(b"PK\1\2", first + 4)
    struct.pack_into("<L", data, second + 42, 0)
    with pytest.raises(CorruptFileError, match="runs into"):
        find_zip_tail(MemorySource(data))
    data = bytearray(packed({"a": b"1" * 99}, zipfile.ZIP_STORED))
    struct.pack_into("<LL", data, data.index(b"PK\1\2") + 20, 100, 100)
    with pytest.raises(CorruptFileError, match="runs into"):
        find_zip_tail(MemorySource(data))


WHOLE = packed({"a": b"text", "b": bytes(50)}, zipfile.ZIP_DEFLATED, MODEL[:20], b"c")


@given(
    st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=6),
    st.integers(0, len(WHOLE)),
    st.integers(0, len(WHOLE)),
)
def test_damaged_archives_are_read_or_refused(changes: list[tuple[int, int]], begin: int, end: int) -> None:
    data = bytearray(WHOLE)
    for position, value in changes:
        data[position] = value
    source = MemorySource(data[begin:] if begin < 30 else data[:end] if end else data)
    try:
        tail = find_zip_tail(source)
        if tail is not None:
            b"".join(shifted(source, tail, 100))
            contents(tail)
    except UnliteError as error:
        assert str(error)


# Moving


def moved(data: bytes, delta: int) -> bytes:
    """A file with ``delta`` more bytes before the archive."""
    source = MemorySource(data)
    tail = found(data)
    return b"".join([bytes(tail.start + delta), *shifted(source, tail, delta), data[tail.end :]])


def test_real_archives_move(models: list[Path], tmp_path: Path) -> None:
    unzip = shutil.which("unzip")
    for path in models:
        if path.stem not in REAL:
            continue
        data = path.read_bytes()
        for delta in (4096, -found(data).start):
            result = moved(data, delta)
            assert judged(result) == judged(data)
            assert contents(found(result)) == judged(data)
            assert found(result).base == 0
            if unzip and REAL[path.stem]:
                (tmp_path / "moved.zip").write_bytes(result)
                done = subprocess.run(
                    [unzip, "-t", tmp_path / "moved.zip"], capture_output=True, text=True, check=False
                )
                # 0: fine, without the warning (1) that unzip gives where offsets have to be guessed.
                assert done.returncode == 0, done.stdout
        assert moved(data, 0)[found(data).start :] == data[found(data).start :]


@given(st.integers(-1000, 5000))
def test_only_offsets_change(delta: int) -> None:
    data = packed(prefix=MODEL, comment=b"PK\1\2")
    tail = found(data)
    result = moved(data, delta)[1000 + delta :]
    differing = {place for place, (a, b) in enumerate(zip(data[1000:], result, strict=True), 1000) if a != b}
    places = [tail.end_record + 16]
    place = tail.directory
    for name in FILES:
        places.append(place + 42)
        place += 46 + len(name.encode())
    assert differing <= {place + i for place in places for i in range(4)}
    assert judged(bytes(1000 + delta) + result) == FILES


@pytest.mark.parametrize("prefix", [b"", b"12345678"])
def test_offsets_of_its_own_do_not_change(prefix: bytes) -> None:
    data = MODEL + packed()
    assert moved(prefix + data, 24)[1024 + len(prefix) :] == data[1000:]
    assert judged(moved(prefix + data, 24)) == FILES


def test_no_way_beyond_either_end() -> None:
    data = packed(prefix=MODEL)
    source, tail = MemorySource(data), found(data)
    with pytest.raises(InvalidValueError):
        shifted(source, tail, -1001)
    # The directory's offset is the largest; 0xFFFFFFFF means that a 64-bit number follows.
    room = 0xFFFFFFFF - tail.directory
    b"".join(shifted(source, tail, room - 1))
    with pytest.raises(SaveError, match="4 GiB"):
        shifted(source, tail, room)


# Writing


@given(
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9), st.binary())
)
def test_what_is_written_is_read(files: dict[str, bytes]) -> None:
    archive = write_zip_tail(files, start=len(MODEL))
    tail = found(MODEL + archive)
    assert (tail.start, tail.base, tail.end) == (1000, 0, 1000 + len(archive))
    assert contents(tail) == files
    # zipfile turns the system's separator into a slash, and refuses nothing else.
    assert judged(MODEL + archive) == files
    with zipfile.ZipFile(io.BytesIO(MODEL + archive)) as judge:
        for info in judge.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
            assert info.external_attr >> 16 == 0o100644


def test_writing_is_deterministic_byte_by_byte() -> None:
    crc = zlib.crc32(b"hi")
    common = struct.pack("<5H3L2H", 10, 0, 0, 0, 33, crc, 2, 2, 1, 0)
    assert write_zip_tail({"a": b"hi"}, start=7) == (
        # 30 + 1 + 2 bytes, then 46 + 1 bytes that begin at 7 + 33 = 40, then 22.
        b"PK\3\4" + common + b"ahi"
        + b"PK\1\2" + struct.pack("<H", 0x0314) + common + struct.pack("<3H2L", 0, 0, 0, 0o100644 << 16, 7) + b"a"
        + b"PK\5\6" + struct.pack("<4H2LH", 0, 0, 1, 1, 47, 40, 0)
    )  # fmt: skip


def test_unzip_accepts_it(tmp_path: Path) -> None:
    unzip = shutil.which("unzip")
    if unzip is None:
        pytest.skip("no unzip to judge by")
    (tmp_path / "a.zip").write_bytes(MODEL + write_zip_tail(FILES, start=len(MODEL)))
    subprocess.run([unzip, "-q", "a.zip", "-d", "out"], cwd=tmp_path, check=True)
    assert (tmp_path / "out/sub/vocab.bin").read_bytes() == FILES["sub/vocab.bin"]


@pytest.mark.parametrize(
    ("files", "start", "error"),
    [
        ({"x" * 65536: b""}, 0, InvalidValueError),
        ({"\ud800": b""}, 0, InvalidValueError),
        (dict.fromkeys(map(str, range(65535)), b""), 0, InvalidValueError),
        ({"a": b""}, 0xFFFFFFFF, SaveError),
        ({"a": b"12"}, 0xFFFFFFFF - 33, SaveError),
    ],
    ids=["long name", "no text", "many", "beyond", "directory beyond"],
)
def test_what_cannot_be_written(files: dict[str, bytes], start: int, error: type[UnliteError]) -> None:
    with pytest.raises(error):
        write_zip_tail(files, start)


# Names on disk


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("labels.txt", "labels.txt"),
        ("a/b/c.txt", "a/b/c.txt"),
        ("a\\b.txt", "a/b.txt"),
        ("./a//b", "a/b"),
        ("folder/", "folder/"),
        ("..a/b..", "..a/b.."),
        (".hidden", ".hidden"),
        ("ä　名.txt", "ä　名.txt"),
        ("console.txt", "console.txt"),
    ],
)
def test_safe_names(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@pytest.mark.parametrize(
    "name",
    ["", ".", "/", "./", "/etc/passwd", "\\x", "\\\\host\\share", "..", "../x", "a/../../x", "a\\..\\x", "C:x", "c:/x",
     "a/b:stream", "a\0", "a\n", "\x1b[2J", "\x85", "...", ".. ", "a/. ./b", "nul", "CON.txt", "a/com1", "Aux .c",
     "a\ud800"],
)  # fmt: skip
def test_unsafe_names(name: str) -> None:
    with pytest.raises(UnsafePathError):
        safe_name(name)


@given(st.text(st.sampled_from("./\\:a C\0"), max_size=12))
def test_safe_names_stay_inside(name: str) -> None:
    try:
        safe = safe_name(name)
    except UnsafePathError:
        return
    folder = Path("/folder")
    assert (folder / safe).resolve().is_relative_to(folder)
    assert safe_name(safe) == safe


def test_the_package_does_without_zipfile(root: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(root / 'src')!r})\n"
        "from unlite.containers.zip_tail import *\n"
        "from unlite.containers.zip_write import *\n"
        "from unlite.storage.source import MemorySource\n"
        "tail = find_zip_tail(MemorySource(write_zip_tail({'a': b'1'})))\n"
        "assert tail.read('a') == b'1'\n"
        "assert 'zipfile' not in sys.modules"
    )
    subprocess.run([sys.executable, "-S", "-c", code], check=True)
