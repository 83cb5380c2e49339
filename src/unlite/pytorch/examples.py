"""Examples of results while a graph is made: sizes and types, on torch's meta device, which holds no values.

PyTorch's meta kernels are Python for most calls, and the first of them loads the compiler, which takes as long as
PyTorch itself. So the calls that networks are full of are made on real tensors of no elements, and PyTorch's own
kernels tell the result's sizes. What works neither that way nor on the meta device is tried on fake tensors.
"""

from __future__ import annotations

import logging
import operator
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - the name that PyTorch uses

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch._subclasses.fake_tensor import FakeTensorMode

META = torch.device("meta")
CPU = torch.device("cpu")
UNKNOWN = object()
"""Result of a call whose shape depends on values."""
_FAILURES = (RuntimeError, ValueError, IndexError)

BROADCASTING = {
    *(
        operator.add,
        operator.sub,
        operator.mul,
        operator.truediv,
        operator.neg,
        torch.div,
        torch.maximum,
        torch.minimum,
    ),
    *(torch.eq, torch.ne, torch.lt, torch.le, torch.gt, torch.ge, torch.where, torch.clamp, torch.Tensor.clamp),
    *(F.relu, F.relu6, F.hardswish, F.elu, F.gelu, F.leaky_relu, F.softmax, torch.sigmoid, torch.tanh, torch.exp),
    *(torch.log, torch.sqrt, torch.rsqrt, torch.square, torch.abs, torch.neg, torch.cos, torch.sin),
}
"""Calls whose result has the shape that their tensors are broadcast to."""
BATCHED = {
    *(F.conv2d, F.conv3d, F.conv_transpose2d, F.linear, F.max_pool2d, F.avg_pool2d, F.interpolate, F.pixel_shuffle),
    torch.prelu,
}
"""Calls that do the same to each entry along the first axis of the first tensor, of which there may be none."""
REDUCING = {torch.Tensor.mean, torch.Tensor.sum, torch.Tensor.amax, torch.Tensor.amin}
"""Calls that do so where the first axis is not among those that they are told."""


def example(shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """A tensor without values."""
    return torch.empty(tuple(shape), dtype=dtype, device=META)


def example_result(call: Callable[..., Any], args: Any, kwargs: Any, *, guessed: bool) -> Any:
    """What a call gives for examples; UNKNOWN where that depends on values.

    Args:
        call: A function.
        args: What it gets; tensors are examples.
        kwargs: The same, by name.
        guessed: Whether the examples' sizes are guesses: a call that refuses them is UNKNOWN then.

    Raises:
        RuntimeError, ValueError, IndexError: the call refuses its arguments.
    """
    try:
        with torch.no_grad():
            shape, dtype = _empty_result(call, args, kwargs)
            if shape is not None:
                return example(shape, dtype)
            with META:
                args, kwargs = _mapped((args, kwargs), _on_meta)
                return _mapped(call(*args, **kwargs), _on_meta)
    except _FAILURES:
        return _fake_result(call, args, kwargs, guessed=guessed)


# -- on nothing --------------------------------------------------------------------------------------------------------


def _empty_result(call: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Shape and type of a result, from a run on tensors of no elements; None, None where that does not tell them."""
    if type(call).__hash__ is None or not args:
        return None, None
    x, *rest = args
    if call in BROADCASTING and any(isinstance(value, torch.Tensor) for value in args):
        shapes = [value.shape for value in args if isinstance(value, torch.Tensor)]
        point = torch.empty((), device=CPU)
        shape = torch.broadcast_tensors(*(point.expand(shape) for shape in shapes))[0].shape  # type: ignore[no-untyped-call]
        return shape, call(*_mapped(args, _nothing), **kwargs).dtype
    if call is torch.cat and isinstance(x, (tuple, list)):
        return _joined(x, *rest, **kwargs)
    if not isinstance(x, torch.Tensor) or x.ndim < 2:
        return None, None
    if call in BATCHED or (call in REDUCING and _keeps_first(x, *rest, **kwargs)):
        given, named = _mapped((rest, kwargs), _untouched)
        result = call(_real(x, (0, *x.shape[1:])), *given, **named)
        return (x.shape[0], *result.shape[1:]), result.dtype
    return None, None


def _joined(tensors: Sequence[torch.Tensor], dim: int = 0) -> tuple[Any, Any]:
    rank = tensors[0].ndim
    axis = 0 if dim % max(rank, 1) else 1  # one that is not joined: there, all are made of size 0
    if rank <= axis or any(x.ndim != rank or x.shape[axis] != tensors[0].shape[axis] for x in tensors):
        return None, None
    result = torch.cat([_real(x, (*x.shape[:axis], 0, *x.shape[axis + 1 :])) for x in tensors], dim)
    return (*result.shape[:axis], tensors[0].shape[axis], *result.shape[axis + 1 :]), result.dtype


def _keeps_first(x: torch.Tensor, dim: Any = None, *_: Any, **__: Any) -> bool:
    axes = [dim] if isinstance(dim, int) else dim
    return bool(axes) and all(isinstance(axis, int) and axis % x.ndim for axis in axes)


def _nothing(value: Any) -> Any:
    return _real(value, (0,) * value.ndim) if isinstance(value, torch.Tensor) else value


def _untouched(value: Any) -> Any:
    return _real(value, value.shape) if isinstance(value, torch.Tensor) else value


def _real(value: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """A tensor of another shape; its memory is asked for, but never touched."""
    return torch.empty(tuple(shape), dtype=value.dtype, device=CPU)


# -- on fake tensors ---------------------------------------------------------------------------------------------------


def _fake_result(call: Callable[..., Any], args: Any, kwargs: Any, *, guessed: bool) -> Any:
    from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

    examples: dict[int, torch.Tensor] = {}  # identity of a fake tensor -> what it was made of

    def faked(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        made = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype)
        examples[id(made)] = value
        return made

    log = logging.getLogger("torch._subclasses.fake_tensor")
    before = log.disabled
    log.disabled = True  # what it would report as an internal error is raised, or a guess that does not fit
    try:
        with _fake_mode(), torch.no_grad():
            given = _mapped((args, kwargs), faked)
            result = call(*given[0], **given[1])
    except (DataDependentOutputException, DynamicOutputShapeException):
        return UNKNOWN
    except _FAILURES:
        if not guessed:
            raise
        return UNKNOWN  # the guess does not fit; the real value may
    finally:
        log.disabled = before
    return _mapped(result, lambda value: examples.get(id(value), _on_meta(value)))


@cache
def _fake_mode() -> FakeTensorMode:
    from torch._subclasses.fake_tensor import FakeTensorMode

    return FakeTensorMode(allow_non_fake_inputs=True)


# -- arguments ---------------------------------------------------------------------------------------------------------


def _on_meta(value: Any) -> Any:
    if isinstance(value, torch.device):
        return META
    if not isinstance(value, torch.Tensor) or (value.device == META and type(value) is torch.Tensor):
        return value
    return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=META)


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """A value with each entry in its lists, tuples and dicts changed."""
    if isinstance(value, (tuple, list)):
        entries = [_mapped(entry, change) for entry in value]
        return entries if isinstance(value, list) else type(value)(entries)  # also torch's own kinds of tuples
    if isinstance(value, dict):
        return {key: _mapped(entry, change) for key, entry in value.items()}
    if isinstance(value, slice):
        return slice(_mapped(value.start, change), _mapped(value.stop, change), _mapped(value.step, change))
    return change(value)


def holds_unknown(value: Any) -> bool:
    """Whether UNKNOWN is among arguments."""
    if isinstance(value, (tuple, list)):
        return any(holds_unknown(entry) for entry in value)
    if isinstance(value, dict):
        return any(holds_unknown(entry) for entry in value.values())
    if isinstance(value, slice):
        return holds_unknown((value.start, value.stop, value.step))
    return value is UNKNOWN
