"""Models written by the libraries that others use: Google's FlatBuffers package and LiteRT's generated classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest

schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason="the judge writes these models")


def tensor(name: str, shape: list[int], dtype: str = "FLOAT32", buffer: int = 0, **fields: Any) -> Any:
    made = schema.TensorT()
    made.name, made.shape, made.type, made.buffer = name, shape, getattr(schema.TensorType, dtype), buffer
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def quantization(scale: list[float], zero_point: list[int] | None = None, dimension: int = 0) -> Any:
    made = schema.QuantizationParametersT()
    made.scale, made.zeroPoint, made.quantizedDimension = scale, zero_point or [0] * len(scale), dimension
    return made


def buffer(data: bytes | np.ndarray | None = None, **fields: Any) -> Any:
    made = schema.BufferT()
    if data is not None:
        raw = data.tobytes() if isinstance(data, np.ndarray) else data
        made.data = np.frombuffer(raw, np.uint8)
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def operator(inputs: list[int], outputs: list[int], code: int = 0, options: Any = None, **fields: Any) -> Any:
    made = schema.OperatorT()
    made.inputs, made.outputs, made.opcodeIndex = inputs, outputs, code
    if options is not None:
        made.builtinOptions = options
        made.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def code(name: str, version: int = 1, custom: str | None = None) -> Any:
    made = schema.OperatorCodeT()
    number = getattr(schema.BuiltinOperator, name)
    made.builtinCode, made.deprecatedBuiltinCode, made.version = number, min(number, 127), version
    if custom is not None:
        made.customCode = custom
    return made


def subgraph(
    tensors: list[Any], operators: list[Any], inputs: list[int], outputs: list[int], name: str = "main"
) -> Any:
    made = schema.SubGraphT()
    made.tensors, made.operators, made.inputs, made.outputs, made.name = tensors, operators, inputs, outputs, name
    return made


def metadata(name: str, index: int) -> Any:
    made = schema.MetadataT()
    made.name, made.buffer = name, index
    return made


def model(
    tensors: list[Any],
    buffers: list[Any],
    operators: list[Any] | None = None,
    codes: list[Any] | None = None,
    inputs: list[int] | None = None,
    outputs: list[int] | None = None,
    graphs: list[Any] | None = None,
    **fields: Any,
) -> bytes:
    """A model's file. Buffer 0, which is empty, comes by itself."""
    made = schema.ModelT()
    made.version = 3
    made.operatorCodes = codes or []
    made.subgraphs = graphs or [subgraph(tensors, operators or [], inputs or [], outputs or [])]
    made.buffers = [buffer(), *buffers]
    for field, value in fields.items():
        setattr(made, field, value)
    return packed(made)


def packed(made: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(made.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def unpacked(data: bytes) -> Any:
    """All of a model as the generated classes read it."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(data))


def plain(value: Any) -> Any:
    """The generated classes' objects as plain values that compare."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    if hasattr(value, "__dict__"):
        return {name: plain(entry) for name, entry in vars(value).items()}
    return value


def constant(data: np.ndarray, dtype: str, **fields: Any) -> bytes:
    """A model with one constant tensor, number 0."""
    raw = np.asarray(data)
    return model([tensor("c", list(raw.shape), dtype, 1, **fields)], [buffer(raw)])


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
