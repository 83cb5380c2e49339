"""``operators[3].custom_options.KEY=VALUE``: one value inside a custom operator's FlexBuffer."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from unlite.errors import InvalidTypeError, InvalidValueError, NoSuchIndexError, NoSuchKeyError
from unlite.flatbuffers.flexbuffers import TypedVector, decode, encode, is_flexbuffer, locate
from unlite.model.setting.path_values import json_value, string_value

if TYPE_CHECKING:
    from unlite.flatbuffers.flexbuffers import Scalar
    from unlite.model.objects.operator import Operator


class CustomOptions(NamedTuple):
    """A place in the options of a custom operator.

    Attributes:
        operator: The operator.
        keys: Keys of maps and indices of vectors that lead to it.
    """

    operator: Operator
    keys: tuple[str | int, ...] = ()

    def inside(self, key: str | int) -> CustomOptions:
        """The place one step further in."""
        return CustomOptions(self.operator, (*self.keys, key))

    def set(self, text: str) -> None:
        """Assigns what a text means: JSON, or words without quotes where text stands now; ``null`` takes a key out.

        A number keeps its type and, where it fits, its width, so that no other byte changes.

        Raises:
            InvalidTypeError, InvalidValueError: the options are no FlexBuffer, or the value is of another type.
            NotFoundError: there is no such key or index.
        """
        operator = self.operator
        if not operator.custom:
            raise InvalidTypeError(
                f"{operator.name} is a builtin operator.", path=operator.path, hint="Its options: options.FIELD=VALUE"
            )
        data = bytes(operator.custom_options_bytes)
        if not data or not is_flexbuffer(data):
            raise InvalidTypeError(
                f"the custom options, {len(data)} bytes, are no FlexBuffer: they have no keys.",
                path=operator.path,
                hint="Replace all bytes: custom_options=@FILE",
            )
        root = decode(data)
        owner, key = self._owner(root)
        old = owner[key]
        if text == "null" and isinstance(owner, dict):
            del owner[key]
            operator.custom_options = root
            return
        new = _like(old, text)
        if isinstance(old, (bool, int, float)) and (patched := _patched(data, locate(data, *self.keys), new)):
            operator.custom_options = patched
            return
        owner[key] = new
        operator.custom_options = encode(root)

    def _owner(self, root: Any) -> tuple[Any, Any]:
        """The map or vector that the last key leads into, and that key."""
        at = root
        for place, key in enumerate(self.keys):
            if isinstance(at, dict) and str(key) not in at:
                raise NoSuchKeyError(
                    f"the custom options have no key {str(key)!r:.60}.",
                    path=self.operator.path,
                    hint=f"There are: {', '.join(list(at)[:20])}." if at else "There is none at all.",
                )
            if isinstance(at, list) and not (isinstance(key, int) and -len(at) <= key < len(at)):
                raise NoSuchIndexError(f"there is no entry {key!r:.60}, only {len(at)}.", path=self.operator.path)
            if not isinstance(at, (dict, list)):
                raise InvalidTypeError(f"{key!r:.60} stands behind a plain value.", path=self.operator.path)
            found: Any = str(key) if isinstance(at, dict) else key
            if place == len(self.keys) - 1:
                return at, found
            at = at[found]
        raise InvalidTypeError("a key is wanted.", path=self.operator.path, hint="Such as: custom_options.KEY=VALUE")


def _like(old: Any, text: str) -> Any:
    """The value of a text, of the type of the present one."""
    if isinstance(old, str):
        return string_value(text)
    new = json_value(text)
    if isinstance(old, bool) or isinstance(new, bool):
        fits = isinstance(old, bool) and isinstance(new, bool)
    elif isinstance(old, float):
        fits = isinstance(new, (int, float))
        new = float(new) if fits else new
    elif isinstance(old, int):
        fits = isinstance(new, int)
    elif isinstance(old, bytes):
        fits = isinstance(new, list) and all(type(byte) is int and 0 <= byte < 256 for byte in new)
        new = bytes(new) if fits else new
    else:
        fits = old is None or isinstance(new, type(old) if not isinstance(old, list) else list)
        if fits and isinstance(old, TypedVector):
            new = TypedVector(new, old.kind, fixed=old.fixed)
    if not fits:
        raise InvalidTypeError(f"a {type(old).__name__} stands there, which {text!r:.60} is not.")
    return new


def _patched(data: bytes, place: Scalar, value: float) -> bytes | None:
    """The options with another number in the same bytes; None where it does not fit them."""
    try:
        if place.kind == "float":
            packed = struct.pack("<f" if place.width == 4 else "<d", value)
        else:
            packed = int(value).to_bytes(place.width, "little", signed=place.kind == "int")
    except (OverflowError, struct.error):
        return None
    if len(packed) != place.width:
        raise InvalidValueError(f"a number of {place.width} bytes cannot be assigned.")
    return data[: place.position] + packed + data[place.position + place.width :]
