"""A FlatBuffer inside a vector of another one: what is assigned to it is written back into that vector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.flatbuffers import view as v
from unlite.flatbuffers.edits import Edit, Edits
from unlite.flatbuffers.saving import to_bytes
from unlite.flatbuffers.wire import Wire
from unlite.storage.source import MemorySource

if TYPE_CHECKING:
    from collections.abc import Callable

    from unlite.flatbuffers.schema import Object


class NestedEdits(Edits):
    """The store of a nested FlatBuffer. Each change becomes one of the outer store, which alone has a history.

    Args:
        outer: The store of the FlatBuffer around it.
        owner: Type of the root table.
        name: What messages call the bytes; also the path of the root.
        read: Gives the bytes as they are now.
        write: Takes new bytes, with the path of what changed, and what was there before and after.
    """

    __slots__ = ("_data", "_name", "_outer", "_own", "_owner", "_read", "_seen", "_write")

    def __init__(
        self,
        outer: Edits,
        owner: Object,
        name: str,
        read: Callable[[], memoryview],
        write: Callable[[bytes, Edit], object],
    ) -> None:
        self._outer = outer
        self._owner = owner
        self._name = name
        self._read = read
        self._write = write
        self._own = 0
        self._seen = outer.revision
        self._data = read()
        wire = Wire(MemorySource(self._data, name))
        super().__init__(wire, wire.root())

    @property
    def revision(self) -> int:
        """Rises with every step, and whenever the outer store brings other bytes."""
        if self._seen != self._outer.revision:
            data = self._read()
            if data != self._data:
                self._settle(data)
            self._seen = self._outer.revision
        return self._own

    @revision.setter
    def revision(self, value: int) -> None:
        self._own = value

    def _settle(self, data: memoryview) -> None:
        """Takes other bytes for the truth."""
        wire = Wire(MemorySource(data, self._name))
        self.position = wire.root()
        self.wire, self._data = wire, data
        self._root.clear()
        self._own += 1

    def _commit(self, edit: Edit) -> None:
        root = v.view_type(self._owner)(self.wire, self.position, None, self._name, self)
        if self._root:
            object.__setattr__(root, "_node", self._root[0])
        self._write(to_bytes(root), edit)
        self._settle(self._read())

    def forget(self) -> None:
        """Nothing: what was changed stands in the bytes."""


def nested_root(
    outer: Edits,
    owner: Object,
    name: str,
    read: Callable[[], memoryview],
    write: Callable[[bytes, Edit], object],
) -> Any:
    """The root table of a FlatBuffer that lies in another one; see ``NestedEdits``.

    Raises:
        CorruptFileError: the root cannot be read.
    """
    edits = NestedEdits(outer, owner, name, read, write)
    return v.view_type(owner)(edits.wire, edits.position, None, name, edits)
