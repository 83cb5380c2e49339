"""A part of a source: offsets, bounds, errors; and the FlatBuffers that begin behind a size prefix."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

import unlite
import unlite.flatbuffers
from unlite.errors import CorruptFileError
from unlite.flatbuffers.verify import verify
from unlite.flatbuffers.write import build
from unlite.schema import load
from unlite.storage.atomic import write_atomically
from unlite.storage.source import MappedFile, MemorySource
from unlite.storage.window import Window

DATA = bytes(range(256)) * 1024  # byte k holds k % 256
U32 = struct.Struct("<I")


def test_offsets_count_from_its_first_byte() -> None:
    window = Window(MemorySource(DATA), 100, 50)
    assert (window.size, window.base) == (50, 100)
    assert bytes(window.view(0, 50)) == DATA[100:150]
    assert window.unpack(U32, 46) == U32.unpack_from(DATA, 146)
    assert b"".join(window.chunks(10, 20)) == DATA[110:130]
    assert Window(MemorySource(DATA), 100).size == len(DATA) - 100


def test_nothing_outside_is_reached_and_errors_tell_the_place_in_the_file() -> None:
    window = Window(MemorySource(DATA, "whole.bin"), 0x100, 0x10)
    for offset, length in ((0xD, 4), (-1, 1), (-4, 4), (0x11, 0), (0, -1), (1 << 70, 1)):
        with pytest.raises(CorruptFileError) as caught:
            window.view(offset, length)
        assert (caught.value.offset, caught.value.file) == (0x100 + offset, "whole.bin")
        with pytest.raises(CorruptFileError):
            list(window.chunks(offset, length))
    with pytest.raises(CorruptFileError, match=r"4 bytes wanted at byte 0x10D, file ends at 0x110"):
        window.unpack(U32, 0xD)
    with pytest.raises(CorruptFileError):
        window.unpack(U32, -4)


@pytest.mark.parametrize(("start", "length"), [(-1, 2), (5, -1), (0, len(DATA) + 1), (len(DATA) + 1, None)])
def test_a_part_that_is_not_inside_is_refused(start: int, length: int | None) -> None:
    with pytest.raises(CorruptFileError):
        Window(MemorySource(DATA), start, length)


def test_a_window_on_a_window_keeps_to_both() -> None:
    outer = Window(MemorySource(DATA), 100, 50)
    inner = Window(outer, 10, 20)
    assert (inner.base, bytes(inner.view(0, 20))) == (110, DATA[110:130])
    with pytest.raises(CorruptFileError, match="0x82"):  # 130: the inner one's end
        inner.view(0, 21)
    with pytest.raises(CorruptFileError):  # inside the file, outside of the outer window
        Window(outer, 40, 11)


def test_copies_inside_the_kernel_begin_at_the_window(tmp_path: Path) -> None:
    path = tmp_path / "whole"
    path.write_bytes(DATA)
    source = MappedFile(path)
    window = Window(Window(source, 1000), 7, 200_000)
    found = window.descriptor_at(3)
    assert found is not None
    assert os.pread(found[0], 5, found[1]) == DATA[1010:1015]
    write_atomically(str(tmp_path / "copy"), lambda sink: sink.copy(window, 1, 150_000))
    assert (tmp_path / "copy").read_bytes() == DATA[1008:151_008]
    assert Window(MemorySource(DATA), 3).descriptor_at(0) is None


def test_closing_a_window_closes_what_it_owns(tmp_path: Path) -> None:
    path = tmp_path / "whole"
    path.write_bytes(DATA)
    source = MappedFile(path)
    Window(source, 4).close()
    assert source.descriptor_at(0) is not None
    Window(source, 4, owned=True).close()
    assert source.descriptor_at(0) is None


# -- FlatBuffers behind a size prefix ---------------------------------------------------------------------------------


@pytest.fixture
def prefixed(face: Path, tmp_path: Path) -> Path:
    """A model behind its length, with a ZIP whose offsets count from the start of the file."""
    data = face.read_bytes()
    data += bytes(-len(data) % 16)
    path = tmp_path / "prefixed.tflite"
    whole = io.BytesIO(struct.pack("<I", len(data)) + data)
    with zipfile.ZipFile(whole, "a") as archive:
        archive.writestr("labels.txt", "face\nno face\n")
    path.write_bytes(whole.getvalue())
    return path


def assert_equal_weights(found: unlite.Model, expected: unlite.Model) -> None:
    for ours, theirs in zip(found.main.tensors, expected.main.tensors, strict=True):
        assert ours.name == theirs.name
        assert ours.buffer.data == theirs.buffer.data


def test_a_size_prefixed_model_reads_as_the_plain_one(prefixed: Path, face: Path) -> None:
    model, plain = unlite.open(prefixed), unlite.open(face)
    assert_equal_weights(model, plain)
    assert model.associated_files["labels.txt"] == b"face\nno face\n"
    (error,) = [one for one in model.verify() if one.severity == "error"]
    assert "size prefix" in error.message
    assert (model.file.size, model.source.size) == (prefixed.stat().st_size, prefixed.stat().st_size - 4)


def test_a_copy_keeps_the_size_prefix(prefixed: Path, tmp_path: Path) -> None:
    report = unlite.open(prefixed).save(tmp_path / "copy.tflite")
    assert report.how == "copied"
    assert (tmp_path / "copy.tflite").read_bytes() == prefixed.read_bytes()


@pytest.mark.parametrize("in_place", [False, True])
def test_a_patch_keeps_the_size_prefix(prefixed: Path, tmp_path: Path, *, in_place: bool) -> None:
    before = prefixed.read_bytes()
    model = unlite.open(prefixed)
    tensor = max(model.main.tensors, key=lambda one: one.buffer.nbytes)
    place = before.index(bytes(tensor.buffer.data))  # told by the bytes alone
    tensor.data = np.zeros_like(tensor.numpy())
    target = prefixed if in_place else tmp_path / "patched.tflite"
    assert model.save(target, in_place=in_place).how == "patched"
    length = tensor.buffer.nbytes
    assert target.read_bytes() == before[:place] + bytes(length) + before[place + length :]


def test_a_rewrite_writes_a_plain_file(prefixed: Path, face: Path, tmp_path: Path) -> None:
    model = unlite.open(prefixed)
    model.description = "another text, of another length"
    target = tmp_path / "plain.tflite"
    assert model.save(target).how == "rewritten"
    assert target.read_bytes()[4:8] == b"TFL3"
    again = unlite.open(target)
    assert_equal_weights(again, unlite.open(face))
    assert again.description == "another text, of another length"
    with zipfile.ZipFile(target) as archive:  # Python's own reader finds it by its offsets
        assert archive.testzip() is None
        assert archive.read("labels.txt") == b"face\nno face\n"
        assert archive.infolist()[0].header_offset == target.read_bytes().index(b"PK\3\4")


def test_weights_behind_a_size_prefixed_flatbuffer_count_from_it() -> None:
    model = {"version": 3, "operator_codes": [], "subgraphs": [], "buffers": [{}, {"offset": 256, "size": 64}]}
    data = build(load().root, model, b"TFL3")
    assert len(data) <= 256
    data += bytes(256 - len(data)) + bytes(range(64))
    prefixed = unlite.open(struct.pack("<I", len(data)) + data)
    assert bytes(prefixed.buffers[1].data or b"") == bytes(range(64))
    assert unlite.open(data).buffers[1].data == prefixed.buffers[1].data
    assert not [one for one in prefixed.verify() if "outside" in one.message]
    with pytest.raises(CorruptFileError, match="byte 0x104, file ends at 0x143"):
        _ = unlite.open(struct.pack("<I", 256) + data[:-1]).buffers[1].data


def test_a_size_prefixed_file_from_elsewhere(shared: Path, tmp_path: Path) -> None:
    path = shared / "reports" / "size_prefixed.tflite"
    if not path.is_file():
        pytest.skip("../shared/reports is not there")
    data = path.read_bytes()
    assert U32.unpack_from(data)[0] == len(data) - 4
    plain = unlite.open(data[4:])
    assert_equal_weights(unlite.open(path), plain)
    model = unlite.open(path)
    model.description = f"{plain.description}, and longer than it was before"
    model.save(tmp_path / "plain.tflite")
    assert_equal_weights(unlite.open(tmp_path / "plain.tflite"), plain)
    assert unlite.open(path).save(tmp_path / "copy.tflite").how == "copied"
    assert (tmp_path / "copy.tflite").read_bytes() == data


def test_errors_behind_a_size_prefix_tell_the_place_in_the_file(face: Path) -> None:
    data = bytearray(struct.pack("<I", face.stat().st_size) + face.read_bytes())
    data[4:8] = struct.pack("<I", 0x7FFFFFF0)  # the offset to the root
    with pytest.raises(CorruptFileError, match="at byte 0x4 leads outside") as caught:
        unlite.open(bytes(data))
    assert caught.value.offset == 4
    (found,) = (one for one in verify(MemorySource(bytes(data)), load(), size_prefixed=True) if one.severity == "error")
    assert found.offset == 4
    with pytest.raises(unlite.UnliteError) as refused:
        unlite.flatbuffers.open(bytes(data[:8]) + b"XXXX" + bytes(data[12:]), "tflite", size_prefixed=True)
    assert refused.value.offset == 8
