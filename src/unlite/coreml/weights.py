"""Constants of a program in the smallest form that gives the same numbers: float16, 8-bit integers, sparse.

The file's own compression is found again in the numbers: whichever way a constant went, through permutes, folded and
fused, it is stored as integers where a scale of the file explains every one of its elements.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from unlite.coreml.gathers import slice_gathers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from unlite.model.model import Model

    Array = NDArray[Any]

NAME = "unlite::compress_constants"
SMALLEST = 64  # elements; below, the description of a compressed constant is longer than the constant
TAKERS = {"conv", "conv_transpose", "linear", "matmul", "gather", "add", "sub", "mul"}
"""Operators that take compressed constants; others, such as prelu, look at the numbers when a program is read."""
EIGHT_BITS = {"INT8": np.int8, "UINT8": np.uint8, "INT4": np.int8, "UINT4": np.uint8, "INT2": np.int8}
SAMPLE = 256
MOST_PARTS = 8
"""Constants of the file that are looked for in one of the program."""


class Scheme(NamedTuple):
    """How a tensor of the file is quantized.

    Attributes:
        dtype: Of the integers.
        size: Number of elements.
        scale, zero_point: One number each, or one for each entry of an axis.
    """

    dtype: Any
    size: int
    scale: Array
    zero_point: Array


def schemes(model: Model) -> list[Scheme]:
    """The quantization of every constant of 8 bits or fewer."""
    found: dict[tuple[Any, ...], Scheme] = {}
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            quantization = tensor.quantization
            if not tensor.is_constant or tensor.dtype not in EIGHT_BITS or quantization is None:
                continue
            scale = np.asarray(quantization.scale, np.float32)
            count = int(np.prod(tensor.shape))
            if not scale.size or count < SMALLEST:
                continue
            zero = np.broadcast_to(np.asarray(quantization.zero_point or (0,), np.int64), scale.shape)
            scheme = Scheme(EIGHT_BITS[tensor.dtype], count, scale, zero)
            found[scheme.dtype, count, scale.tobytes(), zero.tobytes()] = scheme
    return list(found.values())


@contextmanager
def compression(known: Sequence[Scheme]) -> Iterator[str]:
    """Within it coremltools knows a pass that compresses constants; gives the pass' name."""
    from coremltools.converters.mil.mil.passes.graph_pass import AbstractGraphPass
    from coremltools.converters.mil.mil.passes.pass_registry import PASS_REGISTRY

    class Compress(AbstractGraphPass):  # type: ignore[misc]  # an untyped library's class
        def apply(self, prog: Any) -> None:
            for function in prog.functions.values():
                with function:
                    slice_gathers(function)
                    _compress(function, known)
                _share(function)

    PASS_REGISTRY.passes[NAME] = Compress
    try:
        yield NAME
    finally:
        del PASS_REGISTRY.passes[NAME]


def _compress(block: Any, known: Sequence[Scheme]) -> None:
    """Within the block: entering it, and leaving it, takes as long as the block is."""
    for op in list(block.operations):
        for inner in op.blocks:
            with inner:
                _compress(inner, known)
        values = op.outputs[0].val if op.op_type == "const" else None
        if not isinstance(values, np.ndarray) or values.dtype.kind != "f" or values.size < SMALLEST:
            continue
        users = {user.op_type for user in op.outputs[0].child_ops}
        if op.outputs[0] in block.outputs or not users or not users <= TAKERS:
            continue
        made = _quantized(op, values, known) or _sparse(op, values) or _half(op, values)
        if made is not None:
            block.replace_uses_of_var_after_op(
                anchor_op=op, old_var=op.outputs[0], new_var=made, no_check_var_types=True
            )
            block.remove_ops([op])


def _share(function: Any) -> None:
    """Small constants that are alike become one: strides, axes, paddings are most of a program's text."""
    first: dict[tuple[Any, ...], Any] = {}
    for op in list(function.operations):
        if op.op_type != "const" or op.outputs[0] in function.outputs:
            continue
        var = op.outputs[0]
        values = var.val
        if isinstance(values, (str, bool, int, float, np.generic)):
            key: tuple[Any, ...] = (str(var.sym_type), type(values), values)
        elif isinstance(values, np.ndarray) and values.size <= SMALLEST:
            key = (str(var.sym_type), values.shape, values.dtype.str, values.tobytes())
        else:
            continue
        if str(values) == "nan" or var.child_ops == []:
            continue
        kept = first.setdefault(key, var)
        if kept is not var:
            function.replace_uses_of_var_after_op(anchor_op=op, old_var=var, new_var=kept, no_check_var_types=True)
            function.remove_ops([op])


def _quantized(op: Any, values: Array, known: Sequence[Scheme]) -> Any:
    """The constant as integers with a scale of the file; None where no scale explains it."""
    from coremltools.converters.mil.mil import Builder

    for scheme in known:
        if scheme.size != values.size:
            continue
        for axis in (
            [0] if scheme.scale.size == 1 else [a for a, n in enumerate(values.shape) if n == scheme.scale.size]
        ):
            stored = _integers(values, scheme, axis)
            if stored is not None:
                single = scheme.scale.size == 1
                scale = scheme.scale.astype(values.dtype)
                zero = scheme.zero_point.astype(scheme.dtype)
                return Builder.constexpr_affine_dequantize(
                    quantized_data=stored,
                    scale=scale[0] if single else scale,
                    zero_point=zero[0] if single else zero,
                    axis=np.int32(axis),
                    before_op=op,
                    name=f"{op.outputs[0].name}_quantized",
                )
    return _quantized_rows(op, values, known)


def _quantized_rows(op: Any, values: Array, known: Sequence[Scheme]) -> Any:
    """A constant that was joined from several of the file's, as the gates of an LSTM are: each row has its own scale.

    None where a row has no scale of the file with its zero point at 0.
    """
    from coremltools.converters.mil.mil import Builder

    if values.ndim < 2:
        return None
    parts = [scheme for scheme in known if scheme.scale.size == 1 and not scheme.zero_point.any()]
    scales = {
        float(part.scale[0]) for part in parts if values.size in range(0, (MOST_PARTS + 1) * part.size, part.size)
    }
    rows = values.reshape(values.shape[0], -1)
    stored, scale = np.zeros(rows.shape, np.int8), np.zeros(len(rows), np.float32)
    for each in map(np.float32, scales):
        whole = np.round(rows.astype(np.float32) / each)
        exact = (whole * np.float64(each)).astype(np.float32).astype(values.dtype) == rows
        fits = exact.all(axis=1) & (whole.min(axis=1) >= -128) & (whole.max(axis=1) <= 127) & (scale == 0)
        stored[fits], scale[fits] = whole[fits].astype(np.int8), each
    if (scale == 0).any():
        return None
    return Builder.constexpr_affine_dequantize(
        quantized_data=stored.reshape(values.shape),
        scale=scale.astype(values.dtype),
        zero_point=np.zeros(len(rows), np.int8),
        axis=np.int32(0),
        before_op=op,
        name=f"{op.outputs[0].name}_quantized",
    )


def _integers(values: Array, scheme: Scheme, axis: int) -> Array | None:
    """The stored integers, if ``scale * (q - zero_point)`` gives every element."""
    shape = [-1 if i == axis and scheme.scale.size > 1 else 1 for i in range(values.ndim)]
    scale, zero = scheme.scale.reshape(shape), scheme.zero_point.reshape(shape)
    if (scale == 0).any():
        return None
    if scheme.scale.size == 1 and not _explains(values.reshape(-1)[:SAMPLE], *scheme.scale, *scheme.zero_point):
        return None  # most constants are told apart by a few of their elements
    stored = np.round(values.astype(np.float32) / scale) + zero
    limits = np.iinfo(scheme.dtype)
    if stored.min() < limits.min or stored.max() > limits.max:
        return None
    exact = ((stored - zero) * scale.astype(np.float64)).astype(np.float32).astype(values.dtype)
    return stored.astype(scheme.dtype) if np.array_equal(exact, values) else None


def _explains(values: Array, scale: Any, zero: Any) -> bool:
    stored = np.round(values.astype(np.float32) / scale)
    return bool(np.array_equal((stored * np.float64(scale)).astype(np.float32).astype(values.dtype), values)) and (
        bool(np.isfinite(zero))
    )


def _sparse(op: Any, values: Array) -> Any:
    """The constant without its zeros, where that is smaller by a quarter than the other ways."""
    from coremltools.converters.mil.mil import Builder

    there = values.reshape(-1) != 0
    dense = values.size * (2 if _halved(values) is not None else values.itemsize)
    if values.itemsize * int(there.sum()) + values.size / 8 > 0.75 * dense:
        return None
    from coremltools.converters.mil._deployment_compatibility import AvailableTarget
    from coremltools.converters.mil.mil import types
    from coremltools.converters.mil.mil.block import is_current_opset_version_compatible_with

    if is_current_opset_version_compatible_with(AvailableTarget.iOS18):  # the mask is a tensor of single bits there
        mask: dict[str, Any] = {"mask": there.reshape(values.shape).astype(types.np_uint1_dtype)}
    else:
        mask = {"mask": np.packbits(there, bitorder="little"), "shape": np.array(values.shape, np.uint32)}
    return Builder.constexpr_sparse_to_dense(
        nonzero_data=values.reshape(-1)[there], **mask, before_op=op, name=f"{op.outputs[0].name}_sparse"
    )


def _half(op: Any, values: Array) -> Any:
    """The constant in float16, where nothing is lost."""
    from coremltools.converters.mil.mil import Builder

    half = _halved(values)
    if half is None or values.dtype == np.float16:
        return None
    return Builder.constexpr_cast(source_val=half, output_dtype="fp32", before_op=op, name=f"{op.outputs[0].name}_half")


def _halved(values: Array) -> Array | None:
    """The same numbers in float16; None where one is lost."""
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    return half if np.array_equal(half.astype(values.dtype), values) else None
