"""Stored integers in an ONNX graph: QuantizeLinear and DequantizeLinear at the ends, and constants as in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from unlite.onnx.nodes import constant, node, put_first
from unlite.onnx.opsets import onnx_types
from unlite.pytorch.arithmetic.quantized import RANGES
from unlite.pytorch.carrying import has_grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from unlite.model.objects.quantization import Quantization
    from unlite.model.objects.subgraph import Subgraph
    from unlite.model.objects.tensor import Tensor
    from unlite.onnx.ends import Stored
    from unlite.onnx.names import Names

    Array = NDArray[Any]
    Axes = list[int | None]

LARGE = 64  # entries of a float16 constant from which on it is worth a node
ROUNDING = 3e-7  # relative: what two ways of computing scale * (q - zero_point) in float32 may differ by


def quantize_ends(made: ir.Model, names: Names, graph: Subgraph) -> None:
    """Gives inputs and outputs the file's types where they are quantized as a whole; names stay with them."""
    own = made.graph
    types = onnx_types(own.opset_imports[""])
    for place, (value, tensor) in enumerate(zip(list(own.inputs), graph.inputs, strict=False)):
        if value.dtype == ir.DataType.FLOAT and _has_integers(tensor):
            end = _End(own, names, tensor, types.get(tensor.dtype))
            own.inputs[place] = end.as_input(value)
    for place, (value, tensor) in enumerate(zip(list(own.outputs), graph.outputs, strict=False)):
        if value.dtype == ir.DataType.FLOAT and _has_integers(tensor):
            end = _End(own, names, tensor, types.get(tensor.dtype))
            own.outputs[place] = end.as_output(value)


def _has_integers(tensor: Tensor) -> bool:
    """Whether a tensor is quantized as a whole."""
    found = tensor.quantization
    return has_grid(tensor) or (tensor.dtype == "INT32" and found is not None and len(found.scale) == 1)


class _End:
    """An input or output that becomes integers.

    Args:
        graph: Where it is.
        names: The model's names.
        tensor: The file's tensor; it has one scale.
        dtype: Its type, where QuantizeLinear has it; else it is written in single steps.
    """

    def __init__(self, graph: ir.Graph, names: Names, tensor: Tensor, dtype: ir.DataType | None) -> None:
        self._graph, self._names, self._tensor = graph, names, tensor
        self._stored = dtype or ir.DataType[tensor.dtype]
        self._is_known = dtype is not None
        quantization: Any = tensor.quantization
        self._scale = float(quantization.scale[0])
        self._zero_point = int(quantization.zero_point[0]) if len(quantization.zero_point) else 0

    def as_input(self, value: ir.Value) -> ir.Value:
        """The integer input in the place of a real one."""
        graph, name = self._graph, str(value.name)
        value.name = self._names.make(f"{name}_real")
        given = ir.Value(name=name, shape=value.shape, type=ir.TensorType(self._stored))
        rounding = [user for user in value.consumers() if user.op_type == "QuantizeLinear"]
        for user in rounding:  # on the file's own grid: the integers are what would come out
            user.outputs[0].replace_all_uses_with(given, replace_graph_outputs=True)
        graph.remove(rounding, safe=True)
        if value.uses() or value.is_graph_output():
            nodes = self._dequantized(given, value)
            for made in reversed(nodes):
                put_first(graph, made)
            value.replace_all_uses_with(nodes[-1].outputs[0], replace_graph_outputs=True)
        return given

    def _dequantized(self, given: ir.Value, value: ir.Value) -> list[ir.Node]:
        real = f"{given.name}_dequantized"
        if self._is_known:
            return [self._node("DequantizeLinear", [given, self._step(), self._middle()], real, value)]
        floats = self._node("Cast", [given], f"{given.name}_float", value, to=ir.DataType.FLOAT)
        shifted = self._node("Sub", [floats.outputs[0], self._number("middle", self._zero_point)], real, value)
        return [floats, shifted, self._node("Mul", [shifted.outputs[0], self._step()], real, value)]

    def as_output(self, value: ir.Value) -> ir.Value:
        """The integer output in the place of a real one."""
        name, producer = str(value.name), value.producer()
        value.name = self._names.make(f"{name}_real")
        stored = producer.inputs[0] if producer is not None and producer.op_type == "DequantizeLinear" else None
        if stored is not None and stored.producer() is not None and stored.dtype == self._stored:
            stored.name = name
            return stored
        nodes = self._quantized(value)
        self._graph.extend(nodes)
        nodes[-1].outputs[0].name = name
        return nodes[-1].outputs[0]

    def _quantized(self, value: ir.Value) -> list[ir.Node]:
        own = f"{value.name}_quantized"
        if self._is_known:
            return [self._node("QuantizeLinear", [value, self._step(), self._middle()], own, value, self._stored)]
        steps = self._node("Div", [value, self._step()], own, value)
        rounded = self._node("Round", steps.outputs, own, value)
        shifted = self._node("Add", [rounded.outputs[0], self._number("middle", self._zero_point)], own, value)
        nodes = [steps, rounded, shifted]
        if self._tensor.dtype in RANGES:
            low, high = (
                self._number(what, end) for what, end in zip(("low", "high"), RANGES[self._tensor.dtype], strict=True)
            )
            nodes.append(self._node("Clip", [shifted.outputs[0], low, high], own, value))
        nodes.append(self._node("Cast", nodes[-1].outputs, own, value, self._stored, to=self._stored))
        return nodes

    def _node(
        self,
        kind: str,
        inputs: Sequence[ir.Value],
        name: str,
        like: ir.Value,
        dtype: ir.DataType | None = None,
        **attributes: Any,
    ) -> ir.Node:
        return node(kind, inputs, self._names.make(name), like, dtype or ir.DataType.FLOAT, **attributes)

    def _step(self) -> ir.Value:
        return self._number("scale", self._scale)

    def _number(self, what: str, value: float) -> ir.Value:
        return constant(self._graph, self._names, f"{self._tensor.name}_{what}", np.float32(value))

    def _middle(self) -> ir.Value:
        return constant(self._graph, self._names, f"{self._tensor.name}_zero_point", self._zero_point, self._stored)


def store_constants(made: ir.Model, names: Names, *, integers: bool) -> None:
    """Puts constants back into the file's type: float16 behind Cast, and ``integers`` behind DequantizeLinear.

    What does not give the same real numbers that way stays float32.
    """
    types = {**onnx_types(made.graph.opset_imports[""]), "INT32": ir.DataType.INT32} if integers else {}
    for value, stored in names.constants.items():
        if value.dtype == ir.DataType.FLOAT and value.uses() and value.const_value is not None:
            _store(made.graph, names, value, stored, types)


def _store(graph: ir.Graph, names: Names, value: ir.Value, stored: Stored, types: dict[str, ir.DataType]) -> None:
    tensor: Any = stored.constant.source
    is_half = tensor is not None and tensor.dtype == "FLOAT16" and value.const_value.size >= LARGE  # type: ignore[union-attr]
    is_integer = tensor is not None and tensor.dtype in types and tensor.quantization is not None
    if not is_half and not is_integer:
        return
    axes, place = stored.axes(), value
    users = value.consumers()
    if len(users) == 1 and users[0].op_type == "Transpose" and not users[0].outputs[0].is_graph_output():
        place = users[0].outputs[0]  # a linear layer's weights: stored as they are multiplied
        axes = [axes[axis] for axis in users[0].attributes.get_ints("perm")]
    raw, real = _arranged(tensor.numpy(), axes), value.const_value.numpy()  # type: ignore[union-attr]
    if place is not value:
        real = real.transpose(users[0].attributes.get_ints("perm"))
    name = str(value.name)
    if is_half:
        if raw.shape != real.shape or not np.array_equal(raw.astype(np.float32), real):
            return
        _remove(graph, names, name)
        kept = constant(graph, names, name, raw)
        result = put_first(graph, node("Cast", [kept], names.make(f"{name}_float"), place, to=ir.DataType.FLOAT))
    else:
        found = _parameters(tensor.quantization, axes, raw, real)
        if found is None:
            return
        scale, zero_point, axis = found
        dtype = types[tensor.dtype]
        _remove(graph, names, name)
        inputs = [constant(graph, names, name, raw, dtype), constant(graph, names, f"{name}_scale", scale)]
        if dtype != ir.DataType.INT32:
            inputs.append(constant(graph, names, f"{name}_zero_point", zero_point, dtype))
        made = node("DequantizeLinear", inputs, names.make(f"{name}_real"), place, ir.DataType.FLOAT, axis=axis)
        result = put_first(graph, made)
    place.replace_all_uses_with(result, replace_graph_outputs=True)
    if place is not value:
        graph.remove(users[0], safe=True)


def _remove(graph: ir.Graph, names: Names, name: str) -> None:
    """Takes an initializer out; another may have its name."""
    graph.initializers.pop(name)
    names.release(name)


def _parameters(quantization: Quantization, axes: Axes, raw: Array, real: Array) -> tuple[Array, Array, int] | None:
    """Scale, zero point and axis for DequantizeLinear; None where it would not give the same real numbers."""
    scale = np.asarray(quantization.scale, np.float32)
    zero_point = np.asarray(quantization.zero_point or (0,), np.int64)
    if not scale.size or zero_point.size not in (1, scale.size):
        return None
    axis, along = 0, [1] * len(axes)
    if scale.size > 1:
        if quantization.quantized_dimension not in axes:
            return None
        axis = axes.index(quantization.quantized_dimension)
        along[axis] = scale.size
        zero_point = np.broadcast_to(zero_point, scale.shape)
    else:
        scale, zero_point = scale.reshape(()), zero_point.reshape(())
        along = []
    if raw.shape != real.shape or (scale.size > 1 and raw.shape[axis] != scale.size):
        return None
    given = (raw.astype(np.int64) - zero_point.reshape(along)).astype(np.float32) * scale.reshape(along)
    return (scale, zero_point, axis) if np.allclose(given, real, rtol=ROUNDING, atol=0) else None


def _arranged(values: Array, axes: Sequence[int | None]) -> Array:
    """Stored values with their axes in an order; None is an axis of size 1."""
    kept = [axis for axis in axes if axis is not None]
    if sorted(kept) != list(range(values.ndim)):
        return values
    arranged: Array = values.transpose(kept)
    return arranged.reshape([1 if axis is None else values.shape[axis] for axis in axes])
