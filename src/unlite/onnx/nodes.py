"""Nodes and constants put into a graph by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unlite.onnx.names import Names


def node(
    kind: str,
    inputs: Sequence[ir.Value],
    name: str,
    like: ir.Value,
    dtype: ir.DataType | None = None,
    **attributes: Any,
) -> ir.Node:
    """A node of the ONNX operator ``kind`` with one output: its name, the shape of ``like``, and its type."""
    made = ir.node(kind, inputs, attributes=attributes or None)
    made.outputs[0].name = name
    made.outputs[0].shape = like.shape
    made.outputs[0].type = ir.TensorType(like.dtype if dtype is None else dtype)  # type: ignore[arg-type]
    return made


def put_first(graph: ir.Graph, made: ir.Node) -> ir.Value:
    """Puts a node that needs inputs and constants only before all others. Returns its output."""
    first = next(iter(graph), None)
    if first is None:
        graph.append(made)
    else:
        graph.insert_before(first, made)
    return made.outputs[0]


def constant(graph: ir.Graph, names: Names, name: str, values: Any, dtype: ir.DataType | None = None) -> ir.Value:
    """A new initializer. ``dtype``: its type, where NumPy's is another."""
    array = np.ascontiguousarray(values) if np.ndim(values) else np.asarray(values)
    if dtype is not None:
        array = array.astype(dtype.numpy())
    own = names.make(name)
    tensor = ir.Tensor(array, dtype=dtype, name=own)
    value = ir.Value(name=own, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.initializers[own] = value
    return value
