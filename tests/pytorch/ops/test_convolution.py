"""Convolutions against the operator suite, LiteRT, and sums written out."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from tests.pytorch.check import Constant, Made, check_operator, compare, random

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")

from unlite.errors import InvalidValueError  # noqa: E402
from unlite.pytorch.ops.convolution import convolution_2d_transpose_bias  # noqa: E402
from unlite.pytorch.options import Options  # noqa: E402


def out(size: int, kernel: int, stride: int, padding: str, dilation: int = 1) -> int:
    reach = (kernel - 1) * dilation + 1
    return -(-size // stride) if padding == "SAME" else (size - reach) // stride + 1


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"),
    [((3, 3), (1, 1), (1, 1)), ((1, 1), (2, 2), (1, 1)), ((2, 3), (2, 1), (1, 1)), ((3, 2), (1, 1), (2, 3))],
)
def test_conv_2d(kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int], padding: str) -> None:
    shape = tuple(out(n, *window) for n, *window in zip((9, 8), kernel, stride, (padding,) * 2, dilation, strict=True))
    options = {
        "padding": padding,
        "stride_h": stride[0],
        "stride_w": stride[1],
        "dilation_h_factor": dilation[0],
        "dilation_w_factor": dilation[1],
        "fused_activation_function": "RELU6",
    }
    weight, bias = Constant(random(5, *kernel, 4, seed=1)), Constant(random(5, seed=2))
    resized = ((3, 9, 8, 4), (1, 14, 11, 4))
    check_operator(
        "CONV_2D", [random(2, 9, 8, 4), weight, bias], (2, *shape, 5), ("Conv2DOptions", options), resized=resized
    )
    grouped = Constant(random(6, *kernel, 2, seed=1))
    check_operator(
        "CONV_2D", [random(2, 9, 8, 4), grouped, Constant(random(6))], (2, *shape, 6), ("Conv2DOptions", options)
    )
    check_operator(
        "DEPTHWISE_CONV_2D",
        [random(2, 9, 8, 4), Constant(random(1, *kernel, 12, seed=3)), Constant(random(12))],
        (2, *shape, 12),
        ("DepthwiseConv2DOptions", {**options, "depth_multiplier": 3}),
        resized=resized,
    )


def test_conv_2d_with_weights_given_when_it_runs() -> None:
    options = ("Conv2DOptions", {"padding": "SAME", "stride_h": 1, "stride_w": 2})
    x, weight, bias = random(1, 4, 5, 2), random(3, 2, 2, 2), random(3)
    check_operator("CONV_2D", [x, weight, bias], (1, 4, 3, 3), options, exports=True)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(2, 2, 1), (3, 1, 1), (2, 1, 2)])
def test_conv_3d(kernel: int, stride: int, dilation: int, padding: str) -> None:
    options = {"padding": padding}
    options |= {f"stride_{axis}": stride for axis in "dhw"} | {f"dilation_{axis}_factor": dilation for axis in "dhw"}
    shape = tuple(out(n, kernel, stride, padding, dilation) for n in (5, 6, 7))
    weight = Constant(random(kernel, kernel, kernel, 2, 3, seed=1))
    inputs = [random(2, 5, 6, 7, 2), weight, Constant(random(3))]
    check_operator("CONV_3D", inputs, (2, *shape, 3), ("Conv3DOptions", options), resized=((1, 8, 5, 6, 2),))
    # Back again: the output has the convolution's input size.
    size = Constant(np.array([2, 5, 6, 7, 3], "i4"))
    back = Constant(random(kernel, kernel, kernel, 3, 2, seed=1))
    inputs = [size, back, random(2, *shape, 2), Constant(random(3))]
    check_operator("CONV_3D_TRANSPOSE", inputs, (2, 5, 6, 7, 3), ("Conv3DOptions", options))


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_transpose_conv(kernel: int, stride: int, fixed: bool, padding: str) -> None:
    """Output sizes that the convolution would lead back from, among them ones that leave cells untouched."""
    size = np.array([1, 7, 8, 3], "i4")
    x = random(1, out(7, kernel, stride, padding), out(8, kernel, stride, padding), 2)
    weight, bias = Constant(random(3, kernel, kernel, 2, seed=1)), Constant(random(3, seed=2))
    options = {"padding": padding, "stride_h": stride, "stride_w": stride, "fused_activation_function": "RELU"}
    check_operator(
        "TRANSPOSE_CONV",
        [Constant(size) if fixed else size, weight, x, bias],
        [Made("FLOAT32", (1, 7, 8, 3))],
        ("TransposeConvOptions", options),
    )


def test_transpose_conv_of_any_batch() -> None:
    """LiteRT takes only the batch of the stated size; the module takes others too."""
    from tests.pytorch.litert import one_operator

    from unlite.model.model import open_model
    from unlite.pytorch.module import to_torch

    x, weight = random(2, 2, 2, 1), random(1, 2, 2, 1)
    size = Constant(np.array([1, 4, 4, 1], "i4"))
    options = ("TransposeConvOptions", {"padding": "SAME", "stride_h": 2, "stride_w": 2})
    data = one_operator("TRANSPOSE_CONV", [size, Constant(weight), x[:1]], [Made("FLOAT32", (1, 4, 4, 1))], options)
    result = to_torch(open_model(data))(torch.from_numpy(x)).detach().numpy()
    # Windows of the stride's size do not overlap: the output is the Kronecker product.
    expected = np.stack([np.kron(picture[..., 0], weight[0, ..., 0]) for picture in x])
    assert np.allclose(result[..., 0], expected)


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 2), (4, 2), (3, 1)])
def test_transpose_conv_with_bias(kernel: int, stride: int, same: bool) -> None:
    """MediaPipe's formula for the size; each input cell spread over its window in a loop."""
    x, weight, bias = random(2, 4, 5, 2), random(3, kernel, kernel, 2), random(3)
    whole = np.zeros((2, stride * 3 + kernel, stride * 4 + kernel, 3), "f4")
    for row, column in np.ndindex(4, 5):
        window = np.einsum("nc,oyxc->nyxo", x[:, row, column], weight)
        whole[:, row * stride : row * stride + kernel, column * stride : column * stride + kernel] += window
    cuts = [max(0, kernel - n % stride - 1) if same else 0 for n in (3, 4)]
    kept = tuple(slice(cut // 2, size - cut + cut // 2) for cut, size in zip(cuts, whole.shape[1:3], strict=True))
    options = Options(custom=struct.pack("<3i", 1 if same else 2, stride, stride))
    result = convolution_2d_transpose_bias(*map(torch.from_numpy, (x, weight, bias)), options=options)
    compare([whole[:, kept[0], kept[1]] + bias], result, 1e-6)


@pytest.mark.parametrize("custom", [None, b"\1\0", {"padding": 1}, struct.pack("<3i", 1, 0, 2)])
def test_custom_options_that_say_nothing(custom: Any) -> None:
    x, weight = torch.zeros(1, 2, 2, 1), torch.zeros(1, 2, 2, 1)
    with pytest.raises(InvalidValueError):
        convolution_2d_transpose_bias(x, weight, options=Options(custom=custom))


def test_a_window_that_nothing_fits_in_at_the_files_own_size() -> None:
    """A free size is 1 in the file; the network is one for the sizes that people give."""
    from tests.pytorch.litert import litert, one_operator

    from unlite.model.model import open_model
    from unlite.pytorch.module import to_torch

    options = {"padding": "VALID", "stride_h": 1, "stride_w": 3}
    weight, bias = Constant(random(2, 1, 300, 1)), Constant(random(2, seed=1))
    data = one_operator(
        "CONV_2D",
        [np.zeros((1, 1, 1, 1), "f4"), weight, bias],
        [Made("FLOAT32", (1, 1, 1, 2))],
        ("Conv2DOptions", options),
    )
    model = open_model(data)
    model.root["subgraphs"][0]["tensors"][0].shape_signature = [-1, 1, -1, 1]
    module = to_torch(model)
    x = random(2, 1, 400, 1, seed=2)
    compare(litert(data, x, resize=True), module(torch.from_numpy(x)), 1e-5)
