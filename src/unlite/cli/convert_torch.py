"""``unlite convert --to torch``: a folder with ``model.py`` and ``model.safetensors``."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from unlite.comparison.result import Comparison
    from unlite.model.model import Model

EXTRA = "torch"
LIBRARIES = ("torch",)


def is_own(path: str) -> bool:
    """Whether a folder holds what convert wrote, unchanged, and nothing else."""
    from unlite.pytorch.folder import is_written

    return is_written(path)


def write(model: Model, arguments: argparse.Namespace, path: str) -> Callable[[], Comparison]:
    """Writes the folder, and loads what was written."""
    import torch

    from unlite.pytorch.folder import load_folder
    from unlite.pytorch.module import to_torch
    from unlite.pytorch.source import write_source

    torch.set_num_threads(1)  # LiteRT runs beside; threads that wait for each other double the processor time
    os.mkdir(path)
    key = arguments.signature
    module = to_torch(
        model,
        quantized=arguments.quantized or "float",
        layout=arguments.layout or "nchw",
        signature=key,
        integer_io=arguments.integer_io,
        requantize=arguments.requantize or "none",
    )
    source = write_source(module, model.main if key is None else model.signatures[key].subgraph, path)
    network = load_folder(path)

    def compare() -> Comparison:
        """What was written against the graph that it was written of, and that graph against LiteRT."""
        from unlite.comparison.compare import compare as compare_models
        from unlite.comparison.inputs import graph_of, make_inputs
        from unlite.comparison.torch_run import module_inputs
        from unlite.pytorch.folder import check_equal

        values = make_inputs(model, signature=key)
        check_equal(module, network, module_inputs(module, graph_of(model, key), values))
        found = compare_models(model, module, values, signature=key)
        divergence = found.first_divergence
        if divergence is None or divergence.operator is None:
            return found
        line = source.lines.get((divergence.subgraph, divergence.operator))
        return replace(found, first_divergence=replace(divergence, source_line=line))

    return compare
