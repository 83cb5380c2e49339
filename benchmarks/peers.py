"""What people do today, each as a process of its own: ``python peers.py JOB ARGUMENTS``.

The object API is the generated Python of the schema that ai-edge-litert brings (ModelT, TensorT, ...); it maps the
file and unpacks it whole.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import flatbuffers


def interpreter_list(path: str) -> None:
    """Prints the tensors as LiteRT's interpreter tells them."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path)
    tensors = [
        {
            "index": tensor["index"],
            "name": tensor["name"],
            "dtype": tensor["dtype"].__name__,
            "shape": tensor["shape"].tolist(),
            "shape_signature": tensor["shape_signature"].tolist(),
            "scale": tensor["quantization_parameters"]["scales"].tolist(),
            "zero_point": tensor["quantization_parameters"]["zero_points"].tolist(),
            "quantized_dimension": tensor["quantization_parameters"]["quantized_dimension"],
        }
        for subgraph in range(interpreter.num_subgraphs())
        for tensor in interpreter.get_tensor_details(subgraph)
    ]
    print(json.dumps(tensors))


def object_list(path: str) -> None:
    """Prints the tensors as the object API holds them."""
    tensors = [
        {
            "index": index,
            "name": tensor.name.decode(),
            "dtype": tensor.type,
            "shape": _list(tensor.shape),
            "shape_signature": _list(tensor.shapeSignature),
            "buffer": tensor.buffer,
            "is_variable": tensor.isVariable,
            "quantization": _quantization(tensor.quantization),
        }
        for subgraph in _unpack(path).subgraphs
        for index, tensor in enumerate(subgraph.tensors)
    ]
    print(json.dumps(tensors))


def object_change(path: str, out: str, tensor: str) -> None:
    """Turns over a bit in each byte of one tensor of the first subgraph, and saves."""
    import numpy as np

    model = _unpack(path)
    buffer = model.buffers[model.subgraphs[0].tensors[int(tensor)].buffer]
    buffer.data = np.bitwise_xor(buffer.data, 1)
    with open(out, "wb") as file:
        file.write(_pack(model).Output())


def object_touch(path: str) -> None:
    """Reads every field of every table, and prints sums that ours.py must come to as well."""
    model = _unpack(path)
    sums = dict.fromkeys(
        ("tensors", "operators", "dimensions", "characters", "links", "scales", "versions", "bytes"), 0
    )
    fields = 0
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            fields += _read(tensor) + _read(tensor.quantization)
            sums["tensors"] += 1
            sums["dimensions"] += sum(tensor.shape.tolist())
            sums["characters"] += len(tensor.name.decode())
            if tensor.quantization is not None:
                sums["scales"] += len(tensor.quantization.scale.tolist())
        for operator in subgraph.operators:
            fields += _read(operator) + _read(operator.builtinOptions)
            sums["operators"] += 1
            sums["links"] += sum(operator.inputs.tolist()) + sum(operator.outputs.tolist())
            sums["versions"] += model.operatorCodes[operator.opcodeIndex].version
    for buffer in model.buffers:
        fields += _read(buffer)
        sums["bytes"] += 0 if buffer.data is None else len(buffer.data)
    for entry in (*model.operatorCodes, *model.signatureDefs, *model.metadata):
        fields += _read(entry)
    print(json.dumps(sums))


def digest(path: str) -> None:
    """Prints a digest of every tensor's name, shape and stored bytes, inside the FlatBuffer or behind it."""
    import hashlib
    from pathlib import Path

    import numpy as np

    whole = np.memmap(Path(path), np.uint8, "r")
    model, found = _unpack(path), hashlib.sha256()
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            found.update(repr((tensor.name, _list(tensor.shape), tensor.type, tensor.buffer)).encode())
    for buffer in model.buffers:
        stored = whole[buffer.offset : buffer.offset + buffer.size] if buffer.offset > 1 else buffer.data
        found.update(b"none" if stored is None else memoryview(stored))  # type: ignore[arg-type]  # NumPy arrays are buffers
    print(found.hexdigest())


def _read(value: Any) -> int:
    """Reads the fields of an object; how many it has."""
    return len([getattr(value, name) for name in vars(value)]) if value is not None else 0


def _unpack(path: str) -> Any:
    import mmap

    from ai_edge_litert import schema_py_generated as tfl

    with open(path, "rb") as file:
        return tfl.ModelT.InitFromPackedBuf(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _pack(model: Any) -> flatbuffers.Builder:
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return builder


def _list(values: Any) -> list[Any] | None:
    return None if values is None else values.tolist()


def _quantization(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    lists = {name: _list(getattr(value, name)) for name in ("min", "max", "scale", "zeroPoint")}
    return {**lists, "quantized_dimension": value.quantizedDimension}


JOBS: dict[str, Callable[..., None]] = {
    job.__name__: job for job in (interpreter_list, object_list, object_change, object_touch, digest)
}

if __name__ == "__main__":
    JOBS[sys.argv[1]](*sys.argv[2:])
