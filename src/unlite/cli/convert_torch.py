"""``unlite convert --to torch``: a folder with ``model.py`` and ``model.safetensors``."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from unlite.comparison.compare import Reference
    from unlite.comparison.result import Comparison
    from unlite.model.model import Model

EXTRA = "torch"
LIBRARIES = ("torch",)


def is_own(path: str) -> bool:
    """Whether a folder holds what convert wrote, unchanged, and nothing else."""
    from unlite.pytorch.source.folder import is_written

    return is_written(path)


def write(model: Model, arguments: argparse.Namespace, path: str) -> Callable[[Reference], Comparison]:
    """Writes the folder, and loads what was written."""
    module, network, lines = _written(model, arguments, path)

    def compare(reference: Reference) -> Comparison:
        """What was written against the graph that it was written of, and that graph against LiteRT."""
        from unlite.comparison.inputs import graph_of
        from unlite.comparison.torch_run import module_inputs
        from unlite.pytorch.source.folder import check_equal

        check_equal(module, network, module_inputs(module, graph_of(model, arguments.signature), reference.inputs))
        found = reference.compare(module)
        divergence = found.first_divergence
        if divergence is None or divergence.operator is None:
            return found
        line = lines.get((divergence.subgraph, divergence.operator))
        return replace(found, first_divergence=replace(divergence, source_line=line))

    return compare


def _written(model: Model, arguments: argparse.Namespace, path: str) -> tuple[Any, Any, Mapping[tuple[int, int], int]]:
    """Writes the folder. Returns the lowered module, the written one as it loads, and the line of each operator."""
    import torch

    from unlite.comparison.inputs import graph_of
    from unlite.pytorch.module import to_torch
    from unlite.pytorch.source.folder import load_folder
    from unlite.pytorch.source.write import write_source

    torch.set_num_threads(1)  # LiteRT runs beside; threads that wait for each other double the processor time
    os.mkdir(path)
    module = to_torch(
        model,
        quantized=arguments.quantized or "float",
        layout=arguments.layout or "nchw",
        signature=arguments.signature,
        integer_io=arguments.integer_io,
        requantize=arguments.requantize or "none",
    )
    source = write_source(module, graph_of(model, arguments.signature), path)
    return module, load_folder(path), source.lines
