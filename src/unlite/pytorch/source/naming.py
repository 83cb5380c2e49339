"""Names out of a file in written source: identifiers that read well, and text that cannot become code."""

from __future__ import annotations

import builtins
import keyword
import re
from typing import TYPE_CHECKING, Any

import torch

from unlite.errors import UnsupportedOperatorError
from unlite.pytorch.unique_names import UniqueNames

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST = 32  # characters of an identifier; a person reads it
READ = 2000  # characters of a name in the file that are looked at
MODULE_NAMES = frozenset(dir(torch.nn.Module()))
"""Attributes that every module has."""
FILE_NAMES = frozenset(("F", "Path", "Tensor", "annotations", "load", "load_file", "nn", "self", "torch", "WEIGHTS"))
"""What a written file has at its top."""

# What converters hang behind the name that a person gave: the operator, the role, and counters.
_ROLES = re.compile(
    r"(Alpha|Bias|BiasAdd|Conv2D|Conv2D_bias|ExpandDims|FusedBatchNorm\w*|Identity|Kernel|MatMul|ReadVariableOp"
    r"|Relu6?|Reshape|Squeeze|add|alpha|bias|convolution|depthwise|dequantize|kernel|resource|separable_conv2d|weights?"
    r"|Partitioned\w*|StatefulPartitioned\w*|FakeQuant\w*|(act|weights?)_quant|Conv2D_Fold_bias)(_?\d+)?"
)
_EMPTY = re.compile(
    r"tfl_\w*|(arith_?|tfl_?|pseudo_?|serving_default_?)*(q?const(ant)?|Identity|main|subgraph|unknown|Variable)?[_0-9]*"
)
_MINOR = re.compile(r"batch_normalization|BatchNorm|re_lu|activation")  # what is fused into a layer, not the layer
_NUMBERED = "_dequantize"


def own_name(name: str) -> str:
    """The part of a tensor's name that a person would use: ``model/conv2d_3/Relu;model/...`` -> ``conv2d_3``.

    "" where a converter made all of it up.
    """
    fused = name[:READ].split(";", 8)
    first = next((part for part in fused if not _MINOR.search(part)), fused[0])
    parts = [part.removesuffix(_NUMBERED) for part in re.split(r"[/:]+", first) if part.strip("_ ")]
    while parts and (_ROLES.fullmatch(parts[-1]) or parts[-1].isdigit()):
        parts.pop()
    found = _plain(parts[-1]) if parts else ""
    found = re.sub(r"_(Kernel|Bias|Alpha|weights?|bias|kernel)$", "", found).removeprefix("serving_default_")
    return "" if _EMPTY.fullmatch(found) else found


def _plain(text: str) -> str:
    """Letters, digits and underscores."""
    words = re.sub(r"[^0-9A-Za-z]+", "_", text[:READ])
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", words)
    return re.sub(r"_+", "_", words).strip("_")[:LONGEST].rstrip("_")


class Identifiers:
    """Identifiers of one scope, each given once.

    Args:
        reserved: Names that are taken.
    """

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self._names = UniqueNames((*keyword.kwlist, *keyword.softkwlist, *dir(builtins), *FILE_NAMES, *reserved))

    def make(self, name: str, fallback: str) -> str:
        """A name like ``name``, in lower case; with a number behind it where that is taken."""
        plain = _plain(name).lower()
        if not plain or plain[0].isdigit():
            plain = f"{fallback}_{plain}".rstrip("_")
        return self._names.take(plain)

    def make_class(self, name: str) -> str:
        """A name for a class, ``name``, ``name2`` and so on."""
        return self._names.take(name, between="")

    def numbered(self, name: str) -> str:
        """``name1``, ``name2`` and so on."""
        return self._names.take_numbered(name)


def class_name(name: str, fallback: str = "Model") -> str:
    """A name for a class: ``face-detector front`` -> ``FaceDetectorFront``."""
    words = [word for word in re.split(r"[^0-9A-Za-z]+", name[:READ]) if word]
    made = "".join(word[0].upper() + word[1:] for word in words)[:LONGEST]
    if not made or made[0].isdigit():
        made = f"{fallback}{made}"
    return f"{made}Model" if made in FILE_NAMES or made in dir(builtins) or keyword.iskeyword(made) else made


def quoted(text: str, most: int = 45) -> str:
    """Text out of a file for docstrings and comments: one line of ASCII without double quotes, at most that long."""
    made = ""
    for char in text[:READ]:
        code = char.encode("unicode_escape", "surrogatepass").decode("ascii")
        code = code.replace("\\", "\\\\").replace('"', "'")
        if len(made) + len(code) > most - 3:
            return f"{made}..."
        made += code
    return made


class Symbol:
    """A piece of code among the arguments of a call, such as the name of a parameter."""

    def __init__(self, text: str) -> None:
        self.text = text


def literal(value: Any) -> str:
    """Code that gives a value: numbers, strings, types, and tuples, lists and dictionaries of them."""
    if isinstance(value, Symbol):
        return value.text
    if value is None or value is Ellipsis or isinstance(value, bool):
        return "..." if value is Ellipsis else repr(value)
    if isinstance(value, float):
        return repr(float(value)) if value - value == 0 else f'float("{float(value)}")'
    if isinstance(value, int):
        return repr(int(value))
    if isinstance(value, complex):
        return f"complex({literal(value.real)}, {literal(value.imag)})"
    if isinstance(value, str):
        text = ascii(value)
        return f'"{text[1:-1]}"' if text[0] == "'" and '"' not in text else text
    if isinstance(value, (torch.dtype, torch.memory_format, torch.layout)):
        return str(value)
    if isinstance(value, torch.device):
        return f"torch.device({literal(str(value))})"
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, slice):
        return f"slice({literal(value.start)}, {literal(value.stop)}, {literal(value.step)})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(key)}: {literal(entry)}" for key, entry in value.items()) + "}"
    raise UnsupportedOperatorError(f"a {type(value).__name__} cannot be written as source.", operators=())
