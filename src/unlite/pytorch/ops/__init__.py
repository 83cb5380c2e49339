"""The operators' meanings, one file per family. This file lists the families and joins their tables.

A family's module has ``OPERATORS``: builtin name -> function; where it needs them ``CUSTOM``: custom code -> function,
and ``OWN_ACTIVATION``: names whose functions apply the fused activation themselves.

For quantized="exact", where quantized tensors are their stored integers: ``MOVES`` names operators that only hand
values on, whose function serves as it is; ``EXACT`` (and ``EXACT_CUSTOM``) has name -> function on integers for the
others. Such a function does all that the kernel does: fused activation, rounding, saturation. Most are made from the
operator's one function by what stands in ``unlite.pytorch.arithmetic.exact``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

FAMILIES = (
    "control",
    "variables",
    "rnn",
    "lstm",
    "integer_lstm",
    "svdf",
    "signal",
    "hashing",
    "convolution",
    "pooling",
    "dense",
    "resizing",
    "rearranging",
    "normalization",
    "mediapipe",
    "detection",
    "shape",
    "joining",
    "slicing",
    "pads",
    "gathering",
    "scattering",
    "reducing",
    "arithmetic",
    "unary",
    "activation",
    "softmax",
    "comparison",
    "bits",
    "conversion",
    "spectral",
    "stablehlo",
    "window_reduction",
    "random_bits",
    "random_numbers",
)


def _join(attribute: str) -> dict[str, Callable[..., Any]]:
    joined: dict[str, Callable[..., Any]] = {}
    for family in FAMILIES:
        for name, function in getattr(import_module(f"unlite.pytorch.ops.{family}"), attribute, {}).items():
            if name in joined:
                raise RuntimeError(f"{name} is defined twice, the second time in {family}.py")
            joined[name] = function
    return joined


def _names(attribute: str) -> frozenset[str]:
    modules = (import_module(f"unlite.pytorch.ops.{family}") for family in FAMILIES)
    return frozenset(name for module in modules for name in getattr(module, attribute, ()))


OPERATORS = _join("OPERATORS")
CUSTOM = _join("CUSTOM")
EXACT = _join("EXACT")
EXACT_CUSTOM = _join("EXACT_CUSTOM")
OWN_ACTIVATION = _names("OWN_ACTIVATION")
MOVES = _names("MOVES")
