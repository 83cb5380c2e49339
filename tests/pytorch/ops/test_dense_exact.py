"""Products with matrices of integers, also with real x, judged by LiteRT's reference kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.pytorch.litert import compare, litert, run
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

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")


def fully_connected(dtype: str, seed: int, shape: tuple[int, ...], **form: Any) -> tuple[Any, ...]:
    """Inputs, output, options and an input of another batch."""
    rng = np.random.default_rng(seed)
    units, depth = 11, form.get("depth", 24)
    real = dtype == "FLOAT32"
    scale = 1.0 if real else random_scale(rng)
    kind = form.get("weight", {"UINT8": "UINT8"}.get(dtype, "INT8"))
    if kind == "UINT8" and real:  # read as INT8, in which -128 makes LiteRT's sums overflow
        weight = constant(rng.integers(-127, 128, (units, depth)).astype("i1").view("u1"), 0.013, 77)
    elif kind == "UINT8":
        weight = constant(random_integers(rng, kind, (units, depth)), random_scale(rng, 0.001, 0.02), 77)
    else:
        low, high = (-7, 8) if kind == "INT4" else (-127, 128)
        scales = [random_scale(rng, 0.001, 0.02) for _ in range(units if form.get("channels") else 1)]
        weight = constant(rng.integers(low, high, (units, depth)).astype("i1"), scales, dtype=kind)
    if real:
        bias = constant(rng.standard_normal(units).astype("f4"))
    else:
        long = dtype == "INT16" and "quantized_bias_type" not in form
        scales = np.asarray(weight.scale, dtype=np.float32) * np.float32(scale)
        bias = constant(rng.integers(-5000, 5000, units).astype("i8" if long else "i4"), scales)

    def x(*sizes: int) -> Tensor:
        if real:
            return Tensor(rng.standard_normal(sizes).astype("f4"))
        return Tensor(random_integers(rng, dtype, sizes), scale, random_zero_point(rng, dtype))

    rows = int(np.prod(shape)) // depth
    y_shape = (*shape[:-1], units) if form.get("keep") else (rows, units)
    spread = float(np.mean(weight.scale)) * scale * float(np.exp(rng.uniform(4, 7)))
    y = output(dtype, y_shape) if real else output(dtype, y_shape, spread, random_zero_point(rng, dtype))
    options = {
        "keep_num_dims": bool(form.get("keep")),
        "fused_activation_function": form.get("activation", "NONE"),
        "asymmetric_quantize_inputs": bool(form.get("asymmetric")),
    }
    if "quantized_bias_type" in form:
        options["quantized_bias_type"] = form["quantized_bias_type"]
    inputs = [x(*shape), weight, None if form.get("bias") is False else bias]
    return inputs, y, ("FullyConnectedOptions", options), [x(2 * shape[0], *shape[1:]).values]


FORMS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((10, 24), {"activation": "RELU"}),
    ((3, 4, 24), {"keep": True, "activation": "RELU6"}),
    ((4, 12, 2), {"bias": False, "activation": "RELU_N1_TO_1"}),
    ((10, 24), {"channels": True}),
]


@pytest.mark.parametrize(("shape", "form"), FORMS, ids=str)
@pytest.mark.parametrize("dtype", ["INT8", "UINT8", "INT16"])
def test_fully_connected(dtype: str, shape: tuple[int, ...], form: dict[str, Any]) -> None:
    for seed in range(2):
        inputs, y, options, resized = fully_connected(dtype, seed, shape, **form)
        agree_exactly("FULLY_CONNECTED", inputs, y, options, resized=resized)


def test_other_weights_and_biases() -> None:
    for dtype, form in (
        ("INT8", {"weight": "INT4"}),
        ("INT8", {"weight": "INT4", "channels": True, "bias": False}),
        ("INT16", {"quantized_bias_type": "INT32"}),
        ("INT16", {"quantized_bias_type": "INT32", "bias": False, "channels": True}),
        ("INT8", {"depth": 2048}),
    ):
        inputs, y, options, _ = fully_connected(dtype, 3, (10, form.get("depth", 24)), **form)
        agree_exactly("FULLY_CONNECTED", inputs, y, options)


@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize(
    "form",
    [
        {},
        {"channels": True, "activation": "RELU"},
        {"weight": "INT4", "bias": False},
        {"depth": 2048},
        {"weight": "UINT8"},
    ],
    ids=str,
)
def test_real_numbers_with_integer_weights(form: dict[str, Any], asymmetric: bool) -> None:
    inputs, y, options, resized = fully_connected(
        "FLOAT32", 5, (6, form.get("depth", 24)), asymmetric=asymmetric, **form
    )
    data = quantized_operator("FULLY_CONNECTED", inputs, [y], options, version=9)
    module = unlite.to_torch(data, quantized="exact")
    zeros = [np.zeros_like(resized[0])]
    for given in ([inputs[0].values], resized, zeros):
        compare(litert(data, *given, resize=True), run(module, *given), 1e-6)


def real_results(inputs: list[Any], y: Tensor, options: Any) -> Any:
    """What quantized="float" gives for the real numbers of the first input."""
    module = unlite.to_torch(quantized_operator("FULLY_CONNECTED", inputs, [y], options, version=9))
    x = inputs[0]
    given = x.values if x.scale is None else (x.values.astype("f4") - x.zero_point) * np.float32(x.scale)
    return run(module, given)


@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize("activation", ["TANH", "SIGN_BIT"])
def test_activations_of_real_numbers(activation: str, asymmetric: bool) -> None:
    inputs, y, options, _ = fully_connected("FLOAT32", 5, (6, 24), activation=activation, asymmetric=asymmetric)
    data = quantized_operator("FULLY_CONNECTED", inputs, [y], options, version=9)
    wanted = litert(data, inputs[0].values)
    compare(wanted, run(unlite.to_torch(data, quantized="exact"), inputs[0].values), 1e-6)
    compare(wanted, real_results(inputs, y, options), 0.03)


def test_an_asymmetric_zero_point_between_two_integers() -> None:
    """Numbers from -0.625 to 0.625 in 255 steps: 0 is -0.5, which is rounded away from 0."""
    x = np.array([[-0.625, 0.3, 0.625, 0.2], [-0.625, 0.625, 0.6, -0.1]], "f4")
    weight = constant(np.array([[1, 127, -3, 90], [-100, 5, 44, 2]], "i1"), 0.01)
    options = ("FullyConnectedOptions", {"asymmetric_quantize_inputs": True})
    data = quantized_operator("FULLY_CONNECTED", [Tensor(x), weight], [output("FLOAT32", (2, 2))], options, version=9)
    compare(litert(data, x), run(unlite.to_torch(data, quantized="exact"), x), 1e-6)


def test_bytes_of_signed_weights_as_real_numbers() -> None:
    """LiteRT reads UINT8 weights of real x as INT8, whatever their zero point."""
    inputs, y, options, _ = fully_connected("FLOAT32", 5, (6, 24), weight="UINT8")
    data = quantized_operator("FULLY_CONNECTED", inputs, [y], options, version=9)
    compare(litert(data, inputs[0].values), real_results(inputs, y, options), 0.02)


@pytest.mark.parametrize("bias", ["INT32", "INT64", None])
@pytest.mark.parametrize("channels", [False, True])
def test_weights_of_16_bits(channels: bool, bias: str | None) -> None:
    rng = np.random.default_rng(7)
    scales = [random_scale(rng, 1e-6, 1e-5) for _ in range(11 if channels else 1)]
    weight = constant(random_integers(rng, "INT16", (11, 24)), scales)
    products = np.float32(1e-4) * np.array(scales, "f4")
    added = constant(rng.integers(-9000, 9000, 11).astype(bias.lower()), products) if bias else None
    options = ("FullyConnectedOptions", {"quantized_bias_type": bias} if bias else {})
    inputs = [Tensor(random_integers(rng, "INT16", (3, 24)), 1e-4), weight, added]
    agree_exactly("FULLY_CONNECTED", inputs, output("INT16", (3, 11), 4e-5), options)


@pytest.mark.parametrize("activation", ["NONE", "RELU", "RELU6"])
@pytest.mark.parametrize("batch", [1, 4])
def test_shuffled_weights(batch: int, activation: str) -> None:
    rng = np.random.default_rng(8)
    x = Tensor(random_integers(rng, "UINT8", (batch, 32)), 0.02, 128)
    weight = constant(rng.integers(-127, 128, (12, 32)).astype("i1").view("u1"), 0.01, 128)
    bias = constant(rng.integers(-3000, 3000, 12).astype("i4"), 0.0002)
    made = [output("INT16", (batch, 12), 2.0**-12), output("UINT8", (batch, 32), 0.02, 128)]
    options = ("FullyConnectedOptions", {"weights_format": "SHUFFLED4x16INT8", "fused_activation_function": activation})
    agree_exactly("FULLY_CONNECTED", [x, weight, bias], made, options)
    data = quantized_operator("FULLY_CONNECTED", [x, weight, bias], made, options)
    wanted = litert(data, x.values)[0] * np.float32(2.0**-12)
    real = (x.values.astype("f4") - 128) * np.float32(0.02)
    result = run(unlite.to_torch(data), real)[0].detach().numpy()
    np.testing.assert_allclose(np.clip(result, -8, 8), wanted, rtol=0, atol=2.0**-12)


@pytest.mark.parametrize(
    ("x", "weight", "y"), [("INT8", "UINT8", "INT8"), ("UINT8", "INT8", "UINT8"), ("INT8", "INT8", "INT16")]
)
def test_what_kernels_misread_is_refused(x: str, weight: str, y: str) -> None:
    rng = np.random.default_rng(9)
    inputs = [Tensor(random_integers(rng, x, (2, 8)), 0.1), constant(random_integers(rng, weight, (3, 8)), 0.1)]
    data = quantized_operator("FULLY_CONNECTED", inputs, [output(y, (2, 3), 0.1)], ("FullyConnectedOptions", {}))
    with pytest.raises(unlite.UnliteError, match="misread"):
        unlite.to_torch(data, quantized="exact")


@pytest.mark.parametrize("scale", [0.01, 6 / 255, 0.04])
def test_relu6_of_a_tensor_that_ends_before_6(scale: float) -> None:
    """As real numbers: what the output holds, which ends at 255 * scale, counts."""
    inputs, _, _, _ = fully_connected("UINT8", 2, (10, 24))
    y, options = output("UINT8", (10, 11), scale), ("FullyConnectedOptions", {"fused_activation_function": "RELU6"})
    wanted = litert(quantized_operator("FULLY_CONNECTED", inputs, [y], options), inputs[0].values)[0] * np.float32(
        scale
    )
    result = real_results(inputs, y, options)[0].detach().numpy()
    np.testing.assert_allclose(result, wanted, rtol=0, atol=0.51 * scale)


@pytest.mark.parametrize(("adj_x", "adj_y"), [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("dtype", ["INT8", "INT16"])
def test_batch_matmul(dtype: str, adj_x: bool, adj_y: bool) -> None:
    for seed, (lead_x, lead_y) in enumerate([((2, 3), (2, 3)), ((3,), (2, 1)), ((2,), (2,))]):
        rng = np.random.default_rng(seed)
        x_shape, y_shape = (7, 20), (20, 5)
        x_shape, y_shape = x_shape[::-1] if adj_x else x_shape, y_shape[::-1] if adj_y else y_shape
        x = Tensor(random_integers(rng, dtype, (*lead_x, *x_shape)), random_scale(rng), random_zero_point(rng, dtype))
        y = Tensor(random_integers(rng, dtype, (*lead_y, *y_shape)), random_scale(rng), random_zero_point(rng, dtype))
        spread = x.scale * y.scale * float(np.exp(rng.uniform(5, 7)))
        lead = np.broadcast_shapes(lead_x, lead_y)
        made = output(dtype, (*lead, 7, 5), spread, random_zero_point(rng, dtype))
        options = ("BatchMatMulOptions", {"adj_x": adj_x, "adj_y": adj_y})
        agree_exactly("BATCH_MATMUL", [x, y], made, options)


@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize(("adj_x", "adj_y"), [(False, False), (True, True), (False, True)])
def test_batch_matmul_of_real_numbers_with_integers(adj_x: bool, adj_y: bool, asymmetric: bool) -> None:
    rng = np.random.default_rng(6)
    x = rng.standard_normal((2, 20, 7) if adj_x else (2, 7, 20)).astype("f4")
    y = constant(rng.integers(-127, 128, (2, 5, 20) if adj_y else (2, 20, 5)).astype("i1"), 0.013)
    options = {"adj_x": adj_x, "adj_y": adj_y, "asymmetric_quantize_inputs": asymmetric}
    data = quantized_operator(
        "BATCH_MATMUL", [Tensor(x), y], [output("FLOAT32", (2, 7, 5))], ("BatchMatMulOptions", options), version=4
    )
    compare(litert(data, x), run(unlite.to_torch(data, quantized="exact"), x), 1e-6)
