"""Files that are written whole: what they take over, what a kill leaves, and mapped files that must be replaced."""

from __future__ import annotations

import os
import signal
import stat
import struct
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.model.independent import buffer, model, tensor

from unlite.errors import InvalidValueError, SaveError
from unlite.model.model import open_model
from unlite.storage.atomic import write_atomically
from unlite.storage.leftovers import sweep
from unlite.storage.new_output import NewOutput
from unlite.storage.source import MappedFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from unlite.storage.sink import Sink

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="extended attributes of Linux")
root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")


def write(text: bytes = b"new") -> Callable[[Sink], object]:
    return lambda sink: sink.write(text)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    return file


# -- what is taken over -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o777, 0o4755, 0o2755])
def test_permissions(path: Path, mode: int) -> None:
    path.chmod(mode)
    written = write_atomically(str(path), write())
    assert (written.size, written.lost) == (3, ())
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_bytes() == b"new"


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(str(tmp_path / "new"), write())
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


@root
def test_owner_and_group(path: Path) -> None:
    os.chown(path, 12345, 23456)
    path.chmod(0o6750)
    assert write_atomically(str(path), write()).lost == ()
    found = path.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (12345, 23456, 0o6750)


@root
def test_what_cannot_be_kept_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The group's permissions were meant for that group: another one gets no more than everybody."""
    os.chown(path, 12345, 23456)
    path.chmod(0o6764)

    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refused)
    with pytest.warns(UserWarning, match=r"not kept: the group \(number 23456\), the owner \(number 12345\)"):
        written = write_atomically(str(path), write())
    assert len(written.lost) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o744
    assert path.read_bytes() == b"new"


@linux
def test_extended_attributes(path: Path) -> None:
    try:
        os.setxattr(path, "user.origin", b"a model zoo")
    except OSError:
        pytest.skip("this file system has none")
    assert write_atomically(str(path), write()).lost == ()
    assert os.getxattr(path, "user.origin") == b"a model zoo"


def access_list(user: int) -> bytes:
    """A POSIX access list, as the kernel takes it: u32 version 2; per entry u16 tag, u16 permissions, u32 id."""
    entries = [(1, 6, 0xFFFFFFFF), (2, 4, user), (4, 4, 0xFFFFFFFF), (16, 4, 0xFFFFFFFF), (32, 0, 0xFFFFFFFF)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


@linux
def test_access_lists(path: Path) -> None:
    name = "system.posix_acl_access"
    try:
        os.setxattr(path, name, access_list(12345))
    except OSError:
        pytest.skip("this file system has none")
    mode = path.stat().st_mode
    assert write_atomically(str(path), write()).lost == ()
    assert os.getxattr(path, name) == access_list(12345)
    assert path.stat().st_mode == mode
    # A folder's default list, which new files get, is none of the old file's.
    plain = path.parent / "plain"
    plain.write_bytes(b"old")
    os.setxattr(path.parent, "system.posix_acl_default", access_list(54321))
    write_atomically(str(plain), write())
    assert name not in os.listxattr(plain)


@linux
def test_attributes_that_are_refused_are_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        os.setxattr(path, "user.origin", b"a model zoo")
    except OSError:
        pytest.skip("this file system has none")

    def refused(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", refused)
    with pytest.warns(UserWarning, match=r"not kept: the attribute user\.origin\."):
        assert write_atomically(str(path), write()).lost == ("the attribute user.origin",)


def test_other_names_are_said(path: Path) -> None:
    os.link(path, path.with_name("other"))
    with pytest.warns(UserWarning, match="its other names"):
        write_atomically(str(path), write())
    assert path.with_name("other").read_bytes() == b"old"


@pytest.mark.parametrize("name", ["nul\0inside", "lone\ud800surrogate"])
def test_paths_that_are_none(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="no file can"):
        write_atomically(f"{tmp_path}/{name}", write())
    with pytest.raises(InvalidValueError, match="no file can"):
        NewOutput(f"{tmp_path}/{name}", os.path.isfile)


# -- what a kill leaves -----------------------------------------------------------------------------------------------

WRITES = """
    import os, signal, sys, time
    from unlite.storage.atomic import write_atomically
    from unlite.storage.new_output import NewOutput
    def stop():
        print("there", flush=True)
        if sys.argv[2] == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        sys.stdin.read()
    def write(sink):
        sink.write(b"half")
        sink.flush()
        stop()
    if sys.argv[1].endswith("folder"):
        with NewOutput(sys.argv[1], os.path.isdir) as new:
            os.mkdir(new.temporary)
            stop()
            new.keep()
    else:
        write_atomically(sys.argv[1], write)
"""


def writer(path: Path, what: str) -> subprocess.Popen[str]:
    """A process that stands half-way through writing a file or folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITES), str(path), what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "there\n"
    return process


def temporary_ones(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if ".unlite-" in name]


@pytest.mark.parametrize("name", ["file", "folder"])
def test_the_next_save_removes_what_a_kill_left(name: str, tmp_path: Path) -> None:
    with writer(tmp_path / name, "kill") as process:
        assert process.wait(30) == -signal.SIGKILL
    assert len(temporary_ones(tmp_path)) == 1
    write_atomically(str(tmp_path / "another"), write())
    assert os.listdir(tmp_path) == ["another"]


@pytest.mark.parametrize("name", ["file", "folder"])
def test_what_a_living_process_writes_stays(name: str, tmp_path: Path) -> None:
    process = writer(tmp_path / name, "wait")
    before = temporary_ones(tmp_path)
    assert len(before) == 1
    os.utime(tmp_path / before[0], (0, 0))  # its age proves nothing
    write_atomically(str(tmp_path / "another"), write())
    assert temporary_ones(tmp_path) == before
    assert process.communicate("", timeout=30) == ("", None)
    assert process.returncode == 0
    assert sorted(os.listdir(tmp_path)) == sorted(["another", name])


def test_what_others_wrote_stays(tmp_path: Path) -> None:
    names = [".unlite-notes.tmp", ".unlite-0123456789ab.tmp.bak", "unlite-0123456789ab.tmp", ".a.unlite-xyz.tmp"]
    for name in names:
        (tmp_path / name).write_text("mine")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").write_text("mine")
    (tmp_path / ".unlite-0123456789ab.tmp").symlink_to(tmp_path / "elsewhere" / "precious")
    (tmp_path / ".x.unlite-0123456789ab.tmp").symlink_to(tmp_path / "elsewhere")
    before = sorted(os.listdir(tmp_path))
    sweep(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == before
    assert (tmp_path / "elsewhere" / "precious").read_text() == "mine"


def test_a_file_that_is_swept_up_before_it_is_locked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer takes another name, and goes on."""
    real, swept = os.open, []

    def opened(name: Any, *arguments: Any, **named: Any) -> int:
        descriptor = real(name, *arguments, **named)
        if str(name).endswith(".tmp") and not swept:
            swept.append(name)
            sweep(str(path.parent))
            assert not os.path.exists(name)
        return descriptor

    monkeypatch.setattr(os, "open", opened)
    write_atomically(str(path), write())
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == ["file"]


def test_many_at_once(path: Path) -> None:
    """Processes that save in one folder sweep nothing of each other's away."""
    program = """
        import sys
        from unlite.storage.atomic import write_atomically
        for number in range(60):
            write_atomically(sys.argv[1], lambda sink: sink.write(sys.argv[2].encode() * 5000))
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(path)]
    writers = [subprocess.Popen([*command, letter], stderr=subprocess.PIPE) for letter in "abcd"]
    for each in writers:
        assert each.communicate(timeout=60)[1] == b""
    assert len(set(path.read_bytes())) == 1
    assert path.stat().st_size == 5000
    assert os.listdir(path.parent) == ["file"]


# -- mapped files that the system does not replace --------------------------------------------------------------------

MODEL = model([tensor("a", [64], "INT8", 1)], [buffer(b"\2" * 64)], description="before")


@pytest.fixture
def stubborn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A system that replaces no file while one of these, once they are told, is mapped."""
    mapped: list[Any] = []
    real = os.replace

    def replace(old: str, new: str) -> None:
        if any(not one.closed for one in mapped):
            raise PermissionError(13, "Permission denied")
        real(old, new)

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr("unlite.storage.atomic.MAPPED_FILES_STAY", True)
    return mapped


@pytest.mark.parametrize("description", ["BEFORE", "a longer one"])
def test_the_opened_file_is_replaced(tmp_path: Path, stubborn: list[Any], description: str) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(MODEL)
    opened = open_model(path)
    assert isinstance(opened.file, MappedFile)
    stubborn.append(opened.file._data.obj)
    opened.description = description
    report = opened.save()
    assert report.how == ("patched" if len(description) == 6 else "rewritten")
    assert open_model(path).description == description
    assert bytes(opened.main.tensors[0].buffer.data or b"") == b"\2" * 64  # what was opened is still read
    assert opened.save(tmp_path / "other").how == report.how
    assert (tmp_path / "other").read_bytes() == path.read_bytes()
    opened.save()  # and once more
    assert sorted(os.listdir(tmp_path)) == ["model.tflite", "other"]


def test_arrays_in_use_keep_the_file(tmp_path: Path, stubborn: list[Any]) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(MODEL)
    opened = open_model(path)
    assert isinstance(opened.file, MappedFile)
    stubborn.append(opened.file._data.obj)
    array = opened.main.tensors[0].numpy()
    opened.description = "BEFORE"
    with pytest.raises(SaveError, match="arrays of the opened file are in use"):
        opened.save()
    assert path.read_bytes() == MODEL
    assert array.tolist() == [2] * 64
    opened.close()
    assert os.listdir(tmp_path) == ["model.tflite"]


def test_nothing_is_copied_where_something_else_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refused)
    source = MappedFile(path)
    with pytest.raises(SaveError, match="Permission denied"):
        write_atomically(str(path), write(), opened=source)
    assert source.is_file(str(path))
