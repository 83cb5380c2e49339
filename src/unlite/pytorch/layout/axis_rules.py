"""Rules for calls that permute, reduce, drop, add, slice, join and part axes: see ``axis_orders``."""

from __future__ import annotations

from math import prod
from typing import Any

from torch import fx

from unlite.pytorch.layout.axis_orders import (
    Axes,
    Call,
    Held,
    Known,
    Link,
    Rule,
    Size,
    one_to_one,
    parts_of,
    rank_of,
    tensor_of,
)


def permute(node: fx.Node) -> Rule | None:
    """Axes change places: free, where the operand is stored in an order that fits."""
    args: Any = node.args
    if node.kwargs:
        return None
    given = args[1] if isinstance(args[1], (list, tuple)) else args[1:]
    if not all(isinstance(axis, int) for axis in given):
        return None
    axes = tuple(axis % len(given) for axis in given)
    return Rule({args[0]: one_to_one(axes)}, lambda _order, _held: (args, node.kwargs), is_permute=True)


def reduce_axes(node: fx.Node) -> Rule | None:
    """Reductions: of the given axes, which stay with size 1 or vanish."""
    args: Any = node.args
    dims: Any = args[1] if len(args) > 1 else node.kwargs.get("dim")
    keep = args[2] if len(args) > 2 else node.kwargs.get("keepdim", False)
    several: list[Any] = list(dims) if isinstance(dims, (list, tuple)) else [dims]
    rank = rank_of(args[0])
    if not several or not all(isinstance(dim, int) for dim in several) or not isinstance(keep, bool):
        return None
    gone: set[int] = {dim % rank for dim in several}

    def write(_order: Axes, held: Held) -> Call:
        places = sorted(held[args[0]].index(axis) for axis in gone)
        kwargs = {name: value for name, value in node.kwargs.items() if name not in ("dim", "keepdim")}
        return (args[0], places if isinstance(dims, (list, tuple)) else places[0], keep, *args[3:]), kwargs

    kept = [axis for axis in range(rank) if keep or axis not in gone]
    link = Link(rank, len(kept), [((axis,), (place,)) for place, axis in enumerate(kept)])
    return Rule({args[0]: link}, write, dict.fromkeys(gone, 1) if keep else {})


def drop_axes(node: fx.Node) -> Rule | None:
    """unbind, select and squeeze: named axes vanish."""
    args: Any = node.args
    dims: Any = args[1] if len(args) > 1 else 0 if node.target == "unbind" else None
    several: list[Any] = list(dims) if isinstance(dims, (list, tuple)) else [dims]
    rank = rank_of(args[0])
    parts = parts_of(node) if node.target == "unbind" else []
    if not all(isinstance(dim, int) for dim in several) or not (parts or tensor_of(node) is not None):
        return None
    gone: set[int] = {dim % rank for dim in several}
    kept = [axis for axis in range(rank) if axis not in gone]
    if len(kept) != (parts[0].ndim if parts else rank_of(node)):
        return None  # squeeze leaves axes of other sizes

    def write(_order: Axes, held: Held) -> Call:
        places = sorted(held[args[0]].index(axis) for axis in gone)
        given = tuple(places) if isinstance(dims, (list, tuple)) else places[0]
        return (args[0], given, *args[2:]), node.kwargs

    link = Link(rank, len(kept), [((axis,), (place,)) for place, axis in enumerate(kept)])
    return Rule({args[0]: link}, write, gives_parts=bool(parts))


def add_axis(node: fx.Node) -> Rule | None:
    """Unsqueeze and stack: a new axis."""
    args: Any = node.args
    operands = args[0] if isinstance(args[0], (list, tuple)) else args[:1]
    dim = args[1] if len(args) > 1 else node.kwargs.get("dim", 0)
    rank = rank_of(node)
    if not isinstance(dim, int) or any(rank_of(operand) != rank - 1 or not rank for operand in operands):
        return None
    new = dim % rank
    link = Link(rank - 1, rank, [((axis,), (axis + (axis >= new),)) for axis in range(rank - 1)])

    def write(order: Axes, _held: Held) -> Call:
        return (args[0], order.index(new)), {}

    size = 1 if node.target == "unsqueeze" else len(operands)
    return Rule(dict.fromkeys(operands, link), write, {new: size})


def take(node: fx.Node) -> Rule | None:
    """``x[...]`` with slices, single places, and new axes."""
    args: Any = node.args
    given = args[1] if isinstance(args[1], tuple) else (args[1],)
    rank = rank_of(args[0])
    named = sum(1 for entry in given if entry is not None and entry is not Ellipsis)
    entries: list[Any] = []
    for entry in given:
        entries += [slice(None)] * (rank - named) if entry is Ellipsis else [entry]
    entries += [slice(None)] * (rank - sum(1 for entry in entries if entry is not None))
    links: list[tuple[Axes, Axes]] = []
    places: dict[int, Any] = {}  # axis of x -> its entry
    sizes: dict[int, Size] = {}
    result = 0
    for entry in entries:
        if entry is None:
            sizes[result] = 1
        elif isinstance(entry, slice):
            links.append(((len(places),), (result,)))
            if entry != slice(None):
                sizes[result] = _taken(entry)
            places[len(places)] = entry
        elif isinstance(entry, int):
            places[len(places)] = entry
            continue
        else:
            return None
        result += 1
    if len(places) != rank or result != rank_of(node):
        return None
    axis_of = {one[0]: other[0] for other, one in links}

    def write(order: Axes, held: Held) -> Call:
        waiting = list(held[args[0]])
        index: list[Any] = []
        for axis in order:
            if axis not in axis_of:
                index.append(None)
                continue
            while waiting[0] != axis_of[axis]:
                index.append(places[waiting.pop(0)])
            index.append(places[waiting.pop(0)])
        index += [places[axis] for axis in waiting]
        while index and index[-1] == slice(None):
            index.pop()
        return (args[0], tuple(index) or (Ellipsis,)), {}

    return Rule({args[0]: Link(rank, result, links)}, write, sizes)


def _taken(part: slice) -> Size:
    """The size of an axis of which a slice is left."""
    fixed = all(isinstance(end, (int, type(None))) for end in (part.start, part.stop, part.step))
    return (lambda size: len(range(size)[part])) if fixed else None


def flatten(node: fx.Node) -> Rule | None:
    """Neighbouring axes become one."""
    args: Any = node.args
    rank = rank_of(args[0])
    first, last = (*args[1:], *(0, -1)[len(args) - 1 :])[:2]
    if not isinstance(first, int) or not isinstance(last, int) or node.kwargs or not rank:
        return None
    first, last = first % rank, last % rank
    count = last - first + 1
    pairs: list[tuple[Axes, Axes]] = [((axis,), (axis,)) for axis in range(first)]
    pairs.append((tuple(range(first, last + 1)), (first,)))
    pairs += [((axis,), (axis - count + 1,)) for axis in range(last + 1, rank)]

    def write(order: Axes, _held: Held) -> Call:
        place = order.index(first)
        return (args[0], place, place + count - 1), {}

    return Rule({args[0]: Link(rank, rank - count + 1, pairs)}, write, {first: None})


def unflatten(node: fx.Node) -> Rule | None:
    """An axis becomes several."""
    args: Any = node.args
    rank, result = rank_of(args[0]), rank_of(node)
    if node.kwargs or not result or not isinstance(args[1], int):
        return None
    dim = args[1]
    axis, count = dim % rank, result - rank + 1
    pairs: list[tuple[Axes, Axes]] = [((i,), (i,)) for i in range(axis)]
    pairs.append(((axis,), tuple(range(axis, axis + count))))
    pairs += [((i,), (i + count - 1,)) for i in range(axis + 1, rank)]

    def write(_order: Axes, held: Held) -> Call:
        return (args[0], held[args[0]].index(axis), *args[2:]), {}

    sizes: dict[int, Size] = dict.fromkeys(range(axis, axis + count))
    return Rule({args[0]: Link(rank, result, pairs)}, write, sizes)


def reshape(node: fx.Node, known: Known) -> Rule | None:
    """Axes of size 1 may stand anywhere; of the others the order decides which number comes to lie where."""
    args: Any = node.args
    if node.kwargs:
        return None
    given = args[1] if isinstance(args[1], (list, tuple)) else args[1:]
    sizes = [_read_size(entry, known) for entry in given]
    before = known[args[0]]
    numbers = [size for size in sizes if isinstance(size, int) and size >= 0]
    if len(numbers) == len(sizes) and 0 < prod(numbers) == prod(size for size in before if size is not None):
        before = tuple(1 if size is None else size for size in before)  # the others leave nothing for them
    pairs = _matched(
        [(axis, size) for axis, size in enumerate(before) if size != 1],
        [(axis, size) for axis, size in enumerate(sizes) if not (isinstance(size, int) and size == 1)],
    )

    def write(order: Axes, _held: Held) -> Call:
        return (args[0], [given[axis] for axis in order]), {}

    found: dict[int, Size] = {axis: n if isinstance(n, int) and n >= 0 else None for axis, n in enumerate(sizes)}
    return Rule({args[0]: Link(len(before), len(sizes), pairs)}, write, found)


def _read_size(size: Any, known: Known) -> Any:
    """A size as a number, where it is read from a tensor that always has it."""
    if not isinstance(size, fx.Node) or size.target != "size":
        return size
    source: Any = size.args[0]
    axis: Any = size.args[1]
    number = known[source][axis] if source in known and isinstance(axis, int) else None
    return size if number is None else number


def _matched(before: list[tuple[int, Any]], behind: list[tuple[int, Any]]) -> list[tuple[Axes, Axes]]:
    """Which axes a reshape keeps, from axes and their sizes: those of the same known size at both ends."""
    pairs: list[tuple[Axes, Axes]] = []
    for end in (-1, 0):
        while before and behind and isinstance(before[end][1], int) and before[end][1] == behind[end][1]:
            pairs.append(((before.pop(end)[0],), (behind.pop(end)[0],)))
    if before and behind:  # what is left keeps its order
        pairs.append((tuple(axis for axis, _ in before), tuple(axis for axis, _ in behind)))
    return pairs
