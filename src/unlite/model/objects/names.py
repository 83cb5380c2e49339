"""What a model's parts are called: entries of lists that are found by index or by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from unlite.errors import AmbiguousNameError, InvalidTypeError, NoSuchIndexError, NotFoundError

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from typing import TypeVar, overload

    from unlite.flatbuffers.view import Table, Vector

    T = TypeVar("T")


class Named:
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
        self._renamed()

    def _renamed(self) -> None:
        """Tells the lists that find it by its name."""
        raise NotImplementedError


class NamedSequence(Sequence["T"]):
    """Objects made from a vector of tables when asked for, the same one each time; by index, or by name.

    A name that several bear raises AmbiguousNameError with their indices.
    """

    __slots__ = ("_items", "_make", "_name", "_names", "_path", "_tables")

    def __init__(
        self, tables: Vector | None, make: Callable[[int, Table], T], name: Callable[[T], str] | None, path: str
    ) -> None:
        self._tables: Sequence[Table] = () if tables is None else tables
        self._make = make
        self._name = name
        self._path = path
        self._items: dict[int, T] = {}
        self._names: dict[str, list[int]] | None = None

    def __len__(self) -> int:
        return len(self._tables)

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, key: int | str) -> T: ...
        @overload
        def __getitem__(self, key: slice) -> list[T]: ...

    def __getitem__(self, key: int | str | slice) -> T | list[T]:
        if isinstance(key, str):
            return self._named(key)
        if isinstance(key, slice):
            return [self[i] for i in range(*key.indices(len(self)))]
        if not hasattr(key, "__index__"):
            raise InvalidTypeError(f"an index or a name is wanted, not {key!r:.60}.", path=self._path)
        number = key.__index__()
        index = number + len(self) if number < 0 else number
        found = self._items.get(index)
        if found is None:
            if not 0 <= index < len(self):
                raise NoSuchIndexError(f"there is no entry {number}, only {len(self)}.", path=self._path)
            found = self._items[index] = self._make(index, self._tables[index])
        return found

    def __iter__(self) -> Iterator[T]:
        return (self[i] for i in range(len(self)))

    def forget_names(self) -> None:
        """Looks the names up anew when one is asked for: some have changed."""
        self._names = None

    def _named(self, name: str) -> T:
        if self._name is None:
            raise InvalidTypeError(f"entries have no names: {name!r} was asked for.", path=self._path)
        if self._names is None:
            names: dict[str, list[int]] = {}
            for i, item in enumerate(self):
                names.setdefault(self._name(item), []).append(i)
            self._names = names
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
