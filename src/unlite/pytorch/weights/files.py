"""Files of PyTorch: ``.pth`` with a dictionary of tensors, and nothing else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from unlite.errors import MissingExtraError, UnliteError, UnsupportedFormatError
from unlite.model.formats.weight_files import WriteReport, write_file
from unlite.model.values.dtypes import numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from unlite.model.objects.tensor import Tensor

# What NumPy and PyTorch have no common type for goes over as integers of the same width.
_BITS = {
    "bfloat16": ("int16", "BFLOAT16"),
    "float8_e4m3fn": ("uint8", "FLOAT8_E4M3FN"),
    "float8_e5m2": ("uint8", "FLOAT8_E5M2"),
}


def _torch() -> Any:
    from importlib import import_module

    try:
        return import_module("torch")
    except ImportError:
        raise MissingExtraError("torch", extra="torch", purpose="reading and writing .pth") from None


def write_pth(weights: Iterable[tuple[str, Tensor, NDArray[Any]]], path: str | os.PathLike[str]) -> WriteReport:
    """Writes arrays as a dictionary of tensors, in the order in which they come.

    Args:
        weights: What ``read_weights`` gives.
        path: Where to.

    Raises:
        MissingExtraError: PyTorch is not installed.
        SaveError: the file cannot be written; an old one is still whole.
    """
    torch = _torch()
    target = os.fspath(path)
    skipped: dict[str, str] = {}
    tensors: dict[str, Any] = {}
    for key, tensor, values in weights:
        if values.dtype.hasobject:
            skipped[key] = tensor.dtype
        else:
            tensors[key] = _to_torch(torch, values)
    size = write_file(target, lambda file: torch.save(tensors, file))
    return WriteReport(target, len(tensors), size, skipped, [])


def _to_torch(torch: Any, values: NDArray[Any]) -> Any:
    import numpy as np

    own = np.array(values, order="C")  # PyTorch wants memory that may be written
    if own.dtype.name in _BITS:
        bits, _ = _BITS[own.dtype.name]
        return torch.from_numpy(own.view(bits)).view(getattr(torch, own.dtype.name))
    return torch.from_numpy(own)


def read_pth(path: str | os.PathLike[str]) -> dict[str, NDArray[np.generic]]:
    """The arrays of a dictionary of tensors. Nothing in the file is run: anything but tensors is refused.

    Raises:
        MissingExtraError: PyTorch is not installed.
        UnsupportedFormatError: the file is something else.
    """
    torch = _torch()
    target = os.fspath(path)
    from pickle import UnpicklingError
    from warnings import catch_warnings, simplefilter

    try:
        with catch_warnings():
            simplefilter("ignore")  # of other versions of the format; what cannot be read is an error all the same
            loaded = torch.load(target, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UnliteError(f"cannot be opened: {error.strerror}.", file=target) from error
    except (
        UnpicklingError,
        RuntimeError,
        ValueError,
        EOFError,
        KeyError,
        AttributeError,
        ImportError,
        TypeError,
    ) as error:
        reason = str(error).partition("\n")[0]
        raise UnsupportedFormatError(f"is no file of tensors: {reason}", file=target) from error
    if not isinstance(loaded, dict) or not all(
        isinstance(key, str) and torch.is_tensor(t) for key, t in loaded.items()
    ):
        raise UnsupportedFormatError(
            "holds more than a dictionary of tensors.",
            file=target,
            hint="Save the state_dict() alone: torch.save(net.state_dict(), F).",
        )
    return {key: _from_torch(torch, tensor, target) for key, tensor in loaded.items()}


def _from_torch(torch: Any, tensor: Any, file: str) -> NDArray[np.generic]:
    name = str(tensor.dtype).removeprefix("torch.")
    plain = tensor.detach().resolve_conj().resolve_neg() if tensor.layout == torch.strided else tensor
    try:
        if name in _BITS:
            bits, dtype = _BITS[name]
            return plain.contiguous().view(getattr(torch, bits)).numpy().view(numpy_dtype(dtype, file))  # type: ignore[no-any-return]
        return plain.numpy()  # type: ignore[no-any-return]
    except TypeError as error:
        raise UnsupportedFormatError(f"tensors of type {name} are not read: {error}.", file=file) from error
