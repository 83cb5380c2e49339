"""Which version of ONNX's operators a model is written in, and which integers QuantizeLinear has there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

if TYPE_CHECKING:
    from unlite.model.objects.subgraph import Subgraph

COMMON, NEWER = 20, 21

_BYTES = {"INT8": ir.DataType.INT8, "UINT8": ir.DataType.UINT8}
_OTHERS = {
    "INT16": ir.DataType.INT16,
    "UINT16": ir.DataType.UINT16,
    "INT4": ir.DataType.INT4,
    "UINT4": ir.DataType.UINT4,
}


def opset_of(graph: Subgraph) -> int:
    """The opset for a subgraph: 20, or 21 where 4 or 16 bits are quantized and nothing that is computed has 8.

    ONNX Runtime up to 1.31 refuses many 8-bit graphs in opset 21: it puts ``output_dtype=INT8`` into QuantizeLinear,
    and later makes the zero point uint8.
    """
    computed = [tensor for tensor in graph.tensors if not tensor.is_constant]
    if any(tensor.dtype in _BYTES and tensor.quantization is not None for tensor in computed):
        return COMMON
    return NEWER if any(tensor.dtype in _OTHERS and tensor.quantization for tensor in graph.tensors) else COMMON


def onnx_types(opset: int) -> dict[str, ir.DataType]:
    """The schema's integers that QuantizeLinear and DequantizeLinear have, and ONNX's names of them."""
    return _BYTES if opset < NEWER else _BYTES | _OTHERS


def types_of(opset: int) -> set[ir.DataType]:
    """ONNX's types that QuantizeLinear and DequantizeLinear have."""
    return set(onnx_types(opset).values())
