"""The bytes of single values: scalars, vectors of scalars, structs, strings; each checked against its field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct as Layout
from struct import error as struct_error
from typing import TYPE_CHECKING, Any

from unlite.errors import InvalidTypeError, InvalidValueError
from unlite.flatbuffers import schema as s
from unlite.flatbuffers import view as v
from unlite.flatbuffers.nodes import Late
from unlite.flatbuffers.wire import U32, U64

if TYPE_CHECKING:
    from unlite.flatbuffers.schema import Field, Object


def is_default(field: Field, value: object) -> bool:
    """Whether a writer may leave the scalar out."""
    if field.default is None or isinstance(value, Late):
        return False
    number = field.enum.number(value) if field.enum is not None and isinstance(value, (str, int)) else value
    # -0.0 == 0.0, but it is another value.
    return number == field.default and not (isinstance(number, float) and str(number) != str(float(field.default)))


KINDS = {
    s.U_TYPE: "a union's type",
    s.BOOL: "a bool",
    s.BYTE: "8 bits",
    s.U_BYTE: "8 bits without sign",
    s.SHORT: "16 bits",
    s.U_SHORT: "16 bits without sign",
    s.INT: "32 bits",
    s.U_INT: "32 bits without sign",
    s.LONG: "64 bits",
    s.U_LONG: "64 bits without sign",
    s.FLOAT: "a 32-bit float",
    s.DOUBLE: "a 64-bit float",
}
"""What messages call the types of scalars."""


def pack_scalar(field: Field, base: int, value: object, path: str) -> bytes:
    """A scalar's bytes. Raises InvalidValueError or InvalidTypeError where the value does not fit."""
    number: Any = value
    if field.enum is not None and isinstance(value, (str, int)):
        number = field.enum.number(value)
        if number is None:
            names = list(field.enum.values)
            shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
            raise InvalidValueError(f"{value!r} is no {field.enum.name}.", path=path, hint=f"It has: {shown}.")
    if base == s.BOOL:
        try:
            is_truth = number in (0, 1)
        except ValueError:  # an array
            is_truth = False
        if not is_truth:
            raise InvalidTypeError(f"true or false is wanted, not {value!r:.60}.", path=path)
        return b"\1" if number else b"\0"
    try:
        if base not in (s.FLOAT, s.DOUBLE):
            number = number.__index__()
        return s.SCALARS[base].pack(number)
    except (struct_error, OverflowError):
        raise InvalidValueError(f"{value!r:.60} does not fit {KINDS[base]}.", path=path) from None
    except (AttributeError, TypeError):
        raise InvalidTypeError(f"a number is wanted, not {value!r:.60}.", path=path) from None


def pack_scalars(field: Field, value: Any, path: str) -> bytes | memoryview:
    """Bytes of a vector of scalars: from a buffer of the right element size, an array, or a sequence of values."""
    base, (size, _) = field.type.element, field.element()
    if isinstance(value, (bytes, bytearray, memoryview)):
        data = value if isinstance(value, bytes) else memoryview(value)
        if isinstance(data, memoryview):  # what it can't cast, empty or with gaps, is copied
            data = data.cast("B") if data.nbytes and data.c_contiguous else memoryview(data.tobytes())
        if len(data) % size:
            raise InvalidValueError(f"{len(data)} bytes are no whole number of elements of {size} bytes.", path=path)
        return data
    if hasattr(value, "dtype") and hasattr(value, "tobytes"):
        dtype = v.NUMPY_CODES[v.CODES[base]]
        if not (value.dtype == dtype or base == s.U_BYTE):
            raise InvalidTypeError(f"elements of type {dtype} are wanted, not {value.dtype}.", path=path)
        return memoryview(value.tobytes())
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise InvalidTypeError(f"a list of numbers is wanted, not {value!r:.60}.", path=path)
    if field.enum is None and base != s.BOOL:
        try:
            return Layout(f"<{len(value)}{v.CODES[base]}").pack(*value)
        except (struct_error, OverflowError, TypeError):
            pass  # said precisely, with the index, below
    return b"".join(pack_scalar(field, base, entry, f"{path}[{i}]") for i, entry in enumerate(value))


def vector_head(field: Field, count: int) -> tuple[bytes, int]:
    """The count in front of a vector, and the alignment of its elements."""
    wide = field.type.base == s.VECTOR64
    align = max(8 if wide else 4, field.element()[1], field.align, 16 if field.nested else 1)
    return (U64 if wide else U32).pack(count), align


def pack_struct(owner: Object, value: Any, path: str) -> bytes:
    """A struct's bytes, from a view (copied) or a dict that has all its fields."""
    if isinstance(value, v.Struct):
        return bytes(value._wire.source.view(value._position, owner.bytesize))
    if not isinstance(value, Mapping) or set(value) != set(owner.by_name):
        raise InvalidValueError(f"{owner.name} needs exactly these fields: {', '.join(owner.by_name)}.", path=path)
    data = bytearray(owner.bytesize)
    for field in owner.fields:
        name = join(path, field.name)
        data[field.offset : field.offset + field.inline()[0]] = _struct_field(field, value[field.name], name)
    return bytes(data)


def _struct_field(field: Field, value: Any, path: str) -> bytes:
    base = field.type.base
    if base == s.OBJ and field.object is not None:
        return pack_struct(field.the_object, value, path)
    if base != s.ARRAY:
        return pack_scalar(field, base, value, path)
    if not isinstance(value, Sequence) or len(value) != field.type.fixed_length:
        raise InvalidValueError(f"exactly {field.type.fixed_length} entries are wanted.", path=path)
    if field.type.element in s.SCALARS:
        return bytes(pack_scalars(field, value, path))
    return b"".join(pack_struct(field.the_object, entry, f"{path}[{i}]") for i, entry in enumerate(value))


def encode(text: str, path: str) -> bytes:
    """UTF-8, with the bytes that a reader could not decode put back."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise InvalidValueError(f"cannot be stored as UTF-8: {error.reason}.", path=path) from None


def join(path: str, name: str) -> str:
    """The path of a field."""
    return f"{path}.{name}" if path else name
