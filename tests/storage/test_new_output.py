"""A result that is there as a whole or not at all; folders: see test_convert.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

from unlite.errors import SaveError
from unlite.storage import new_output
from unlite.storage.atomic import write_atomically
from unlite.storage.leftovers import sweep
from unlite.storage.new_output import NewOutput
from unlite.storage.rename import exchange, rename_to_new


def test_a_file_takes_its_name_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with NewOutput(str(path), os.path.isfile) as new:
        assert new.temporary.endswith(".onnx")
        Path(new.temporary).write_text("new")
        new.keep()
        assert not path.exists()
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["model.onnx"]


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("old")
    with NewOutput(str(path), os.path.isfile) as new:
        Path(new.temporary).write_text("new")
        new.keep()
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, SaveError])
def test_without_keep_or_after_an_exception_nothing_is_left(error: type[BaseException] | None, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("old")
    try:
        with NewOutput(str(path), os.path.isfile) as new:
            Path(new.temporary).write_text("new")
            if error is not None:
                new.keep()
                raise error("stop")
    except (KeyboardInterrupt, SaveError):
        pass
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["model.onnx"]


def test_folders_in_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "model.mlpackage"
    with NewOutput(str(path), os.path.isdir) as new:
        os.makedirs(os.path.join(new.temporary, "Data/weights"))
        Path(new.temporary, "Data/weights/weight.bin").write_bytes(b"w")
        new.keep()
    assert (path / "Data/weights/weight.bin").read_bytes() == b"w"
    assert os.listdir(tmp_path) == ["model.mlpackage"]


def test_what_is_not_its_own_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(SaveError, match="left alone"):
        NewOutput(str(tmp_path / "mine"), os.path.isdir)


# -- folders ----------------------------------------------------------------------------------------------------------


def replace_folder(path: Path, text: str) -> None:
    with NewOutput(str(path), os.path.isdir) as new:
        os.makedirs(new.temporary)
        Path(new.temporary, "text").write_text(text)
        new.keep()


def can_exchange(folder: Path) -> bool:
    for name in ("a", "b"):
        (folder / name).mkdir()
    can = exchange(str(folder / "a"), str(folder / "b"))
    for name in ("a", "b"):
        (folder / name).rmdir()
    return can


def test_two_folders_change_names(tmp_path: Path) -> None:
    if not can_exchange(tmp_path):
        pytest.skip("this system exchanges no folders")
    (tmp_path / "first").mkdir()
    (tmp_path / "second").write_text("a file")
    assert exchange(str(tmp_path / "first"), str(tmp_path / "second"))
    assert (tmp_path / "first").read_text() == "a file"
    assert (tmp_path / "second").is_dir()
    with pytest.raises(FileNotFoundError):
        exchange(str(tmp_path / "first"), str(tmp_path / "missing"))
    with pytest.raises(FileExistsError):
        rename_to_new(str(tmp_path / "first"), str(tmp_path / "second"))
    assert rename_to_new(str(tmp_path / "first"), str(tmp_path / "third"))
    assert sorted(os.listdir(tmp_path)) == ["second", "third"]


def test_there_is_no_moment_without_a_folder(tmp_path: Path) -> None:
    if not can_exchange(tmp_path):
        pytest.skip("this system exchanges no folders")
    path = tmp_path / "folder"
    replace_folder(path, "0")
    done, missing = threading.Event(), []

    def look() -> None:
        while not done.is_set():
            try:
                os.stat(path / "text")
            except FileNotFoundError as error:
                missing.append(error)

    thread = threading.Thread(target=look)
    thread.start()
    for number in range(100):
        replace_folder(path, str(number))
    done.set()
    thread.join(30)
    assert missing == []
    assert (path / "text").read_text() == "99"
    assert os.listdir(tmp_path) == ["folder"]


def test_a_system_that_exchanges_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_output, "exchange", lambda *_: False)
    replace_folder(tmp_path / "folder", "old")
    replace_folder(tmp_path / "folder", "new")
    assert (tmp_path / "folder" / "text").read_text() == "new"
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize("number", [1, 2])
def test_a_kill_between_the_two_steps(number: int, tmp_path: Path) -> None:
    """Where folders are not exchanged. The next save in the folder puts the old one back, or removes it."""
    program = f"""
        import os, signal, sys
        from unlite.storage import new_output
        new_output.exchange = lambda *_: False
        left, real = [{number}], os.rename
        def rename(*arguments):
            real(*arguments)
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
        os.rename = rename
        with new_output.NewOutput(sys.argv[1], os.path.isdir) as new:
            os.mkdir(new.temporary)
            with open(os.path.join(new.temporary, "text"), "w") as file:
                file.write("new")
            new.keep()
    """
    replace_folder(tmp_path / "folder", "old")
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "folder")]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert (tmp_path / "folder").exists() == (number == 2)
    write_atomically(str(tmp_path / "another"), lambda sink: sink.write(b"x"))
    assert (tmp_path / "folder" / "text").read_text() == ("old" if number == 1 else "new")
    assert sorted(os.listdir(tmp_path)) == ["another", "folder"]


def test_another_save_comes_between_the_two_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_folder(tmp_path / "folder", "old")
    real, seen = os.rename, []

    def rename(old: str, new: str) -> None:
        real(old, new)
        if not seen:
            seen.extend(os.listdir(tmp_path))
            sweep(str(tmp_path))
            assert os.listdir(tmp_path) == seen

    monkeypatch.setattr(new_output, "exchange", lambda *_: False)
    monkeypatch.setattr(os, "rename", rename)
    replace_folder(tmp_path / "folder", "new")
    assert len(seen) == 2
    assert (tmp_path / "folder" / "text").read_text() == "new"
    assert os.listdir(tmp_path) == ["folder"]


# -- files that belong together ---------------------------------------------------------------------------------------


def replace_pair(path: Path, text: str) -> None:
    with NewOutput(str(path), os.path.isfile) as new:
        Path(new.temporary).write_text(text)
        Path(f"{new.temporary}.data").write_text(f"weights of {text}")
        new.keep()


def pair(path: Path) -> tuple[str, str]:
    return path.read_text(), Path(f"{path}.data").read_text()


def test_what_is_named_by_another_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An .onnx never names weights that are not there."""
    path, order, real = tmp_path / "model.onnx", [], os.replace

    def replace(old: str, new: str) -> None:
        order.append(os.path.basename(new))
        real(old, new)

    monkeypatch.setattr(os, "replace", replace)
    replace_pair(path, "new")
    assert order == ["model.onnx.data", "model.onnx"]
    assert pair(path) == ("new", "weights of new")
    assert sorted(os.listdir(tmp_path)) == ["model.onnx", "model.onnx.data"]


@pytest.mark.parametrize("is_first", [False, True])
def test_where_one_fails_the_pair_stays_as_it_was(
    is_first: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    if not is_first:
        replace_pair(path, "old")
    real: Any = os.replace

    def replace(old: str, new: str) -> None:
        if new.endswith(".onnx"):
            raise PermissionError(13, "Permission denied")
        real(old, new)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(SaveError, match="Permission denied"):
        replace_pair(path, "new")
    if is_first:
        assert os.listdir(tmp_path) == []
    else:
        assert pair(path) == ("old", "weights of old")
        assert sorted(os.listdir(tmp_path)) == ["model.onnx", "model.onnx.data"]
