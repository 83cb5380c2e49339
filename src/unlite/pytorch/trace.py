"""Stand-ins for tensors while a subgraph is lowered: what is done with them becomes nodes of a torch.fx graph.

An operator's function is plain PyTorch. Called with stand-ins it computes nothing: each torch call is recorded as a
node, and run once on examples without values, so that ranks, types and example shapes are known further on. Sizes read
from a stand-in are stand-ins themselves; a graph therefore takes other input shapes than the one it was made with.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from torch import fx
from torch.fx.node import map_arg
from torch.fx.proxy import GraphAppendingTracer

from unlite.errors import InvalidValueError
from unlite.model.values.constants import check_shape
from unlite.pytorch.examples import UNKNOWN, example, example_result, holds_unknown

if TYPE_CHECKING:
    from unlite.pytorch.constants import Constant
    from unlite.storage.memory_limit import MemoryLimit

F = TypeVar("F", bound=Callable[..., Any])


class Shape(Sequence[Any]):
    """The sizes of a stand-in, each a stand-in for an int, recorded when it is used."""

    def __init__(self, value: Value) -> None:
        self._value = value

    def __len__(self) -> int:
        return self._value.ndim

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        rank = len(self)
        if not -rank <= index < rank:
            raise IndexError(index)
        return self._value.size(index % rank)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))


class Value(fx.Proxy):
    """Stands for a tensor, or for an int, while a graph is made.

    Attributes:
        fake: A fake tensor (an int for sizes) of the type, and of an example of the shape.
        constant: The constant of the file that it is; None for what is computed.
    """

    @property
    def fake(self) -> Any:
        return self.node.meta["val"]

    @property
    def constant(self) -> Constant | None:
        found: Constant | None = self.node.meta.get("constant")
        return found

    @property
    def guessed(self) -> bool:
        """Whether ``fake`` is a guess, since the true one depends on values: numbers read from tensors count as 1."""
        found: bool = self.node.meta.get("guessed", False)
        return found

    @property
    def ndim(self) -> int:
        """Number of dimensions. Raises InvalidValueError where it depends on values."""
        if self.fake is UNKNOWN:  # an AttributeError here would make fx record a call instead
            raise InvalidValueError("the shape of a value depends on other values.")
        rank: int = self.fake.ndim
        return rank

    def dim(self) -> int:
        return self.ndim

    @property
    def dtype(self) -> torch.dtype:
        kind: torch.dtype = self.fake.dtype
        return kind

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def is_complex(self) -> Callable[[], bool]:
        return lambda: bool(self.fake.dtype.is_complex)

    @property
    def is_floating_point(self) -> Callable[[], bool]:
        return lambda: bool(self.fake.dtype.is_floating_point)

    @property
    def shape(self) -> Shape:
        """The sizes, as stand-ins. Use ``fake.shape`` only for what may not change with the input's shape."""
        return Shape(self)


class Tracer(GraphAppendingTracer):
    """Records calls, runs them on examples, and marks each node with the operator that made it."""

    def __init__(self, memory: MemoryLimit | None = None) -> None:
        super().__init__(fx.Graph())
        self.memory = memory
        self.place: Any = None  # what nodes are marked with: the operator at work
        self.in_order: Callable[[Value, tuple[int, ...]], Value] = lambda value, axes: cast(
            "Value", value.permute(*axes)
        )

    def proxy(self, node: fx.Node) -> Value:
        return Value(node, self)

    def create_proxy(
        self,
        kind: str,
        target: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        name: str | None = None,
        type_expr: Any = None,
        proxy_factory_fn: Callable[[fx.Node], fx.Proxy] | None = None,
    ) -> Value:
        made = super().create_proxy(kind, target, args, kwargs, name, type_expr, proxy_factory_fn)
        node = made.node
        node.meta["tflite"] = self.place
        if kind in ("call_function", "call_method"):
            node.meta["guessed"] = any(given.meta.get("guessed", False) for given in node.all_input_nodes)
            node.meta["val"] = self.evaluate(node)
            node.meta["guessed"] |= node.meta["val"] is UNKNOWN
        return made  # type: ignore[return-value]  # from ``proxy`` above

    def known(self, target: Callable[..., Any], args: tuple[Any, ...], val: Any) -> Value:
        """Records a call whose fake result is known already: ``val``."""
        given = cast("tuple[Any, ...]", self.create_arg(args))
        node = self.create_node("call_function", target, given, {})
        node.meta.update(tflite=self.place, val=val)
        return self.proxy(node)

    def evaluate(self, node: fx.Node) -> Any:
        """The fake result of a node; UNKNOWN where it depends on values."""
        args, kwargs = map_arg((node.args, node.kwargs), lambda n: n.meta["val"])
        target: Any = node.target
        if holds_unknown((args, kwargs)) or target is read_ints.__wrapped__:  # type: ignore[attr-defined]  # as written
            return UNKNOWN
        if node.op == "call_method":
            target = getattr(type(args[0]), target)
        result = example_result(target, args, kwargs, guessed=node.meta["guessed"])
        for value in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(value, torch.Tensor):
                self._check(value.shape, value.dtype)
        return result

    def fake(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """An example of a tensor. Raises CorruptFileError, MemoryLimitError where the file must not ask for it."""
        check_shape(shape, "")
        self._check(shape, dtype)
        return example(shape, dtype)

    def _check(self, shape: Sequence[int], dtype: torch.dtype) -> None:
        if self.memory is not None:
            self.memory.check(prod(shape) * dtype.itemsize, f"a tensor {list(shape)}")


def helper(function: F) -> F:
    """Marks a function that stays one call in the graph, by its name, instead of being taken apart.

    For what reads better as a name (``pad_same``), or needs sizes in more than simple arithmetic. The function is
    plain PyTorch, needs nothing but torch, and its own text is written into the source of a converted model.
    """

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        value = _first_value((args, kwargs))
        if value is None:
            return function(*args, **kwargs)
        return value.tracer.create_proxy("call_function", function, args, kwargs)

    HELPERS.add(function)
    return called  # type: ignore[return-value]  # same signature


HELPERS: set[Callable[..., Any]] = set()
"""The functions that are helpers."""

MOST_READ = 1 << 10
"""Numbers read from a tensor while the module runs: each is a value of its own in the graph."""

AXES: dict[Callable[..., Any], str] = {}
"""Helper -> what the order of axes means to it: the name of one of the four decorators below. Layouts go by this."""


def elementwise(function: F) -> F:
    """Marks a helper that works element by element on tensors that broadcast: their axes may be in any order."""
    AXES[function] = "elementwise"
    return helper(function)


def by_table(function: F) -> F:
    """Marks a helper that works element by element on its first tensor; the others are tables."""
    AXES[function] = "by_table"
    return helper(function)


def along_axes(function: F) -> F:
    """Marks a helper of ``(x, axes, ...)`` that works along one axis or several of x, and keeps all."""
    AXES[function] = "along_axes"
    return helper(function)


def reducing(function: F) -> F:
    """Marks a helper of ``(x, axes, keepdim, ...)``: these axes of x get size 1, or vanish."""
    AXES[function] = "reducing"
    return helper(function)


def _first_value(value: Any) -> Value | None:
    if isinstance(value, Value):
        return value
    entries = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else ()
    return next((found for found in map(_first_value, entries) if found is not None), None)


def example_shape(x: Any) -> tuple[int, ...]:
    """The sizes of a tensor, or of the example that a stand-in carries: for what another input may not change."""
    return tuple(x.shape if isinstance(x, torch.Tensor) else x.fake.shape)


def weight_order(weight: Any, axes: tuple[int, ...]) -> Any:
    """A weight with its axes in PyTorch's order: a constant is stored that way, anything else permuted at run time."""
    if isinstance(weight, Value):
        return cast("Tracer", weight.tracer).in_order(weight, axes)
    return weight.permute(*axes)


def ints(x: Any) -> list[Any]:
    """The integers in a small tensor, for what PyTorch wants as numbers: shapes, axes, paddings.

    Python ints for constants of the file; stand-ins for sizes that were computed from shapes; for anything else
    stand-ins that are read from the tensor when the module runs (torch.export refuses those). Flattened.
    """
    if isinstance(x.dtype, torch.dtype) and (x.dtype.is_floating_point or x.dtype.is_complex):
        raise InvalidValueError(f"{x.dtype} stands where integers are needed.")
    if isinstance(x, torch.Tensor):
        return x.reshape(-1).tolist()
    from unlite.pytorch.sizes import numbers_of

    followed = numbers_of(x)
    if followed is not None:
        return followed
    if x.constant is not None:
        return x.constant.numpy().reshape(-1).tolist()  # type: ignore[no-any-return]
    count = x.fake.numel()
    if count > MOST_READ:
        raise InvalidValueError(f"{count} numbers that the model computes are needed as sizes or axes.")
    flat: Any = read_ints(x)
    values = [flat[i] for i in range(count)]
    for value in values:
        value.node.meta.update(val=1, guessed=True)
    return values


@helper
def read_ints(x: torch.Tensor) -> list[int]:
    """The numbers in a tensor, read while the module runs."""
    return x.reshape(-1).tolist()


def constant_ints(x: Any, what: str) -> list[int]:
    """The integers in a constant. Raises InvalidValueError where they are computed by the model."""
    values = ints(x)
    if not all(isinstance(value, int) for value in values):
        raise InvalidValueError(f"{what} is computed by the model; only constants are supported.")
    return values
