"""Bits of integers, by arithmetic: ML programs have no bitwise operators, and no shifts.

An integer of 32 bits is taken apart along a new last axis, and put together again; its sign is a bit of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

BITS = 31
POWERS = np.left_shift(np.int32(1), np.arange(BITS, dtype=np.int32))
"""What the bits are worth, the sign left out."""
MOST_AXES = 5
"""That a value of a program may have."""


def bitwise(name: str) -> Callable[[Any, Any], None]:
    """The translation of a bitwise call: MIL's logical operator of that name on each bit. Bools are single bits."""

    def translate(context: Any, node: Any) -> None:
        from coremltools.converters.mil.mil import Builder, types

        join = getattr(Builder, name)
        sides = [context[given] if isinstance(given, str) else np.int32(given) for given in node.inputs[:2]]
        kinds = {getattr(side, "dtype", None) for side in sides}
        if types.bool in kinds:
            x, y = (side if hasattr(side, "dtype") and side.dtype == types.bool else bool(side) for side in sides)
            context.add(join(x=x, y=y, name=node.name))
            return
        if max(len(getattr(side, "shape", ())) for side in sides) >= MOST_AXES:
            raise NotImplementedError(f"{node.kind} of integers with {MOST_AXES} axes")
        joined = join(x=_bits(sides[0]), y=_bits(sides[1]))
        worth = Builder.mul(x=Builder.cast(x=joined, dtype="int32"), y=POWERS)
        total = Builder.reduce_sum(x=worth, axes=[-1], keep_dims=False)
        negative = join(x=Builder.less(x=sides[0], y=np.int32(0)), y=Builder.less(x=sides[1], y=np.int32(0)))
        sign = Builder.mul(x=Builder.cast(x=negative, dtype="int32"), y=np.int32(-(2**31)))
        context.add(Builder.add(x=total, y=sign, name=node.name))

    return translate


def _bits(x: Any) -> Any:
    """Whether each bit is set, along a new last axis; the sign is left out."""
    from coremltools.converters.mil.mil import Builder

    if not hasattr(x, "sym_type"):
        return (int(x) >> np.arange(BITS)) & 1 == 1
    shifted = Builder.floor_div(x=Builder.expand_dims(x=x, axes=[-1]), y=POWERS)
    halves = Builder.mul(x=Builder.floor_div(x=shifted, y=np.int32(2)), y=np.int32(2))
    return Builder.not_equal(x=shifted, y=halves)


def shift(*, right: bool) -> Callable[[Any, Any], None]:
    """The translation of a shift: a division by a power of two, rounded down, or a product.

    A shift of 31 bits is by more than a power of two of 32 bits; hence in two steps, where the number of bits is
    computed.
    """

    def translate(context: Any, node: Any) -> None:
        from coremltools.converters.mil.mil import Builder

        act = Builder.floor_div if right else Builder.mul
        x, count = (context[given] if isinstance(given, str) else np.int32(given) for given in node.inputs[:2])
        known = getattr(count, "val", count)
        if known is not None:
            factor = np.left_shift(np.int32(1), np.asarray(known, np.int32))
            context.add(act(x=x, y=factor, name=node.name))
            return
        half = Builder.floor_div(x=count, y=np.int32(2))
        first, rest = (_power(by) for by in (half, Builder.sub(x=count, y=half)))
        context.add(act(x=act(x=x, y=first), y=rest, name=node.name))

    return translate


def _power(count: Any) -> Any:
    """Two to the power of a number of bits, looked up."""
    from coremltools.converters.mil.mil import Builder

    return Builder.gather(x=POWERS, indices=count, axis=0)


TRANSLATIONS: dict[str, Callable[[Any, Any], None]] = {
    "bitwise_and": bitwise("logical_and"),
    "bitwise_or": bitwise("logical_or"),
    "bitwise_xor": bitwise("logical_xor"),
    "__and__": bitwise("logical_and"),
    "__or__": bitwise("logical_or"),
    "__xor__": bitwise("logical_xor"),
    "__rshift__": shift(right=True),
    "__lshift__": shift(right=False),
    "bitwise_right_shift": shift(right=True),
    "bitwise_left_shift": shift(right=False),
}
