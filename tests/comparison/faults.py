"""Seeded faults: each turns one node of a converted module into what a wrong converter would have made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import fx


class Fault:
    """One fault. Used as a context: inside, the module is wrong.

    kind: what is wrong. operator: index of the operator that is wrong by it.
    """

    def __init__(self, kind: str, node: fx.Node, **changes: Any) -> None:
        self.kind, self.node, self.changes = kind, node, changes
        self.operator = node.meta["tflite"][1]

    def __enter__(self) -> None:
        self._before = {name: getattr(self.node, name) for name in self.changes}
        for name, value in self.changes.items():
            setattr(self.node, name, value)

    def __exit__(self, *_: object) -> None:
        for name, value in self._before.items():
            setattr(self.node, name, value)

    def __repr__(self) -> str:
        return f"{self.kind} in operator {self.operator}, node {self.node.name}"


def after(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A target that computes the right thing, and spoils it."""

    def wrap(target: Any) -> Any:
        if isinstance(target, str):
            return lambda x, *args, **kwargs: change(getattr(x, target)(*args, **kwargs))
        return lambda *args, **kwargs: change(target(*args, **kwargs))

    return wrap


SPOILS: dict[str, Callable[[Any], Any]] = {
    "wrong scale": lambda x: x * 1.01,
    "stale zero point": lambda x: x + 0.02 * (x.amax() - x.amin()),
    "shifted by one": lambda x: x.roll(1, 1),
    "wrong axis": lambda x: x.flip(1),
    "one element lost": lambda x: torch.where(torch.arange(x.numel()).reshape(x.shape) == x.abs().argmax(), 0, x),
    "clipped": lambda x: x.clamp(x.mean() - x.std(), x.mean() + x.std()),
    "NaN": lambda x: torch.where(torch.arange(x.numel()).reshape(x.shape) == 0, torch.nan, x),
    "last dimension gone": lambda x: x[..., :-1],
    "wrong type": lambda x: x.double(),
}


INTEGER_SPOILS: dict[str, Callable[[Any], Any]] = {
    "rounded up": lambda x: (x.long() + (x % 2)).clamp(*limits(x)).to(x.dtype),
    "stale zero point in integers": lambda x: (x.long() + 1).clamp(*limits(x)).to(x.dtype),
    "wrong scale in integers": lambda x: (x.double() * 0.98).round().to(x.dtype),
    "saturated early": lambda x: x.clamp(limits(x)[0] // 2, limits(x)[1] // 2),
    "wrapped around": lambda x: (x.long() * 2).to(x.dtype),
    "wrong axis in integers": lambda x: x.flip(-1),
    "one step in one element": lambda x: torch.where(torch.arange(x.numel()).reshape(x.shape) == 0, x ^ 1, x),
}
"""What goes wrong in the arithmetic of quantized integers."""


def limits(x: Any) -> tuple[int, int]:
    return torch.iinfo(x.dtype).min, torch.iinfo(x.dtype).max


def args_with(node: fx.Node, place: int, value: Any) -> dict[str, Any]:
    args = list(node.args)
    args[place] = value
    return {"args": tuple(args)}


def faults(graph: fx.Graph) -> Iterator[Fault]:
    """Every fault that we know how to make, over all nodes."""
    nodes = [node for node in graph.nodes if node.meta.get("tflite") and node.meta["tflite"][0] == 0]
    for node in nodes:
        yield from _by_target(node)
        yield from _swapped_constants(node, nodes)
        if node.meta.get("tensors") and node.op in ("call_function", "call_method"):
            yield from _wrong_wire(node, nodes)
            value = node.meta["val"]
            if not isinstance(value, torch.Tensor) or value.ndim < 2 or value.shape[1] < 2:
                continue
            if value.is_floating_point():
                spoils = SPOILS
            else:
                spoils = INTEGER_SPOILS if value.dtype in (torch.int8, torch.uint8, torch.int16) else {}
            for kind, change in spoils.items():
                yield Fault(kind, node, op="call_function", target=after(change)(node.target))


def _by_target(node: fx.Node) -> Iterator[Fault]:
    target, args = node.target, node.args
    name = target if isinstance(target, str) else getattr(target, "__name__", "")
    if target is F.conv2d:
        stride = args[3]
        yield Fault("wrong stride", node, **args_with(node, 3, tuple(s + 1 for s in stride)))
        yield Fault("wrong padding", node, **args_with(node, 4, 1 if args[4] in (0, (0, 0)) else 0))
        if args[2] is not None:
            yield Fault("bias lost", node, **args_with(node, 2, None))
        yield Fault("kernel turned", node, target=lambda x, w, *rest: F.conv2d(x, w.flip(-1, -2), *rest))
        yield Fault("kernel transposed", node, target=lambda x, w, *rest: F.conv2d(x, w.transpose(-1, -2), *rest))
        yield Fault("output channels turned", node, target=lambda x, w, *rest: F.conv2d(x, w.flip(0), *rest))
    if name == "pad_same":
        yield Fault("pad side swapped", node, target=lambda x, *rest: target(x.flip(-1, -2), *rest).flip(-1, -2))
    if name == "pad":
        pads = args[1]
        if isinstance(pads, (list, tuple)):
            yield Fault("pad side swapped", node, **args_with(node, 1, _swapped(list(pads))))
    if name == "max_pool2d":
        yield Fault("mean instead of maximum", node, target=lambda x, *a, **k: F.avg_pool2d(x, *a[:3]))
    if name in ("relu", "relu_", "hardtanh", "relu6"):
        yield Fault("activation lost", node, op="call_function", target=lambda x, *a, **k: x)
    if name == "prelu":
        yield Fault("slope ignored", node, op="call_function", target=lambda x, w: F.leaky_relu(x, 0.01))
    if name in ("add", "mul", "sub"):
        yield Fault("wrong operation", node, op="call_function", target=torch.maximum)
    if name == "cat":
        yield Fault("order of concatenation", node, **args_with(node, 0, list(args[0])[::-1]))
    if name in ("reshape", "view"):
        yield Fault("column major", node, op="call_function", target=_column_major)
    if name in ("mean", "sum", "amax") and len(args) > 1 and args[0].meta["val"].ndim > 2:
        yield Fault("reduced over other axes", node, op="call_function", target=_other_axes(target))
    if name in ("sigmoid", "tanh", "hardswish"):
        yield Fault("another curve", node, op="call_function", target=lambda x: x.clamp(0, 1))
    if name == "permute":
        yield Fault("axes swapped", node, op="call_function", target=_axes_swapped)
    if name == "softmax":
        yield Fault(
            "softmax over all", node, op="call_function", target=lambda x, *a, **k: x.flatten().softmax(0).view_as(x)
        )
    if "resize" in name or "interpolate" in name or "bilinear" in name or "nearest" in name:
        yield Fault("half pixel", node, op="call_function", target=_half_pixel(target))


def _swapped(pads: list[Any]) -> list[Any]:
    return [pads[i ^ 1] for i in range(len(pads))]


def _column_major(x: Any, *shape: Any) -> Any:
    sizes = shape[0] if isinstance(shape[0], (list, tuple)) else shape
    return x.permute(*range(x.ndim - 1, -1, -1)).reshape(sizes)


def _axes_swapped(x: Any, *axes: Any) -> Any:
    """A permute that mistakes the two axes of the picture: the sizes are right only where they are equal."""
    right = x.permute(*axes)
    return right.flip(1).reshape(right.shape)


def _other_axes(target: Any) -> Any:
    def reduced(x: Any, *args: Any, **kwargs: Any) -> Any:
        right = getattr(x, target)(*args, **kwargs) if isinstance(target, str) else target(x, *args, **kwargs)
        return right.flip(-1)

    return reduced


def _half_pixel(target: Any) -> Any:
    def resized(*args: Any, **kwargs: Any) -> Any:
        right = target(*args, **kwargs)
        return (right + right.roll(1, -2)) / 2

    return resized


def _swapped_constants(node: fx.Node, nodes: list[fx.Node]) -> Iterator[Fault]:
    """Another constant of the same shape in the place of the right one."""
    for place, given in enumerate(node.args):
        if isinstance(given, fx.Node) and given.op == "get_attr" and given.meta["val"].numel() > 1:
            for other in nodes:
                if other.op == "get_attr" and other is not given and other < node and _alike(other, given):
                    yield Fault("swapped weights", node, **args_with(node, place, other))
                    break


def _wrong_wire(node: fx.Node, nodes: list[fx.Node]) -> Iterator[Fault]:
    """Another operator's result in the place of the right one."""
    for place, given in enumerate(node.args):
        if isinstance(given, fx.Node) and given.op == "call_function" and given.meta.get("tensors"):
            for other in nodes:
                if other is given or not other < node or other.op != "call_function" or not other.meta.get("tensors"):
                    continue
                if _alike(other, given):
                    yield Fault("wrong input", node, **args_with(node, place, other))
                    break


def _alike(a: fx.Node, b: fx.Node) -> bool:
    x, y = a.meta["val"], b.meta["val"]
    return isinstance(x, torch.Tensor) and isinstance(y, torch.Tensor) and x.shape == y.shape and x.dtype == y.dtype
