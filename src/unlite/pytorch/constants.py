"""Constants of the file as parameters and buffers of a module: loaded late, once, and in PyTorch's order."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.fx

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from unlite.model.objects.tensor import Tensor

Load = Callable[[], "NDArray[np.generic]"]


class Constant:
    """A value that the file holds, or that follows from such values alone.

    Attributes:
        name: Name of the tensor that it is, or was made from; keys of a module's state come from it.
        source: The tensor of the file whose stored bytes it is, for writing back; None where several went in.
        shape: Sizes, after ``axes``.
        dtype: PyTorch's type.
        axes: How the tensor's axes were permuted; () for not at all.
    """

    def __init__(
        self,
        name: str,
        source: Tensor | None,
        shape: tuple[int, ...],
        dtype: torch.dtype,
        load: Load,
        axes: tuple[int, ...] = (),
    ) -> None:
        self.name, self.source, self.shape, self.dtype, self.axes = name, source, shape, dtype, axes
        self._load = load
        self._values: NDArray[np.generic] | None = None

    def numpy(self) -> NDArray[np.generic]:
        """The values. Small ones are kept; large ones are read anew each time."""
        if self._values is not None:
            return self._values
        values = self._load()
        if self.axes:
            values = values.transpose(self.axes)
        if values.nbytes <= 4096:
            self._values = values
        return values

    def tensor(self) -> torch.Tensor:
        """The values as a tensor of its own."""
        values = np.array(self.numpy(), order="C")  # a copy: parameters are writable, the mapped file is not
        if values.dtype.name in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
            bits = torch.from_numpy(values.view(np.int16 if values.itemsize == 2 else np.uint8))
            return bits.view(self.dtype)
        return torch.from_numpy(values).to(self.dtype)

    def permuted(self, axes: tuple[int, ...]) -> Constant:
        """The same constant with its axes in another order."""
        shape = tuple(self.shape[axis] for axis in axes)
        own = tuple(self.axes[axis] for axis in axes) if self.axes else axes
        return Constant(self.name, self.source, shape, self.dtype, self._load, own)

    @property
    def is_trainable(self) -> bool:
        """Whether it becomes a parameter: real numbers."""
        return self.dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16)


class Names:
    """Names that are valid as attributes and arguments, each once: out of a file, they never become code."""

    def __init__(self, reserved: tuple[str, ...] = ()) -> None:
        self._taken = {*RESERVED, *reserved}
        self._counts: dict[str, int] = {}

    def make(self, name: str, fallback: str = "tensor") -> str:
        """A name like ``name``: letters, digits and underscores."""
        plain = re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_") or fallback
        if plain[0].isdigit():
            plain = f"{fallback}_{plain}"
        made, count = plain, self._counts.get(plain, 1)
        while made in self._taken or keyword.iskeyword(made) or hasattr(torch.fx.GraphModule, made):
            count += 1
            made = f"{plain}_{count}"
        self._counts[plain] = count
        self._taken.add(made)
        return made


RESERVED = frozenset(
    {"self", "torch", "training", "meta", "slice", "getattr", "range", "len", "list", "tuple", "dict", "set"}
    | {"int", "float", "bool", "complex", "inf", "nan", "NoneType", "device", "pytree", "fx_pytree"}
)
"""What a module, or the code that fx writes for it, knows by that name."""


def from_array(name: str, values: Any) -> Constant:
    """A constant made here, such as the result of folding."""
    array = np.asarray(values)
    return Constant(name, None, array.shape, torch.from_numpy(np.array(array)).dtype, lambda: array)
