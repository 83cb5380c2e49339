"""Constants of tensors as arrays: read, dequantized, replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.errors import CorruptFileError, InvalidTypeError, InvalidValueError, NotQuantizedError
from unlite.model.values.dtypes import BITS, MOST, PACKED, WIDEST, elements, numpy_dtype, stored_bytes, value_range
from unlite.model.values.packing import pack_bits, pack_strings, unpack_bits, unpack_strings
from unlite.model.values.sparsity import densify, sparsify

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from unlite.model.objects.buffer import Buffer
    from unlite.model.objects.quantization import Quantization
    from unlite.model.objects.tensor import Tensor
    from unlite.storage.source import Span

_QUANTIZED = ("INT8", "UINT8", "INT16", "UINT16", "INT32", "INT64", "INT4", "UINT4", "INT2")
MOST_DIMENSIONS = 32  # NumPy 1 takes 32, NumPy 2 takes 64; LiteRT's kernels take 8 at most


def check_quantizable(tensor: Tensor) -> Quantization:
    """The tensor's quantization. Raises NotQuantizedError where it has no scale."""
    quantization = tensor.quantization
    if (
        quantization is None
        or (not quantization.scale and quantization.details is None)
        or tensor.dtype not in _QUANTIZED
    ):
        raise NotQuantizedError(f"{tensor.name!r} ({tensor.dtype}) has no scale.", path=tensor.path)
    return quantization


def check_values(tensor: Tensor, values: NDArray[np.generic]) -> None:
    """Raises InvalidValueError where the values do not fit a packed type."""
    limits = value_range(tensor.dtype)
    if limits and values.size and not limits[0] <= int(values.min()) <= int(values.max()) <= limits[1]:
        raise InvalidValueError(f"{tensor.dtype} holds {limits[0]} to {limits[1]}.", path=tensor.path)


def is_packed(tensor: Tensor) -> bool:
    """Whether several elements share a byte."""
    return tensor.dtype in PACKED


def load(tensor: Tensor) -> NDArray[np.generic]:
    """The stored values of a tensor in its shape; see ``Tensor.numpy``."""
    import numpy as np

    data = tensor._constant().view()
    shape, dtype = tensor.shape, tensor.dtype
    check_shape(shape, tensor.path)
    if dtype == "STRING":
        strings = unpack_strings(data, tensor.path)
        _check_count(tensor, len(strings), elements(shape))
        objects = np.empty(len(strings), object)
        objects[:] = strings
        return objects.reshape(shape)
    kind = numpy_dtype(dtype, tensor.path)
    sparsity = tensor._table["sparsity"]
    if sparsity is not None:
        count = len(data) * 8 // (stored_bytes(dtype, 8) or 8)
        stored = unpack_bits(data, dtype, count) if is_packed(tensor) else _array(tensor, data, kind)
        limit = tensor.subgraph.model.memory_limit()
        return densify(stored, sparsity, shape, f"{tensor.path}.sparsity", limit, spare=8 // BITS[dtype])
    if len(data) != stored_bytes(dtype, elements(shape)):
        raise CorruptFileError(
            f"{len(data)} bytes are stored, {dtype} {list(shape)} takes {stored_bytes(dtype, elements(shape))}.",
            file=tensor.subgraph.model.source.name,
            path=tensor.path,
            hint="The file is damaged, or was edited by hand: shape and data do not fit.",
        )
    values = unpack_bits(data, dtype, elements(shape)) if is_packed(tensor) else _array(tensor, data, kind)
    values = values.reshape(shape)
    values.flags.writeable = False
    return values


def check_shape(shape: Sequence[int], path: str) -> None:
    """Raises CorruptFileError if no array can have this shape, not even one with a size of 0 somewhere."""
    if (
        len(shape) > MOST_DIMENSIONS
        or any(size < 0 for size in shape)
        or elements([size for size in shape if size]) * WIDEST >= MOST
    ):
        raise CorruptFileError(f"no array can have the shape {str(list(shape))[:60]}.", path=path)


def _array(tensor: Tensor, data: memoryview, kind: np.dtype[np.generic]) -> NDArray[np.generic]:
    import numpy as np

    if len(data) % kind.itemsize:
        raise CorruptFileError(f"{len(data)} bytes are no whole number of {tensor.dtype}.", path=tensor.path)
    return np.frombuffer(data, kind)


def _check_count(tensor: Tensor, stored: int, wanted: int) -> None:
    if stored != wanted:
        raise CorruptFileError(f"{stored} values are stored, the shape has {wanted}.", path=tensor.path)


def dequantized(tensor: Tensor) -> NDArray[np.float32]:
    """Real values of a constant; see ``Tensor.dequantize``."""
    import numpy as np

    if "FLOAT" in tensor.dtype:
        with np.errstate(over="ignore"):
            return tensor.numpy().astype(np.float32)
    quantization = check_quantizable(tensor)
    values = tensor.numpy()
    scale, zero_point = spread(tensor, quantization)
    if tensor.is_sparse:  # few bytes may stand for many values
        limit = tensor.subgraph.model.memory_limit()
        limit.check(20 * values.size, f"dequantized values {list(values.shape)}", tensor.path)
    with np.errstate(over="ignore", invalid="ignore"):  # a scale may be huge, or no number at all
        return ((values.astype(np.float64) - zero_point) * scale).astype(np.float32)


def spread(tensor: Tensor, quantization: Quantization) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale and zero point as float64 arrays that broadcast against the tensor.

    Raises:
        CorruptFileError: their number does not fit the shape.
    """
    import numpy as np

    details = quantization.details
    if details is not None and quantization.kind in ("blockwise", "multi-axis"):
        scale = _detail(tensor, details, "scales", quantization)
        zero_point = _detail(tensor, details, "zero_points", quantization)
        return scale, zero_point
    if not quantization.scale:
        raise CorruptFileError(f"quantization of kind {quantization.kind!r} has no known meaning.", path=tensor.path)
    axis = quantization.quantized_dimension
    count = len(quantization.scale)
    if len(quantization.zero_point) != count:
        raise CorruptFileError(f"{count} scales, but {len(quantization.zero_point)} zero points.", path=tensor.path)
    shape: tuple[int, ...] = ()
    if count > 1:
        if tensor.shape == (count,):
            axis = 0  # early converters name the weights' dimension on the bias, too
        if not 0 <= axis < len(tensor.shape) or tensor.shape[axis] != count:
            raise CorruptFileError(
                f"{count} scales along dimension {axis} do not fit the shape {list(tensor.shape)}.", path=tensor.path
            )
        shape = tuple(count if i == axis else 1 for i in range(len(tensor.shape)))
    return (
        np.asarray(quantization.scale, np.float64).reshape(shape),
        np.asarray(quantization.zero_point, np.float64).reshape(shape),
    )


def _detail(tensor: Tensor, details: Any, name: str, quantization: Quantization) -> NDArray[np.float64]:
    """Scales or zero points of blocks, one per element. They are tensors of the same subgraph; -1 = all zero."""
    import numpy as np

    index = details[name]
    if index < 0 and name == "zero_points":
        return np.zeros((), np.float64)
    tensors = tensor.subgraph.tensors
    if not 0 <= index < len(tensors):
        raise CorruptFileError(f"{name} names tensor {index}, there are {len(tensors)}.", path=tensor.path)
    values = np.asarray(tensors[index].numpy()).astype(np.float64)
    shape, block = tensor.shape, details["block_size"]
    if values.ndim != len(shape):
        if quantization.kind == "multi-axis" and values.ndim == len(details["quantized_dimensions"] or ()):
            axes = list(details["quantized_dimensions"])
            values = values.reshape([values.shape[axes.index(i)] if i in axes else 1 for i in range(len(shape))])
        elif len(shape) and block and values.size == elements(shape) // block:
            values = values.reshape(*shape[:-1], shape[-1] // block)
    if values.ndim != len(shape) or any(n == 0 or d % n for d, n in zip(shape, values.shape, strict=True)):
        raise CorruptFileError(f"{name} of shape {list(values.shape)} do not fit {list(shape)}.", path=tensor.path)
    for axis, (size, count) in enumerate(zip(shape, values.shape, strict=True)):
        if count not in (1, size):
            values = np.repeat(values, size // count, axis)
    return values


def store(tensor: Tensor, value: Any) -> None:
    """Replaces the constant of a tensor; see ``Tensor.data``."""
    import numpy as np

    span = tensor._constant()
    try:
        array = np.asarray(value, None if tensor.dtype != "STRING" else object)
    except ValueError as error:
        raise InvalidValueError(f"is no array: {error}", path=tensor.path) from None
    if array.shape != tensor.shape:
        raise InvalidValueError(
            f"shape {list(tensor.shape)} is wanted, not {list(array.shape)}.",
            path=tensor.path,
            hint="Reshape the array.",
        )
    if tensor.dtype == "STRING":
        data: bytes = pack_strings(array.reshape(-1).tolist(), tensor.path)
    else:
        if array.dtype != tensor.numpy_dtype:
            raise InvalidTypeError(
                f"{tensor.dtype} is wanted ({tensor.numpy_dtype}), not {array.dtype}.",
                path=tensor.path,
                hint=f"Convert it yourself: array.astype({tensor.numpy_dtype.name!r})",
            )
        check_values(tensor, array)
        if tensor.is_sparse:
            limit = tensor.subgraph.model.memory_limit()
            array = sparsify(array, tensor._table["sparsity"], f"{tensor.path}.sparsity", limit)
        data = pack_bits(array, tensor.dtype) if is_packed(tensor) else np.ascontiguousarray(array).tobytes()
    _own_buffer(tensor, span).data = data


def store_span(tensor: Tensor, new: Span) -> None:
    """Replaces the stored bytes of a tensor, unless they are the same; ``save`` carries the new ones over."""
    span = tensor._constant()
    if not span.holds(new):
        _own_buffer(tensor, span).refer(new)


def _own_buffer(tensor: Tensor, span: Span) -> Buffer:
    """The buffer for a new constant. A file beside the model stays as it is: the constant moves into the model."""
    if span.where == "external":
        tensor._table.buffer = tensor.subgraph.model._append_buffer(b"")
        tensor._table.external_buffer = 0
    return tensor.buffer
