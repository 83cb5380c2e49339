"""How the numbers of quantized tensors are carried: as the real numbers they stand for, or as the stored integers.

Operators say what is computed. What stands here is asked by the driver, and told to operators through their options,
so that one meaning serves ``quantized="float"`` and ``quantized="exact"``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, Any

import torch

from unlite.errors import CorruptFileError
from unlite.model.values.constants import check_quantizable, spread
from unlite.pytorch.activations import SATURATING, activated
from unlite.pytorch.arithmetic.quantized import RANGES, dequantize, quantize
from unlite.pytorch.calls import CALLS, known_options, reached
from unlite.pytorch.constants import Constant
from unlite.pytorch.dtypes import torch_dtype

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from unlite.model.objects.operator import Operator
    from unlite.model.objects.subgraph import Subgraph
    from unlite.model.objects.tensor import Tensor

QUANTIZED = ("INT8", "UINT8", "INT16", "UINT16", "INT32", "INT64", "INT4", "UINT4", "INT2")


def is_quantized(tensor: Tensor) -> bool:
    """Whether a tensor's stored integers stand for real numbers."""
    quantization = tensor.quantization
    return (
        tensor.dtype in QUANTIZED
        and quantization is not None
        and bool(quantization.scale or quantization.details is not None)
    )


def holds_signed(tensor: Tensor) -> bool:
    """Whether UINT8 weights are INT8 in truth: kernels of real numbers read them so, and pass over the zero point.

    Converters of TensorFlow 1 wrote such files. Shuffled weights are read so, too.
    Source: LiteRT tflite/kernels/fully_connected.cc, EvalHybridDense, EvalShuffledQuantized.
    """
    return (
        tensor.dtype == "UINT8"
        and tensor.is_constant
        and is_quantized(tensor)
        and any(
            operator.name in _SIGNED_WEIGHTS
            and output is not None
            and ("FLOAT" in output.dtype or is_shuffled(operator))
            for operator in tensor.consumers
            for output in operator.outputs[:1]
        )
    )


def is_shuffled(operator: Operator) -> bool:
    """Whether a FULLY_CONNECTED has its weights in blocks."""
    return (
        operator.name == "FULLY_CONNECTED"
        and (options := known_options(operator)) is not None
        and (options["weights_format"] != "DEFAULT")
    )


_SIGNED_WEIGHTS = (
    *("FULLY_CONNECTED", "CONV_2D", "EMBEDDING_LOOKUP", "SVDF", "RNN", "UNIDIRECTIONAL_SEQUENCE_RNN"),
    *("BIDIRECTIONAL_SEQUENCE_RNN", "LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM"),
)


def signed_values(tensor: Tensor) -> NDArray[np.float32]:
    """The real numbers of weights that ``holds_signed``."""
    scale, _ = spread(tensor, check_quantizable(tensor))
    return (tensor.numpy().view("int8") * scale).astype("float32")


def quantizes_inside(graph: Subgraph) -> bool:
    """Whether activations are real in a graph, and operators quantize them on the way for integer weights."""
    operators = [operator for each in reached(graph) for operator in each.operators]
    return any(_is_hybrid(operator) for operator in operators) and not any(
        is_quantized(tensor) for operator in operators for tensor in operator.outputs if tensor is not None
    )


def _is_hybrid(operator: Operator) -> bool:
    if operator.name in CALLS:
        return False
    inputs = [tensor for tensor in operator.inputs if tensor is not None]
    weights = [tensor for tensor in inputs if tensor.is_constant and is_quantized(tensor)]
    return bool(weights) and any(tensor.dtype == "FLOAT32" and not tensor.is_constant for tensor in inputs)


def has_grid(tensor: Tensor) -> bool:
    """Whether a tensor is quantized as a whole, in a type of few bits."""
    quantization = tensor.quantization
    return tensor.dtype in RANGES and quantization is not None and len(quantization.scale) == 1


@dataclass(frozen=True)
class Carrying:
    """How a module carries the numbers of quantized tensors.

    Attributes:
        exact: As the integers that the file's kernels would compute. Else as real numbers.
        rounds: Real numbers are put on the file's grid wherever an operator gives a quantized tensor.
        integer_ends: Quantized inputs and outputs of the module are integers.
    """

    exact: bool = False
    rounds: bool = False
    integer_ends: bool = False

    def is_real(self, tensor: Tensor) -> bool:
        """Whether a quantized tensor is carried as real numbers."""
        return not self.exact and is_quantized(tensor)

    def dtype(self, tensor: Tensor) -> torch.dtype:
        """PyTorch's type of what a tensor becomes."""
        return torch.float32 if self.is_real(tensor) else torch_dtype(tensor.dtype, tensor.path)

    def end_dtype(self, tensor: Tensor) -> torch.dtype:
        """PyTorch's type of an input of the module."""
        return torch_dtype(tensor.dtype, tensor.path) if self._is_integer_end(tensor) else self.dtype(tensor)

    def constant(self, tensor: Tensor) -> Constant:
        """The constant of a tensor."""
        load = tensor.numpy
        if self.is_real(tensor):
            load = partial(signed_values, tensor) if holds_signed(tensor) else tensor.dequantize
        tensor._constant()  # says plainly that there is none
        return Constant(tensor.name, tensor, tensor.shape, self.dtype(tensor), load)

    def start(self, tensor: Tensor) -> float:
        """What the elements of a variable tensor are before the first run: integers of 8 bits stand for 0.

        Others are stored as 0, whatever that stands for. Source: LiteRT tflite/core/subgraph.cc, ResetVariableTensors.
        """
        if not has_grid(tensor):
            return 0
        scale, zero_point, *_ = grid(tensor)
        if tensor.dtype == "INT8":
            return zero_point if self.exact else 0
        return -scale * zero_point if self.is_real(tensor) else 0

    def entering(self, value: Any, tensor: Tensor) -> Any:
        """What an input of the module is inside of it."""
        if self._is_integer_end(tensor):
            return dequantize(value, *grid(tensor)[:2])
        return self.settled(value, tensor)

    def leaving(self, value: Any, tensor: Tensor) -> Any:
        """What a value is as an output of the module."""
        if not self._is_integer_end(tensor):
            return value
        scale, zero_point, low, high = grid(tensor)
        value = torch.clamp(value, scale * (low - zero_point), scale * (high - zero_point))  # infinities, too
        return quantize(value, scale, zero_point, low, high, torch_dtype(tensor.dtype, tensor.path))

    def _is_integer_end(self, tensor: Tensor) -> bool:
        return self.integer_ends and self.is_real(tensor) and has_grid(tensor)

    def rounds_to(self, tensor: Tensor) -> bool:
        """Whether real numbers are put on the grid of a tensor."""
        return self.rounds and self.is_real(tensor) and has_grid(tensor)

    def settled(self, value: Any, tensor: Tensor) -> Any:
        """A value as a quantized tensor can hold it, where that matters in this mode: on its grid, within its range."""
        if not self.rounds_to(tensor):
            return value
        return torch.fake_quantize_per_tensor_affine(value, *grid(tensor))

    def result(self, name: str, value: Any, tensor: Tensor, activation: str, moved: bool) -> Any:
        """What an operator has computed as the tensor that it gives.

        name: of the operator. activation: what is still to be applied. moved: whether it hands on what it got, so that
        nothing has to be rounded again.
        """
        if value is None:
            return None
        is_real = self.is_real(tensor)
        if is_real and not self.rounds:
            return activated(value, activation, tensor if name in SATURATING else None)
        value = activated(value, activation)
        return self.settled(value, tensor) if is_real and not moved else value


def grid(tensor: Tensor) -> tuple[float, int, int, int]:
    """Scale, zero point, lowest and highest integer of a tensor that ``has_grid``."""
    quantization: Any = tensor.quantization
    zero_point = int(quantization.zero_point[0]) if len(quantization.zero_point) else 0
    return float(quantization.scale[0]), zero_point, *RANGES[tensor.dtype]


def check_quantization(graphs: Iterable[Subgraph]) -> None:
    """Raises CorruptFileError for the first tensor whose scales or zero points make no sense, with path and value."""
    for graph in graphs:
        for tensor in graph.tensors:
            if not is_quantized(tensor):
                continue
            quantization: Any = tensor.quantization
            path = f"{tensor.path}.quantization"
            for i, scale in enumerate(quantization.scale):
                if not (isfinite(scale) and scale > 0):
                    raise CorruptFileError(f"a scale of {scale}; it must be above 0.", path=f"{path}.scale[{i}]")
            low, high = RANGES.get(tensor.dtype, (0, 0))
            for i, zero_point in enumerate(quantization.zero_point):
                if not low <= zero_point <= high:
                    raise CorruptFileError(
                        f"a zero point of {zero_point}; {tensor.dtype} goes from {low} to {high}."
                        if tensor.dtype in RANGES
                        else f"a zero point of {zero_point}; it must be 0 for {tensor.dtype}.",
                        path=f"{path}.zero_point[{i}]",
                    )
            count, axis = len(quantization.scale), quantization.quantized_dimension
            fits = tensor.shape == (count,) or (0 <= axis < len(tensor.shape) and tensor.shape[axis] == count)
            if count > 1 and not fits:
                raise CorruptFileError(
                    f"{count} scales along axis {axis} of a tensor {list(tensor.shape)}.", path=f"{path}.scale"
                )
