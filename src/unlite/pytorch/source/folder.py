"""Folders with a written model: recognised, and loaded."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from unlite.errors import UnliteError, UnsupportedFormatError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import fx

SOURCE, WEIGHTS = "model.py", "model.safetensors"
MARK = "# Written by unlite convert."
"""First line of a written model.py: what convert itself wrote it may replace."""
DIGEST = "unlite.source"
"""Key of the header of model.safetensors: SHA-256 of the model.py that was written with it."""

LARGEST_HEADER = 1 << 28  # bytes of the header of a .safetensors that are looked at


def is_written(path: str) -> bool:
    """Whether a folder holds what convert wrote, unchanged, and nothing else."""
    source, weights = os.path.join(path, SOURCE), os.path.join(path, WEIGHTS)
    if not os.path.isdir(path) or not set(os.listdir(path)) <= {SOURCE, WEIGHTS, "__pycache__"}:
        return False
    with suppress(OSError, ValueError, KeyError, AttributeError), open(source, "rb") as file:
        text = file.read()
        if text.startswith(MARK.encode()) and os.path.isfile(weights):
            return bool(_header(weights)["__metadata__"][DIGEST] == sha256(text).hexdigest())
    return False


def _header(path: str) -> Any:
    """The header of a .safetensors. Raises ValueError where it is none."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > LARGEST_HEADER:
            raise ValueError("no header")
        return json.loads(file.read(length))


def load_folder(path: str | os.PathLike[str]) -> torch.nn.Module:
    """The network in a folder that convert wrote, with its weights. Runs the folder's ``model.py``.

    Raises:
        UnsupportedFormatError: it does not load.
    """
    from importlib.util import module_from_spec, spec_from_file_location

    target = os.path.join(os.fspath(path), SOURCE)
    spec = spec_from_file_location("unlite_written_model", target)
    if spec is None or spec.loader is None or not os.path.isfile(target):
        raise UnsupportedFormatError("is no folder of a converted model.", file=os.fspath(path))
    module = module_from_spec(spec)
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # the folder holds two files, and no more
    try:
        spec.loader.exec_module(module)
        network: torch.nn.Module = module.load()
    except (Exception, SystemExit) as error:
        raise UnsupportedFormatError(
            f"does not load: {type(error).__name__}: {str(error).partition(chr(10))[0]}", file=os.fspath(path)
        ) from error
    finally:
        sys.dont_write_bytecode = before
    return network


CLOSE = 1e-5  # of the largest value; both sides make the same calls, and nearly always agree bit for bit


def check_equal(module: fx.GraphModule, network: torch.nn.Module, inputs: Sequence[torch.Tensor]) -> None:
    """Runs a lowered module and what was written of it. Raises UnliteError where they differ.

    Inputs that are smaller than what the module could be lowered for are repeated up to that.
    """
    import torch

    examples = [node.meta["val"] for node in module.graph.nodes if node.op == "placeholder"]
    for place, (example, given) in enumerate(zip(examples, inputs, strict=True)):
        repeats = [-(-most // max(size, 1)) for size, most in zip(given.shape, example.shape, strict=True)]
        if max(repeats, default=1) > 1:
            inputs = [*inputs[:place], given.tile(repeats), *inputs[place + 1 :]]
    results = []
    for each in (module, network):
        torch.manual_seed(0)
        with torch.no_grad():
            found = each(*inputs)
        results.append(found if isinstance(found, (tuple, list)) else (found,))
        reset = getattr(each, "reset_state", None)
        if reset is not None:
            reset()
    for place, (expected, actual) in enumerate(zip(*results, strict=True)):
        if not _is_close(expected, actual):
            raise UnliteError(f"the written source gives another output {place} than the model that it was written of.")


def _is_close(expected: torch.Tensor, actual: torch.Tensor) -> bool:
    import torch

    if expected.shape != actual.shape or expected.dtype != actual.dtype:
        return False
    if not (expected.dtype.is_floating_point or expected.dtype.is_complex):
        return torch.equal(expected, actual)
    finite = expected[torch.isfinite(expected)].abs()
    scale = float(finite.max()) if finite.numel() else 1.0
    step = torch.finfo(expected.dtype).eps
    return torch.allclose(expected, actual, rtol=0.0, atol=max(CLOSE, 4 * step) * scale, equal_nan=True)
