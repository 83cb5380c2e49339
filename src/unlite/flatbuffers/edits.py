"""What was changed in one opened FlatBuffer: one store, through which every view reads.

Bytes never change. What is assigned goes into a tree of nodes that lies over them: a node stands for a table or a
vector at its place, and holds what was assigned there. A view asks the store whether it moved on since the view last
looked, and finds its node anew if so. Each change is a list of single steps, so that it can be undone and done again.
"""

from __future__ import annotations

from unlite.errors import InvalidTypeError

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from unlite.flatbuffers.wire import Wire


class TableNode:
    """A table, or a struct, that something was assigned to, or that was put at its place.

    Attributes:
        wire, position: The bytes under it.
        fields: Field id -> value; None for one that was taken out. Tables and vectors are nodes.
    """

    __slots__ = ("fields", "position", "wire")

    def __init__(self, wire: Wire, position: int, fields: dict[int, Any] | None = None) -> None:
        self.wire = wire
        self.position = position
        self.fields: dict[int, Any] = {} if fields is None else fields

    def copy(self) -> TableNode:
        """The same content, on which later changes of this node have no effect. Bytes are shared."""
        return TableNode(self.wire, self.position, _copied(self.fields))


class VectorNode:
    """A vector with entries that were changed, or that was put at its place.

    Attributes:
        wire, start: The bytes under it: the first element.
        count: Number of entries.
        entries: Index -> value, as in ``TableNode.fields``; those that are missing stand in the bytes.
    """

    __slots__ = ("count", "entries", "start", "wire")

    def __init__(self, wire: Wire, start: int, count: int, entries: dict[int, Any] | None = None) -> None:
        self.wire = wire
        self.start = start
        self.count = count
        self.entries: dict[int, Any] = {} if entries is None else entries

    def copy(self) -> VectorNode:
        """The same content, on which later changes of this node have no effect. Bytes are shared."""
        return VectorNode(self.wire, self.start, self.count, _copied(self.entries))


def _copied(values: dict[int, Any]) -> dict[int, Any]:
    return {key: value.copy() if isinstance(value, (TableNode, VectorNode)) else value for key, value in values.items()}


class _Absent:
    """Stands for no entry, where None is a value."""

    def __reduce__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()


class Edit:
    """One change.

    Attributes:
        path: Where, such as ``subgraphs[0].tensors[3].name``.
        old, new: What was read there before and after: plain values, or views that later changes do not touch. Bulk
            data is referred to, not copied.
        told: For who shows changes: what was made of this one.
    """

    __slots__ = ("_steps", "new", "old", "path", "told")

    def __init__(self, path: str, old: Any, new: Any, steps: list[tuple[Any, Any, Any, Any]]) -> None:
        self.path = path
        self.old = old
        self.new = new
        self._steps = steps
        self.told: Any = None

    def __repr__(self) -> str:
        return f"<Edit {self.path}: {self.old!r:.60} -> {self.new!r:.60}>"


class Edits:
    """The store of one FlatBuffer.

    Args:
        wire: The FlatBuffer's bytes.
        position: Its root table.

    Attributes:
        revision: Rises with every step; what a view has cached holds for one revision.
        history: What was done, in order.
        undone: What was undone and can be done again, the last one first in line.
        attached: Changes beside those of the FlatBuffer, by whoever keeps them here: name -> a dict for ``put``.
    """

    __slots__ = ("_open", "_root", "_steps", "attached", "history", "position", "revision", "undone", "wire")

    def __init__(self, wire: Wire, position: int) -> None:
        self.wire = wire
        self.position = position
        self.revision = 0
        self.history: list[Edit] = []
        self.undone: list[Edit] = []
        self.attached: dict[str, dict[Any, Any]] = {}
        self._root: dict[int, Any] = {}  # 0 -> the root's node
        self._open: Change | None = None
        self._steps: list[tuple[Any, Any, Any, Any]] = []

    @property
    def root(self) -> TableNode | None:
        """The root's node, None where nothing was assigned."""
        return self._root.get(0)

    def place_root(self, node: TableNode) -> None:
        """Puts a node over the root."""
        self.put(self._root, 0, node)

    def put(self, values: dict[Any, Any], key: Any, value: Any) -> None:
        """One step: an entry of a node's dict, or of any other dict that this store keeps (``ABSENT`` removes it)."""
        self._steps.append((values, key, values.get(key, ABSENT), value))
        _apply(values, key, value)
        self.revision += 1

    def put_count(self, node: VectorNode, count: int) -> None:
        """One step: the length of a vector."""
        self._steps.append((node, None, node.count, count))
        node.count = count
        self.revision += 1

    def change(self, path: str, before: Any = None, after: Any = None) -> Change:
        """A change, for a ``with`` statement.

        The steps taken inside are one entry of the history; after an exception none is taken. Inside another change
        they are part of that.

        Args:
            path: What the entry says of the place.
            before: What the entry says was there.
            after: Called at the end for what is there then; or that itself.
        """
        return Change(self, path, before, after)

    def undo(self) -> Edit | None:
        """Takes the last change back; None where there is none."""
        self._not_inside("undo")
        if not self.history:
            return None
        edit = self.history.pop()
        self._back(edit._steps)
        self.undone.append(edit)
        return edit

    def redo(self) -> Edit | None:
        """Does again what was undone last; None where there is none."""
        self._not_inside("redo")
        if not self.undone:
            return None
        edit = self.undone.pop()
        for values, key, _, new in edit._steps:
            _apply(values, key, new)
        self.revision += 1
        self.history.append(edit)
        return edit

    def forget(self) -> None:
        """Drops all changes and the history: the bytes are the truth now."""
        self.history.clear()
        self.undone.clear()
        self._root.clear()
        for values in self.attached.values():
            values.clear()
        self.revision += 1

    def state(self) -> tuple[Any, ...]:
        """All changes, for ``restore`` in the store of the same file opened elsewhere."""
        return self.wire, self.position, self._root, self.history, self.undone, self.attached

    def restore(self, state: tuple[Any, ...]) -> None:
        """Takes over what ``state`` gave."""
        self.wire, self.position, self._root, self.history, self.undone, self.attached = state
        self.revision += 1

    def _not_inside(self, what: str) -> None:
        if self._open is not None:
            raise InvalidTypeError(f"{what} inside a change is not possible.")

    def _back(self, steps: list[tuple[Any, Any, Any, Any]]) -> None:
        for values, key, old, _ in reversed(steps):
            _apply(values, key, old)
        self.revision += 1

    def _commit(self, edit: Edit) -> None:
        """Takes a finished change into the history."""
        self.history.append(edit)
        self.undone.clear()


def _apply(values: Any, key: Any, value: Any) -> None:
    if isinstance(values, VectorNode):
        values.count = value
    elif value is ABSENT:
        values.pop(key, None)
    else:
        values[key] = value


class Change:
    """What ``Edits.change`` gives."""

    __slots__ = ("_after", "_before", "_edits", "_mark", "_path")

    def __init__(self, edits: Edits, path: str, before: Any, after: Any) -> None:
        self._edits = edits
        self._path = path
        self._before = before
        self._after = after
        self._mark = 0

    def __enter__(self) -> None:
        self._mark = len(self._edits._steps)
        if self._edits._open is None:
            self._edits._open = self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        edits = self._edits
        try:
            if error is None and edits._open is self and edits._steps:
                after = self._after() if callable(self._after) else self._after
                edits._commit(Edit(self._path, self._before, after, edits._steps[:]))
        except BaseException:
            edits._back(edits._steps[self._mark :])
            raise
        else:
            if error is not None:
                edits._back(edits._steps[self._mark :])
        finally:
            if edits._open is self:
                edits._open = None
                edits._steps.clear()
            elif error is not None:
                del edits._steps[self._mark :]


class Past(Edits):
    """The store of views that show what was: nothing can be assigned through them, and nothing changes them."""

    __slots__ = ()

    def put(self, values: dict[Any, Any], key: Any, value: Any) -> None:  # noqa: ARG002 - nothing is put
        raise InvalidTypeError("this is a value of the past, which cannot be changed.", hint="Assign to the model.")
