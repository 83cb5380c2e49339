"""Inputs: seeded values that a model can take, and what is said of those that it cannot."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.model.small import Builder, dense_layer

import unlite
from unlite.comparison.images import image_input, picture, png
from unlite.comparison.inputs import make_inputs, save_inputs
from unlite.errors import (
    CorruptFileError,
    InvalidTypeError,
    InvalidValueError,
    MissingExtraError,
    UnsupportedFormatError,
)


def model(dtype: str = "FLOAT32", shape: tuple[int, ...] = (2, 3), **fields: object) -> unlite.Model:
    """Two inputs of a type, a and b, and nothing that is computed."""
    made = Builder()
    main = made.graph()
    ends = [made.tensor(main, name, list(shape), dtype, **fields) for name in "ab"]
    main["inputs"] = main["outputs"] = ends
    return unlite.open(made.data())


def test_random_values_are_seeded() -> None:
    one, again, other = (make_inputs(model(), seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not np.array_equal(one[0], other[0])
    assert not np.array_equal(one[0], one[1])
    assert one[0].dtype == np.float32
    assert np.abs(one[0]).max() <= 1


@pytest.mark.parametrize(("dtype", "low", "high"), [("UINT8", 0, 255), ("INT8", -128, 127), ("BOOL", 0, 1)])
def test_random_integers_span_their_type(dtype: str, low: int, high: int) -> None:
    (values, _) = make_inputs(model(dtype, (100, 100)))
    assert (int(values.min()), int(values.max())) == (low, high)


def test_random_strings() -> None:
    (values, _) = make_inputs(model("STRING", (2,)))
    assert all(isinstance(text, bytes) and text for text in values)


def test_indices_are_in_range(shared: Path) -> None:
    opened = unlite.open(shared / "models/nl_classifier_regex_tokenizer.tflite")
    (tokens,) = make_inputs(opened)
    entries = next(op for op in opened.main.operators if op.name == "GATHER").inputs[0].shape[0]
    assert 0 <= tokens.min() <= tokens.max() < entries
    assert tokens.max() > 1


def test_the_metadata_says_the_range(shared: Path) -> None:
    (pixels,) = make_inputs(unlite.open(shared / "models/hand_landmark_lite_fp16.tflite"))  # mean 0, std 255
    assert 0 <= pixels.min() < 0.01
    assert 0.99 < pixels.max() <= 1


def test_by_name_in_order_and_from_a_file(tmp_path: Path) -> None:
    opened = model()
    a, b = np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32)
    save_inputs(opened, [a, b], str(tmp_path / "in.npz"))
    for given in ({"b": b, "a": a}, [a, b], (a.tolist(), b), tmp_path / "in.npz", str(tmp_path / "in.npz")):
        first, second = make_inputs(opened, given)
        assert np.array_equal(first, a)
        assert np.array_equal(second, b)
        assert first.dtype == np.float32


def test_one_input_needs_no_list() -> None:
    opened = unlite.open(dense_layer())
    for given in (np.ones((1, 2), np.float32), [[1.0, 1.0]], [np.ones((1, 2), np.float32)]):
        (values,) = make_inputs(opened, given)
        assert values.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"c": 1}, "no input is called 'c'; wanted: a FLOAT32 [2, 3]; b FLOAT32 [2, 3]"),
        ({"a": np.zeros((2, 3))}, "no values for b"),
        ([np.zeros((2, 3))], "1 inputs are given, 2 are wanted"),
        ([np.zeros((2, 4))] * 2, "wants FLOAT32 [2, 3], not shape [2, 4]"),
    ],
)
def test_what_does_not_fit(given: object, message: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        make_inputs(model(), given)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("dtype", "given"),
    [("INT8", np.full((2, 3), 300)), ("INT32", np.zeros((2, 3))), ("FLOAT32", np.zeros((2, 3), complex))],
)
def test_wrong_types(dtype: str, given: np.ndarray) -> None:
    with pytest.raises(InvalidTypeError, match=f"wants {dtype}"):
        make_inputs(model(dtype), [given, given])


def test_free_dimensions_take_any_size() -> None:
    opened = model(shape=(1, 3), shape_signature=[-1, 3])
    for rows in (1, 7):
        assert make_inputs(opened, [np.zeros((rows, 3), np.float32)] * 2)[0].shape == (rows, 3)


@pytest.mark.parametrize("content", [b"", b"PK\3\4" + bytes(50), b"\x93NUMPY\1\0" + bytes(20), b"text"])
def test_bad_files(content: bytes, tmp_path: Path) -> None:
    for name in ("in.npz", "in.npy"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises((UnsupportedFormatError, CorruptFileError)):
            make_inputs(model(), tmp_path / name)


def test_pickles_are_not_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", a=np.array([{}], dtype=object))
    np.save(tmp_path / "in.npy", np.array([{}], dtype=object))
    for name in ("in.npz", "in.npy"):
        with pytest.raises((UnsupportedFormatError, CorruptFileError)):
            make_inputs(model(), tmp_path / name)


class TestImages:
    @pytest.fixture
    def red(self, tmp_path: Path) -> str:
        """A picture, 4 pixels wide and 2 high: red on the left, black on the right."""
        pixels = np.zeros((2, 4, 3), np.uint8)
        pixels[:, :2, 0] = 255
        (tmp_path / "red.png").write_bytes(png(pixels))
        return str(tmp_path / "red.png")

    @pytest.mark.parametrize(("dtype", "low", "high"), [("FLOAT32", -1.0, 1.0), ("UINT8", 0, 255), ("INT8", -128, 127)])
    def test_scaled(self, red: str, dtype: str, low: float, high: float) -> None:
        pytest.importorskip("PIL", reason="pictures need Pillow")
        opened = model(dtype, (1, 8, 16, 3))
        values = image_input(opened, opened.main.inputs[0], red)
        assert values.shape == (1, 8, 16, 3)
        assert (values[0, 0, 0, 0], values[0, 0, 0, 1], values[0, 0, -1, 0]) == (high, low, low)

    def test_mean_and_std_of_the_metadata_and_of_the_caller(self, red: str, shared: Path) -> None:
        pytest.importorskip("PIL", reason="pictures need Pillow")
        opened = unlite.open(shared / "models/hand_landmark_lite_fp16.tflite")
        (end,) = opened.main.inputs
        assert image_input(opened, end, red).max() == 1.0  # 255 / 255
        assert image_input(opened, end, red, mean=[0], std=[1]).max() == 255.0

    def test_channels_first(self, red: str) -> None:
        pytest.importorskip("PIL", reason="pictures need Pillow")
        opened = model("UINT8", (1, 3, 8, 16))
        values = image_input(opened, opened.main.inputs[0], red)
        assert (values[0, 0, 0, 0], values[0, 1, 0, 0]) == (255, 0)

    def test_no_picture_for_a_vector(self, red: str) -> None:
        opened = model("FLOAT32", (1, 10))
        with pytest.raises(InvalidValueError, match="takes no picture"):
            image_input(opened, opened.main.inputs[0], red)

    def test_not_a_picture(self, tmp_path: Path) -> None:
        pytest.importorskip("PIL", reason="pictures need Pillow")
        (tmp_path / "x.png").write_bytes(b"no picture")
        opened = model("UINT8", (1, 8, 8, 3))
        with pytest.raises(UnsupportedFormatError):
            image_input(opened, opened.main.inputs[0], str(tmp_path / "x.png"))

    def test_without_pillow(self, red: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "PIL", None)
        opened = model("UINT8", (1, 8, 8, 3))
        with pytest.raises(MissingExtraError, match=r"unlite\[images\]"):
            image_input(opened, opened.main.inputs[0], red)

    def test_tensors_as_pictures(self) -> None:
        image = pytest.importorskip("PIL.Image", reason="Pillow judges the PNG")
        values = np.linspace(0, 1, 6 * 5 * 3).reshape(1, 6, 5, 3)
        drawn = picture(values)
        assert drawn is not None
        pixels = np.asarray(image.open(io.BytesIO(drawn)))
        assert np.array_equal(pixels, (values[0] * 255).astype(np.uint8))
        tiles = picture(np.zeros((1, 6, 5, 7), np.float32))
        assert tiles is not None
        assert image.open(io.BytesIO(tiles)).size == (15, 18)  # three tiles by three
        assert picture(np.zeros((1, 2, 2, 3))) is None
        assert picture(np.zeros((1, 10))) is None
        assert picture(np.full((1, 8, 8, 1), np.nan, np.float32)) is not None
