"""In-place saves: whatever interrupts them, the file is the old one or the new one after the next open."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import struct
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from tests.model.independent import buffer, model, tensor
from tests.model.test_save import run

from unlite.errors import InvalidValueError, SaveError
from unlite.model.model import open_model
from unlite.storage.journal import apply, recover
from unlite.storage.patch import Patch
from unlite.storage.source import MemorySource

OLD = model(
    [tensor("a", [64], "INT8", 1), tensor("b", [64], "INT8", 2)],
    [buffer(b"\2" * 64), buffer(b"\1" * 64)],
    description="before",
)
CHANGE = """
    model.buffers[1].data = b"\\x77" * 64
    model.buffers[2].data = b"\\x88" * 64
    model.description = "BEFORE"
"""


def changed(data: bytes = OLD) -> bytes:
    """The new file, by hand: same bytes, replaced where they stand."""
    assert data.count(b"\2" * 64) == data.count(b"\1" * 64) == data.count(b"before") == 1
    return data.replace(b"\2" * 64, b"\x77" * 64).replace(b"\1" * 64, b"\x88" * 64).replace(b"before", b"BEFORE")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "model.tflite"
    file.write_bytes(OLD)
    return file


def journal_of(path: Path) -> Path:
    return path.with_name(path.name + ".unlite-undo")


def apply_change(path: Path) -> None:
    opened = open_model(path)
    opened.buffers[1].data = b"\x77" * 64
    opened.buffers[2].data = b"\x88" * 64
    opened.description = "BEFORE"
    report = opened.save(in_place=True)
    assert (report.how, report.changed) == ("patched", 134)


def open_quietly(path: Path) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        open_model(path).close()
    return path.read_bytes()


def test_in_place(path: Path) -> None:
    inode = path.stat().st_ino
    apply_change(path)
    assert path.stat().st_ino == inode
    assert not journal_of(path).exists()
    assert path.read_bytes() == changed()


def test_nothing_to_do(path: Path) -> None:
    before = path.stat().st_mtime_ns
    assert open_model(path).save(in_place=True).how == "copied"
    assert path.stat().st_mtime_ns == before


def test_what_does_not_keep_its_size_is_refused(path: Path) -> None:
    opened = open_model(path)
    opened.description = "much longer"
    with pytest.raises(SaveError, match="keep their sizes"):
        opened.save(in_place=True)
    assert path.read_bytes() == OLD


def test_other_files_are_refused(path: Path, tmp_path: Path) -> None:
    shutil.copy(path, tmp_path / "other")
    opened = open_model(path)
    opened.description = "BEFORE"
    for target in (tmp_path / "other", tmp_path / "missing"):
        with pytest.raises(InvalidValueError, match="no other"):
            opened.save(target, in_place=True)
    with pytest.raises(InvalidValueError, match="no other"):
        open_model(OLD).save(path, in_place=True)
    assert (tmp_path / "other").read_bytes() == path.read_bytes() == OLD


def test_the_file_that_took_the_name_is_another(path: Path) -> None:
    """After a rewrite all places have moved: what was found in the old file must not be written into the new one."""
    opened = open_model(path)
    opened.description = "a much longer description, so that everything moves"
    opened.save()
    new = path.read_bytes()
    opened.description = "BEFORE"
    with pytest.raises(InvalidValueError, match="open it again"):
        opened.save(in_place=True)
    assert path.read_bytes() == new


def test_through_a_link(path: Path, tmp_path: Path) -> None:
    """The journal lies beside the file; whoever opens the link finds it, too."""
    link = tmp_path / "sub" / "link.tflite"
    link.parent.mkdir()
    link.symlink_to(path)
    interrupted(link, "os.lseek", 2)
    assert journal_of(path).exists()
    assert path.read_bytes() != OLD
    with pytest.warns(UserWarning, match="was undone"):
        open_model(link)
    assert path.read_bytes() == OLD


# -- interrupted everywhere ------------------------------------------------------------------------


def interrupted(path: Path, call: str, number: int) -> bool:
    """Lets a process die before its ``number``-th call of a function; False where it came through."""
    program = f"""
        import os, signal, sys
        from unlite.model.model import open_model
        model = open_model(sys.argv[1])
        {"".join(line.strip() + "; " for line in CHANGE.strip().splitlines())}
        real, left = {call}, [{number}]
        def dies(*arguments, **named):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)
        {call} = dies
        model.save(in_place=True)
    """
    done = run(program, path, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


@pytest.mark.parametrize("call", ["os.write", "os.lseek", "os.fsync", "os.unlink", "os.open", "os.link"])
def test_a_kill_at_every_step(call: str, path: Path) -> None:
    """Old or new, and which of them is no matter of chance: new only once all is on the disk."""
    for number in range(1, 10):
        path.write_bytes(OLD)
        died = interrupted(path, call, number)
        found = open_quietly(path)
        assert found in (OLD, changed())
        assert not journal_of(path).exists()
        if not died:
            assert found == changed()
            return
    pytest.fail("there were more steps than expected")


def test_a_torn_write(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a patch is on the disk, and the other half is not."""
    interrupted(path, "os.lseek", 1)
    whole = bytearray(OLD)
    at = OLD.index(b"\1" * 64)
    whole[at : at + 30] = b"\x88" * 30
    path.write_bytes(whole)
    with pytest.warns(UserWarning, match="was undone"):
        open_model(path)
    assert path.read_bytes() == OLD


def test_an_error_undoes_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = os.write

    def fails(descriptor: int, data: bytes) -> int:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", fails)
    opened = open_model(path)
    opened.buffers[1].data = b"\x77" * 64
    opened.buffers[2].data = b"\x88" * 64
    with pytest.raises(SaveError, match="Input/output error"):
        opened.save(in_place=True)
    monkeypatch.undo()
    assert path.read_bytes() == OLD
    assert not journal_of(path).exists()
    assert opened.save(in_place=True).how == "patched"


@pytest.mark.parametrize("at", [0, 10, 9000, 19_990])
def test_anywhere_in_the_file(at: int, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(20_000))
    apply(str(file), [Patch(at, MemorySource(b"0123456789"), 0, 10), Patch(5, MemorySource(b"x"), 0, 1)])
    expected = bytearray(20_000)
    expected[at : at + 10] = b"0123456789"
    expected[5] = ord("x")
    assert file.read_bytes() == expected
    assert not journal_of(file).exists()


def test_large_patches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unlite.storage.journal.CHUNK", 1000)
    file = tmp_path / "file"
    file.write_bytes(b"a" * 10_000)
    apply(str(file), [Patch(100, MemorySource(b"b" * 4500), 0, 4500)])
    assert file.read_bytes() == b"a" * 100 + b"b" * 4500 + b"a" * 5400
    journal_of(file).write_bytes(journal(10_000, [(100, b"a" * 4500, b"b" * 4500)]))
    with pytest.warns(UserWarning, match="undone"):
        recover(str(file))
    assert file.read_bytes() == b"a" * 10_000


# -- journals that do not belong there -------------------------------------------------------------


def journal(size: int, patches: list[tuple[int, bytes, bytes]]) -> bytes:
    """By hand, from the format's description."""
    data = struct.pack("<8sQI", b"UNLITEUN", size, len(patches))
    for offset, old, new in patches:
        data += struct.pack("<QQ", offset, len(old)) + old + new
    return data + struct.pack("<I", crc32(data))


def test_a_whole_journal_is_undone(path: Path) -> None:
    now = bytearray(OLD)
    at = OLD.index(b"before")
    now[at : at + 6] = b"BEFORE"
    path.write_bytes(now)
    journal_of(path).write_bytes(journal(len(OLD), [(at, b"before", b"BEFORE")]))
    with pytest.warns(UserWarning, match="an interrupted in-place save was undone"):
        assert open_model(path).description == "before"
    assert path.read_bytes() == OLD
    assert not journal_of(path).exists()


AT = OLD.index(b"before")
WHOLE = journal(len(OLD), [(AT, b"gone!!", b"BEFORE")])
FOREIGN = {
    "empty": b"",
    "cut short": WHOLE[:-1],
    "cut in the head": WHOLE[:15],
    "something else": b"notes of mine",
    "flipped": WHOLE[:40] + bytes([WHOLE[40] ^ 1]) + WHOLE[41:],
    "longer": WHOLE + b"\0",
    "another length": journal(len(OLD) + 1, [(AT, b"gone!!", b"BEFORE")]),
    "outside": journal(len(OLD), [(len(OLD) - 3, b"gone!!", b"BEFORE")]),
    "huge length": struct.pack("<8sQIQQ", b"UNLITEUN", len(OLD), 1, 0, 2**64 - 1) + bytes(8),
    "many patches": struct.pack("<8sQI", b"UNLITEUN", len(OLD), 2**32 - 1) + bytes(64),
    "of another file of that length": journal(len(OLD), [(AT, b"gone!!", b"better")]),
}


@pytest.mark.parametrize("data", FOREIGN.values(), ids=FOREIGN)
def test_damaged_and_foreign_journals_change_nothing(data: bytes, path: Path) -> None:
    journal_of(path).write_bytes(data)
    assert open_quietly(path) == OLD
    assert not journal_of(path).exists()


def test_every_damage_to_a_journal(path: Path) -> None:
    whole = journal(len(OLD), [(AT, b"gone!!", b"before")])
    for position in range(len(whole)):
        broken = bytearray(whole)
        broken[position] ^= 0x10
        journal_of(path).write_bytes(broken)
        assert open_quietly(path) == OLD


# -- two at once -----------------------------------------------------------------------------------


OPENS = """
    import sys
    from unlite.model.model import open_model
    print(open_model(sys.argv[1]).description)
"""


def test_a_reader_waits_for_the_end_of_a_save(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And undoes nothing of what goes on."""
    readers: list[subprocess.Popen[str]] = []
    real = os.lseek

    def looks_on(*arguments: int) -> int:
        if not readers:
            program = textwrap.dedent(OPENS)
            readers.append(
                subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)
            )
            with pytest.raises(subprocess.TimeoutExpired):
                readers[0].wait(1)
            assert journal_of(path).exists()
        return real(*arguments)

    monkeypatch.setattr(os, "lseek", looks_on)
    apply_change(path)
    assert readers[0].communicate(timeout=30)[0] == "BEFORE\n"
    assert path.read_bytes() == changed()


def test_a_reader_does_not_wait_for_ever(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unlite.storage.journal.WAIT", 0.05)
    real, seen = os.lseek, []

    def looks_on(*arguments: int) -> int:
        if not seen:
            seen.append(True)
            with pytest.warns(UserWarning, match="is saving this file now; it is read as it is"):
                assert open_model(path).description == "before"
        return real(*arguments)

    monkeypatch.setattr(os, "lseek", looks_on)
    apply_change(path)
    assert path.read_bytes() == changed()
    assert not journal_of(path).exists()


def test_a_journal_without_a_lock_is_never_seen(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every call of the system that the writer makes, a reader comes by; it takes nothing away."""
    monkeypatch.setattr("unlite.storage.journal.WAIT", 0.0)
    calls = []
    for name in ("open", "link", "unlink", "fsync", "write", "lseek", "close"):
        real = getattr(os, name)

        def watched(*arguments: Any, name: str = name, real: Any = real, **named: Any) -> Any:
            if len(calls) < 200 and "inside" not in calls:
                calls.append("inside")
                there = journal_of(path).exists()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    recover(str(path))
                assert journal_of(path).exists() == there
                calls[calls.index("inside")] = name
            return real(*arguments, **named)

        monkeypatch.setattr(os, name, watched)
    apply_change(path)
    assert {"link", "write", "fsync"} <= set(calls)
    monkeypatch.undo()
    assert path.read_bytes() == changed()
    assert sorted(os.listdir(path.parent)) == [path.name]


def test_writers_and_readers_at_once(path: Path) -> None:
    """Six processes save, others read: each save is whole or refused, and the file is what one of them wrote."""
    program = """
        import sys, warnings
        from unlite.errors import SaveError
        from unlite.model.model import open_model
        warnings.simplefilter("ignore")
        done = refused = 0
        mine = bytes([int(sys.argv[2])]) * 64
        for _ in range(25):
            model = open_model(sys.argv[1])
            model.buffers[1].data = mine
            model.buffers[2].data = mine
            try:
                model.save(in_place=True)
                done += 1
            except SaveError as error:
                assert "save" in str(error), error
                refused += 1
        print(done, refused)
    """
    arguments = [sys.executable, "-c", textwrap.dedent(program), str(path)]
    writers = [subprocess.Popen([*arguments, str(n)], stdout=subprocess.PIPE, text=True) for n in range(30, 34)]
    while any(one.poll() is None for one in writers):
        open_quietly(path)
    results = [list(map(int, one.communicate(timeout=60)[0].split())) for one in writers]
    assert all(sum(each) == 25 for each in results)
    assert sum(done for done, _ in results) > 0
    data = open_quietly(path)
    assert data in {
        OLD.replace(b"\2" * 64, bytes([n]) * 64).replace(b"\1" * 64, bytes([n]) * 64) for n in range(30, 34)
    }
    assert sorted(os.listdir(path.parent)) == [path.name]


def test_a_save_that_was_overtaken_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another save came and went after the old bytes were read: they are old no more."""
    real = os.link

    def overtaken(*arguments: Any, **named: Any) -> None:
        data = path.read_bytes()
        path.write_bytes(data.replace(b"before", b"elsewh"))
        real(*arguments, **named)

    monkeypatch.setattr(os, "link", overtaken)
    opened = open_model(path)
    opened.description = "BEFORE"
    with pytest.raises(SaveError, match="another save has changed the file"):
        opened.save(in_place=True)
    assert path.read_bytes() == OLD.replace(b"before", b"elsewh")
    assert sorted(os.listdir(path.parent)) == [path.name]


def test_a_file_system_without_hard_links(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refused)
    apply_change(path)
    assert path.read_bytes() == changed()
    journal_of(path).write_bytes(WHOLE)
    opened = open_model(changed())
    with pytest.raises(SaveError, match="under way"):
        apply(str(path), [Patch(0, MemorySource(b"x"), 0, 1)])
    assert opened.description == "BEFORE"
    assert journal_of(path).read_bytes() == WHOLE


def test_a_file_system_without_locks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unlite.storage.leftovers.try_lock", lambda _: None)
    opened = open_model(path)
    opened.description = "BEFORE"
    with pytest.raises(SaveError, match="has no locks"):
        opened.save(in_place=True)
    assert path.read_bytes() == OLD
    assert os.listdir(path.parent) == [path.name]


def test_a_second_save_is_refused(path: Path) -> None:
    opened = open_model(path)
    opened.description = "BEFORE"
    journal_of(path).write_bytes(WHOLE)
    with pytest.raises(SaveError, match="under way, or was interrupted"):
        opened.save(in_place=True)
    assert path.read_bytes() == OLD
    assert journal_of(path).read_bytes() == WHOLE


def test_the_journal_is_on_the_disk_before_the_file_is_touched(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the file before the journal goes."""
    steps = []
    places = {"file": path, "journal": journal_of(path)}
    for name in ("write", "fsync", "unlink"):
        real = getattr(os, name)

        def noted(*arguments: Any, name: str = name, real: Any = real) -> Any:
            place = arguments[0]
            inode = os.fstat(place).st_ino if isinstance(place, int) else 0
            known = {each.stat().st_ino: what for what, each in places.items() if each.exists()}
            steps.append((name, known.get(inode, "other")))
            return real(*arguments)

        monkeypatch.setattr(os, name, noted)
    apply_change(path)
    assert steps[0][0] == "fsync"  # the journal, which takes its name then
    first, last = steps.index(("write", "file")), len(steps) - 1 - steps[::-1].index(("write", "file"))
    assert 0 < first <= last < steps.index(("fsync", "file"))
    assert steps.index(("fsync", "file")) < len(steps) - 1 - steps[::-1].index(("unlink", "other"))  # the journal
