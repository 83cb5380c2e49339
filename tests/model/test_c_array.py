"""Models as C arrays: text and back. What the text says to a compiler is judged in tests/containers/test_c_array.py."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from tests.model.small import dense_layer

from unlite.errors import InvalidValueError, NotFoundError, TextError, UnsupportedFormatError
from unlite.model.formats.c_array import from_c_array, to_c_array
from unlite.model.model import open_model
from unlite.model.saving.save import as_source


def numbers(text: str) -> bytes:
    """The bytes in the braces of a C text."""
    return bytes(int(number, 16) for number in re.findall(r"0x([0-9a-f]{2})", text))


def saved(model, path: Path) -> bytes:
    model.save(path)
    return path.read_bytes()


def test_the_text_has_the_bytes_of_the_file() -> None:
    text = to_c_array(dense_layer())
    assert numbers(text) == dense_layer()
    assert f"const unsigned int g_model_len = {len(dense_layer())};" in text


def test_from_a_path_and_with_a_name(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(dense_layer())
    text = to_c_array(tmp_path / "m.tflite", "net")
    assert "alignas(16) const unsigned char net[] = {" in text
    with pytest.raises(InvalidValueError):
        to_c_array(dense_layer(), "class")


def test_a_patched_model_has_the_bytes_that_save_writes(tmp_path: Path) -> None:
    model = open_model(dense_layer())
    model.main.tensors["bias"].data = np.array([7, 8, 9], np.float32)
    model.main.tensors["weights"].data = np.zeros((3, 2), np.float32)
    model.description = "SMALL"
    assert numbers(to_c_array(model)) == saved(model, tmp_path / "m") != dense_layer()


def test_a_rewritten_model_has_the_bytes_that_save_writes(tmp_path: Path) -> None:
    model = open_model(dense_layer())
    model.description = "a longer description than before"
    assert numbers(to_c_array(model)) == saved(model, tmp_path / "m")


def test_and_back() -> None:
    model = from_c_array(to_c_array(dense_layer()))
    assert model.description == "small"
    assert model.main.tensors["bias"].numpy().tolist() == [1, 2, 3]


def test_one_array_of_several() -> None:
    text = to_c_array(dense_layer(), "a") + to_c_array(dense_layer(), "b")
    assert from_c_array(text, "b").description == "small"
    with pytest.raises(NotFoundError, match="2 arrays"):
        from_c_array(text)


def test_text_that_is_no_model() -> None:
    with pytest.raises(UnsupportedFormatError, match="no C array"):
        from_c_array("int main() { return 0; }")
    with pytest.raises(UnsupportedFormatError, match="not a TFLite model"):
        from_c_array("const unsigned char m[] = {1, 2, 3, 4, 5, 6, 7, 8};")
    with pytest.raises(TextError):
        from_c_array("const unsigned char m[] = {1, 2, what};")


def test_an_unchanged_model_is_its_own_source() -> None:
    model = open_model(dense_layer())
    assert as_source(model) is model.file


@pytest.mark.parametrize("name", ["blazeface_front_fp16", "hand_landmark_lite_fp16"])
def test_the_source_of_a_changed_model(name: str, shared: Path, tmp_path: Path) -> None:
    """With bytes behind the FlatBuffer (a ZIP) in one of the two; patched, then rewritten."""
    model = open_model(shared / "models" / f"{name}.tflite")
    tensor = next(tensor for tensor in model.main.tensors if tensor.is_constant and "FLOAT" in tensor.dtype)
    tensor.data = np.zeros(tensor.shape, tensor.numpy_dtype)
    for description in (None, "another"):
        if description:
            model.description = description
        source = as_source(model)
        assert bytes(source.view(0, source.size)) == saved(model, tmp_path / "m")
        again = open_model(source)
        assert not again.main.tensors[tensor.index].numpy().any()
        assert dict(again.associated_files) == dict(model.associated_files)
