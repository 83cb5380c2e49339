"""Values in ``PATH=VALUE``: what a text means for the field that it is assigned to.

JSON for everything; words without quotes for strings and enums; ``null`` takes a field out. For data ``@FILE``: a
``.npy``, or bytes as they are; and the functions of ``functions``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from unlite.errors import InvalidTypeError, InvalidValueError, NoSuchIndexError, UnliteError
from unlite.flatbuffers import schema as s
from unlite.model.values.constants import is_packed
from unlite.model.values.packing import unpack_bits, unpack_strings
from unlite.model.values.plain_values import read_npy
from unlite.model.values.requantize import has_real_values
from unlite.storage.paths import checked_path, read_unmapped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from unlite.flatbuffers.schema import Field
    from unlite.model.objects.tensor import Tensor


def json_value(text: str) -> Any:
    """The value of a JSON text. Raises InvalidValueError."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidValueError(
            f"{text!r:.60} cannot be read: {error}.", hint="Values are JSON, as in [1, 2] or 0.5 or true."
        ) from None


def string_value(text: str) -> str | None:
    """A string: in JSON's quotes, or plain; None for ``null``."""
    if text == "null":
        return None
    value = json_value(text) if text.startswith('"') else text
    if not isinstance(value, str):
        raise InvalidTypeError(f"text is wanted, not {text!r:.60}.")
    return value


def field_value(field: Field, text: str, *, element: bool = False) -> Any:
    """What a text means for a field, or for one element of its vector; None takes the field out."""
    base = field.type.element if element else field.type.base
    if base == s.STRING:
        return string_value(text)
    if field.enum is not None and base in s.SCALARS and not text.startswith('"'):
        try:
            return json_value(text)
        except InvalidValueError:
            return text  # a name
    if text.startswith("@") and field.type.element in s.SCALARS and not element:
        if text.endswith(".npy"):
            return load_npy(text[1:]).reshape(-1)
        return read_bytes(text[1:])
    return json_value(text)


def content_bytes(text: str) -> Any:
    """Bytes: of a file, of an array in a ``.npy``, of a JSON list, or of a text in UTF-8; None for ``null``."""
    if text.startswith("@"):
        if not text.endswith(".npy"):
            return read_bytes(text[1:])
        plain = read_npy(text[1:])
        return load_npy(text[1:]).tobytes() if plain is None else bytes(plain.span.view())
    if text.startswith("["):
        try:
            return bytes(json_value(text))
        except (TypeError, ValueError) as error:
            raise InvalidValueError(f"a list of bytes, 0 to 255, is wanted: {error}.") from None
    value = string_value(text)
    return None if value is None else value.encode("utf-8", "surrogateescape")


def read_bytes(path: str) -> bytes:
    """The content of a file. Raises UnliteError."""
    try:
        with open(checked_path(path), "rb") as file:
            return read_unmapped(file, path)
    except OSError as error:
        raise UnliteError(f"cannot be opened: {error.strerror or error}.", file=path) from error


def load_npy(path: str) -> NDArray[Any]:
    """The array in a ``.npy``, mapped. Arrays of Python objects are refused. Raises UnliteError, InvalidValueError."""
    import numpy as np

    try:
        array = np.lib.format.open_memmap(checked_path(path), mode="r")
    except OSError as error:
        raise UnliteError(f"cannot be opened: {error.strerror or error}.", file=path) from error
    except Exception as error:  # NumPy's parser has errors of its own for damaged headers
        raise InvalidValueError(f"is no .npy that can be read: {error}", file=path) from error
    return array


def new_values(tensor: Tensor, text: str, several: bool) -> tuple[NDArray[np.generic], int] | None:
    """The array to store in a tensor, and how many values were clipped; None where the tensor holds just that.

    Args:
        tensor: A constant.
        text: ``@FILE``, a function, or JSON.
        several: Only a function makes sense, because several tensors are meant.
    """
    from unlite.model.formats.weights import prepare
    from unlite.model.setting.functions import apply, parse, usage

    steps = parse(text)
    if steps is not None:
        return apply(tensor, steps)
    if several:
        raise InvalidValueError(
            f"only a function can change several tensors, not {text!r:.60}.", hint=f"Functions are: {usage()}."
        )
    array = _array(tensor, text)
    if array.shape != tensor.shape:
        raise InvalidValueError(f"shape {list(tensor.shape)} is wanted, not {list(array.shape)}.", path=tensor.path)
    return prepare(tensor, array)


def new_elements(tensor: Tensor, indices: tuple[int, ...], text: str) -> tuple[NDArray[np.generic], int] | None:
    """The array to store where one element, or the part that indices lead to, is to change; as ``new_values``.

    Args:
        tensor: A constant.
        indices: One for each axis, or fewer, from the first axis on.
        text: ``@FILE.npy`` or JSON. Integers are stored values, numbers with a point are real ones.

    Raises:
        NoSuchIndexError: an index is past the end of its axis, or there are too many.
    """
    from unlite.model.formats.weights import prepare

    shape = tensor.shape
    fits = len(indices) <= len(shape) and all(-n <= i < n for i, n in zip(indices, shape, strict=False))
    if not fits:
        raise NoSuchIndexError(f"there is no element {list(indices)} in {list(shape)}.", path=tensor.path)
    old = tensor.numpy()
    part = _array(tensor, text)
    if part.shape != shape[len(indices) :]:
        raise InvalidValueError(
            f"shape {list(shape[len(indices) :])} is wanted there, not {list(part.shape)}.",
            path=tensor.path,
            hint="An index for each axis leads to one number, as in data[0][1]=5.",
        )
    real = part.dtype != old.dtype and part.dtype.kind == "f" and has_real_values(tensor)
    whole: NDArray[Any] = (tensor.dequantize() if real else old).copy()
    if not real and part.dtype != old.dtype:
        raise InvalidTypeError(f"{tensor.dtype} is wanted, not {text!r:.60}.", path=tensor.path)
    whole[indices] = part if part.ndim or part.dtype.hasobject is False else part.item()
    return prepare(tensor, whole)


def _array(tensor: Tensor, text: str) -> NDArray[Any]:
    import numpy as np

    if text.startswith("@"):
        return load_npy(text[1:]) if text.endswith(".npy") else _decoded(tensor, read_bytes(text[1:]))
    try:
        value = json_value(text)
    except InvalidValueError:
        from unlite.model.setting.functions import usage

        raise InvalidValueError(
            f"{text!r:.60} is no new content of a tensor.",
            hint=f"It is @FILE.npy, numbers as JSON, or one of: {usage()}.",
        ) from None
    if tensor.dtype == "STRING":
        return np.array(value, object)
    try:
        array = np.array(value)
        if array.dtype.kind == "f" and np.dtype(tensor.numpy_dtype) != array.dtype:
            with np.errstate(over="ignore"):
                narrow = array.astype("f4")
            if (np.isinf(narrow) & np.isfinite(array)).any():
                raise OverflowError("a number is beyond what FLOAT32 holds")
            return narrow
        exact = array.astype(tensor.numpy_dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidValueError(
            f"{text!r:.60} holds no numbers for {tensor.dtype}: {error}.", path=tensor.path
        ) from None
    if array.dtype.kind not in "biuf" or not (exact == array).all():
        raise InvalidValueError(f"{text!r:.60} does not fit {tensor.dtype}.", path=tensor.path)
    return exact


def _decoded(tensor: Tensor, data: bytes) -> NDArray[Any]:
    """The values that stored bytes stand for."""
    import numpy as np

    if tensor.is_sparse:
        raise InvalidTypeError("a sparse tensor takes its values dense, from a .npy.", path=tensor.path)
    if tensor.dtype == "STRING":
        values = np.empty(tensor.shape, object)
        strings = unpack_strings(memoryview(data), tensor.path)
        if len(strings) != values.size:
            raise InvalidValueError(f"{values.size} strings are wanted, not {len(strings)}.", path=tensor.path)
        values.reshape(-1)[:] = strings
        return values
    if len(data) != tensor.nbytes:
        raise InvalidValueError(f"{tensor.nbytes} bytes are wanted, not {len(data)}.", path=tensor.path)
    if is_packed(tensor):
        count = int(np.prod(tensor.shape, dtype=np.int64))
        return unpack_bits(memoryview(data), tensor.dtype, count).reshape(tensor.shape)
    return np.frombuffer(data, tensor.numpy_dtype).reshape(tensor.shape)
