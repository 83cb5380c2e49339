"""Files of PyTorch: ``.pth`` with a dictionary of tensors, and nothing else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from unlite.errors import MissingExtraError, UnliteError, UnsupportedFormatError
from unlite.model.formats.weight_files import WriteReport, write_file
from unlite.model.values.dtypes import numpy_dtype
from unlite.storage.memory_limit import MemoryLimit, byte_count
from unlite.storage.paths import checked_path

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


WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "network", "net")
"""Keys under which training programs keep the state of a network, the usual one first."""


def read_pth(path: str | os.PathLike[str], *, limit: int | str | None = None) -> dict[str, NDArray[np.generic]]:
    """The arrays of a dictionary of tensors. Nothing in the file is run.

    The dictionary may lie inside another one, as training programs save it: ``{"state_dict": ..., "epoch": 3}``.

    Args:
        path: The file.
        limit: Bytes of memory that it may ask for, as for ``unlite.open``.

    Raises:
        MissingExtraError: PyTorch is not installed.
        UnsupportedFormatError: the file is something else.
        MemoryLimitError: it asks for far more memory than its size warrants.
    """
    torch = _torch()
    target = checked_path(path)
    from warnings import catch_warnings, simplefilter

    memory = _memory(target, byte_count(limit))
    try:
        with catch_warnings():
            simplefilter("ignore")  # of other versions of the format; what cannot be read is an error all the same
            loaded = torch.load(target, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UnliteError(f"cannot be opened: {error.strerror or error}.", file=target) from error
    except Exception as error:  # zipfile, pickle and PyTorch read damaged files in their own ways
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UnsupportedFormatError(f"is no file of tensors: {reason}", file=target) from error
    tensors = _tensors(torch, loaded)
    if tensors is None:
        raise UnsupportedFormatError(
            "holds more than a dictionary of tensors.",
            file=target,
            hint="Save the state_dict() alone: torch.save(net.state_dict(), F).",
        )
    for key, tensor in tensors.items():
        memory.spend(tensor.numel() * tensor.element_size(), f"the tensors, with {key!r:.60},", key)
    return {key: _from_torch(torch, tensor, target) for key, tensor in tensors.items()}


def _memory(path: str, limit: int | None) -> MemoryLimit:
    """What the file may ask for; its compressed parts, if it has any, are counted at once."""
    from zipfile import ZipFile, is_zipfile

    try:
        size = os.path.getsize(path)
    except OSError as error:
        raise UnliteError(f"cannot be opened: {error.strerror or error}.", file=path) from error
    memory = MemoryLimit(size, limit, path)
    try:
        if not is_zipfile(path):
            return memory
        with ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except Exception:  # noqa: BLE001 - it is damaged, which PyTorch is about to say
        return memory
    memory.check(unpacked, "the unpacked file")
    return memory


def _tensors(torch: Any, loaded: Any) -> dict[str, Any] | None:
    """The dictionary of tensors in what was saved; None where there is none, or it is not clear which."""
    if not isinstance(loaded, dict):
        return None
    if all(isinstance(key, str) and torch.is_tensor(value) for key, value in loaded.items()):
        return loaded
    inside = {key: found for key, value in loaded.items() if value and (found := _tensors(torch, value)) is not None}
    for key in WRAPPERS:
        if key in inside:
            return inside[key]
    return next(iter(inside.values())) if len(inside) == 1 else None


def _from_torch(torch: Any, tensor: Any, file: str) -> NDArray[np.generic]:
    name = str(tensor.dtype).removeprefix("torch.")
    plain = tensor.detach().resolve_conj().resolve_neg() if tensor.layout == torch.strided else tensor
    try:
        if name in _BITS:
            bits, dtype = _BITS[name]
            return plain.contiguous().view(getattr(torch, bits)).numpy().view(numpy_dtype(dtype, file))  # type: ignore[no-any-return]
        return plain.numpy()  # type: ignore[no-any-return]
    except (TypeError, RuntimeError, ValueError) as error:  # sparse, quantized, without values
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise UnsupportedFormatError(f"a tensor of type {name} is not read: {reason}.", file=file) from error
