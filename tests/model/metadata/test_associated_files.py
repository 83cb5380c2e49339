"""Files in the archive behind a model: put in, replaced, taken away; the judges are zipfile and LiteRT."""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from collections.abc import MutableMapping
from pathlib import Path

import pytest
from tests.model.litert_judge import answers
from tests.model.small import dense_layer

import unlite
from unlite.flatbuffers.write import build
from unlite.schema import load

SECRET = b"nobody shall find this\n" * 3


def archived(data: bytes, files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO(data)
    stream.seek(0, io.SEEK_END)
    with zipfile.ZipFile(stream, "a", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def judged(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_model_without_an_archive_gets_one(tmp_path: Path) -> None:
    out = tmp_path / "out.tflite"
    model = unlite.open(dense_layer())
    assert isinstance(model.associated_files, MutableMapping)
    model.associated_files["labels.txt"] = b"a\nb\nc\n"
    assert model.is_changed
    assert dict(model.associated_files) == {"labels.txt": b"a\nb\nc\n"}
    report = model.save(out)
    assert report.how == "patched"
    assert judged(out) == {"labels.txt": b"a\nb\nc\n"}
    assert out.read_bytes().startswith(dense_layer())  # the FlatBuffer is copied as it was
    assert dict(unlite.open(out).associated_files) == {"labels.txt": b"a\nb\nc\n"}


def test_saved_twice_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        model = unlite.open(archived(dense_layer(), {}))
        model.associated_files["labels.txt"] = b"a\n"
        model.associated_files["b/vocab.txt"] = b"b\n"
        model.save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("how", ["removed", "replaced"])
@pytest.mark.parametrize("also", ["nothing", "patch", "rewrite"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_nothing_is_left_behind(how: str, also: str, method: int, tmp_path: Path) -> None:
    out = tmp_path / "out.tflite"
    data = archived(dense_layer(), {"kept.txt": b"kept", "secret.txt": SECRET}, method)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        info = archive.getinfo("secret.txt")
        stored = data[info.header_offset + 30 + 10 :][: info.compress_size]
    assert data.count(stored) == 1
    model = unlite.open(data)
    if how == "removed":
        del model.associated_files["secret.txt"]
    else:
        model.associated_files["secret.txt"] = b"fine"
    if also != "nothing":
        model.description = "SMALL" if also == "patch" else "another description"
    assert model.save(out).how == ("rewritten" if also == "rewrite" else "patched")
    assert stored not in out.read_bytes()
    wanted = {"kept.txt": b"kept"} | ({"secret.txt": b"fine"} if how == "replaced" else {})
    assert judged(out) == wanted
    assert (b"secret.txt" in out.read_bytes()) == (how == "replaced")
    opened = unlite.open(out)
    assert opened.description == (
        "small" if also == "nothing" else "SMALL" if also == "patch" else "another description"
    )
    assert not [finding for finding in opened.verify() if finding.severity == "error"]


def test_an_archive_that_becomes_empty_goes_away(tmp_path: Path) -> None:
    model = unlite.open(archived(dense_layer(), {"secret.txt": SECRET}))
    model.associated_files.clear()
    model.save(tmp_path / "out.tflite")
    assert (tmp_path / "out.tflite").read_bytes() == dense_layer()


def test_taken_back_is_unchanged(tmp_path: Path) -> None:
    data = archived(dense_layer(), {"labels.txt": b"a"})
    model = unlite.open(data)
    model.associated_files["x"] = b"1"
    del model.associated_files["x"]
    model.associated_files["labels.txt"] = b"a"  # what is there
    assert not model.associated_files.is_changed
    assert model.save(tmp_path / "out.tflite").how == "copied"
    assert (tmp_path / "out.tflite").read_bytes() == data


def test_undo_and_redo(tmp_path: Path) -> None:
    data = archived(dense_layer(), {"labels.txt": b"a"})
    model = unlite.open(data)
    files = model.associated_files
    files["x"] = b"1"
    files["labels.txt"] = b"b"
    del files["x"]
    assert [edit[:3] for edit in model.edits] == [
        ("associated_files['x']", None, b"1"),
        ("associated_files['labels.txt']", b"a", b"b"),
        ("associated_files['x']", b"1", None),
    ]
    model.undo()
    assert dict(files) == {"labels.txt": b"b", "x": b"1"}
    model.undo()
    model.undo()
    assert (dict(files), model.is_changed) == ({"labels.txt": b"a"}, False)
    model.redo()
    assert dict(pickle.loads(pickle.dumps(model)).associated_files) == {"labels.txt": b"a", "x": b"1"}
    model.undo()
    assert model.save(tmp_path / "out.tflite").how == "copied"
    assert (tmp_path / "out.tflite").read_bytes() == data


def test_what_is_seen_before_the_save() -> None:
    model = unlite.open(archived(dense_layer(), {"a": b"1", "b": b"2", "c": b"3"}))
    model.associated_files["b"] = b"22"
    model.associated_files["d"] = b"4"
    del model.associated_files["a"]
    assert list(model.associated_files) == ["b", "c", "d"]
    assert model.associated_files.sizes() == [("b", 2), ("c", 1), ("d", 1)]
    assert len(model.associated_files) == 3
    assert "a" not in model.associated_files
    for gone in ("a", "never"):
        with pytest.raises(unlite.UnliteError, match="There is: b, c, d"):
            model.associated_files[gone]
        with pytest.raises(KeyError):
            del model.associated_files[gone]
    with pytest.raises(TypeError, match=r"encode\(\)"):
        model.associated_files["e"] = "text"  # type: ignore[assignment]
    with pytest.raises(unlite.UnliteError, match="no name for a file"):
        model.associated_files["../e"] = b""
    assert list(model.associated_files) == ["b", "c", "d"]


def test_in_place_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(dense_layer())
    model = unlite.open(path)
    model.associated_files["a"] = b"1"
    with pytest.raises(unlite.UnliteError, match="cannot be written in place"):
        model.save(in_place=True)
    assert path.read_bytes() == dense_layer()
    model.save()  # over itself: the new file takes the name when it is whole
    assert judged(path) == {"a": b"1"}


def test_other_outputs_carry_the_new_archive(tmp_path: Path) -> None:
    """JSON with its tail file, and a C array."""
    model = unlite.open(archived(dense_layer(), {"a": b"1", "secret.txt": SECRET}))
    del model.associated_files["secret.txt"]
    model.associated_files["b"] = b"2"
    unlite.to_json(model, tmp_path / "m.json")
    (tmp_path / "m.cc").write_text(unlite.to_c_array(model))
    for made in (unlite.from_json(tmp_path / "m.json"), unlite.from_c_array((tmp_path / "m.cc").read_text())):
        assert dict(made.associated_files) == {"a": b"1", "b": b"2"}
    for file in tmp_path.iterdir():
        assert SECRET not in file.read_bytes()


def test_old_versions_keep_theirs(tmp_path: Path, shared: Path) -> None:
    """A model without an identifier is brought up to version 3 when it changes; its archive comes along."""
    old = build(
        load("tflite_v1").root,
        {
            "version": 1,
            "operator_codes": [{"builtin_code": "ADD"}],
            "subgraphs": [
                {
                    "tensors": [{"name": "x", "shape": [1], "type": "FLOAT32"}],
                    "inputs": [0],
                    "outputs": [0],
                    "operators": [],
                }
            ],
        },
    )
    data = archived(old, {"a": b"1", "secret.txt": SECRET})
    model = unlite.open(data)
    assert model.schema_version == 1
    model.associated_files["b"] = b"2"
    del model.associated_files["secret.txt"]
    assert model.save(tmp_path / "same_version").how == "patched"
    assert (tmp_path / "same_version").read_bytes().startswith(old)
    model.description = "new"
    assert model.save(tmp_path / "new_version").how == "rewritten"
    for name in ("same_version", "new_version"):
        assert judged(tmp_path / name) == {"a": b"1", "b": b"2"}
        assert SECRET not in (tmp_path / name).read_bytes()


def test_bytes_behind_the_archive_stay(tmp_path: Path) -> None:
    """Nothing known points there, and nothing of it may be lost."""
    data = archived(dense_layer(), {"a": b"1"}) + b"SIGNATURE OF SOMEBODY"
    for change in ("file", "description"):
        model = unlite.open(data)
        if change == "file":
            model.associated_files["b"] = b"2"
        else:
            model.description = "another description"
        assert model.save(tmp_path / change).how == "rewritten"
        assert b"SIGNATURE OF SOMEBODY" in (tmp_path / change).read_bytes()
        assert judged(tmp_path / change) == ({"a": b"1", "b": b"2"} if change == "file" else {"a": b"1"})


def test_a_damaged_archive_is_carried_and_not_changed(shared: Path, tmp_path: Path) -> None:
    """Its end record says that the directory begins elsewhere; where its 229 bytes stand: bytes 2480 on."""
    path = shared / "reports/zip_verify_clean_rewrite_refused.tflite"
    archive = path.read_bytes()[2480:]
    assert archive.startswith(b"PK\3\4")
    model = unlite.open(path)
    model.description = "another description, longer than the one before"
    assert model.save(tmp_path / "out.tflite").how == "rewritten"
    assert (tmp_path / "out.tflite").read_bytes().count(archive) == 1
    with pytest.raises(unlite.UnliteError, match="no file begins where the ZIP directory says") as error:
        model.associated_files["labels.txt"] = b"a"
    assert error.value.path == "ZIP entry 'labels.txt'"


def test_a_name_that_repeats(shared: Path, tmp_path: Path) -> None:
    model = unlite.open(shared / "reports/zip_duplicate_labels.tflite")
    with pytest.raises(unlite.UnliteError, match="name of 2 entries: 0, 1"):
        model.associated_files["labels.txt"]
    model.associated_files["labels.txt"] = b"x\ny\nz\n"
    assert model.associated_files["labels.txt"] == b"x\ny\nz\n"
    model.save(tmp_path / "out.tflite")
    assert judged(tmp_path / "out.tflite") == {"labels.txt": b"x\ny\nz\n"}


REAL = ["automl_labeler_uint8", "yamnet_int8", "dilated_conv", "blazeface_front_fp16", "person_detect_ethosu"]


def test_real_models_run_on(shared: Path, tmp_path: Path) -> None:
    files = []
    for name in REAL:
        path = shared / "models" / f"{name}.tflite"
        model = unlite.open(path)
        before = dict(model.associated_files)
        model.associated_files["zz/new.txt"] = SECRET
        report = model.save(tmp_path / name)
        assert report.how == "patched"
        assert judged(tmp_path / name) == {**before, "zz/new.txt": SECRET}
        again = unlite.open(tmp_path / name)
        del again.associated_files["zz/new.txt"]
        again.save(tmp_path / "back")
        assert SECRET not in (tmp_path / "back").read_bytes()
        assert dict(unlite.open(tmp_path / "back").associated_files) == before
        length = model.associated_files.tail.start if model.associated_files.tail else path.stat().st_size
        for file in (tmp_path / name, tmp_path / "back"):
            head = file.read_bytes()[:length]
            assert hashlib.sha256(head).digest() == hashlib.sha256(path.read_bytes()[:length]).digest()
        if name != "person_detect_ethosu":  # LiteRT has no kernel for its operator
            files += [(tmp_path / name).read_bytes(), (tmp_path / "back").read_bytes()]
    judged_by = tmp_path / "judge"
    judged_by.mkdir()
    assert answers(judged_by, files) == ["ok"] * len(files)
