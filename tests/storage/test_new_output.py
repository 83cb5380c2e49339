"""A result that is there as a whole or not at all; folders: see test_convert.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from unlite.errors import SaveError
from unlite.storage.new_output import NewOutput


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
