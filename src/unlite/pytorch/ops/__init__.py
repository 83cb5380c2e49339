"""The operators' meanings, one file per family. This file lists the families and joins their tables.

A family's module has ``OPERATORS``: builtin name -> function; where it needs them ``CUSTOM``: custom code -> function,
and ``OWN_ACTIVATION``: names whose functions apply the fused activation themselves.
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


OPERATORS = _join("OPERATORS")
CUSTOM = _join("CUSTOM")
OWN_ACTIVATION = frozenset(
    name for family in FAMILIES for name in getattr(import_module(f"unlite.pytorch.ops.{family}"), "OWN_ACTIVATION", ())
)
