"""Labels out of text and out of models. Expected labels are what the bytes of each file spell, read by hand."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from tests.model.metadata.test_associated_files import archived
from tests.model.small import dense_layer

import unlite
from unlite.flatbuffers.write import build
from unlite.model.metadata.labels import label_facts, labels_of_output, read_labels
from unlite.schema import load


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        (b"cat\ndog\n", ["cat", "dog"]),
        (b"cat\ndog", ["cat", "dog"]),
        (b"cat\r\ndog\r\n", ["cat", "dog"]),
        (b"cat\rdog\r", ["cat", "dog"]),
        (b"cat\n\n\n", ["cat"]),
        (b"\ncat\n\ndog\n", ["", "cat", "", "dog"]),  # an empty line has its place among the classes
        (b"", []),
        # No other character ends a line: NEL, vertical tab, form feed, file separator, U+2028.
        ("a\x85b\x0bc\x0cd\x1ce\u2028f\n".encode(), ["a\x85b\x0bc\x0cd\x1ce\u2028f"]),
        (b"\xef\xbb\xbfcaf\xc3\xa9\n", ["café"]),
        ("\ufeffcafé\nthé".encode("utf-16-le"), ["café", "thé"]),
        ("\ufeffcafé\nthé".encode("utf-16-be"), ["café", "thé"]),
        ("\ufeffcafé\nthé".encode("utf-32-le"), ["café", "thé"]),
        (b"0 background\n1 person\n2 car\n", ["background", "person", "car"]),
        (b"0: background\r\n1: person\r\n", ["background", "person"]),
        (b"0,background\n1, person\n", ["background", "person"]),
        (b"1: person\n3: car\n", ["", "person", "", "car"]),
        # Not certain to be numbers of classes: they stay as they are.
        (b"1 euro\n2 euro\n5 euro\n", ["1 euro", "2 euro", "5 euro"]),
        (b"0\n1\n2\n", ["0", "1", "2"]),
        (b"0 a\n1 b\nc\n", ["0 a", "1 b", "c"]),
        (b"2: a\n99999: b\n", ["2: a", "99999: b"]),
        (b"[not json\n{nor this\n", ["[not json", "{nor this"]),
        (b'["cat", "dog"]', ["cat", "dog"]),
        (b'{"names": {"0": "person", "1": "voiture \\u00e9"}, "task": "detect"}', ["person", "voiture é"]),
        (b'{"names": ["a", "b"]}', ["a", "b"]),
        (b'{"1": "b", "0": "a"}', ["a", "b"]),
        # What older exporters wrote: a Python dict.
        (
            b"{'stride': 32, 'names': {0: 'person', 1: \"driver's cab\", 2: 'it\\'s'}}",
            ["person", "driver's cab", "it's"],
        ),
    ],
)
def test_text(content: bytes, labels: list[str]) -> None:
    assert read_labels(content, "labels.txt") == labels


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"caf\xe9\nth\xe9\n", "no UTF-8 text"),
        (b"\xff\xfec\0a", "no UTF-16 text"),  # cut in the middle of a character
        ("cat\ndog".encode("utf-16-le"), "NUL characters"),
        (b"\0" * 9, "NUL characters"),
        (b"item {\n  id: 1\n  name: 'x'\n}\n", "label map"),
        (b"x" * ((1 << 24) + 1), "too many"),
    ],
)
def test_what_is_no_labels(content: bytes, message: str) -> None:
    with pytest.raises(unlite.UnliteError, match=message) as error:
        read_labels(content, "mine.txt")
    assert error.value.file == "mine.txt"


def test_encodings_by_name() -> None:
    assert read_labels(b"caf\xe9\n", "x", "latin-1") == ["café"]
    assert read_labels("猫\n".encode("shift_jis"), "x", "shift_jis") == ["猫"]
    assert read_labels("cat\ndog".encode("utf-16-le"), "x", "utf-16-le") == ["cat", "dog"]
    for wrong in ("no-such", "\0", "hex", "rot13"):
        with pytest.raises(unlite.UnliteError):
            read_labels(b"caf\xe9\n", "x", wrong)


def described(**output: object) -> bytes:
    """The dense layer, whose one output has three classes, with metadata of that output."""
    model = unlite.open(dense_layer())
    fields = {"subgraph_metadata": [{"output_tensor_metadata": [output]}]}
    model.metadata["TFLITE_METADATA"] = build(load("metadata").root, fields, b"M001")
    return _saved(model)


def _saved(model: unlite.Model) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/m")
        return Path(folder, "m").read_bytes()


def of(data: bytes | Path) -> tuple[list[str], str, str] | None:
    model = unlite.open(data)
    found = labels_of_output(model, model.main.outputs[0])
    return None if found is None else (found.names, found.file, found.kind)


AXIS = "TENSOR_AXIS_LABELS"


def test_what_the_metadata_names_comes_first() -> None:
    named = [
        {"name": "de.txt", "type": AXIS, "locale": "de"},
        {"name": "en.txt", "type": AXIS},
        {"name": "vocab.txt", "type": "VOCABULARY"},
    ]
    files = {"de.txt": b"eins\nzwei\ndrei\n", "en.txt": b"one\ntwo\nthree\n", "vocab.txt": b"a\nb\nc\n"}
    data = archived(described(associated_files=named), files)
    assert of(data) == (["one", "two", "three"], "en.txt", AXIS)
    assert label_facts(unlite.open(data)) == ["3 in en.txt"]


def test_the_only_file_that_fits() -> None:
    three, four = b"a\nb\nc\n", b"a\nb\nc\nd\n"
    assert of(archived(dense_layer(), {"classes.txt": three, "words.txt": four})) == (
        ["a", "b", "c"],
        "classes.txt",
        AXIS,
    )
    assert of(archived(dense_layer(), {"one.txt": three, "two.txt": three})) is None
    assert of(archived(dense_layer(), {"words.txt": four})) is None
    assert of(archived(dense_layer(), {"weights.bin": three})) is None
    assert of(dense_layer()) is None


def test_what_the_metadata_names_as_something_else_is_no_label_file() -> None:
    """As long as the labels are: a vocabulary, and scores for each class."""
    three = b"a\nb\nc\n"
    for kind, found in (("VOCABULARY", None), ("TENSOR_AXIS_SCORE_CALIBRATION", None), ("UNKNOWN", "words.txt")):
        data = archived(described(associated_files=[{"name": "words.txt", "type": kind}]), {"words.txt": three})
        assert of(data) == (found and (["a", "b", "c"], found, AXIS))


def test_names_of_ultralytics() -> None:
    names = {"names": {"0": "a", "1": "b", "2": "c"}}
    assert of(archived(dense_layer(), {"metadata.json": json.dumps(names).encode()})) == (
        list("abc"),
        "metadata.json",
        AXIS,
    )
    old = str({"stride": 32, "names": {0: "a", 1: "b", 2: "c"}}).encode()
    assert of(archived(dense_layer(), {"temp_meta.txt": old})) == (list("abc"), "temp_meta.txt", AXIS)
    model = unlite.open(dense_layer())
    model.metadata["ultralytics"] = json.dumps(names).encode()
    assert of(_saved(model)) == (list("abc"), "ultralytics", AXIS)


def test_what_was_put_in_is_seen_at_once() -> None:
    model = unlite.open(dense_layer())
    model.associated_files["labels.txt"] = b"x\ny\nz\n"
    found = labels_of_output(model, model.main.outputs[0])
    assert found is not None
    assert found.names == ["x", "y", "z"]
    assert label_facts(model) == ["3 in labels.txt"]


@pytest.mark.parametrize(
    ("report", "labels", "fact"),
    [
        ("labels_embedded_bom", ["cafe", "the", "lait"], "3 in labels.txt"),
        ("labels_embedded_u16", ["cafe", "the", "lait"], "3 in labels.txt"),
        ("labels_zip_only", ["cafe", "the", "lait"], "3 in labels.txt"),
        ("ultralytics_metadata_json", None, "2 in metadata.json, which fit no output"),
        ("metadata_names_missing_labels", None, "'labels.txt' is named by the metadata, but is not in the file"),
        ("zip_duplicate_labels", None, "unusable: 'labels.txt' is the name of 2 entries: 0, 1"),
        ("zip_verify_clean_rewrite_refused", None, "unusable: no file begins where the ZIP directory says"),
    ],
)
def test_shown(report: str, labels: list[str] | None, fact: str, shared: Path) -> None:
    path = shared / f"reports/{report}.tflite"
    (said,) = label_facts(unlite.open(path))
    assert said.startswith(fact)
    if labels is not None:
        found = of(path)
        assert found is not None
        assert found[0] == labels


def test_models_without_labels(shared: Path) -> None:
    for name in ("cls", "metadata_json_instead_of_flatbuffer", "duplicate_metadata_names"):
        assert label_facts(unlite.open(shared / f"reports/{name}.tflite")) == []


@pytest.mark.parametrize(
    ("name", "first", "last", "count", "kind"),
    [
        ("mobilenet_v1_025_uint8", "background", "toilet tissue", 1001, AXIS),
        ("yamnet_int8", "Speech", "Field recording", 521, AXIS),
        ("automl_labeler_uint8", "daisy", "tulips", 5, AXIS),
        ("nl_classifier_regex_tokenizer", "Negative", "Positive", 2, AXIS),
    ],
)
def test_real_models(name: str, first: str, last: str, count: int, kind: str, shared: Path) -> None:
    """What ``unzip -p`` prints first and last."""
    found = of(shared / f"models/{name}.tflite")
    assert found is not None
    assert (found[0][0], found[0][-1], len(found[0]), found[2]) == (first, last, count, kind)
