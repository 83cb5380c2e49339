"""How the numbers of quantized tensors are carried: as the real numbers they stand for, or as the stored integers.

Operators say what is computed. What stands here is asked by the driver, and told to operators through their options,
so that one meaning serves ``quantized="float"`` and ``quantized="exact"``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

import torch

from unlite.errors import CorruptFileError
from unlite.pytorch.activations import SATURATING, saturate
from unlite.pytorch.constants import Constant
from unlite.pytorch.dtypes import torch_dtype
from unlite.pytorch.quantized import RANGES, dequantize, quantize

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unlite.model.subgraph import Subgraph
    from unlite.model.tensor import Tensor

QUANTIZED = ("INT8", "UINT8", "INT16", "UINT16", "INT32", "INT64", "INT4", "UINT4", "INT2")


def is_quantized(tensor: Tensor) -> bool:
    """Whether a tensor's stored integers stand for real numbers."""
    quantization = tensor.quantization
    return (
        tensor.dtype in QUANTIZED
        and quantization is not None
        and bool(quantization.scale or quantization.details is not None)
    )


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
        load = tensor.dequantize if self.is_real(tensor) else tensor.numpy
        tensor._constant()  # says plainly that there is none
        return Constant(tensor.name, tensor, tensor.shape, self.dtype(tensor), load)

    def start(self, tensor: Tensor) -> int:
        """What the elements of a variable tensor are before the first run: integers of 8 bits stand for 0.

        Source: LiteRT tflite/core/subgraph.cc, ResetVariableTensors.
        """
        return grid(tensor)[1] if self.exact and tensor.dtype == "INT8" and has_grid(tensor) else 0

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
        return quantize(value, scale, zero_point, low, high, torch_dtype(tensor.dtype, tensor.path))

    def _is_integer_end(self, tensor: Tensor) -> bool:
        return self.integer_ends and self.is_real(tensor) and has_grid(tensor)

    def settled(self, value: Any, tensor: Tensor) -> Any:
        """A value as a quantized tensor can hold it, where that matters in this mode: on its grid, within its range."""
        if not (self.rounds and self.is_real(tensor) and has_grid(tensor)):
            return value
        return torch.fake_quantize_per_tensor_affine(value, *grid(tensor))

    def result(self, name: str, value: Any, tensor: Tensor, activation: str, moved: bool) -> Any:
        """What an operator has computed, activation included, as the tensor that it gives.

        name: of the operator. moved: whether it hands on what it got, so that nothing has to be rounded again.
        """
        if not self.is_real(tensor) or value is None:
            return value
        if self.rounds:
            return value if moved else self.settled(value, tensor)
        return saturate(value, tensor, activation) if name in SATURATING else value


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
