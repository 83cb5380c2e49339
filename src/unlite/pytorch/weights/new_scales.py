"""New scales for quantized weights that were trained on, and for the biases that follow from them.

A kernel adds the bias to sums of products, so that a bias has the scale ``input * weight``. Source: LiteRT's
quantization specification; tflite/kernels/kernel_util.cc, PopulateConvolutionQuantizationParams.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.model.objects.quantization import Quantization
from unlite.model.values.requantize import half_away, limits
from unlite.pytorch.weights.axes import TRANSPARENT
from unlite.pytorch.weights.file_layers import stored_constant

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from unlite.model.formats.weights import Constant
    from unlite.model.objects.operator import Operator
    from unlite.model.objects.tensor import Tensor

ENDS = {
    "CONV_2D": (0, 1, 2),
    "DEPTHWISE_CONV_2D": (0, 1, 2),
    "FULLY_CONNECTED": (0, 1, 2),
    "TRANSPOSE_CONV": (2, 1, 3),
}
"""Operators whose kernels take weights of any scale -> which inputs are data, weights, bias."""
WEIGHTS = ("INT8", "UINT8", "INT16", "INT4", "INT2")
BIASES = ("INT32", "INT64")


class Rescaling:
    """New scales, worked out but not yet assigned.

    Args:
        constants: All constants of the model.
        values: Key -> real values that are to be stored.

    Attributes:
        stored: Key -> the integers to store, of weights with new scales and their biases.
        rescaled: Names of these tensors.
        kept: Name of a tensor in ``values`` -> why its scale stays.
    """

    def __init__(self, constants: Mapping[str, Constant], values: Mapping[str, NDArray[Any]]) -> None:
        import numpy as np

        self.stored: dict[str, NDArray[np.generic]] = {}
        self.rescaled: list[str] = []
        self.kept: dict[str, str] = {}
        self._constants = constants
        self._values = values
        self._keys = {
            (tensor.subgraph.index, tensor.index): key
            for key, constant in constants.items()
            for tensor in (constant.tensor, *constant.aliases)
        }
        self._new: dict[str, Quantization] = {}
        for key, real in values.items():
            tensor = constants[key].tensor
            if tensor.dtype not in WEIGHTS or real.dtype.kind != "f" or tensor.quantization is None:
                continue
            if not np.array_equal(real, tensor.dequantize()):
                why = self._rescale(key, real)
                if why:
                    self.kept[tensor.name] = why

    def assign(self) -> None:
        """Gives the tensors their new scales."""
        for key, quantization in self._new.items():
            for tensor in (self._constants[key].tensor, *self._constants[key].aliases):
                tensor.quantization = quantization

    def _rescale(self, key: str, real: NDArray[Any]) -> str:
        """Works out the new scale of one tensor, and those of the biases. Returns why it cannot be; "" if it can."""
        import numpy as np

        constant = self._constants[key]
        old = constant.tensor.quantization
        if old is None or not old.scale or old.details is not None:
            return "it has scales of another kind"
        if constant.tensor.is_sparse and any(old.zero_point):
            return "it is sparse, and its zero is no 0"
        if not np.isfinite(real).all():
            return "its values are not finite"
        new = _fitted(constant.tensor, old, real)
        biases: dict[str, Quantization] = {}
        readers = [reader for tensor in (constant.tensor, *constant.aliases) for reader in _readers(tensor)]
        for operator in readers:
            if operator.name not in ENDS:
                data = operator.inputs[0]
                if data is not None and (data.quantization is None or not data.quantization.scale):
                    continue  # weights alone are quantized: the kernel reads their scale
                return f"{operator.name} ties it to other scales"
            found = self._bias(operator, key, new)
            if isinstance(found, str):
                return found
            for bias, quantization in found.items():
                if biases.setdefault(bias, quantization) != quantization or bias in self._new:
                    return f"the bias {self._constants[bias].tensor.name!r} belongs to several weights"
        self._take(key, new, real)
        for bias, quantization in biases.items():
            tensor = self._constants[bias].tensor
            values = self._values.get(bias)
            self._take(bias, quantization, tensor.dequantize() if values is None else values)
        return ""

    def _bias(self, operator: Operator, key: str, new: Quantization) -> dict[str, Quantization] | str:
        """Key and quantization of the bias that follows the weight of a key; why there can be none."""
        inputs = operator.inputs
        places = ENDS[operator.name]
        data, weights, bias = (inputs[place] if place < len(inputs) else None for place in places)
        source = stored_constant(weights)
        if source is None or self._keys.get((source.subgraph.index, source.index)) != key:
            return f"{operator.name} reads it in another way"
        if bias is None or bias.dtype not in BIASES or bias.quantization is None or not bias.quantization.scale:
            return {}
        if data is None or data.quantization is None or len(data.quantization.scale) != 1:
            return f"the data of {operator.name} has no single scale"
        follower = self._keys.get((bias.subgraph.index, bias.index))
        if follower is None or len(bias.consumers) != 1:
            return f"the bias {bias.name!r} is read elsewhere, or is no constant"
        scales = [data.quantization.scale[0] * scale for scale in new.scale]
        old = bias.quantization
        return {follower: Quantization(scales, [0] * len(scales), old.quantized_dimension, old.min, old.max)}

    def _take(self, key: str, new: Quantization, real: NDArray[Any]) -> None:
        tensor = self._constants[key].tensor
        self._new[key] = new
        self.stored[key] = _quantized(tensor, new, real)
        self.rescaled.append(tensor.name)


def _readers(tensor: Tensor) -> list[Operator]:
    """The operators that read a constant and need its integers; DEQUANTIZE takes any scale."""
    found: list[Operator] = []
    waiting, seen = [tensor], {tensor.index}
    while waiting:
        for operator in waiting.pop().consumers:
            if operator.name != "DENSIFY":
                found += [] if operator.name in TRANSPARENT else [operator]
                continue
            for output in operator.outputs:
                if output is not None and output.index not in seen:
                    seen.add(output.index)
                    waiting.append(output)
    return found


def _fitted(tensor: Tensor, old: Quantization, real: NDArray[Any]) -> Quantization:
    """Scales, and zero points of types without sign, that hold all values; as many as before, along the same axis."""
    import numpy as np

    low, high = limits(tensor)
    axis = old.quantized_dimension
    count = len(old.scale)
    rows = np.moveaxis(real, axis, 0).reshape(count, -1) if count > 1 else real.reshape(1, -1)
    least, most = rows.min(1, initial=0.0).astype(np.float64), rows.max(1, initial=0.0).astype(np.float64)
    if any(old.zero_point) or low == 0:
        scales = (most - least) / (high - low)
        scales = np.where(scales > 0, scales, old.scale).astype(np.float32)
        zero_points = np.clip(half_away(low - least / scales), low, high).astype(np.int64)
    else:
        scales = np.maximum(-least, most) / high
        scales = np.where(scales > 0, scales, old.scale).astype(np.float32)
        zero_points = np.zeros(count, np.int64)
    return Quantization(
        scales.tolist(),
        zero_points.tolist(),
        axis,
        least.tolist() if len(old.min) == count else old.min,
        most.tolist() if len(old.max) == count else old.max,
    )


def _quantized(tensor: Tensor, new: Quantization, real: NDArray[Any]) -> NDArray[np.generic]:
    """The integers that stand for real values."""
    import numpy as np

    shape = [1] * real.ndim
    if len(new.scale) > 1:
        axis = 0 if real.shape == (len(new.scale),) else new.quantized_dimension
        shape[axis] = len(new.scale)
    scale = np.asarray(new.scale, np.float32).astype(np.float64).reshape(shape)
    zero_point = np.asarray(new.zero_point, np.float64).reshape(shape)
    low, high = limits(tensor)
    if not any(new.zero_point) and tensor.dtype in WEIGHTS:
        low = max(low, -high)
    steps = np.clip(half_away(real.astype(np.float64) / scale) + zero_point, low, high)
    return steps.astype(tensor.numpy_dtype)
