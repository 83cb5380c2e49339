"""The evaluator's operators against coremltools' own inference of values, NumPy, and sums by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")
ct = pytest.importorskip("coremltools", reason="coremltools is not installed (extra 'coreml')")

from unlite.coreml.evaluate import Program, evaluate  # noqa: E402
from unlite.coreml.library import quiet  # noqa: E402
from unlite.errors import (  # noqa: E402
    CorruptFileError,
    InvalidValueError,
    NotFoundError,
    UnsupportedFormatError,
    UnsupportedOperatorError,
)

X = np.random.default_rng(0).uniform(-3, 3, (2, 4, 6)).astype("f4")
I = np.array([1, 0, 3], "i4")  # noqa: E741


def package(folder: Path, body: Any, target: str = "iOS17", precision: str = "FLOAT32", shape: Any = X.shape) -> str:
    """A saved program of one input, x."""
    from coremltools.converters.mil.mil import Builder

    path = str(folder / "made.mlpackage")
    with quiet():
        opset = getattr(ct.target, target)
        program = Builder.program(input_specs=[Builder.TensorSpec(shape)], opset_version=opset)(
            lambda x: body(Builder, x)
        )
        made = ct.convert(
            program,
            convert_to="mlprogram",
            minimum_deployment_target=opset,
            compute_precision=getattr(ct.precision, precision),
            skip_model_load=True,
        )
        made.save(path)
    return path


INFERRED = {
    "sigmoid": lambda b, x: b.sigmoid(x=x),
    "gelu": lambda b, x: b.gelu(x=x, mode="TANH_APPROXIMATION"),
    "clip": lambda b, x: b.clip(x=x, alpha=-1.0, beta=0.5),
    "rsqrt": lambda b, x: b.rsqrt(x=b.square(x=x), epsilon=0.1),
    "leaky_relu": lambda b, x: b.leaky_relu(x=x, alpha=0.2),
    "sigmoid_hard": lambda b, x: b.sigmoid_hard(x=x, alpha=0.2, beta=0.4),
    "mod": lambda b, x: b.mod(x=x, y=np.float32(1.3)),
    "floor_div": lambda b, x: b.floor_div(x=x, y=np.float32(0.7)),
    "reduce_mean": lambda b, x: b.reduce_mean(x=x, axes=[0, 2], keep_dims=True),
    "reduce_log_sum_exp": lambda b, x: b.reduce_log_sum_exp(x=x, axes=[1]),
    "reduce_argmax": lambda b, x: b.reduce_argmax(x=x, axis=1),
    "cumsum": lambda b, x: b.cumsum(x=x, axis=2, reverse=True),
    "topk": lambda b, x: b.topk(x=x, k=3, axis=2)[0],
    "argsort": lambda b, x: b.argsort(x=x, axis=1, ascending=True),
    "slice_by_index": lambda b, x: b.slice_by_index(
        x=x, begin=[0, -1, 5], end=[0, 0, 0], stride=[1, -2, -2], begin_mask=[True, False, False],
        end_mask=[True, True, True],
    ),
    "slice squeezed": lambda b, x: b.slice_by_index(
        x=x, begin=[1, 1, 0], end=[2, 3, 6], squeeze_mask=[True, False, False]
    ),
    "pad reflect": lambda b, x: b.pad(x=x, pad=[0, 0, 2, 1, 3, 2], mode="reflect"),
    "concat": lambda b, x: b.concat(values=[x, b.add(x=x, y=np.float32(1))], axis=1),
    "tile": lambda b, x: b.tile(x=x, reps=[1, 2, 3]),
    "reverse": lambda b, x: b.reverse(x=x, axes=[0, 2]),
    "transpose": lambda b, x: b.transpose(x=x, perm=[2, 0, 1]),
    "gather": lambda b, x: b.gather(x=x, indices=I, axis=2),
    "gather of one": lambda b, x: b.gather(x=b.reshape(x=x, shape=[-1]), indices=np.int32(7), axis=0),
    "scatter_nd": lambda b, x: b.scatter_nd(
        data=x, indices=np.array([[1, 2], [0, 0]], "i4"), updates=np.ones((2, 6), "f4"), mode="add"
    ),
    "band_part": lambda b, x: b.band_part(x=x, lower=1, upper=0),
    "matmul": lambda b, x: b.matmul(x=x, y=X, transpose_y=True),
    "layer_norm": lambda b, x: b.layer_norm(x=x, axes=[2], epsilon=1e-3),
    "quantize": lambda b, x: b.dequantize(
        input=b.quantize(input=x, scale=0.1, zero_point=np.int8(-3), output_dtype="int8"),
        scale=0.1,
        zero_point=np.int8(-3),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", INFERRED)
def test_operator_is_what_coremltools_infers(name: str, tmp_path: Path) -> None:
    """coremltools computes operators on constants itself, in NumPy."""
    from coremltools.converters.mil.mil import Builder

    inferred: list[Any] = []

    def on_constant(b: Any, x: Any) -> Any:
        inferred.append(INFERRED[name](b, b.const(val=X)).val)
        return b.identity(x=x)

    with quiet():
        Builder.program(input_specs=[Builder.TensorSpec(X.shape)], opset_version=ct.target.iOS17)(
            lambda x: on_constant(Builder, x)
        )
    if inferred[0] is None:
        pytest.skip("coremltools does not infer its value")
    (value,) = evaluate(package(tmp_path, INFERRED[name]), {"x": X}).values()
    np.testing.assert_allclose(value, inferred[0], rtol=1e-5, atol=1e-5)


def test_same_padding_of_a_convolution_puts_more_behind(tmp_path: Path) -> None:
    """One row 1 2 3 4, window 1 1 1, stride 3: 2 windows span 6, 2 cells of padding, 1 before and 1 behind."""
    row = np.array([[[[1, 2, 3, 4]]]], "f4")
    ones = np.ones((1, 1, 1, 3), "f4")
    path = package(tmp_path, lambda b, x: b.conv(x=x, weight=ones, strides=[1, 3], pad_type="same"), shape=row.shape)
    (value,) = evaluate(path, {"x": row}).values()
    # windows: 0 1 2 and 3 4 0
    assert value.tolist() == [[[[3.0, 7.0]]]]


@pytest.mark.parametrize(
    ("mode", "aligned", "places"),
    [
        ("unnormalized", True, [[1.5, 1.0], [0.0, 0.5]]),
        ("normalized_minus_one_to_one", True, [[0.0, 1.0], [-1.0, 0.0]]),
        ("normalized_zero_to_one", True, [[0.5, 1.0], [0.0, 0.5]]),
        ("normalized_minus_one_to_one", False, [[0.0, 0.5], [-0.75, 0.0]]),
    ],
)
def test_places_between_pixels(mode: str, aligned: bool, places: list[Any], tmp_path: Path) -> None:
    """Pixels 0 1 2 3 over 4 5 6 7: the middle of the lower row, and of the first column."""
    cells = np.arange(8, dtype="f4").reshape(1, 1, 2, 4)
    given = np.array([[[*places, [90.0, 90.0]]]], "f4")
    path = package(
        tmp_path,
        lambda b, x: b.resample(
            x=x, coordinates=given, sampling_mode="bilinear", padding_mode="constant", padding_value=np.float32(-1),
            coordinates_mode=mode, align_corners=aligned,
        ),
        shape=cells.shape,
    )  # fmt: skip
    (value,) = evaluate(path, {"x": cells}).values()
    assert value.tolist() == [[[[5.5, 2.0, -1.0]]]]


def test_average_pool_counts_padding_unless_told_not_to(tmp_path: Path) -> None:
    cells = np.array([[[[2, 4], [6, 8]]]], "f4")
    for exclude, corner in ((True, 2.0), (False, 0.5)):  # one cell of four lies inside
        path = package(
            tmp_path,
            lambda b, x, exclude=exclude: b.avg_pool(
                x=x, kernel_sizes=[2, 2], strides=[2, 2], pad_type="custom", pad=[1, 1, 1, 1],
                exclude_padding_from_average=exclude,
            ),
            shape=cells.shape,
        )  # fmt: skip
        (value,) = evaluate(path, {"x": cells}).values()
        assert value[0, 0, 0, 0] == corner


def test_bilinear_corners(tmp_path: Path) -> None:
    """0 10 made five wide: half pixels give 0, 1, 5, 9, 10; aligned corners 0, 2.5, 5, 7.5, 10."""
    cells = np.array([[[[0, 10]]]], "f4")
    for aligned, expected in ((False, [0, 1, 5, 9, 10]), (True, [0, 2.5, 5, 7.5, 10])):
        path = package(
            tmp_path,
            lambda b, x, aligned=aligned: b.upsample_bilinear(
                x=x, scale_factor_height=1.0, scale_factor_width=2.5, align_corners=aligned
            ),
            shape=cells.shape,
        )
        (value,) = evaluate(path, {"x": cells}).values()
        np.testing.assert_allclose(value.reshape(-1), expected, atol=1e-5)


def test_float16_programs_round_after_each_operator(tmp_path: Path) -> None:
    """1 + 2^-11 is 1 in float16, and so is what follows from it."""
    path = package(
        tmp_path,
        lambda b, x: b.sub(x=b.add(x=x, y=np.float32(2**-11)), y=np.float32(1)),
        precision="FLOAT16",
        shape=(1,),
    )
    (value,) = evaluate(path, {"x": np.ones(1, "f4")}).values()
    assert value.tolist() == [0.0]


def test_unknown_operator_is_named(tmp_path: Path) -> None:
    path = package(tmp_path, lambda b, x: b.crop(x=b.expand_dims(x=x, axes=[0]), crop_height=[1, 1], crop_width=[1, 1]))
    with pytest.raises(UnsupportedOperatorError, match="crop") as error:
        Program(path)
    assert error.value.operators == ("crop",)


def test_any_value_by_its_name(tmp_path: Path) -> None:
    path = package(tmp_path, lambda b, x: b.exp(x=b.sin(x=x, name="inner"), name="outer"))
    assert set(evaluate(path, {"x": X})) == {"outer"}
    found = evaluate(path, {"x": X}, tensors=["inner"])
    np.testing.assert_allclose(found["inner"], np.sin(X), atol=1e-6)
    assert set(evaluate(path, {"x": X}, tensors="all")) == {"inner", "outer"}
    with pytest.raises(NotFoundError, match="'other'"):
        evaluate(path, {"x": X}, tensors=["other"])


def test_wrong_inputs_are_told(tmp_path: Path) -> None:
    path = package(tmp_path, lambda b, x: b.sin(x=x))
    with pytest.raises(InvalidValueError, match="inputs are x; given are y"):
        evaluate(path, {"y": X})
    with pytest.raises(InvalidValueError, match=r"float32 \[2, 4\]; wanted are numbers \[2, 4, 6\]"):
        evaluate(path, {"x": X[:, :, 0]})


def test_what_is_no_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFormatError, match="no such package"):
        Program(tmp_path / "none.mlpackage")
    empty = tmp_path / "empty.mlpackage"
    empty.mkdir()
    with pytest.raises(CorruptFileError, match="cannot be read"):
        Program(empty)
    path = package(tmp_path, lambda b, x: b.sin(x=x))
    (Path(path) / "Data/com.apple.CoreML/model.mlmodel").write_bytes(b"\x08\xff\xff\xff no model")
    with pytest.raises((CorruptFileError, UnsupportedFormatError)):
        Program(path)
