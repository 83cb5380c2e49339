"""JSON of real models, both ways, judged by flatc."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.flatbuffers.flatc_judge import STRICT, Flatc, assert_same_document, document, layout

from unlite.errors import UnliteError

SMALL = 300_000  # bytes; flatc takes a second per megabyte and way


@pytest.fixture(scope="module")
def tflite(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Flatc:
    return Flatc(tmp_path_factory.mktemp("flatc"), shared / "schemas/schema.fbs")


def check(flatc: Flatc, data: bytes) -> None:
    theirs, ours = flatc.to_text(data, *STRICT), flatc.our_text(data)
    assert_same_document(document(ours), document(theirs))
    assert layout(ours) == layout(theirs)
    # Our text is as good as the binary: for us and for flatc.
    assert flatc.our_text(flatc.our_binary(ours)) == ours
    assert flatc.our_text(flatc.to_binary(ours)) == ours
    # We read flatc's text as it does itself.
    assert flatc.our_text(flatc.our_binary(theirs)) == flatc.our_text(flatc.to_binary(theirs))


def test_small_models(models: list[Path], tflite: Flatc) -> None:
    small = [path for path in models if path.stat().st_size < SMALL]
    assert len(small) > 20
    for path in small[::2]:
        check(tflite, path.read_bytes())


def test_text_without_options(models: list[Path], tflite: Flatc) -> None:
    """Keys without quotes, defaults left out where they are not stored."""
    for path in [path for path in models if path.stat().st_size < SMALL][1::4]:
        theirs = tflite.to_text(path.read_bytes())
        assert tflite.our_text(tflite.our_binary(theirs)) == tflite.our_text(tflite.to_binary(theirs))


def test_single_operators(shared: Path, tflite: Flatc) -> None:
    paths = sorted((shared / "opsuite/models").glob("*.tflite"))
    assert paths
    for path in paths[::40]:
        check(tflite, path.read_bytes())


def test_old_versions(shared: Path, tmp_path: Path) -> None:
    """A text of another schema: version 1, whose tensors hold their data by another name."""
    v1 = Flatc(tmp_path, shared / "schemas/schema_v1.fbs")
    text = b"""{"version": 1, "operator_codes": [{"builtin_code": "CUSTOM", "custom_code": "x"}],
        "subgraphs": [{"tensors": [{"shape": [2], "type": "UINT8", "name": "a"}], "inputs": [0], "outputs": [0],
        "operators": [{"opcode_index": 0, "inputs": [0], "outputs": [0]}]}]}"""
    check(v1, v1.to_binary(text))


def test_damaged_models_are_written_or_refused(shared: Path, tflite: Flatc) -> None:
    refused = 0
    for path in sorted((shared / "malformed").glob("*.tflite")):
        try:
            ours = tflite.our_text(path.read_bytes(), drop_unknown=True)
        except UnliteError as error:
            refused += 1
            assert str(error)
        else:
            assert tflite.our_text(tflite.our_binary(ours)) == ours
    assert refused
