"""``unlite metadata``: labels, files and fields go in and out by command; judges are zipfile and LiteRT."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path

import pytest
from tests.model.litert_judge import answers
from tests.model.small import dense_layer

import unlite
from unlite.cli import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model without metadata, with one output of three classes, in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.tflite").write_bytes(dense_layer())
    (tmp_path / "classes.txt").write_text("cat\ndog\nowl\n")
    return tmp_path / "m.tflite"


def archive(path: str) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def said(capsys: Capture, *arguments: str) -> str:
    assert main(["metadata", *arguments]) == 0
    return capsys.readouterr().out


def refused(capsys: Capture, *arguments: str) -> str:
    assert main(["metadata", *arguments]) == 2
    return capsys.readouterr().err


def test_labels_in_one_step(model: Path, capsys: Capture) -> None:
    out = said(capsys, "m.tflite", "--labels", "classes.txt", "-o", "out.tflite")
    assert out.startswith("labels\t3 labels in classes.txt, for the output 'y'\nsaved\trewritten out.tflite, ")
    assert archive("out.tflite") == {"classes.txt": b"cat\ndog\nowl\n"}
    shown = said(capsys, "out.tflite")
    assert 'name: "classes.txt"\n              type: TENSOR_AXIS_LABELS\n' in shown
    assert 'min_parser_version: "1.0.0"' in shown
    assert main(["show", "out.tflite"]) == 0
    assert "labels\t3 in classes.txt\n" in capsys.readouterr().out
    assert answers(model.parent, [Path("out.tflite").read_bytes()]) == ["ok"]
    assert model.read_bytes() == dense_layer()


@pytest.mark.parametrize(
    ("report", "options", "stored"),
    [
        ("l_bom.txt", [], b"cafe\nthe\nlait\n"),
        ("l_u16.txt", [], b"cafe\nthe\nlait\n"),
        ("l_latin.txt", ["--encoding", "latin-1"], "café\nthé\nlait\n".encode()),
    ],
)
def test_labels_become_plain_utf8(
    report: str, options: list[str], stored: bytes, shared: Path, tmp_path: Path, capsys: Capture
) -> None:
    """Readers on phones split at LF, and take a byte order mark for a part of the first label."""
    out = str(tmp_path / "out.tflite")
    given = shared / "reports"
    said(capsys, str(given / "cls.tflite"), "--labels", str(given / report), *options, "-o", out)
    assert archive(out) == {report: stored}


def test_other_encodings_are_refused(shared: Path, tmp_path: Path, capsys: Capture) -> None:
    given = shared / "reports"
    out = tmp_path / "out.tflite"
    error = refused(capsys, str(given / "cls.tflite"), "--labels", str(given / "l_latin.txt"), "-o", str(out))
    assert "l_latin.txt: is no UTF-8 text (byte 0x3)" in error  # 63 61 66 e9
    assert "--encoding latin-1" in error
    assert not out.exists()


def test_any_file(model: Path, capsys: Capture) -> None:
    Path("v.txt").write_bytes(b"\xff\0words")
    out = said(
        capsys, "m.tflite", "--set", "sub/vocab.txt=v.txt", "--set", "labels.txt=classes.txt", "-o", "out.tflite"
    )
    assert "sub/vocab.txt\t7 bytes\nlabels.txt\t12 bytes\n" in out
    assert archive("out.tflite") == {"sub/vocab.txt": b"\xff\0words", "labels.txt": b"cat\ndog\nowl\n"}
    assert Path("out.tflite").read_bytes().startswith(dense_layer())
    said(capsys, "out.tflite", "--remove", "sub/vocab.txt", "--in-place")
    assert archive("out.tflite") == {"labels.txt": b"cat\ndog\nowl\n"}
    assert b"words" not in Path("out.tflite").read_bytes()
    said(capsys, "out.tflite", "--remove", "labels.txt", "-o", "back.tflite")
    assert not zipfile.is_zipfile("back.tflite")
    for wrong in ("labels.txt", "=classes.txt", "labels.txt=", "../labels.txt=classes.txt", "a=nowhere"):
        refused(capsys, "m.tflite", "--set", wrong, "-o", "never.tflite")
    assert not Path("never.tflite").exists()


def test_a_file_of_labels_that_nothing_names_is_pointed_at(model: Path, capsys: Capture) -> None:
    assert main(["metadata", "m.tflite", "--set", "labels.txt=classes.txt", "-o", "out.tflite"]) == 0
    assert "labels.txt fits the output 'y', but no metadata says so: --labels" in capsys.readouterr().err
    field = 'subgraph_metadata[0].output_tensor_metadata[0].associated_files=[{"name": "labels.txt", "type": 2}]'
    assert (
        main(["metadata", "m.tflite", "--set", "labels.txt=classes.txt", "--set-field", field, "-o", "out.tflite"]) == 0
    )
    assert capsys.readouterr().err == ""


def test_from_standard_input(model: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    class Input:
        buffer = io.BytesIO(b"a\nb\nc\n")

    monkeypatch.setattr(sys, "stdin", Input)
    said(capsys, "m.tflite", "--labels", "-", "-o", "out.tflite")
    assert archive("out.tflite") == {"labels.txt": b"a\nb\nc\n"}


def test_fields(model: Path, capsys: Capture) -> None:
    field = "subgraph_metadata[0].input_tensor_metadata[0].name=image"
    out = said(capsys, "m.tflite", "--set-field", "name=mine", "--set-field", field, "-o", "out.tflite")
    assert "subgraph_metadata[0].input_tensor_metadata[0].name\tset\n" in out
    shown = said(capsys, "out.tflite")
    assert '  name: "mine"\n' in shown
    assert '          name: "image"\n' in shown
    said(capsys, "out.tflite", "--set-field", "name=null", "--in-place")
    assert "mine" not in said(capsys, "out.tflite")
    assert b"mine" not in Path("out.tflite").read_bytes()
    assert "Close: name" in refused(capsys, "m.tflite", "--set-field", "nam=x", "-o", "never.tflite")
    assert not Path("never.tflite").exists()


def test_json_there_and_back(shared: Path, tmp_path: Path, capsys: Capture) -> None:
    """What --json prints is taken back: nothing changes in the model, and another gets the same metadata."""
    yamnet = str(shared / "models/yamnet_int8.tflite")
    printed = said(capsys, yamnet, "--json")
    (tmp_path / "facts.json").write_text(printed)
    for name, how in (("yamnet_int8", "copied"), ("blazeface_front_fp16", "rewritten")):
        out = str(tmp_path / f"{name}.tflite")
        done = main(
            ["metadata", str(shared / f"models/{name}.tflite"), "--from-json", str(tmp_path / "facts.json"), "-o", out]
        )
        assert done == 0
        captured = capsys.readouterr()
        assert f"saved\t{how} " in captured.out
        assert ("yamnet_label_list.txt, which is not in the model" in captured.err) == (name == "blazeface_front_fp16")
        wanted = {entry["name"]: entry["value"] for entry in json.loads(printed)["metadata"]}
        got = {entry["name"]: entry["value"] for entry in json.loads(said(capsys, out, "--json"))["metadata"]}
        assert {name: got[name] for name in wanted} == wanted


def test_part_of_the_fields_from_json(model: Path, capsys: Capture) -> None:
    said(capsys, "m.tflite", "--set-field", "name=mine", "--set-field", "author=me", "-o", "out.tflite")
    Path("f.json").write_text('{"version": "2", "author": null, "subgraph_metadata": [{"name": "main"}]}')
    said(capsys, "out.tflite", "--from-json", "f.json", "--in-place")
    (entry,) = json.loads(said(capsys, "out.tflite", "--json"))["metadata"]
    assert entry["value"] == {
        "name": "mine",
        "version": "2",
        "subgraph_metadata": [{"name": "main"}],
        "min_parser_version": "1.0.0",
    }
    said(capsys, "out.tflite", "--remove", "TFLITE_METADATA", "--from-json", "f.json", "-o", "new.tflite")
    (entry,) = json.loads(said(capsys, "new.tflite", "--json"))["metadata"]
    assert "name" not in entry["value"]
    for text, message in (
        ("{", "line 1, column 2"),
        ('{"names": 1}', "Close: name"),
        ('{"metadata": 3}', "neither"),
        ('{"metadata": [{"name": "x", "kind": "bytes", "value": "zz"}]}', "metadata[0].value"),
        ('{"metadata": [{"name": "CONVERSION_METADATA", "kind": "FlatBuffer", "value": {"x": 1}}]}', "no field 'x'"),
        ('{"metadata": [{"name": "own", "kind": "FlatBuffer", "value": {}}]}', "no schema is known"),
        ('{"metadata": [{"name": "own", "kind": "text", "value": 3}]}', "no content of kind"),
    ):
        Path("f.json").write_text(text)
        assert message in refused(capsys, "m.tflite", "--from-json", "f.json", "-o", "never.tflite")


def test_every_kind_of_entry_travels(shared: Path, tmp_path: Path, capsys: Capture) -> None:
    """Text, and the FlatBuffers of other schemas, as well."""
    given, out = shared / "models/mnist_conv_fc_int8.tflite", str(tmp_path / "out.tflite")
    printed = said(capsys, str(given), "--json")
    (tmp_path / "facts.json").write_text(printed)
    said(capsys, str(shared / "reports/cls.tflite"), "--from-json", str(tmp_path / "facts.json"), "-o", out)
    entries = [(entry["name"], entry["value"]) for entry in json.loads(printed)["metadata"]]
    assert [name for name, _ in entries] == ["min_runtime_version", "CONVERSION_METADATA"]
    assert [(e["name"], e["value"]) for e in json.loads(said(capsys, out, "--json"))["metadata"]] == entries
    same = said(capsys, str(given), "--from-json", str(tmp_path / "facts.json"), "-o", out)
    assert "saved\tcopied" in same


def test_infinities_there_and_back(model: Path, capsys: Capture) -> None:
    Path("f.json").write_text(
        '{"subgraph_metadata": [{"output_tensor_metadata": [{"stats": {"max": ["inf"], "min": ["-inf"]}}]}]}'
    )
    said(capsys, "m.tflite", "--from-json", "f.json", "-o", "out.tflite")
    (entry,) = json.loads(said(capsys, "out.tflite", "--json"))["metadata"]
    stats = entry["value"]["subgraph_metadata"][0]["output_tensor_metadata"][0]["stats"]
    assert stats == {"max": ["Infinity"], "min": ["-Infinity"]}


def test_removal_of_what_has_one_name_and_of_what_has_several(shared: Path, tmp_path: Path, capsys: Capture) -> None:
    given, out = str(shared / "reports/duplicate_metadata_names.tflite"), str(tmp_path / "out.tflite")
    error = refused(capsys, given, "--remove", "dup", "-o", out)
    assert "'dup' is the name of 2 metadata entries" in error
    assert "--remove 'metadata[6]' or --remove 'metadata[7]'" in error
    before = Path(given).read_bytes()
    large = bytes(unlite.open(given).metadata["bin"])
    assert len(large) == 10240
    said(capsys, given, "--remove", "metadata[6]", "--remove", "bin", "-o", out)
    opened = unlite.open(out)
    assert [name for name in opened.metadata if name in ("dup", "bin")] == ["dup"]
    assert large in before
    assert large not in Path(out).read_bytes()
    assert large[:64] not in Path(out).read_bytes()
    assert "no metadata entry 99" in refused(capsys, given, "--remove", "metadata[99]", "-o", out)
    assert "There is: OfflineMemoryAllocation" in refused(capsys, given, "--remove", "nothing", "-o", out)


def test_removal_of_a_name_that_is_a_file_and_an_entry(model: Path, capsys: Capture) -> None:
    opened = unlite.open("m.tflite")
    opened.metadata["both"] = b"entry bytes"
    opened.associated_files["both"] = b"file bytes"
    opened.save("out.tflite")
    error = refused(capsys, "out.tflite", "--remove", "both", "-o", "never.tflite")
    assert "--remove file:both or --remove metadata:both" in error
    said(capsys, "out.tflite", "--remove", "file:both", "-o", "one.tflite")
    said(capsys, "out.tflite", "--remove", "metadata:both", "-o", "two.tflite")
    one, two = Path("one.tflite").read_bytes(), Path("two.tflite").read_bytes()
    assert (b"entry bytes" in one, b"file bytes" in one) == (True, False)
    assert (b"entry bytes" in two, b"file bytes" in two) == (False, True)


def test_a_label_file_that_goes_is_missed(shared: Path, tmp_path: Path, capsys: Capture) -> None:
    out = str(tmp_path / "out.tflite")
    options = ["--remove", "yamnet_label_list.txt", "-o", out]
    assert main(["metadata", str(shared / "models/yamnet_int8.tflite"), *options]) == 0
    assert "--set yamnet_label_list.txt=FILE" in capsys.readouterr().err
    assert main(["show", out]) == 0
    assert "'yamnet_label_list.txt' is named by the metadata, but is not in the file" in capsys.readouterr().out


def test_duplicates_can_be_read_and_mended(shared: Path, tmp_path: Path, capsys: Capture) -> None:
    given, out = str(shared / "reports/zip_duplicate_labels.tflite"), str(tmp_path / "out.tflite")
    (tmp_path / "l").write_text("x\n")
    said(capsys, given, "--set", f"labels.txt={tmp_path / 'l'}", "-o", out)
    assert archive(out) == {"labels.txt": b"x\n"}


def test_json_text_in_place_of_the_flatbuffer_is_shown(shared: Path, capsys: Capture) -> None:
    out = said(capsys, str(shared / "reports/metadata_json_instead_of_flatbuffer.tflite"))
    assert out.startswith('TFLITE_METADATA: {"name":"cup",')


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--labels", "classes.txt"], "where to save"),
        (["--labels", "classes.txt", "-o", "x", "--in-place"], "where to save"),
        (["-o", "x"], "nothing to change"),
        (["--for", "y"], "belong to --labels"),
        (["--labels", "nowhere", "-o", "x"], "cannot be opened"),
        (["--labels", "m.tflite", "-o", "x"], "no UTF-8 text"),
    ],
)
def test_what_does_not_go_together(options: list[str], message: str, model: Path, capsys: Capture) -> None:
    assert message in refused(capsys, "m.tflite", *options)
    assert sorted(file.name for file in model.parent.iterdir()) == ["classes.txt", "m.tflite"]


def test_changes_as_json(model: Path, capsys: Capture) -> None:
    facts = json.loads(said(capsys, "m.tflite", "--labels", "classes.txt", "-o", "out.tflite", "--json"))
    assert facts["how"] == "rewritten"
    assert facts["changes"] == [{"what": "labels", "done": "3 labels in classes.txt, for the output 'y'"}]


@pytest.mark.parametrize("report", ["labels_embedded_bom", "labels_embedded_u16", "labels_zip_only"])
def test_dump_uses_the_labels_inside(report: str, shared: Path, tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("torch")
    assert main(["dump", str(shared / f"reports/{report}.tflite"), "-o", str(tmp_path / "out"), "--json"]) == 0
    (output,) = json.loads(capsys.readouterr().out)["labels"]
    assert sorted(entry["label"] for entry in output["top"]) == ["cafe", "lait", "the"]


def test_dump_says_which_labels_it_cannot_use(shared: Path, tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("torch")
    model = unlite.open(shared / "reports/cls.tflite")
    model.associated_files["labels.txt"] = (shared / "reports/l_latin.txt").read_bytes()
    model.save(tmp_path / "m.tflite")
    options = [str(tmp_path / "m.tflite"), "-o", str(tmp_path / "out")]
    assert main(["dump", *options]) == 0
    captured = capsys.readouterr()
    assert "labels.txt: is no UTF-8 text" in captured.err
    assert "\ufffd" not in captured.out + (tmp_path / "out/index.html").read_text()
    latin = ["--labels", str(shared / "reports/l_latin.txt")]
    assert main(["dump", *options, *latin]) == 2
    assert "no UTF-8 text" in capsys.readouterr().err
    assert main(["dump", *options, *latin, "--encoding", "latin-1", "--json"]) == 0
    (output,) = json.loads(capsys.readouterr().out)["labels"]
    assert sorted(entry["label"] for entry in output["top"]) == ["café", "lait", "thé"]


@pytest.mark.parametrize("report", ["labels_embedded_bom", "labels_embedded_u16", "labels_zip_only"])
def test_core_ml_uses_the_labels_inside(report: str, shared: Path) -> None:
    from unlite.coreml.labels import labels_of

    model = unlite.open(shared / f"reports/{report}.tflite")
    assert labels_of(model, model.main, True) == ["cafe", "the", "lait"]
    for name in ("l_bom.txt", "l_u16.txt"):
        assert labels_of(model, model.main, shared / "reports" / name) == ["cafe", "the", "lait"]
    with pytest.raises(unlite.UnliteError, match="no UTF-8 text"):
        labels_of(model, model.main, shared / "reports/l_latin.txt")
