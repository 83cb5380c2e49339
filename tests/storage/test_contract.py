"""What every kind of source promises: bytes, bounds, threads, forks, pickle, close, and windows on it."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import random
import signal
import struct
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.storage.test_http_ranges import Site, serve

from unlite.errors import CorruptFileError, InvalidTypeError, TransferError, UnliteError
from unlite.model.model import Model
from unlite.storage.blocks import BLOCK, EXACT, BlockSource
from unlite.storage.http_ranges import HttpSource
from unlite.storage.remote import FileObjectSource, OpenedUrl
from unlite.storage.source import MappedFile, MemorySource, Source, open_source
from unlite.storage.temporary_file import TemporaryFile
from unlite.storage.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DATA = b"".join(struct.pack("<I", number) for number in range(100_001)) + b"end"  # each word says where it stands
U32 = struct.Struct("<I")
LEFT, RIGHT = 4 * 1003, 8


class Unknown(io.RawIOBase):
    """A file object of a kind that nobody knows: gives at most 5,000 bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._at = offset + (len(self._data) if whence == io.SEEK_END else 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        start = self._at
        self._at += min(size, 5000)  # between the two lines another thread may come
        return self._data[start : start + min(size, 5000)]


@dataclass
class Kind:
    """How to make a source of some bytes; whether a forked process can fetch with it, and another one load it."""

    make: Callable[[bytes, Path, Site], Source]
    forks: bool = True
    pickles: bool = True


def on_disk(data: bytes, folder: Path) -> Path:
    path = folder / "data.bin"
    path.write_bytes(data)
    return path


def http(data: bytes, _: Path, site: Site) -> Source:
    site.content, site.size = lambda start, stop: data[start:stop], len(data)
    return HttpSource(site.url)


def in_fsspec_memory(data: bytes, folder: Path, _: Site) -> Source:
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open(f"memory://{folder}/data.bin", "wb") as file:
        file.write(data)
    return open_source(f"memory://{folder}/data.bin")


def on_disk_through_fsspec(data: bytes, folder: Path, _: Site) -> Source:
    pytest.importorskip("fsspec")
    return open_source(f"file://{on_disk(data, folder)}")


def temporary(data: bytes, _: Path, __: Site) -> Source:
    file = TemporaryFile()
    file.write(data)
    return file


def temporary_in_memory(data: bytes, _: Path, __: Site) -> Source:
    file = TemporaryFile(io.BytesIO())
    file.write(data)
    return file


def detached(data: bytes, folder: Path, _: Site) -> Source:
    source = MappedFile(on_disk(data, folder))
    source.detach()
    (folder / "data.bin").write_bytes(bytes(len(data)))
    return source


def window_on(make: Callable[[bytes, Path, Site], Source]) -> Callable[[bytes, Path, Site], Source]:
    def made(data: bytes, folder: Path, site: Site) -> Source:
        whole = make(bytes(LEFT) + data + bytes(RIGHT), folder, site)
        return Window(Window(whole, 4, None, owned=True), LEFT - 4, len(data), owned=True)

    return made


KINDS = {
    "memory": Kind(lambda data, _, __: open_source(data)),
    "mapped": Kind(lambda data, folder, _: open_source(on_disk(data, folder))),
    "detached": Kind(detached, pickles=False),
    "buffered file": Kind(lambda data, folder, _: open_source(on_disk(data, folder).open("rb")), pickles=False),
    "raw file": Kind(lambda data, folder, _: open_source(on_disk(data, folder).open("rb", 0)), pickles=False),
    "bytes in a file object": Kind(lambda data, _, __: open_source(io.BytesIO(data)), pickles=False),
    "unknown file object": Kind(lambda data, _, __: open_source(Unknown(data)), forks=False, pickles=False),
    "HTTP": Kind(http),
    "fsspec, in memory": Kind(in_fsspec_memory),
    "fsspec, on disk": Kind(on_disk_through_fsspec),
    "temporary": Kind(temporary, pickles=False),
    "temporary in memory": Kind(temporary_in_memory, pickles=False),
}
KINDS.update({f"window on {name}": Kind(window_on(k.make), k.forks, k.pickles) for name, k in list(KINDS.items())})


@pytest.fixture
def site() -> Iterator[Site]:
    with serve(Site()) as running:
        yield running


@pytest.fixture(params=KINDS.values(), ids=KINDS.keys())
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture
def source(kind: Kind, tmp_path: Path, site: Site) -> Iterator[Source]:
    made = kind.make(DATA, tmp_path, site)
    yield made
    made.close()
    beneath = made._source if isinstance(made, Window) else made
    if isinstance(beneath, FileObjectSource):
        beneath._file.close()


def limit_cache(source: Source, blocks: int) -> None:
    beneath = source._source if isinstance(source, Window) else source
    if isinstance(beneath, BlockSource):
        beneath._most_blocks = blocks


# -- bytes and bounds -------------------------------------------------------------------------------------------------


def test_bytes(source: Source) -> None:
    assert source.size == len(DATA)
    assert source.name
    for offset, length in ((0, 0), (0, 1), (3, BLOCK), (BLOCK - 1, 2), (77, EXACT + 9), (len(DATA), 0), (0, len(DATA))):
        found = source.view(offset, length)
        assert found.readonly
        assert bytes(found) == DATA[offset : offset + length]
        pieces = list(source.chunks(offset, length))
        assert all(0 < len(piece) <= 1 << 20 for piece in pieces)
        assert b"".join(pieces) == DATA[offset : offset + length]
    assert source.unpack(struct.Struct("<IH"), len(DATA) - 6) == struct.unpack("<IH", DATA[-6:])
    found = source.descriptor_at(8)
    if found is not None:
        assert os.pread(found[0], 8, found[1]) == DATA[8:16]
    source.trim()
    assert source.unpack(U32, 400) == (100,)


@pytest.mark.parametrize(
    ("offset", "length"),
    [(-1, 4), (-4, 4), (len(DATA) - 3, 4), (len(DATA) + 1, 0), (0, -1), (4, -4), (1 << 64, 4), (0, 1 << 64)],
)
def test_what_is_not_inside_is_refused(source: Source, offset: int, length: int) -> None:
    for act in (source.check, source.view, lambda o, n: list(source.chunks(o, n))):
        with pytest.raises(CorruptFileError) as caught:
            act(offset, length)
        assert (caught.value.offset, caught.value.file) == (source.base + offset, source.name)
    if length == 4:
        with pytest.raises(CorruptFileError):
            source.unpack(U32, offset)


def test_the_end_is_read_to_the_byte(source: Source) -> None:
    assert source.unpack(U32, len(DATA) - 4) == U32.unpack(DATA[-4:])
    with pytest.raises(CorruptFileError):
        source.unpack(U32, len(DATA) - 3)


def test_nothing_at_all(kind: Kind, tmp_path: Path, site: Site) -> None:
    site.answer = lambda handler, start, stop: bool(
        site.size == 0 and (handler.give(416, b"", {"Content-Range": "bytes */0"}) or True)
    )
    source = kind.make(b"", tmp_path, site)
    assert source.size == 0
    assert bytes(source.view(0, 0)) == b"".join(source.chunks(0, 0)) == b""
    with pytest.raises(CorruptFileError):
        source.view(0, 1)
    source.close()
    beneath = source._source if isinstance(source, Window) else source
    if isinstance(beneath, FileObjectSource):
        beneath._file.close()


def test_close_twice(source: Source) -> None:
    view = source.view(40, 4)
    source.close()
    source.close()
    assert bytes(view) == DATA[40:44]


# -- threads ----------------------------------------------------------------------------------------------------------


def wrong_reads(source: Source, seed: int, count: int) -> int:
    """How many of so many reads, here and there, short and long, give other bytes than they should."""
    chance, wrong = random.Random(seed), 0
    for _ in range(count):
        offset, length = chance.randrange(len(DATA)), chance.choice((4, 4, 4, 100, BLOCK, EXACT + 100))
        length = min(length, len(DATA) - offset)
        if length == 4 and source.unpack(U32, offset) != U32.unpack_from(DATA, offset):
            wrong += 1
        wrong += bytes(source.view(offset, length)) != DATA[offset : offset + length]
        if length > EXACT:
            wrong += b"".join(source.chunks(offset, length)) != DATA[offset : offset + length]
    return wrong


def test_eight_threads(source: Source) -> None:
    limit_cache(source, 8)
    start = threading.Barrier(8)

    def work(seed: int) -> int:
        start.wait(30)
        return wrong_reads(source, seed, 30)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) == 0


def test_a_model_read_by_eight_threads(kind: Kind, tmp_path: Path, site: Site, face: Path) -> None:
    data = face.read_bytes()

    def digests(model: Model) -> list[str]:
        return [
            sha256(repr((one.name, one.shape)).encode() + bytes(one.buffer.data or b"")).hexdigest()
            for one in model.main.tensors
        ]

    expected = digests(Model(MemorySource(data)))
    source = kind.make(data, tmp_path, site)
    model, start = Model(source), threading.Barrier(8)

    def work(_: int) -> list[str]:
        start.wait(30)
        return digests(model)

    with ThreadPoolExecutor(8) as pool:
        assert all(found == expected for found in pool.map(work, range(8)))
    source.close()
    beneath = source._source if isinstance(source, Window) else source
    if isinstance(beneath, FileObjectSource):
        beneath._file.close()


# -- forks ------------------------------------------------------------------------------------------------------------


def in_child(work: Callable[[], str]) -> str:
    """What ``work`` gives in a forked process, which has ten seconds for it."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads at work is what is tested
        child = os.fork()
    if not child:
        signal.alarm(10)
        answer = "nothing"
        try:
            answer = work()
        except UnliteError as error:
            answer = f"{type(error).__name__}: {error}"
        finally:
            os.write(writer, answer.encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        answer = file.read().decode()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "the child hung"
    return answer


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_reads_beside_its_parent(source: Source, kind: Kind) -> None:
    """While threads of the parent hold the locks and use the connection."""
    limit_cache(source, 20)
    done, wrong = threading.Event(), [0]

    def keep_reading() -> None:
        seed = 100
        while not done.is_set():
            seed += 1
            wrong[0] += wrong_reads(source, seed, 5)

    threads = [threading.Thread(target=keep_reading) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        answers = [in_child(lambda: str(wrong_reads(source, 7, 10 if kind.forks else 200))) for _ in range(3)]
    finally:
        done.set()
        for thread in threads:
            thread.join(30)
    assert wrong == [0]
    if kind.forks:
        assert answers == ["0"] * 3
    else:
        for answer in answers:
            assert answer.startswith("TransferError")
            assert "before the process was forked" in answer


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_has_a_connection_of_its_own(tmp_path: Path, site: Site) -> None:
    source = http(DATA, tmp_path, site)
    before = site.connections
    assert in_child(lambda: str(wrong_reads(source, 3, 20))) == "0"
    assert site.connections == before + 1
    assert wrong_reads(source, 4, 20) == 0
    assert site.connections == before + 1  # the parent's lives on
    source.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_what_a_forked_process_reads_leaves_the_parents_position(tmp_path: Path) -> None:
    with on_disk(DATA, tmp_path).open("rb") as file:
        file.seek(1234)
        source = open_source(file)
        file.seek(1234)
        assert in_child(lambda: str(wrong_reads(source, 3, 20))) == "0"
        assert wrong_reads(source, 3, 20) == 0
        assert file.tell() == 1234
        assert file.read(4) == DATA[1234:1238]


# -- pickle -----------------------------------------------------------------------------------------------------------


def loaded(data: bytes) -> Source:
    source: Source = pickle.loads(data)
    return source


def test_pickle(source: Source, kind: Kind) -> None:
    if not kind.pickles:
        with pytest.raises(UnliteError, match=r"cannot be pickled|has changed since") as caught:
            loaded(pickle.dumps(source))
        assert isinstance(caught.value, (InvalidTypeError, TransferError))
        return
    again = loaded(pickle.dumps(source))
    assert (again.size, again.name, again.base) == (source.size, source.name, source.base)
    assert wrong_reads(again, 1, 20) == 0
    source.close()
    assert wrong_reads(again, 2, 20) == 0
    again.close()


def test_what_changed_since_is_not_loaded(tmp_path: Path, site: Site) -> None:
    for make in (KINDS["mapped"].make, KINDS["fsspec, on disk"].make):
        source = make(DATA, tmp_path, site)
        data = pickle.dumps(source)
        (tmp_path / "data.bin").write_bytes(DATA + b"more")
        with pytest.raises(TransferError, match="has changed since it was opened"):
            loaded(data)
        source.close()
    source = http(DATA, tmp_path, site)
    data = pickle.dumps(source)
    site.headers["ETag"] = '"two"'
    with pytest.raises(TransferError, match="has changed since it was opened"):
        loaded(data)
    source.close()


def test_a_relative_path_is_found_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_disk(DATA, tmp_path)
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps(MappedFile("data.bin"))
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    again = loaded(data)
    assert (again.name, again.size) == ("data.bin", len(DATA))


def test_processes_that_are_given_sources(tmp_path: Path, site: Site) -> None:
    mapped = open_source(on_disk(DATA, tmp_path))
    given = [mapped, Window(mapped, 0), http(DATA, tmp_path, site), MemorySource(DATA)]
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        assert list(pool.map(wrong_reads, given, range(4), [10] * 4, timeout=60)) == [0, 0, 0, 0]
    for source in given:
        source.close()


def test_a_url_keeps_what_it_needs_and_tells_it_nobody(site: Site) -> None:
    site.content, site.size = lambda start, stop: DATA[start:stop], len(DATA)
    source = HttpSource(site.url.replace("http://", "http://user:secret@") + "?token=1")
    again = loaded(pickle.dumps(source))
    assert "secret" not in again.name
    assert "token" not in again.name
    assert site.paths[-1].endswith("?token=1")
    assert "authorization" in site.asked[-1]
    for each in (source, again):
        each.close()


def test_a_file_object_of_ones_own_is_flushed(tmp_path: Path) -> None:
    with (tmp_path / "mine").open("w+b") as file:
        file.write(DATA)
        assert wrong_reads(open_source(file), 1, 10) == 0


def test_what_has_a_descriptor_but_gives_other_bytes(tmp_path: Path) -> None:
    import gzip

    with gzip.open(tmp_path / "data.gz", "wb", 1) as file:
        file.write(DATA)
    with contextlib.closing(gzip.open(tmp_path / "data.gz", "rb")) as file:
        assert wrong_reads(open_source(file), 1, 3) == 0


def test_fsspec_opens_anew_only_where_it_must(tmp_path: Path, site: Site) -> None:
    source = on_disk_through_fsspec(DATA, tmp_path, site)
    assert isinstance(source, OpenedUrl)
    before = source._file
    assert wrong_reads(source, 1, 5) == 0
    assert source._file is before
    source.close()
