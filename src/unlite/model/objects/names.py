"""What a model's parts are called: entries of lists that are found by index or by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from unlite.errors import AmbiguousNameError, InvalidTypeError, NoSuchIndexError, NotFoundError
from unlite.flatbuffers import view as v
from unlite.model.objects.entity import Entity

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from typing import TypeVar, overload

    from unlite.flatbuffers.view import Table

    T = TypeVar("T")


class Named(Entity):
    """An entry of a list that has a name in the file.

    Attributes:
        index: Its place in the list.
    """

    __slots__ = ("_table", "index")
    index: int
    _table: Table

    @property
    def name(self) -> str:
        """Its name; "" where the file has none. Assignable."""
        return self._table["name"] or ""

    @name.setter
    def name(self, value: str) -> None:
        self._table.name = value


class NamedSequence(Sequence["T"]):
    """Objects made from a vector of tables when asked for, the same one each time; by index, or by name.

    A name that several bear raises AmbiguousNameError with their indices.
    """

    __slots__ = ("_field", "_items", "_make", "_name", "_named_at", "_names", "_owner", "_path", "_seen", "_vector")

    def __init__(
        self, owner: Table, field: str, make: Callable[[int, Table], T], name: Callable[[T], str] | None, path: str
    ) -> None:
        self._owner = owner
        self._field = field
        self._make = make
        self._name = name
        self._path = path
        self._items: dict[int, T] = {}
        self._names: dict[str, list[int]] = {}
        self._named_at = -1
        self._vector: Sequence[Table] = ()
        self._seen = -1
        _ = self._tables  # a list that cannot be read is said at once

    @property
    def _tables(self) -> Sequence[Table]:
        revision = self._owner._edits.revision
        if self._seen != revision:
            self._vector = self._owner[self._field] or ()
            for index in [index for index in self._items if index >= len(self._vector)]:
                del self._items[index]
            self._seen = revision
        return self._vector

    def __len__(self) -> int:
        return len(self._tables)

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, key: int | str) -> T: ...
        @overload
        def __getitem__(self, key: slice) -> list[T]: ...

    def __getitem__(self, key: int | str | slice) -> T | list[T]:
        if self._seen == self._owner._edits.revision and type(key) is int:
            held = self._items.get(key)  # nearly always
            if held is not None:
                return held
        if isinstance(key, str):
            return self._named(key)
        if isinstance(key, slice):
            return [self[i] for i in range(*key.indices(len(self)))]
        if not hasattr(key, "__index__"):
            raise InvalidTypeError(f"an index or a name is wanted, not {key!r:.60}.", path=self._path)
        number = key.__index__()
        tables = self._tables
        index = number + len(tables) if number < 0 else number
        if not 0 <= index < len(tables):
            raise NoSuchIndexError(f"there is no entry {number}, only {len(tables)}.", path=self._path)
        found = self._items.get(index)
        if found is None:
            found = self._items.setdefault(index, self._make(index, tables[index]))
        return found

    def __iter__(self) -> Iterator[T]:
        return (self[i] for i in range(len(self)))

    def __setitem__(self, key: object, value: object) -> None:
        raise self._refusal(key, "assigned")

    def __delitem__(self, key: object) -> None:
        raise self._refusal(key, "taken out")

    def _refusal(self, key: object, what: str) -> InvalidTypeError:
        whole = v.path(self._owner)
        place = f"model.root.{whole}.{self._field}".replace("..", ".")
        return InvalidTypeError(
            f"the entry {key!r:.60} cannot be {what} here.",
            path=self._path,
            hint=f"Change its fields, or assign the whole list: {place} = [...].",
        )

    def _named(self, name: str) -> T:
        if self._name is None:
            raise InvalidTypeError(f"entries have no names: {name!r} was asked for.", path=self._path)
        revision = self._owner._edits.revision
        if self._named_at != revision:
            names: dict[str, list[int]] = {}
            for i, item in enumerate(self):
                names.setdefault(self._name(item), []).append(i)
            self._names, self._named_at = names, revision
        indices = self._names.get(name, [])
        if not indices:
            from difflib import get_close_matches

            near = get_close_matches(name, self._names, 3)
            raise NotFoundError(
                f"nothing is called {name!r}.", path=self._path, hint=f"Close: {', '.join(near)}." if near else None
            )
        if len(indices) > 1:
            raise AmbiguousNameError(name, tuple(indices), path=self._path)
        return self[indices[0]]

    def __repr__(self) -> str:
        return f"<{len(self)} entries {self._path}>"
