"""Arithmetic on shapes: small integer tensors that a model computes from sizes, followed number by number.

Models with free dimensions compute shapes for RESHAPE and its like: SHAPE, then slices, products, PACK. As tensors
these would have to be read back while the module runs, which torch.export refuses. Here each number is followed on
its own, as an int or as the stand-in of a size.
"""

from __future__ import annotations

import operator
from functools import reduce
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import fx

from unlite.pytorch.trace import Value, helper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

LARGEST = 64  # numbers; longer tensors are no shapes
KINDS = (torch.int32, torch.int64, torch.bool)


class Sizes:
    """A small integer or bool tensor, as its numbers.

    Attributes:
        entries: Object array in the tensor's shape: ints, and stand-ins for ints.
        dtype: INT32, INT64 or BOOL, as PyTorch's type.
    """

    def __init__(self, entries: Any, dtype: torch.dtype) -> None:
        self.entries = entries if isinstance(entries, np.ndarray) else boxed(entries, (len(entries),))
        self.dtype = dtype

    @property
    def ndim(self) -> int:
        return self.entries.ndim

    def tensor(self, tracer: Any) -> Value:
        """The same as a tensor, for operators that compute with it."""
        flat = list(self.entries.reshape(-1))
        made: Value = tracer.create_proxy("call_function", STACKED, (flat, list(self.entries.shape), self.dtype), {})
        return made


@helper
def stack_sizes(numbers: list[int], shape: list[int], dtype: torch.dtype) -> torch.Tensor:
    """A tensor of the given shape from numbers."""
    return torch.tensor(numbers, dtype=dtype).reshape(shape)


STACKED: Any = stack_sizes.__wrapped__  # type: ignore[attr-defined]  # what the graph calls, without the helper around


@helper
def choose(condition: bool, x: int, y: int) -> int:
    """``x`` where the condition holds, else y."""
    return x if condition else y


@helper
def broadcast_size(x: int, y: int) -> int:
    """The size that two sizes broadcast to: the one that is not 1."""
    return y if x == 1 else x


def numbers_of(x: Value) -> list[Any] | None:
    """The numbers that a tensor was stacked from; None where it is something else."""
    if x.node.target is not STACKED:
        return None
    entries: Any = x.node.args[0]
    return [x.tracer.proxy(entry) if isinstance(entry, fx.Node) else entry for entry in entries]


def boxed(entries: Iterable[Any], shape: Sequence[int]) -> NDArray[np.object_]:
    """An object array; unlike NumPy's own ways to make one, this asks nothing of the stand-ins that go into it."""
    made = np.empty(tuple(shape), dtype=object)
    flat = made.reshape(-1)
    for place, entry in enumerate(entries):
        flat[place] = entry
    return made


def _whole(entry: Any) -> int:
    if not isinstance(entry, int):
        raise TypeError("a stand-in where a number is needed")
    return int(entry)


def _each(function: Callable[..., Any]) -> Callable[..., Any]:
    """An operator that treats every element alike, with broadcasting."""

    def result(*arguments: Any) -> Any:
        *arrays, options = arguments
        if options.get("fused_activation_function", "NONE") != "NONE":
            return None
        spread = np.broadcast_arrays(*arrays)
        return boxed(map(function, *(array.reshape(-1) for array in spread)), spread[0].shape)

    return result


def _maximum(x: Any, y: Any) -> Any:
    return max(x, y) if isinstance(x, int) and isinstance(y, int) else torch.sym_max(x, y)  # type: ignore[no-untyped-call]


def _minimum(x: Any, y: Any) -> Any:
    return min(x, y) if isinstance(x, int) and isinstance(y, int) else torch.sym_min(x, y)  # type: ignore[no-untyped-call]


def _select(condition: Any, x: Any, y: Any) -> Any:
    return choose(condition, x, y)


def _broadcast_entry(x: Any, y: Any) -> Any:
    for known, other in ((x, y), (y, x)):
        if isinstance(known, int):
            return other if known == 1 else known
    return broadcast_size(x, y)


def _broadcast_args(x: Any, y: Any, _: Any) -> Any:
    rank = max(x.size, y.size)
    ones = [boxed([1] * (rank - array.size), (rank - array.size,)) for array in (x, y)]
    pairs = zip(np.concatenate([ones[0], x]), np.concatenate([ones[1], y]), strict=True)
    return boxed((_broadcast_entry(a, b) for a, b in pairs), (rank,))


def _reduction(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def result(x: Any, axes: Any, options: Any) -> Any:
        if x.ndim != 1 or not axes.size or not x.size:
            return None
        return boxed([reduce(function, list(x))], (1,) if options.keep_dims else ())

    return result


def _reshape(x: Any, *rest: Any) -> Any:
    wanted = [_whole(n) for n in rest[0].reshape(-1)] if len(rest) > 1 else list(rest[0].get("new_shape", None) or [])
    return x.reshape(wanted)


def _squeeze(x: Any, options: Any) -> Any:
    axes = [axis % x.ndim for axis in options.get("squeeze_dims", None) or range(x.ndim) if x.shape[axis] == 1]
    return x.reshape([size for axis, size in enumerate(x.shape) if axis not in axes])


def _slice(x: Any, begin: Any, size: Any, _: Any) -> Any:
    spans = [(_whole(b), _whole(n)) for b, n in zip(begin.reshape(-1), size.reshape(-1), strict=True)]
    return x[tuple(slice(b, None if n < 0 else b + n) for b, n in spans)]


def _strided_slice(x: Any, begin: Any, end: Any, strides: Any, options: Any) -> Any:
    if options.get("offset", False):
        return None
    index: list[Any] = []
    for place, (b, e, step) in enumerate(zip(begin, end, strides, strict=True)):
        bit = 1 << place
        if options.ellipsis_mask & bit:
            index.append(Ellipsis)
        elif options.new_axis_mask & bit:
            index.append(None)
        elif options.shrink_axis_mask & bit:
            index.append(0 if options.begin_mask & bit else _whole(b))
        else:
            first = None if options.begin_mask & bit else _whole(b)
            index.append(slice(first, None if options.end_mask & bit else _whole(e), _whole(step)))
    taken = x[tuple(index)]
    return taken if isinstance(taken, np.ndarray) else boxed([taken], ())


def _joined(join: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments: join(arguments[:-1], arguments[-1].axis)


def _gather(x: Any, indices: Any, options: Any) -> Any:
    axis = options.axis % x.ndim
    if options.batch_dims:
        return None
    chosen = np.array([_whole(n) for n in indices.reshape(-1)], dtype=np.int64).reshape(indices.shape)
    taken = x[(slice(None),) * axis + (chosen,)]
    return taken if isinstance(taken, np.ndarray) else boxed([taken], ())


def _pad(x: Any, paddings: Any, *rest: Any) -> Any:
    pairs = [(_whole(a), _whole(b)) for a, b in paddings]
    shape = [size + sum(pair) for size, pair in zip(x.shape, pairs, strict=True)]
    if not _is_small(shape):
        return None
    made = np.empty(shape, dtype=object)
    made.fill(rest[0].reshape(-1)[0] if len(rest) > 1 else 0)
    made[tuple(slice(a, a + size) for size, (a, _) in zip(x.shape, pairs, strict=True))] = x
    return made


def _fill(dims: Any, value: Any, _: Any) -> Any:
    shape = [_whole(n) for n in dims]
    return boxed([value.reshape(-1)[0]] * prod(shape), shape) if _is_small(shape) else None


def _tile(x: Any, counts: Any, _: Any) -> Any:
    times = [_whole(n) for n in counts]
    return np.tile(x, times) if _is_small([*x.shape, *times]) else None


def _broadcast_to(x: Any, shape: Any, _: Any) -> Any:
    wanted = [_whole(n) for n in shape]
    return np.broadcast_to(x, wanted) if _is_small(wanted) else None


def _is_small(shape: Sequence[int]) -> bool:
    return all(size >= 0 for size in shape) and prod(shape) <= LARGEST


def _range(start: Any, limit: Any, delta: Any, _: Any) -> Any:
    values = range(*(_whole(x.reshape(-1)[0]) for x in (start, limit, delta)))
    return boxed(values, (len(values),)) if not values[LARGEST:] else None


def _unpack(x: Any, options: Any) -> Any:
    parts = np.split(x, x.shape[options.axis], options.axis)
    return [part.reshape(np.delete(x.shape, options.axis)) for part in parts]


def _split_v(x: Any, sizes: Any, axis: Any, _: Any) -> Any:
    spans = [_whole(n) for n in sizes.reshape(-1)]
    at = _whole(axis.reshape(-1)[0])
    spans = [x.shape[at] - sum(spans) - 1 if n < 0 else n for n in spans]
    return np.split(x, np.cumsum(spans)[:-1], at)


FOLLOWED: dict[str, Callable[..., Any]] = {
    "ADD": _each(operator.add),
    "SUB": _each(operator.sub),
    "MUL": _each(operator.mul),
    "NEG": _each(operator.neg),
    "FLOOR_DIV": _each(operator.floordiv),
    "FLOOR_MOD": _each(operator.mod),
    "MAXIMUM": _each(_maximum),
    "MINIMUM": _each(_minimum),
    "EQUAL": _each(operator.eq),
    "NOT_EQUAL": _each(operator.ne),
    "LESS": _each(operator.lt),
    "LESS_EQUAL": _each(operator.le),
    "GREATER": _each(operator.gt),
    "GREATER_EQUAL": _each(operator.ge),
    "SELECT": _each(_select),
    "SELECT_V2": _each(_select),
    "CAST": lambda x, _: x,
    "SHAPE": lambda x, _: boxed(x.shape, (x.ndim,)),
    "RANK": lambda x, _: boxed([x.ndim], ()),
    "RESHAPE": _reshape,
    "SQUEEZE": _squeeze,
    "EXPAND_DIMS": lambda x, axis, _: np.expand_dims(x, _whole(axis.reshape(-1)[0])),
    "TRANSPOSE": lambda x, axes, _: x.transpose([_whole(axis) for axis in axes]),
    "REVERSE_V2": lambda x, axes, _: np.flip(x, tuple(_whole(axis) for axis in axes.reshape(-1))),
    "BROADCAST_ARGS": _broadcast_args,
    "BROADCAST_TO": _broadcast_to,
    "TILE": _tile,
    "FILL": _fill,
    "RANGE": _range,
    "PAD": _pad,
    "PADV2": _pad,
    "SUM": _reduction(operator.add),
    "REDUCE_PROD": _reduction(operator.mul),
    "REDUCE_MAX": _reduction(_maximum),
    "REDUCE_MIN": _reduction(_minimum),
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
    "PACK": _joined(np.stack),
    "CONCATENATION": _joined(np.concatenate),
    "UNPACK": _unpack,
    "SPLIT": lambda axis, x, options: np.split(x, options.num_splits, _whole(axis.reshape(-1)[0])),
    "SPLIT_V": _split_v,
    "GATHER": _gather,
}
"""Builtin name -> the result on object arrays, from the inputs and the options; a list where there are several outputs.

None, TypeError, ValueError or IndexError where it cannot be followed: it is computed as a tensor instead."""


def measured(name: str, x: Any, dtype: torch.dtype) -> Sizes:
    """What SHAPE and RANK give for a tensor, as numbers."""
    if name == "RANK":  # a scalar in the file may be a tensor whose rank is not known before it comes
        number = x.tracer.create_proxy("call_method", "dim", (x,), {}) if x.ndim == 0 else x.ndim
        return Sizes(boxed([number], ()), dtype)
    if isinstance(x, Sizes):
        return Sizes(list(x.entries.shape), dtype)
    return Sizes(list(x.shape if x.constant is None else x.constant.shape), dtype)


def follow(name: str, inputs: list[Any], options: Any, dtypes: list[torch.dtype]) -> list[Sizes] | None:
    """The results of an operator on numbers, where all inputs are numbers and at least one comes from a shape."""
    if name not in FOLLOWED or not all(dtype in KINDS for dtype in dtypes):
        return None
    if not any(isinstance(x, Sizes) for x in inputs):
        return None
    arrays = []
    for x in inputs:
        if isinstance(x, Sizes):
            arrays.append(x.entries)
        elif isinstance(x, Value) and x.constant is not None and x.fake.numel() <= LARGEST and x.dtype in KINDS:
            values = x.constant.numpy()
            arrays.append(boxed(values.reshape(-1).tolist(), values.shape))
        else:
            return None
    try:
        result = FOLLOWED[name](*arrays, options)
    except (TypeError, ValueError, IndexError):
        return None
    if result is None:
        return None
    results = result if isinstance(result, list) else [result]
    return [Sizes(entries, dtype) for entries, dtype in zip(results, dtypes, strict=True)]
