"""Uses of the library, each as a process of its own: ``python ours.py JOB ARGUMENTS``."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import unlite
from unlite.flatbuffers import view

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def change(path: str, out: str, tensor: str) -> None:
    """Turns over a bit in each byte of one tensor of the first subgraph, saves, and prints how."""
    with unlite.open(path) as model:
        buffer = model.main.tensors[int(tensor)].buffer
        stored = buffer.data
        assert stored is not None, "models.py gives the tensor data"
        buffer.data = bytes(stored).translate(bytes(byte ^ 1 for byte in range(256)))
        print(model.save(out).how)


def rewrite(path: str, out: str) -> None:
    """Writes the model anew, and prints how."""
    with unlite.open(path) as model:
        print(model.save(out, rewrite=True).how)


def touch(path: str) -> None:
    """Reads every field of every table through the Model, and prints sums that peers.py must come to as well."""
    model = unlite.open(path)
    sums = dict.fromkeys(
        ("tensors", "operators", "dimensions", "characters", "links", "scales", "versions", "bytes"), 0
    )
    fields = 0
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            quantization = tensor.quantization
            facts = (tensor.index, tensor.dtype, tensor.shape_signature, tensor.has_rank, tensor.nbytes)
            fields += len((*facts, tensor.buffer, tensor.is_variable, tensor.is_sparse))
            sums["tensors"] += 1
            sums["dimensions"] += sum(tensor.shape)
            sums["characters"] += len(tensor.name)
            if quantization is not None:
                bounds = (quantization.zero_point, quantization.quantized_dimension, quantization.min, quantization.max)
                fields += len((*bounds, quantization.details))
                sums["scales"] += len(quantization.scale)
        for operator in subgraph.operators:
            fields += len((operator.name, operator.custom, operator.intermediates, operator.custom_options))
            fields += len(str(operator.options))
            ends = (*operator.inputs, *operator.outputs)
            sums["operators"] += 1
            sums["links"] += sum(-1 if tensor is None else tensor.index for tensor in ends)
            sums["versions"] += operator.version
    for buffer in model.buffers:
        sums["bytes"] += 0 if buffer.data is None else len(buffer.data)
    for signature in model.signatures:
        fields += len((signature.key, signature.subgraph, *signature.inputs, *signature.outputs))
    fields += sum(len(model.metadata[name]) for name in model.metadata)
    print(json.dumps(sums))


def tables(root: view.Table) -> Iterator[view.Table]:
    """Every table below ``root``, itself first, each once, whatever number of paths leads to it."""
    seen: set[tuple[int, int, int]] = set()
    stack: list[Any] = [root]
    while stack:
        at = stack.pop()
        if isinstance(at, (view.TableVector, view.UnionVector)):
            stack.extend(entry for entry in reversed(at) if isinstance(entry, view.Table))
            continue
        key = (id(at._wire), at._position, at._object.index)
        if key in seen and not view.is_edited(at):
            continue
        seen.add(key)
        yield at
        for field in reversed(list(view.present(at))):
            value = view.get(at, field)
            if isinstance(value, (view.Table, view.TableVector, view.UnionVector)):
                stack.append(value)


def touch_views(path: str, schema: str) -> None:
    """Reads every stored field through the engine's lazy views, and prints how many there were."""
    fields = 0
    for table in tables(unlite.flatbuffers.open(path, schema)):
        for field in view.present(table):
            value = view.get(table, field)
            fields += len(value.tolist()) if isinstance(value, view.ScalarVector) else 1
    print(json.dumps({"fields": fields}))


def convert(path: str, out: str) -> None:
    """``unlite convert --to torch``, then what this process alone took: LiteRT's own does not count."""
    import resource

    from unlite.cli import main

    if main(["convert", path, "--to", "torch", "-o", out]):
        sys.exit(1)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"cpu": usage.ru_utime + usage.ru_stime, "resident": usage.ru_maxrss << 10}))


JOBS: dict[str, Callable[..., None]] = {job.__name__: job for job in (change, convert, rewrite, touch, touch_views)}

if __name__ == "__main__":
    JOBS[sys.argv[1]](*sys.argv[2:])
