"""How written source calls PyTorch's functions: by which name, and with which of the arguments."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch.fx.node import _get_qualified_name

from unlite.errors import UnsupportedOperatorError
from unlite.pytorch.source.layers import even
from unlite.pytorch.trace import HELPERS

_CONVOLUTION = (None, 1, 0, 1, 1)  # bias, stride, padding, dilation, groups
_TRANSPOSED = (None, 1, 0, 0, 1, 1)  # bias, stride, padding, output_padding, groups, dilation
LAST_DEFAULTS: dict[str, tuple[int | None, ...]] = {
    **{f"F.conv{rank}d": _CONVOLUTION for rank in (1, 2, 3)},
    **{f"F.conv_transpose{rank}d": _TRANSPOSED for rank in (1, 2, 3)},
    "F.linear": (None,),
}
"""What functions without a signature take by default, from their third argument on."""
POOLS = ("F.avg_pool1d", "F.avg_pool2d", "F.avg_pool3d", "F.max_pool1d", "F.max_pool2d", "F.max_pool3d")


@cache
def torch_name(function: Any) -> str:
    """How written source calls a function: ``F.relu``, ``torch.cat``."""
    name = str(getattr(function, "__name__", ""))
    if name.isidentifier() and getattr(F, name, None) is function:
        return f"F.{name}"
    for home, prefix in ((torch.fft, "fft_"), (torch.linalg, "linalg_"), (torch.special, "special_")):
        public = name.removeprefix(prefix)
        if name.startswith(prefix) and getattr(home, public, None) is function:
            return f"{home.__name__}.{public}"
    path = _get_qualified_name(function) if callable(function) else ""
    found: Any = torch
    for part in path.split(".")[1:]:
        found = getattr(found, part, None)
    if path.startswith("torch.") and found is not None:
        return path.replace("torch.nn.functional.", "F.", 1)
    raise UnsupportedOperatorError(f"{name or function!r} has no name in PyTorch to write down.", operators=())


def without_defaults(function: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments that say something: others are what the function takes anyway."""
    defaults = _defaults(function)
    return {
        key: value
        for key, value in kwargs.items()
        if key not in defaults or type(value) is not type(defaults[key]) or value != defaults[key]
    }


@cache
def _defaults(function: Any) -> dict[str, Any]:
    if function in HELPERS:
        return {}
    if "boolean_dispatch" in getattr(function, "__qualname__", ""):
        function = getattr(F, f"_{function.__name__}", function)
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return {}
    return {entry.name: entry.default for entry in parameters if entry.default is not entry.empty}


def without_last_defaults(name: str, args: Any) -> tuple[Any, ...]:
    """Arguments without those at the end that say what holds anyway."""
    given, defaults = list(args), LAST_DEFAULTS.get(name, ())
    while 2 < len(given) <= 2 + len(defaults) and _says_nothing(given[-1], defaults[len(given) - 3]):
        given.pop()
    return tuple(given)


def _says_nothing(value: Any, default: int | None) -> bool:
    plain = even(value)
    return plain is None if default is None else type(plain) is int and plain == default


def plain_pool(args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of pooling, one number for sizes that are all the same; strides are the window's unless said."""
    given = [even(value) for value in args]
    named = {key: even(value) for key, value in kwargs.items()}
    if named.get("stride") == given[1]:
        del named["stride"]
    if len(given) == 3 and given[2] == given[1]:
        given.pop()
    return tuple(given), named
