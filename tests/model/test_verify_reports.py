"""Files that were told of wrongly: what is right is what LiteRT does with each when it builds and allocates."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from tests.model.litert_judge import answers
from tests.model.small import dense_layer

from unlite.flatbuffers.findings import Finding
from unlite.flatbuffers.write import build
from unlite.model.checking.verify import verify_file
from unlite.model.model import open_model
from unlite.schema import load
from unlite.storage.source import MemorySource

OPERATOR = "subgraphs[0].operators[0]"

# LiteRT refuses each, or crashes, when it builds an interpreter and allocates its tensors.
REFUSED = {
    "a_add_right_absent": (f"{OPERATOR}.inputs[1]", "ADD needs rhs"),
    "a_add_three_inputs": (f"{OPERATOR}.inputs", "there are 3; ADD takes 2"),
    "a_concat_absent": (f"{OPERATOR}.inputs[1]", "CONCATENATION needs values"),
    "a_conv_filter_absent": (f"{OPERATOR}.inputs[1]", "CONV_2D needs filter"),
    "a_conv_no_bias_2in": (f"{OPERATOR}.inputs", "there are 2; CONV_2D takes 3"),
    "a_conv_no_options": (f"{OPERATOR}.builtin_options", "CONV_2D needs Conv2DOptions"),
    "a_output_minus1": (f"{OPERATOR}.outputs[0]", "RELU needs output"),
    "a_relu_two_outputs": (f"{OPERATOR}.outputs", "there are 2; RELU takes 1"),
    "enum_wfmt5": (f"{OPERATOR}.builtin_options.weights_format", "no meaning for 5"),
    "litert_build_refused_751": ("operator_codes[3].builtin_code", "no kernel for STABLEHLO_FLOOR"),
    "litert_crash_1": (f"{OPERATOR}.inputs[1]", "has no data, and nothing writes it"),
    "shape8": ("subgraphs[0].tensors[0].shape", "more than 2^64 bytes"),
    "size_prefixed": ("root", "size prefix"),
    "unknown_union_torch": (f"{OPERATOR}.builtin_options", "CALL_ONCE needs CallOnceOptions"),
    "v_op_few_inputs": (f"{OPERATOR}.inputs", "there is 1; FULLY_CONNECTED takes 2 or 3"),
    "v_op_no_outputs": (f"{OPERATOR}.outputs", "there is none; FULLY_CONNECTED takes 1 or 2"),
}

# LiteRT loads each; what is wrong shows elsewhere.
WARNED = {
    "duplicate_metadata_names": ("metadata[7].name", "'dup' is the name of several entries"),
    "metadata_json_instead_of_flatbuffer": ("metadata[0].buffer", "no FlatBuffer of its schema"),
    "metadata_names_missing_labels": ("metadata[0].buffer", "names the file 'labels.txt'"),
    "zero_dims": ("subgraphs[0].tensors[0].shape", "without its zeros the shape comes to"),
    "zip_duplicate_labels": ("associated_files", "2 files are called 'labels.txt'"),
    "zip_verify_clean_rewrite_refused": ("associated_files", "cannot be read"),
}


def check(data: bytes) -> list[Finding]:
    return verify_file(MemorySource(data))


def of(findings: list[Finding], severity: str) -> list[Finding]:
    return [finding for finding in findings if finding.severity == severity]


def read(shared: Path, name: str) -> bytes:
    return (shared / f"reports/{name}.tflite").read_bytes()


@pytest.mark.parametrize("name", REFUSED)
def test_error(shared: Path, name: str) -> None:
    path, message = REFUSED[name]
    found = of(check(read(shared, name)), "error")
    assert any(finding.path == path and message in finding.message for finding in found), found


@pytest.mark.parametrize("name", WARNED)
def test_warning(shared: Path, name: str) -> None:
    path, message = WARNED[name]
    found = check(read(shared, name))
    assert of(found, "error") == []
    assert any(finding.path == path and message in finding.message for finding in of(found, "warning")), found


def test_litert_says_the_same(shared: Path, tmp_path: Path) -> None:
    found = dict(zip(REFUSED, answers(tmp_path, [read(shared, name) for name in REFUSED]), strict=True))
    assert [name for name, answer in found.items() if answer == "ok"] == []
    assert set(answers(tmp_path, [read(shared, name) for name in WARNED])) == {"ok"}


def test_a_signature_of_other_tensors(shared: Path, tmp_path: Path) -> None:
    # LiteRT loads it. Its signature runner then writes the input over the weights.
    data = read(shared, "signature_ends_not_graph_ends")
    assert answers(tmp_path, [data]) == ["ok"]
    assert [finding.path for finding in of(check(data), "error")] == [
        "signature_defs[0].inputs[0].tensor_index",
        "signature_defs[0].outputs[0].tensor_index",
    ]


def test_options_of_an_unknown_type_are_no_options(shared: Path, tmp_path: Path) -> None:
    # LiteRT builds it and takes zeros. Its kernel then refuses the shapes, which is a matter of the kernel's own.
    data = read(shared, "edit3282")
    (answer,) = answers(tmp_path, [data])
    assert answer.startswith("allocating: ")
    assert "failed to prepare" in answer
    found = check(data)
    assert of(found, "error") == []
    assert f"{OPERATOR}.builtin_options" in [finding.path for finding in of(found, "warning")]


def test_fields_of_a_newer_schema_are_a_note(shared: Path, tmp_path: Path) -> None:
    data = read(shared, "unknown_field_root")
    assert answers(tmp_path, [data]) == ["ok"]
    found = check(data)
    assert [finding.path for finding in found if "does not know" in finding.message] == ["root"]
    assert {finding.severity for finding in found} == {"note"}


def test_a_classifier_without_metadata_is_sound(shared: Path, tmp_path: Path) -> None:
    data = read(shared, "cls")
    assert answers(tmp_path, [data]) == ["ok"]
    assert check(data) == []


def test_a_damaged_archive_is_told_and_carried_by_a_rewrite(shared: Path, tmp_path: Path) -> None:
    data = read(shared, "zip_verify_clean_rewrite_refused")
    model = open_model(data)
    model.description = "longer than what was there before" * 10
    assert model.save(tmp_path / "out.tflite").how == "rewritten"
    archive = data[data.index(b"PK\3\4") :]
    assert archive in (tmp_path / "out.tflite").read_bytes()


# -- metadata and archives that the test makes itself -----------------------------------------------------------------


def with_files(folder: Path, *named: str) -> Path:
    """A model whose metadata names files."""
    metadata = build(load("metadata").root, {"associated_files": [{"name": name} for name in named]}, b"M001")
    model = open_model(dense_layer())
    model.metadata["TFLITE_METADATA"] = metadata
    path = folder / "model.tflite"
    model.save(path)
    return path


def test_files_that_are_there_are_not_told_of(tmp_path: Path) -> None:
    path = with_files(tmp_path, "labels.txt", "vocab.txt")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", "face\n")
    found = of(check(path.read_bytes()), "warning")
    assert [finding.message for finding in found] == ["names the file 'vocab.txt', and it is not in the archive."]


def test_a_damaged_file_in_the_archive(tmp_path: Path) -> None:
    path = with_files(tmp_path, "labels.txt")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", "face\n")
    data = path.read_bytes()
    assert of(check(data), "warning") == []
    (found,) = of(check(data.replace(b"face\n", b"fact\n")), "warning")
    assert found.path == "associated_files"
    assert "'labels.txt' cannot be read" in found.message
    assert found.offset == data.index(b"face\n")


def test_metadata_whose_text_is_damaged_is_no_error(tmp_path: Path) -> None:
    data = with_files(tmp_path, "labels.txt").read_bytes().replace(b"labels.txt", b"labels\xfftxt")
    found = check(data)
    assert of(found, "error") == []
    assert "metadata[0].buffer" in [finding.path for finding in of(found, "warning")]
