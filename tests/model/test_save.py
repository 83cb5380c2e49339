"""Saving: the cheapest faithful way, and never half a file."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from tests.model.independent import buffer, model, tensor
from tests.model.small import dense_layer

from unlite.errors import InvalidValueError, SaveError
from unlite.model.model import open_model

DATA = model([tensor("c", [8], "INT8", 1)], [buffer(bytes(range(8)))], description="before")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "model.tflite"
    file.write_bytes(DATA)
    return file


def leftovers(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if file.name != "model.tflite")


def test_copy(path: Path, tmp_path: Path) -> None:
    report = open_model(path).save(tmp_path / "copy.tflite")
    assert (report.how, report.size, report.changed) == ("copied", len(DATA), 0)
    assert report.path == str(tmp_path / "copy.tflite")
    assert (tmp_path / "copy.tflite").read_bytes() == DATA


def test_from_bytes_a_path_is_needed(tmp_path: Path) -> None:
    opened = open_model(DATA)
    with pytest.raises(InvalidValueError, match="without a path"):
        opened.save()
    assert opened.save(tmp_path / "m").how == "copied"


@pytest.mark.parametrize("change", ["before", "BEFORE", "something longer"])
def test_over_the_opened_file(change: str, path: Path) -> None:
    """Reading goes on from the old bytes; opened again, the new ones are there."""
    opened = open_model(path)
    opened.description = change
    report = opened.save()
    assert report.how == {6: "patched"}.get(len(change), "rewritten") if change != "before" else report.how == "copied"
    assert opened.main.tensors[0].numpy().tolist() == list(range(8))
    again = open_model(path)
    assert (again.description, again.main.tensors[0].numpy().tolist()) == (change, list(range(8)))
    assert opened.save().how == report.how
    assert leftovers(path.parent) == []


def test_a_closed_model_is_saved_all_the_same(path: Path, tmp_path: Path) -> None:
    opened = open_model(path)
    opened.description = "BEFORE"
    opened.close()
    opened.save(tmp_path / "out")
    assert open_model(tmp_path / "out").description == "BEFORE"


def test_permissions_and_links_are_kept(path: Path, tmp_path: Path) -> None:
    path.chmod(0o640)
    link = tmp_path / "link.tflite"
    link.symlink_to("model.tflite")
    opened = open_model(link)
    opened.description = "longer than before"
    opened.save()
    assert link.is_symlink()
    assert open_model(path).description == "longer than before"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    before = os.umask(0o027)
    try:
        opened.save(tmp_path / "new.tflite")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new.tflite").stat().st_mode) == 0o640  # 0666 without the mask


@pytest.mark.parametrize("name", ["漢" * 80 + ".tflite", "x" * 250, "-rf.tflite", "a b\nc.tflite", ".hidden"])
def test_odd_names(name: str, path: Path, tmp_path: Path) -> None:
    open_model(path).save(tmp_path / name)
    assert (tmp_path / name).read_bytes() == DATA


def test_no_folder_no_device(path: Path, tmp_path: Path) -> None:
    opened = open_model(path)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    for target in (tmp_path / "fifo", tmp_path / "folder", tmp_path / "missing" / "m", Path("/dev/null")):
        with pytest.raises(SaveError) as caught:
            opened.save(target)
        assert str(target) in str(caught.value)
    assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)
    assert leftovers(tmp_path) == ["fifo", "folder"]


def test_a_folder_that_cannot_be_written(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for anyone but root, who may write everywhere."""

    def refused(*_: object, **__: object) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refused)
    opened = open_model(path)
    with pytest.raises(SaveError, match="Permission denied"):
        opened.save(tmp_path / "other")
    monkeypatch.undo()
    assert leftovers(tmp_path) == []


FAULTS = ["os.write", "os.fsync", "os.replace", "os.chmod", "os.copy_file_range"]


@pytest.mark.parametrize("change", [None, "BEFORE", "something longer"], ids=["copy", "patch", "rewrite"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_leaves_the_old_file(
    fault: str, change: str | None, path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    target = tmp_path / "target.tflite"
    target.write_bytes(b"what was there before")
    opened = open_model(path)
    if change:
        opened.description = change

    def fails(*_: object, **__: object) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if not hasattr(os, fault.partition(".")[2]):
        pytest.skip(f"no {fault} on this system")
    if fault == "os.copy_file_range":
        monkeypatch.setattr("unlite.storage.sink.KERNEL_COPY", 1)
    monkeypatch.setattr(fault, fails)
    try:
        opened.save(target)
    except SaveError as error:
        assert "Free some space" in str(error)
        monkeypatch.undo()
        assert target.read_bytes() == b"what was there before"
    else:
        # The kernel copies no file that is given as objects.
        assert (fault, change) == ("os.copy_file_range", "something longer")
    assert leftovers(tmp_path) == ["target.tflite"]


def test_a_folder_that_cannot_be_synced_is_no_failure(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new file has its name by then; to report a failure would be wrong."""
    real = os.fsync

    def fails(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fails)
    assert open_model(path).save(tmp_path / "out").how == "copied"


def test_a_full_disk(path: Path, tmp_path: Path) -> None:
    """RLIMIT_FSIZE in a process of its own: the system refuses in the middle of the file."""
    pytest.importorskip("resource")
    program = """
        import resource, sys
        from unlite.errors import SaveError
        from unlite.model.model import open_model
        model = open_model(sys.argv[1])
        model.description = "longer than it was before"
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        try:
            model.save()
        except SaveError as error:
            print(error)
    """
    done = run(program, path)
    assert "cannot be written" in done.stdout
    assert path.read_bytes() == DATA
    assert leftovers(tmp_path) == []


# Where a process may die: before the n-th call of one of these.
STAGES = ["os.write", "os.lseek", "os.fsync", "os.close", "os.chmod", "os.replace"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_kill_leaves_a_whole_file(stage: str, path: Path, tmp_path: Path) -> None:
    program = f"""
        import os, signal, sys
        from unlite.model.model import open_model
        model = open_model(sys.argv[1])
        model.description = "BEFORE"
        def dies(*_, **__):
            os.kill(os.getpid(), signal.SIGKILL)
        {stage} = dies
        model.save()
    """
    done = run(program, path, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    # It is closed, and its lock let go of, only once it has its name.
    assert path.read_bytes() == (DATA.replace(b"before", b"BEFORE") if stage == "os.close" else DATA)
    assert open_model(path).save(tmp_path / "again").how == "copied"
    assert sorted(os.listdir(tmp_path)) == ["again", path.name]  # what the kill left is gone


def run(program: str, *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """A program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=check,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_interrupted_by_the_keyboard(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        open_model(path).save(tmp_path / "out")
    assert leftovers(tmp_path) == []


def test_the_file_behind_a_broken_link(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real.tflite")
    open_model(path).save(link)
    assert link.is_symlink()
    assert (tmp_path / "real.tflite").read_bytes() == DATA


def test_what_holds_models_is_not_replaced_by_one(tmp_path: Path, shared: Path) -> None:
    from unlite.model.formats.c_array import to_c_array

    source = tmp_path / "g_model.cc"
    source.write_text(to_c_array(dense_layer()))
    text = source.read_bytes()
    model = open_model(source)
    model.description = "changed"
    other = tmp_path / "array.txt"
    other.write_bytes(text)
    for opened, target in (
        (model, source),
        (model, tmp_path / "new.json"),
        (model, tmp_path / "x.litertlm"),
        (open_model(other), other),
    ):
        with pytest.raises(InvalidValueError, match=r"replaced|writes a model file"):
            opened.save(target)
    assert (source.read_bytes(), other.read_bytes()) == (text, text)
    bundle = tmp_path / "bundle"
    bundle.write_bytes((shared / "bundles/litertlm/built_0.15.0.litertlm").read_bytes())
    with pytest.raises(InvalidValueError, match="replaced by the one model"):
        open_model(f"{bundle}#prefill_decode").save(bundle)
    assert model.save(tmp_path / "new.tflite").how == "rewritten"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk_behind_standard_output(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(dense_layer())
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "unlite", "show", str(path), "--json"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "standard output cannot be written: No space left on device.\n")
