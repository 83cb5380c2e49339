"""PyTorch's element types for those of the schema."""

from __future__ import annotations

import torch

from unlite.errors import UnsupportedOperatorError

TORCH: dict[str, torch.dtype] = {
    "FLOAT32": torch.float32,
    "FLOAT16": torch.float16,
    "INT32": torch.int32,
    "UINT8": torch.uint8,
    "INT64": torch.int64,
    "BOOL": torch.bool,
    "INT16": torch.int16,
    "COMPLEX64": torch.complex64,
    "INT8": torch.int8,
    "FLOAT64": torch.float64,
    "COMPLEX128": torch.complex128,
    "UINT64": torch.uint64,
    "UINT32": torch.uint32,
    "UINT16": torch.uint16,
    "INT4": torch.int8,
    "UINT4": torch.uint8,
    "INT2": torch.int8,
    "BFLOAT16": torch.bfloat16,
    "FLOAT8_E4M3FN": torch.float8_e4m3fn,
    "FLOAT8_E5M2": torch.float8_e5m2,
}
"""Schema name -> type of the unpacked values. STRING, RESOURCE and VARIANT have none."""


def torch_dtype(dtype: str, place: str) -> torch.dtype:
    """PyTorch's type. Raises UnsupportedOperatorError for types that PyTorch has no values for."""
    if dtype not in TORCH:
        raise UnsupportedOperatorError(f"PyTorch has no tensors of type {dtype}.", operators=(place,), path=place)
    return TORCH[dtype]


def limits(kind: torch.dtype, *, integers_only: bool = False) -> torch.iinfo | torch.finfo:
    """The smallest and largest number of a type. Raises ValueError for a type that has none, which no kernel takes."""
    if kind.is_floating_point and not integers_only:
        return torch.finfo(kind)
    if kind.is_floating_point or kind.is_complex or kind == torch.bool:
        raise ValueError(f"{str(kind).removeprefix('torch.')} is a type that it does not take")
    return torch.iinfo(kind)
