"""The order in which PyTorch keeps the axes of a convolution's weights.

It depends on the operator that reads the weights. Sources of TFLite's orders: LiteRT tflite/kernels/conv.cc,
depthwise_conv.cc, transpose_conv.cc, conv3d.cc and conv3d_transpose.cc; of PyTorch's: the documentation of the classes
named below. Needs no PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unlite.model.objects.operator import Operator
    from unlite.model.objects.tensor import Tensor

WEIGHTS: dict[str, tuple[int, tuple[int, ...]]] = {
    # [out, height, width, in] -> Conv2d's [out, in, height, width]
    "CONV_2D": (1, (0, 3, 1, 2)),
    # [1, height, width, in * multiplier] -> Conv2d's [in * multiplier, 1, height, width], groups=in
    "DEPTHWISE_CONV_2D": (1, (3, 0, 1, 2)),
    # [out, height, width, in] -> ConvTranspose2d's [in, out, height, width]
    "TRANSPOSE_CONV": (1, (3, 0, 1, 2)),
    # [depth, height, width, in, out] -> Conv3d's [out, in, depth, height, width]
    "CONV_3D": (1, (4, 3, 0, 1, 2)),
    # [depth, height, width, out, in] -> ConvTranspose3d's [in, out, depth, height, width]
    "CONV_3D_TRANSPOSE": (1, (4, 3, 0, 1, 2)),
}
"""Operator -> which of its inputs holds weights, and their axes in PyTorch's order. FULLY_CONNECTED is Linear's own."""

TRANSPARENT = ("DEQUANTIZE", "DENSIFY")
"""Operators between stored weights and what reads them that change no axes."""


def torch_axes(tensor: Tensor) -> tuple[int, ...] | None:
    """The axes of a constant in PyTorch's order, for ``array.transpose(axes)``; None where it is TFLite's own.

    None, too, where operators read the tensor that want different orders.
    """
    orders: set[tuple[int, ...] | None] = set()
    waiting = [tensor]
    seen = {tensor.index}
    while waiting:
        at = waiting.pop()
        for operator in at.consumers:
            if operator.name in TRANSPARENT:
                for output in operator.outputs:
                    if output is not None and output.index not in seen:
                        seen.add(output.index)
                        waiting.append(output)
            else:
                orders.add(_order(operator, at))
    order = orders.pop() if len(orders) == 1 else None
    return order if order is not None and len(order) == len(tensor.shape) else None


def _order(operator: Operator, tensor: Tensor) -> tuple[int, ...] | None:
    """The order in which an operator wants one of its inputs."""
    place, order = WEIGHTS.get(operator.name, (-1, None))
    inputs = operator._table["inputs"]
    # The same tensor may be another input as well.
    return order if [i for i, index in enumerate(inputs) if index == tensor.index] == [place] else None
