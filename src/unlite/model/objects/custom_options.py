"""Options of a custom operator that are a FlexBuffer: read from the model at each access, changed by key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, MutableSequence, Sequence
from typing import TYPE_CHECKING, Any

from unlite.errors import InvalidTypeError, NoSuchIndexError, NoSuchKeyError, NotFoundError, UnliteError

if TYPE_CHECKING:
    from unlite.model.objects.operator import Operator

Steps = tuple[Any, ...]


def live(operator: Operator, steps: Steps = ()) -> Any:
    """What stands at a place of an operator's options: maps and lists that write back, other values as they are."""
    value = _at(operator, steps)
    if isinstance(value, Mapping):
        return LiveMap(operator, steps)
    return LiveList(operator, steps) if isinstance(value, list) else value


def _at(operator: Operator, steps: Steps) -> Any:
    value = operator._decoded_options()
    for step in steps:
        try:
            value = value[step]
        except (LookupError, TypeError):
            raise NotFoundError(
                "was changed since this was read; nothing is there now.", path=_path(operator, steps)
            ) from None
    return value


def _path(operator: Operator, steps: Steps) -> str:
    return f"{operator.path}.custom_options" + "".join(f"[{step!r}]" for step in steps)


def plain(value: Any) -> Any:
    """The value with dicts and lists of its own."""
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray, memoryview)):
        return list(map(plain, value))
    return value


class _Live:
    __slots__ = ("_operator", "_steps")

    def __init__(self, operator: Operator, steps: Steps) -> None:
        self._operator = operator
        self._steps = steps

    def _read(self) -> Any:
        return _at(self._operator, self._steps)

    def _write(self, change: Any, key: Any) -> None:
        """Stores all options anew after a change of what stands at this place."""
        operator = self._operator
        top = operator._decoded_options()
        here = top
        for step in self._steps:
            here = here[step]
        before = None
        if isinstance(here, dict):
            before = here.get(key)
        elif isinstance(key, int) and key < len(here):
            before = here[key]
        change(here)
        path = _path(operator, (*self._steps, key))
        operator._store_options(top, path, before, lambda: _value_at(here, key))

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        try:
            return repr(self._read())
        except UnliteError:
            return f"<nothing any more at {_path(self._operator, self._steps)}>"


def _value_at(here: Any, key: Any) -> Any:
    try:
        return here[key]
    except LookupError:
        return None


class LiveMap(_Live, MutableMapping[str, Any]):
    """A map inside custom options. Assigning to a key, or deleting one, changes the model."""

    __slots__ = ()

    def __getitem__(self, key: str) -> Any:
        found = self._read()
        if key not in found:
            raise NoSuchKeyError(
                f"there is no key {key!r}.",
                path=_path(self._operator, self._steps),
                hint=f"There is: {', '.join(map(str, list(found)[:20]))}.",
            )
        return live(self._operator, (*self._steps, key))

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise InvalidTypeError(f"a key is text, not {key!r:.60}.", path=_path(self._operator, self._steps))
        self._write(lambda here: here.__setitem__(key, plain(value)), key)

    def __delitem__(self, key: str) -> None:
        self[key]  # raises where there is none
        self._write(lambda here: here.__delitem__(key), key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())


class LiveList(_Live, MutableSequence[Any]):
    """A list inside custom options. Changing it changes the model."""

    __slots__ = ()

    def _index(self, index: Any) -> int:
        count = len(self)
        if not isinstance(index, int):
            raise InvalidTypeError(f"an index is wanted, not {index!r:.60}.", path=_path(self._operator, self._steps))
        at = index + count if index < 0 else index
        if not 0 <= at < count:
            raise NoSuchIndexError(f"there is no entry {index}, only {count}.", path=_path(self._operator, self._steps))
        return at

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._read()[index]
        return live(self._operator, (*self._steps, self._index(index)))

    def __setitem__(self, index: Any, value: Any) -> None:
        at = self._index(index)
        self._write(lambda here: here.__setitem__(at, plain(value)), at)

    def __delitem__(self, index: Any) -> None:
        at = self._index(index)
        self._write(lambda here: here.__delitem__(at), at)

    def insert(self, index: int, value: Any) -> None:
        """Puts a value before an entry."""
        self._write(lambda here: here.insert(index, plain(value)), index)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and not isinstance(other, str) and list(self._read()) == plain(other)

    __hash__ = None  # type: ignore[assignment]  # compares by content
