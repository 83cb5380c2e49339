"""Where constant bytes lie: inside, behind, or in another file, whose name no model may choose freely."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.strategies import model_bytes

from unlite.errors import CorruptFileError, NotFoundError, UnliteError, UnsafePathError
from unlite.model.model import open_model

WEIGHTS = np.arange(6, dtype="<f4")


def external(name: Any, *, offset: int = 4, length: int = 8, number: int = 2**31 + 7, group: int = 0) -> bytes:
    """A model with one tensor whose constant is in another file."""
    return model_bytes(
        {
            "version": 3,
            "subgraphs": [{"tensors": [{"shape": [2], "name": "w", "external_buffer": number}]}],
            "buffers": [{}],
            "external_buffer_groups": [{"name": name}],
            "external_buffers": [{"id": 2**31 + 7, "group": group, "offset": offset, "length": length}],
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inner = tmp_path / "models"
    inner.mkdir()
    (inner / "weights.bin").write_bytes(WEIGHTS.tobytes())
    (inner / "sub").mkdir()
    (inner / "sub" / "more.bin").write_bytes(WEIGHTS.tobytes())
    (tmp_path / "secret.bin").write_bytes(WEIGHTS.tobytes())
    return inner


def placed(folder: Path, data: bytes) -> Path:
    path = folder / "model.tflite"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ["weights.bin", "sub/more.bin", "sub\\more.bin", "./weights.bin", "sub/./more.bin"])
def test_weights_beside_the_model(name: str, folder: Path) -> None:
    opened = open_model(placed(folder, external(name)))
    tensor = opened.main.tensors[0]
    assert tensor.is_constant
    assert tensor._constant().where == "external"
    assert tensor.numpy().tolist() == [1.0, 2.0]  # 4 bytes in: the second number on
    assert not tensor.numpy().flags.writeable
    opened.close()


def test_a_folder_that_is_named(folder: Path, tmp_path: Path) -> None:
    data = external("weights.bin")
    for model in (data, placed(tmp_path, data)):
        assert open_model(model, weights=folder).main.tensors[0].numpy().tolist() == [1.0, 2.0]
    with pytest.raises(NotFoundError, match="weights=FOLDER"):
        open_model(data).main.tensors[0].numpy()
    with pytest.raises(NotFoundError, match="not there"):
        open_model(tmp_path / "model.tflite").main.tensors[0].numpy()


HOSTILE = [
    "",
    "../secret.bin",
    "sub/../../secret.bin",
    "..",
    "/etc/hostname",
    "//host/share/x",
    "\\\\host\\share\\x",
    "C:\\secret.bin",
    "C:secret.bin",
    "c:/secret.bin",
    "sub/C:/secret.bin",
    "..\\secret.bin",
    "weights.bin\0.txt",
    "\0",
    "sub/..",
    "file:///etc/hostname",
]


@pytest.mark.parametrize("given", [False, True], ids=["beside", "named folder"])
@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_leave_the_folder(name: str, given: bool, folder: Path) -> None:
    options = {"weights": folder} if given else {}
    opened = open_model(placed(folder, external(name)), **options)
    with pytest.raises(UnsafePathError) as caught:
        opened.main.tensors[0].numpy()
    assert caught.value.path == "subgraphs[0].tensors[0]"
    assert caught.value.hint


def test_absolute_names(folder: Path, tmp_path: Path) -> None:
    for name in (str(tmp_path / "secret.bin"), str(folder / "weights.bin")):
        with pytest.raises(UnsafePathError):
            open_model(placed(folder, external(name))).main.tensors[0].numpy()


def test_links_that_leave_the_folder(folder: Path, tmp_path: Path) -> None:
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "inside.bin").symlink_to(folder / "weights.bin")
    (folder / "up").symlink_to(tmp_path)
    for name in ("link.bin", "up/secret.bin"):
        with pytest.raises(UnsafePathError):
            open_model(placed(folder, external(name))).main.tensors[0].numpy()
    assert open_model(placed(folder, external("inside.bin"))).main.tensors[0].numpy().tolist() == [1.0, 2.0]


@pytest.mark.parametrize("name", ["missing.bin", "sub", ".", "weights.bin/x", "pipe", "x" * 300])
def test_what_is_no_file(name: str, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(UnliteError) as caught:
        open_model(placed(folder, external(name))).main.tensors[0].numpy()
    assert isinstance(caught.value, (NotFoundError, UnsafePathError))


@pytest.mark.parametrize(("offset", "length"), [(20, 8), (24, 1), (2**63, 8), (0, 2**64 - 1), (2**64 - 1, 2**64 - 1)])
def test_claims_past_the_file(offset: int, length: int, folder: Path) -> None:
    with pytest.raises(CorruptFileError) as caught:
        open_model(placed(folder, external("weights.bin", offset=offset, length=length))).main.tensors[0].numpy()
    assert caught.value.path == "subgraphs[0].tensors[0]"
    assert "weights.bin" in str(caught.value)


def test_numbers_that_name_nothing(folder: Path) -> None:
    with pytest.raises(NotFoundError, match="no external buffer 5"):
        open_model(placed(folder, external("weights.bin", number=5))).main.tensors[0].numpy()
    with pytest.raises(CorruptFileError, match="group 9"):
        open_model(placed(folder, external("weights.bin", group=9))).main.tensors[0].numpy()


def test_the_real_one(shared: Path, tmp_path: Path) -> None:
    """LiteRT's own model with separate weights: both tensors, by hand from the file beside it."""
    source = shared / "external_buffer/separate_file"
    opened = open_model(source / "fc_external.tflite")
    raw = (source / "weights.bin").read_bytes()
    seen = 0
    for entry in opened.root["external_buffers"]:
        (tensor,) = (t for t in opened.main.tensors if t._table["external_buffer"] == entry["id"])
        assert bytes(tensor.data) == raw[entry["offset"] :][: entry["length"]]
        seen += 1
    assert seen
    for file in source.iterdir():
        shutil.copy(file, tmp_path / file.name)
    copied = open_model(tmp_path / "fc_external.tflite")
    assert copied.save(tmp_path / "again.tflite", rewrite=True).how == "rewritten"
    again = open_model(tmp_path / "again.tflite")
    assert [t.is_constant and bytes(t.data) for t in again.main.tensors] == [
        t.is_constant and bytes(t.data) for t in opened.main.tensors
    ]


def test_a_replaced_constant_moves_into_the_model(folder: Path) -> None:
    opened = open_model(placed(folder, external("weights.bin")))
    opened.main.tensors[0].data = np.array([8.0, 9.0], "f4")
    opened.save()
    (folder / "weights.bin").unlink()
    again = open_model(folder / "model.tflite")
    assert again.main.tensors[0].numpy().tolist() == [8.0, 9.0]
    assert again.main.tensors[0]._constant().where == "inline"
    assert again.main.tensors[0]._table["external_buffer"] == 0


def test_inline_data_wins(folder: Path) -> None:
    values = {
        "version": 3,
        "subgraphs": [{"tensors": [{"shape": [2], "buffer": 1, "external_buffer": 7}]}],
        "buffers": [{}, {"data": np.array([5.0, 6.0], "f4").tobytes()}],
        "external_buffer_groups": [{"name": "weights.bin"}],
        "external_buffers": [{"id": 7, "group": 0, "offset": 0, "length": 8}],
    }
    assert open_model(placed(folder, model_bytes(values))).main.tensors[0].numpy().tolist() == [5.0, 6.0]


def test_thousands_of_external_buffers(folder: Path) -> None:
    """Looking one up takes no longer for that."""
    count = 4000
    values = {
        "version": 3,
        "subgraphs": [{"tensors": [{"shape": [1], "external_buffer": i + 1} for i in range(count)]}],
        "buffers": [{}],
        "external_buffer_groups": [{"name": "weights.bin"}],
        "external_buffers": [{"id": i + 1, "offset": 4 * (i % 6), "length": 4} for i in range(count)],
    }
    opened = open_model(placed(folder, model_bytes(values)))
    assert sum(t.is_constant for t in opened.main.tensors) == count
    assert float(opened.main.tensors[count - 1].numpy()[0]) == (count - 1) % 6


def test_buffers() -> None:
    opened = open_model(
        model_bytes({"version": 3, "buffers": [{}, {"data": b"abc"}, {"offset": 1, "size": 1}], "subgraphs": []})
    )
    empty, data, placeholder = opened.buffers
    assert (empty.data, empty.nbytes, placeholder.data, placeholder.nbytes) == (None, 0, None, 0)
    assert data.data is not None
    assert (bytes(data.data), data.nbytes, data.data.readonly, repr(data)) == (b"abc", 3, True, "<Buffer 1: 3 bytes>")
    assert [10, 20, 30][data] == 20  # type: ignore[call-overload]
