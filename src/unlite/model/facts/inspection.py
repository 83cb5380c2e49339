"""The state of one check of a model: what was found so far, how much work is left, and what all its parts look up."""

from __future__ import annotations

from array import array
from struct import Struct
from typing import TYPE_CHECKING, Any, TypeVar

from unlite.errors import UnliteError
from unlite.flatbuffers import view as v
from unlite.flatbuffers.findings import Findings, Severity, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from unlite.flatbuffers.view import Table, Vector
    from unlite.storage.source import Source

MAX_TABLES = 1_000_000
T = TypeVar("T")
_INTEGERS = {code: Struct(f"<{code}") for code in "bBhHiIqQ"}


class Inspection:
    """One check of one model.

    Args:
        root: The model.
        source: The file that it is in.
        limit: How many findings of each severity to keep.

    Attributes:
        starts, sizes: Position in the file and bytes of each buffer's data; -1 = it has none.
        external: Ids of the model's external buffers.
        subgraphs: How many there are.
        operators: Name of each operator code ("" = unknown), and whether it is a custom operator.
    """

    def __init__(self, root: Table, source: Source, limit: int) -> None:
        self.root = root
        self.source = source
        self.findings = Findings(limit)
        self.tables = Work(MAX_TABLES, f"the model has more than {MAX_TABLES} parts.")
        self.work = Work(2 * source.size + MAX_TABLES, "the model uses the same bytes over and over.")
        self.starts = array("q")
        self.sizes = array("q")
        self.external: set[int] = set()
        self.subgraphs = 0
        self.operators: list[tuple[str, bool]] = []
        self._unreadable: set[tuple[str | None, int | None]] = set()

    def say(self, severity: Severity, table: Table, name: str, message: str) -> None:
        """A finding about a field of a table, such as ``inputs`` or ``inputs[2]``; "" = the table."""
        if self.findings.full(severity):
            self.findings.add(severity, "", None, message)
            return
        path = f"{v.path(table)}.{name}" if name else v.path(table)
        field = table._object.by_name.get(name.partition("[")[0].partition(".")[0])
        slot = table._slots[field.id] if field is not None and field.id < len(table._slots) else 0
        self.findings.add(severity, path.strip(".") or "root", self.source.base + table._position + slot, message)

    def guard(self, check: Callable[..., T], *arguments: Any) -> T | None:
        """Calls a check; a part that cannot be read ends it and is a finding."""
        try:
            return check(*arguments)
        except UnliteError as error:
            place = error.path, error.offset
            if place not in self._unreadable and not self.findings.full("error"):
                self._unreadable.add(place)
                self.findings.add("error", error.path or "root", error.offset, error.message)
        return None

    def entries(self, vector: Vector | None) -> Iterator[tuple[int, Table]]:
        """Number and table of each entry of a vector that can be read; those that cannot are findings."""
        if vector is None:
            return
        for index in range(len(vector)):
            self.tables.spend()
            entry: Table | None = self.guard(vector.__getitem__, index)
            if entry is not None:
                self.work.spend(len(entry._slots))  # vtables may overlap, and be many times the file together
                yield index, entry

    def integers(self, vector: Vector | None) -> Iterator[int]:
        """The integers of a vector, one by one."""
        if not isinstance(vector, v.ScalarVector):
            return
        self.work.spend(len(vector))
        for (value,) in _INTEGERS[vector.code].iter_unpack(vector.memoryview()):
            yield value

    def index(self, table: Table, name: str, value: int, count: int, what: str, lowest: int = 0) -> bool:
        """Whether an index is in range; an error where it is not."""
        if lowest <= value < count:
            return True
        self.say("error", table, name, f"there is no {what} {value}, only {count}.")
        return False

    def outside(self, table: Table, name: str, offset: int, size: int) -> bool:
        """Whether bytes behind the FlatBuffer are not in the file; an error where it is so."""
        if offset + size <= self.source.size:
            return False
        self.say("error", table, name, f"{size} bytes at {offset} lie outside the file of {self.source.size}.")
        return True


def brief(numbers: list[int]) -> str:
    """A list for a message; nobody needs to read a shape of a thousand dimensions."""
    return str(numbers) if len(numbers) <= 12 else f"[{', '.join(map(str, numbers[:8]))}, ... {len(numbers)} entries]"
