"""Real tensors that an operator's function makes while a graph is made: none larger than the file may ask for.

Stand-ins hold no values, so their size costs nothing. What follows from constants alone (a RANGE, the table of a FILL)
is computed for real, with sizes that the file chose.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from unlite.errors import InvalidValueError

if TYPE_CHECKING:
    from unlite.storage.memory_limit import MemoryLimit

WIDEST = 16  # bytes of an element
META = torch.device("meta")
MOST_CALLS = 1 << 17
"""Calls of PyTorch in one operator: a loop over a size of the file ends here."""
KEEPS_BATCH = ("convolution",)
"""Calls that make nothing of a batch without entries, whatever their weights."""
MOST_PARTS = 1 << 16
"""Results of one call: each is an object of its own, whatever its size."""


class Bounded(TorchDispatchMode):  # type: ignore[no-untyped-call]  # of PyTorch, which has no types there
    """While it is entered, a call that would make a tensor of more bytes than ``limit`` allows is refused.

    So are calls without end, and calls with results without number.
    """

    def __init__(self, limit: MemoryLimit) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._limit = limit
        self._calls = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else PyTorch would import its compiler at the first call, for a second, to tell it to look away

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self._calls += 1
        if self._calls > MOST_CALLS:
            raise InvalidValueError(f"one operator takes more than {MOST_CALLS} steps.")
        if func.overloadpacket.__name__ in ("unbind", "split") and _parts(func, *args, **kwargs) > MOST_PARTS:
            raise InvalidValueError(f"a tensor is taken into more than {MOST_PARTS} parts.")
        if not getattr(func, "is_view", False) and self._may_be_large(func, args, kwargs):
            self._check(func, args, kwargs)
        return func(*args, **kwargs)

    def _may_be_large(self, func: Any, args: Any, kwargs: Any) -> bool:
        """Whether the result could be too large; a cheap bound, since a look at it on the meta device is not cheap."""
        if func.overloadpacket.__name__ in KEEPS_BATCH and isinstance(args[0], torch.Tensor) and not args[0].numel():
            return False
        most: float = WIDEST
        for leaf in tree_leaves((args, kwargs)):
            if isinstance(leaf, torch.Tensor):
                if leaf.device == META or type(leaf) not in (torch.Tensor, torch.nn.Parameter):
                    return False  # an example: it has no values
                most *= leaf.numel() + 2
            elif isinstance(leaf, torch.device):
                if leaf == META:
                    return False
            elif isinstance(leaf, (int, float)):
                most *= abs(leaf) + 2
            if not most <= self._limit.allowed:
                return not any(_is_example(other) for other in tree_leaves((args, kwargs)))
        return False

    def _check(self, func: Any, args: Any, kwargs: Any) -> None:
        def on_meta(value: Any) -> Any:
            if isinstance(value, torch.Tensor):
                return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=META)
            return META if isinstance(value, torch.device) else value

        given, named = tree_map(on_meta, (args, kwargs))
        if not any(isinstance(leaf, torch.Tensor) for leaf in tree_leaves((args, kwargs))):
            named = {**named, "device": META}
        try:
            results = tree_leaves(func(*given, **named))
        except (RuntimeError, TypeError, ValueError, NotImplementedError):
            return  # no such kernel, or the size depends on values, and follows from those that are there
        for result in results:
            if isinstance(result, torch.Tensor):
                size = prod(result.shape) * result.dtype.itemsize
                self._limit.check(size, f"a tensor {list(result.shape)} that follows from constants")


def _parts(func: Any, x: torch.Tensor, size: Any = None, dim: int = 0) -> int:
    """How many tensors ``unbind`` or ``split`` makes of one."""
    if func.overloadpacket.__name__ == "unbind":
        size, dim = 1, size or dim
    if not isinstance(size, int) or not -x.ndim <= dim < x.ndim:
        return 0
    return int(x.shape[dim]) // max(size, 1)


def _is_example(leaf: Any) -> bool:
    if isinstance(leaf, torch.device):
        return leaf == META
    return isinstance(leaf, torch.Tensor) and (
        leaf.device == META or type(leaf) not in (torch.Tensor, torch.nn.Parameter)
    )
