"""Convolutions of integers, and of real numbers with integer weights, judged by LiteRT's reference kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.pytorch.litert import RefusedError, compare, litert, run
from tests.pytorch.quantized_models import (
    Tensor,
    agree_exactly,
    constant,
    output,
    quantized_operator,
    random_integers,
    random_scale,
    random_zero_point,
)

import unlite
from unlite.errors import UnsupportedOperatorError

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")

N, H, W, C, M = 2, 7, 8, 4, 6
BIAS = {"INT16": "i8"}


class Case:
    """An operator's weight, bias and output for an input of [N, H, W, C], by a seed."""

    def __init__(self, name: str, dtype: str, seed: int, **form: Any) -> None:
        self.name, self.dtype, self.form = name, dtype, form
        self.rng = rng = np.random.default_rng(seed)
        self.scale = random_scale(rng) if dtype != "FLOAT32" else 1.0
        self.options = {
            "padding": form.get("padding", "SAME"),
            "stride_w": form.get("stride", 1),
            "stride_h": form.get("stride", 1),
        }
        if "activation" in form:
            self.options["fused_activation_function"] = form["activation"]

    def weight(self) -> Tensor:
        """Of 8 or 4 bits, with one scale or one for each channel."""
        kernel, groups, rng = self.form.get("kernel", (3, 2)), self.form.get("groups", 1), self.rng
        depthwise = self.name == "DEPTHWISE_CONV_2D"
        shape = (1, *kernel, C * self.form.get("multiplier", 1)) if depthwise else (M, *kernel, C // groups)
        axis = 3 if depthwise else 0
        kind = self.form.get("weight", "UINT8" if self.dtype == "UINT8" else "INT8")
        if kind == "UINT8":
            return constant(random_integers(rng, kind, shape), random_scale(rng), int(rng.integers(1, 255)))
        low, high = (-7, 8) if kind == "INT4" else (-127, 128)
        count = shape[axis] if self.form.get("channels", True) else 1
        scales = [random_scale(rng, 0.001, 0.02) for _ in range(count)]
        scales = scales[:1] * count if self.form.get("equal") else scales
        return constant(rng.integers(low, high, shape).astype("i1"), scales, 0, axis=axis, dtype=kind)

    def bias(self, weight: Tensor) -> Tensor:
        """Sums' scales are those of x times those of the weight."""
        count = weight.shape[weight.axis if self.dtype != "UINT8" else (3 if "DEPTH" in self.name else 0)]
        if self.dtype == "FLOAT32":
            return constant(self.rng.standard_normal(count).astype("f4"))
        kind = "i4" if "quantized_bias_type" in self.form else BIAS.get(self.dtype, "i4")
        scales = np.asarray(weight.scale, dtype=np.float32) * np.float32(self.scale)
        return constant(self.rng.integers(-5000, 5000, count).astype(kind), scales)

    def x(self, *shape: int) -> Tensor:
        """Of the whole range."""
        if self.dtype == "FLOAT32":
            return Tensor(self.rng.standard_normal(shape).astype("f4"))
        return Tensor(random_integers(self.rng, self.dtype, shape), self.scale, random_zero_point(self.rng, self.dtype))

    def y(self, weight: Tensor, *shape: int) -> Tensor:
        """On a grid that the results fit."""
        if self.dtype == "FLOAT32":
            return output("FLOAT32", shape)
        spread = float(np.mean(weight.scale)) * self.scale * float(np.exp(self.rng.uniform(3, 6)))
        spread *= 1 if self.dtype == "INT16" else 4
        return output(self.dtype, shape, spread, random_zero_point(self.rng, self.dtype))

    def parts(self) -> tuple[list[Tensor | None], Tensor, tuple[str, dict[str, Any]], list[np.ndarray]]:
        """Inputs, output, options, and inputs of another batch."""
        weight = self.weight()
        kernel, stride, dilation = weight.shape[1:3], self.options["stride_w"], self.form.get("dilation", 1)
        same = self.options["padding"] == "SAME"
        bias = None if self.form.get("bias") is False else self.bias(weight)
        x = self.x(N, H, W, C)
        more = self.x(3, H, W, C).values
        if self.name == "TRANSPOSE_CONV":
            sizes = [n * stride + (0 if same else max(k - stride, 0)) for n, k in zip((H, W), kernel, strict=True)]
            y = self.y(weight, N, *sizes, M)
            if "quantized_bias_type" in self.form:
                self.options["quantized_bias_type"] = "INT32"
            size = constant(np.array([N, *sizes, M], "i4"))
            return [size, weight, x, bias], y, ("TransposeConvOptions", self.options), []
        reach = [(k - 1) * dilation + 1 for k in kernel]
        sizes = [-(-(n if same else n - r + 1) // stride) for n, r in zip((H, W), reach, strict=True)]
        self.options |= {"dilation_w_factor": dilation, "dilation_h_factor": dilation}
        if self.name == "CONV_2D":
            if "quantized_bias_type" in self.form:
                self.options["quantized_bias_type"] = "INT32"
            y = self.y(weight, N, *sizes, M)
            return [x, weight, bias], y, ("Conv2DOptions", self.options), [more]
        self.options["depth_multiplier"] = self.form.get("multiplier", 1)
        y = self.y(weight, N, *sizes, weight.shape[3])
        return [x, weight, bias], y, ("DepthwiseConv2DOptions", self.options), [more]


def agree(name: str, dtype: str, seed: int, **form: Any) -> None:
    inputs, y, options, resized = Case(name, dtype, seed, **form).parts()
    agree_exactly(name, inputs, y, options, resized=resized or None, version=form.get("version", 1))


FORMS: list[dict[str, Any]] = [
    {},
    {"padding": "VALID", "stride": 2, "activation": "RELU"},
    {"dilation": 2, "activation": "RELU6", "channels": False},
    {"activation": "RELU_N1_TO_1", "stride": 2},
]


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("dtype", ["INT8", "UINT8", "INT16"])
@pytest.mark.parametrize("name", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_forms(name: str, dtype: str, form: dict[str, Any]) -> None:
    agree(name, dtype, 1, **form)


def test_weights_of_4_bits_and_groups() -> None:
    agree("CONV_2D", "INT8", 2, weight="INT4")
    agree("DEPTHWISE_CONV_2D", "INT8", 3, weight="INT4", kernel=(3, 3))
    agree("DEPTHWISE_CONV_2D", "INT8", 4, multiplier=3)
    agree("DEPTHWISE_CONV_2D", "UINT8", 5, multiplier=2)
    agree("CONV_2D", "INT8", 6, groups=2)
    agree("CONV_2D", "INT16", 7, quantized_bias_type="INT32")


@pytest.mark.parametrize(
    "form", [{}, {"stride": 2, "activation": "RELU"}, {"bias": False, "padding": "VALID"}], ids=str
)
@pytest.mark.parametrize("dtype", ["INT8", "UINT8", "INT16"])
def test_transposed(dtype: str, form: dict[str, Any]) -> None:
    agree("TRANSPOSE_CONV", dtype, 8, **form, version=3)


def test_transposed_sums_of_32_bits() -> None:
    agree("TRANSPOSE_CONV", "INT16", 9, quantized_bias_type="INT32", version=3)
    agree("TRANSPOSE_CONV", "INT16", 10, quantized_bias_type="INT32", bias=False, version=3)


def test_sums_that_wrap_around() -> None:
    """A bias at the end of 32 bits: the kernel's sums wrap around."""
    rng = np.random.default_rng(11)
    x = Tensor(random_integers(rng, "INT8", (2, 3, 3, 4)), 0.1, -5)
    weight = constant(random_integers(rng, "INT8", (5, 1, 1, 4)), 0.1)
    bias = constant(np.array([2**31 - 1, -(2**31), 2**31 - 9000, -(2**31) + 9000, 0], "i4"), 0.01)
    y = output("INT8", (2, 3, 3, 5), 2.0e5, 0)
    agree_exactly("CONV_2D", [x, weight, bias], y, ("Conv2DOptions", {"padding": "SAME", "stride_w": 1, "stride_h": 1}))


def test_long_sums() -> None:
    """Sums above 2^24, which single precision does not hold."""
    rng = np.random.default_rng(12)
    x = Tensor(rng.integers(100, 128, (1, 4, 4, 256)).astype("i1"), 0.1, -128)
    weight = constant(rng.integers(100, 128, (3, 3, 3, 256)).astype("i1"), [0.1, 0.11, 0.12])
    y = output("INT8", (1, 4, 4, 3), 4321.0, -100)
    options = {"padding": "SAME", "stride_w": 1, "stride_h": 1}
    bias = constant(np.array([12345, 0, -99999], "i4"), [0.01, 0.011, 0.012])
    agree_exactly("CONV_2D", [x, weight, bias], y, ("Conv2DOptions", options))


def test_bias_of_another_type_than_stated() -> None:
    inputs, y, options, _ = Case("CONV_2D", "INT16", 13, quantized_bias_type="INT32").parts()
    del options[1]["quantized_bias_type"]
    with pytest.raises(UnsupportedOperatorError, match="quantized_bias_type"):
        unlite.to_torch(quantized_operator("CONV_2D", inputs, [y], options), quantized="exact")


HYBRID: list[tuple[str, dict[str, Any]]] = [
    ("CONV_2D", {}),
    ("CONV_2D", {"channels": False, "activation": "RELU"}),
    ("CONV_2D", {"stride": 2, "weight": "INT4"}),
    ("CONV_2D", {"groups": 2}),
    ("CONV_2D", {"weight": "UINT8"}),
    ("DEPTHWISE_CONV_2D", {"padding": "VALID", "dilation": 2}),
    ("DEPTHWISE_CONV_2D", {"multiplier": 2, "stride": 2, "activation": "RELU6"}),
    ("CONV_2D", {"equal": True}),
    ("DEPTHWISE_CONV_2D", {"equal": True}),
    ("TRANSPOSE_CONV", {"stride": 2}),
    ("TRANSPOSE_CONV", {"channels": False}),
]


@pytest.mark.parametrize(("name", "form"), HYBRID, ids=str)
def test_real_numbers_with_integer_weights(name: str, form: dict[str, Any]) -> None:
    inputs, y, options, resized = Case(name, "FLOAT32", 14, **form).parts()
    data = quantized_operator(name, inputs, [y], options)
    module = unlite.to_torch(data, quantized="exact")
    for given in filter(None, ([t.values for t in inputs if t is not None and not t.constant], resized)):
        compare(litert(data, *given, resize=True), run(module, *given), 1e-6)


def test_three_dimensions_have_no_integer_kernels() -> None:
    rng = np.random.default_rng(15)
    x = Tensor(random_integers(rng, "INT8", (1, 3, 3, 3, 2)), 0.1)
    weight = constant(random_integers(rng, "INT8", (1, 1, 1, 2, 2)), 0.1)
    options = {"padding": "SAME", "stride_d": 1, "stride_w": 1, "stride_h": 1}
    data = quantized_operator("CONV_3D", [x, weight], [output("INT8", x.shape, 0.1)], ("Conv3DOptions", options))
    with pytest.raises(RefusedError):
        litert(data, x.values)
    with pytest.raises(UnsupportedOperatorError):
        unlite.to_torch(data, quantized="exact")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_real_numbers_are_quantized_bit_for_bit(name: str, seed: int) -> None:
    """One bit that differs becomes a whole step where the next operator quantizes; many numbers lie between steps."""
    case = Case(name, "FLOAT32", seed)
    inputs, y, options, _ = case.parts()
    data = quantized_operator(name, inputs, [y], options, version=3)
    module = unlite.to_torch(unlite.open(data), quantized="exact")
    for width in (1, 0.5, 1 / 3):
        x = (np.clip(np.round(case.rng.standard_normal((N, H, W, C)) * 60), -120, 135) * width).astype("f4")
        np.testing.assert_array_equal(run(module, x)[0], litert(data, x)[0])
