"""What a conversion does without, in a process that is there for it alone."""

from __future__ import annotations

import gc
import sys
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec

RARELY = (5_000_000, 20, 20)
"""When garbage is looked for: what exporters make mostly stays."""

STAND_INS = {"coremltools.optimize.torch": (), "networkx": ("DiGraph",)}
"""Modules that exporters import and a conversion never uses. In their place are empty ones, with the names that
annotations mention."""


def work_lightly() -> None:
    """Collects garbage rarely, and leaves modules out. Not for a process that others live in: they may use them."""
    gc.set_threshold(*RARELY)
    for name, names in STAND_INS.items():
        module = sys.modules.setdefault(name, module_from_spec(ModuleSpec(name, None)))
        for each in names:
            vars(module).setdefault(each, object)
