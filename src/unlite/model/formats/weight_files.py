"""Files of weights: ``.npz`` and ``.safetensors``, written array by array and read array by array.

``.npz`` has no type for BFLOAT16 and FLOAT8: they stand there as float32, which holds them exactly.
``.safetensors``: u64 length of the header, header (JSON: name -> dtype, shape, data_offsets), values; all of it
little-endian. Written here, because the library wants all arrays in memory at once; read behind the library's checks,
because it has no NumPy type for FLOAT8. Source: the README of huggingface/safetensors.
"""

from __future__ import annotations

import json
import os
from math import prod
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from unlite.errors import CorruptFileError, InvalidValueError, UnliteError, UnsupportedFormatError
from unlite.model.formats.weights import Axes, LazyArrays, in_turn, keyed_constants, read_weights, values_of
from unlite.model.model import open_model
from unlite.model.values.constants import check_shape
from unlite.model.values.dtypes import WIDEST, numpy_dtype
from unlite.model.values.requantize import has_real_values
from unlite.storage.atomic import write_atomically
from unlite.storage.memory_limit import MemoryLimit, byte_count
from unlite.storage.paths import checked_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from unlite.model.objects.tensor import Tensor
    from unlite.storage.sink import Sink

WIDENED = ("BFLOAT16", "FLOAT8_E4M3FN", "FLOAT8_E5M2")
TENSORS, LAYOUT = "unlite.tensors", "unlite.layout"
"""Keys of the header of a .safetensors: JSON of key -> tensor, such as ``subgraphs[0].tensors[3]``; order of axes."""

_DTYPES = {
    "f8": "F64",
    "f4": "F32",
    "f2": "F16",
    "i8": "I64",
    "i4": "I32",
    "i2": "I16",
    "i1": "I8",
    "u8": "U64",
    "u4": "U32",
    "u2": "U16",
    "u1": "U8",
    "b1": "BOOL",
    "c8": "C64",
}
_LOW_DTYPES = {"bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2"}
_TENSOR_TYPES = {"BF16": "BFLOAT16", "F8_E4M3": "FLOAT8_E4M3FN", "F8_E5M2": "FLOAT8_E5M2"}


class WriteReport(NamedTuple):
    """What was written.

    Attributes:
        path: The file.
        arrays: Number of arrays.
        size: Length of the file in bytes.
        skipped: Keys of constants that the file's format cannot hold, with their types.
        widened: Keys of constants that stand there as float32, because the format has no such type.
    """

    path: str
    arrays: int
    size: int
    skipped: dict[str, str]
    widened: list[str]


def write_weights(
    model: Any,
    path: str | os.PathLike[str],
    *,
    dequantize: bool = False,
    axes: Axes | None = None,
    layout: str = "tflite",
    advance: Callable[[int], object] = lambda _: None,
) -> WriteReport:
    """Writes all constants of a model into a ``.npz`` or ``.safetensors``.

    Args:
        model: A model, a path or bytes.
        path: Where to; its ending says which format.
        dequantize: Real values (float32) of quantized and float tensors.
        axes: Gives the order in which each tensor's axes are wanted.
        layout: What that order is called, for the header of a ``.safetensors``.
        advance: Told the bytes of each array that was written.

    Raises:
        UnsupportedFormatError: the path ends in something else.
        SaveError: the file cannot be written; an old one is still whole.
    """
    target = os.fspath(path)
    model = open_model(model)
    if target.endswith(".npz"):
        return _write_npz(target, read_weights(model, dequantize=dequantize, axes=axes), advance)
    if target.endswith(".safetensors"):
        return _write_safetensors(target, model, dequantize, axes, layout, advance)
    raise UnsupportedFormatError(
        "weights are written to files that end in .npz, .safetensors or .pth.", file=target, hint="Choose one of them."
    )


def write_file(path: str, write: Callable[[IO[bytes]], object]) -> int:
    """Writes a file through a file object, which may seek, so that all of it is there or nothing; its length."""

    def through(sink: Sink) -> None:
        # Formats with a directory at the end, as ZIP is, go back to fill in sizes that some readers rely on.
        with os.fdopen(os.dup(sink._descriptor), "wb") as file:  # type: ignore[attr-defined]  # a FileSink
            write(file)

    write_atomically(path, through)
    return os.path.getsize(path)


def _write_npz(
    path: str, weights: Iterator[tuple[str, Tensor, NDArray[Any]]], advance: Callable[[int], object]
) -> WriteReport:
    skipped: dict[str, str] = {}
    widened: list[str] = []
    count = 0

    def write(file: IO[bytes]) -> None:
        nonlocal count
        from zipfile import ZipFile

        import numpy as np

        with ZipFile(file, "w") as archive:
            for key, tensor, values in weights:
                if values.dtype.hasobject:
                    skipped[key] = tensor.dtype
                    continue
                if tensor.dtype in WIDENED and values.dtype != np.dtype("f4"):
                    values = values.astype("f4")  # noqa: PLW2901 - the same values
                    widened.append(key)
                with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asarray(values, order="C"), allow_pickle=False)
                advance(tensor.nbytes)
                count += 1

    size = write_file(path, write)
    return WriteReport(path, count, size, skipped, widened)


def _write_safetensors(
    path: str, model: Any, dequantize: bool, axes: Axes | None, layout: str, advance: Callable[[int], object]
) -> WriteReport:
    skipped: dict[str, str] = {}
    plan: dict[str, tuple[str, tuple[int, ...], np.dtype[Any]]] = {}
    constants = keyed_constants(model)
    for key, tensor, _ in constants.values():
        real = dequantize and has_real_values(tensor)
        dtype = numpy_dtype("FLOAT32" if real else tensor.dtype, tensor.path)
        name = _LOW_DTYPES.get(dtype.name) or _DTYPES.get(f"{dtype.kind}{dtype.itemsize}")
        if name is None:
            skipped[key] = tensor.dtype
            continue
        order = axes(tensor) if axes is not None else None
        shape = tensor.shape if order is None else tuple(tensor.shape[axis] for axis in order)
        plan[key] = name, shape, dtype
    # The widest first, so that each array is aligned.
    plan = dict(sorted(plan.items(), key=lambda entry: -entry[1][2].itemsize))
    tensors = {key: constants[key].tensor.path for key in plan}

    def write(file: IO[bytes]) -> None:
        import numpy as np

        file.write(_header(plan, {TENSORS: json.dumps(tensors), LAYOUT: layout}))
        for _, tensor, _ in in_turn(constants[key] for key in plan):
            values = values_of(tensor, dequantize=dequantize, axes=axes)
            file.write(np.ascontiguousarray(values).reshape(-1).view("u1").data)
            advance(tensor.nbytes)

    size = write_file(path, write)
    return WriteReport(path, len(plan), size, skipped, [])


def _header(plan: dict[str, tuple[str, tuple[int, ...], np.dtype[Any]]], metadata: dict[str, str]) -> bytes:
    from struct import pack

    header: dict[str, object] = {"__metadata__": metadata}
    at = 0
    for key, (name, shape, dtype) in plan.items():
        size = prod(shape) * dtype.itemsize
        header[key] = {"dtype": name, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)
    return pack("<Q", len(text)) + text


def open_weights(path: str | os.PathLike[str], *, limit: int | str | None = None) -> WeightFile:
    """The arrays of a ``.npz`` or ``.safetensors``, read when they are asked for.

    Args:
        path: The file.
        limit: Bytes of memory that one array may take, as for ``unlite.open``.

    Raises:
        UnsupportedFormatError: it ends in something else, or is something else.
        CorruptFileError: it is damaged.
    """
    target = checked_path(path)
    if not os.path.isfile(target):
        raise UnliteError("is not there." if not os.path.exists(target) else "is no file.", file=target)
    if target.endswith((".npz", ".safetensors")):
        opened: WeightFile = NpzFile(target) if target.endswith(".npz") else SafetensorsFile(target)
        opened.limit = byte_count(limit)
        return opened
    raise UnsupportedFormatError("weights are read from .npz, .safetensors and .pth.", file=target)


class WeightFile(LazyArrays):
    """Arrays in a file.

    Attributes:
        path: The file.
        layout: What the order of axes is called, where the file says it: ``tflite`` or ``torch``.
        metadata: What the header of a ``.safetensors`` says beside its arrays.
        limit: Bytes of memory that one array may take; None for the rule of ``storage.memory_limit``.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.limit: int | None = None
        self.layout: str | None = None
        self.metadata: dict[str, str] = {}
        self._places: dict[str, Any] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def _memory(self) -> MemoryLimit:
        return MemoryLimit(os.path.getsize(self.path), self.limit, self.path)

    def _damaged(self, error: object) -> CorruptFileError:
        return CorruptFileError(
            f"is damaged: {error}.".replace("..", "."), file=self.path, hint="Write or fetch it again."
        )


class NpzFile(WeightFile):
    """A ``.npz``. Arrays of Python objects are refused."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        from zipfile import ZipFile

        try:
            self._archive = ZipFile(path)
        except Exception as error:  # zipfile reads damaged directories in its own ways
            raise UnsupportedFormatError(f"is no .npz: {_said(error)}.", file=path) from error
        for member in self._archive.infolist():
            if member.filename.endswith(".npy"):
                self._places[member.filename[:-4]] = member

    def _read(self, key: str, read: Callable[[Any], Any]) -> Any:
        member = self._places[key]
        try:
            with self._archive.open(member) as file:
                return read(file)
        except Exception as error:  # zipfile, its decompressors and NumPy's parser have errors of their own
            raise self._damaged(f"{member.filename!r}: {_said(error)}") from error

    def _header(self, key: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        shape, dtype = self._read(key, _npy_header)
        check_shape(shape, key)
        if dtype.hasobject or prod(shape) * dtype.itemsize > self._places[key].file_size:
            raise self._damaged(f"{key!r} claims to be {dtype} {list(shape)}")
        return shape, dtype

    def shape_of(self, key: str) -> tuple[int, ...]:
        return self._header(key)[0]

    def __getitem__(self, key: str) -> NDArray[Any]:
        import numpy as np

        shape, dtype = self._header(key)
        if dtype.itemsize > WIDEST:
            raise self._damaged(f"{key!r} holds no numbers")
        self._memory().check(prod(shape) * dtype.itemsize, f"the array {key!r:.60}, {list(shape)},", key)
        array: NDArray[Any] = self._read(key, lambda file: np.lib.format.read_array(file, allow_pickle=False))
        return array


def _said(error: Exception) -> str:
    """What an error of a library says, on one line; its name where that is all."""
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__


def _npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    from numpy.lib import format as npy

    version = npy.read_magic(file)
    shape, _, dtype = npy.read_array_header_1_0(file) if version == (1, 0) else npy.read_array_header_2_0(file)
    return tuple(shape), dtype


class SafetensorsFile(WeightFile):
    """A ``.safetensors``: its arrays are views of the mapped file."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        from struct import unpack

        from safetensors import SafetensorError, safe_open

        from unlite.storage.source import MappedFile

        try:
            with safe_open(path, framework="np") as checked:
                self.metadata = checked.metadata() or {}
                self.layout = self.metadata.get(LAYOUT)
        except (SafetensorError, OSError, ValueError) as error:
            raise UnsupportedFormatError(f"is no .safetensors: {_said(error)}.", file=path) from error
        self._source = MappedFile(path)
        (length,) = unpack("<Q", self._source.view(0, 8))
        header = json.loads(bytes(self._source.view(8, length)))
        header.pop("__metadata__", None)
        self._places = header
        self._start = 8 + length

    def shape_of(self, key: str) -> tuple[int, ...]:
        shape = tuple(self._places[key]["shape"])
        check_shape(shape, key)
        return shape

    def trim(self) -> None:
        self._source.trim()

    def __getitem__(self, key: str) -> NDArray[Any]:
        import numpy as np

        place = self._places[key]
        start, end = place["data_offsets"]
        name = place["dtype"]
        known = {code: dtype for dtype, code in _DTYPES.items()}
        if name in known:
            dtype: np.dtype[Any] = np.dtype(known[name]).newbyteorder("<")
        elif name in _TENSOR_TYPES:
            dtype = numpy_dtype(_TENSOR_TYPES[name], key)
        else:
            raise InvalidValueError(f"no tensor is of type {name}.", file=self.path, path=key)
        stored: NDArray[Any] = np.frombuffer(self._source.view(self._start + start, end - start), dtype)
        shaped: NDArray[Any] = stored.reshape(self.shape_of(key))
        return shaped
