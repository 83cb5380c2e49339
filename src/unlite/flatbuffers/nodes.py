"""The objects of a FlatBuffer that is being written: each has a place, and puts its bytes into a sink."""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING, Any, NamedTuple

from unlite.errors import SaveError
from unlite.flatbuffers.wire import I32, U32, U64

if TYPE_CHECKING:
    from unlite.flatbuffers.schema import Field
    from unlite.storage.sink import Sink
    from unlite.storage.source import Source

LIMIT = 2**31 - 1  # C++ readers refuse more; offsets are signed there


class Late:
    """A scalar whose value is set between planning and writing."""

    def __init__(self) -> None:
        self.value = 0


class Node:
    """Something with a place in the file: ``size`` bytes, ``lead`` of them before the first aligned one."""

    __slots__ = ("align", "lead", "position", "size")

    def __init__(self, size: int, align: int, lead: int = 0) -> None:
        self.size = size
        self.align = align
        self.lead = lead
        self.position = 0

    def emit(self, sink: Sink) -> None:
        raise NotImplementedError


class Blob(Node):
    """A head of a few bytes, bulk bytes out of a source, a tail: strings, vectors of scalars, bare structs."""

    __slots__ = ("head", "length", "source", "start", "tail")

    def __init__(self, head: bytes, source: Source, start: int, length: int, align: int, tail: bytes = b"") -> None:
        super().__init__(len(head) + length + len(tail), align, len(head))
        self.head, self.source, self.start, self.length, self.tail = head, source, start, length, tail

    def emit(self, sink: Sink) -> None:
        sink.write(self.head)
        sink.copy(self.source, self.start, self.length)
        sink.write(self.tail)


class Bytes(Node):
    """The same with bytes that are in memory."""

    __slots__ = ("data", "head", "tail")

    def __init__(self, head: bytes, data: bytes | memoryview, align: int, tail: bytes = b"") -> None:
        super().__init__(len(head) + len(data) + len(tail), align, len(head))
        self.head, self.data, self.tail = head, data, tail

    def emit(self, sink: Sink) -> None:
        sink.write(self.head)
        sink.write(self.data)
        sink.write(self.tail)


class Offsets(Node):
    """A vector of tables, strings or union values."""

    __slots__ = ("targets",)

    def __init__(self, targets: list[Node | None]) -> None:
        super().__init__(4 + 4 * len(targets), 4)
        self.targets = targets

    def emit(self, sink: Sink) -> None:
        at = self.position + 4
        offsets = [0 if t is None else distance_to(at + 4 * i, t) for i, t in enumerate(self.targets)]
        sink.write(pack(f"<{len(offsets) + 1}I", len(offsets), *offsets))


class VTable(Node):
    """Where the fields of tables of one kind lie; shared by all of them."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        super().__init__(len(data), 2)
        self.data = data

    def emit(self, sink: Sink) -> None:
        sink.write(self.data)


class TableNode(Node):
    """A table: ``cells`` are (offset in the table, bytes, or a node to point to, or a late scalar with its layout)."""

    __slots__ = ("cells", "vtable")

    def __init__(self, size: int, align: int, vtable: VTable, cells: list[tuple[int, Any]]) -> None:
        super().__init__(size, align)
        self.vtable = vtable
        self.cells = cells

    def emit(self, sink: Sink) -> None:
        data = bytearray(self.size)
        own = self.position
        I32.pack_into(data, 0, own - self.vtable.position)
        for at, cell in self.cells:
            if type(cell) is bytes:
                data[at : at + len(cell)] = cell
            elif type(cell) is not tuple:
                U32.pack_into(data, at, distance_to(own + at, cell))
            elif isinstance(cell[0], Node):
                U64.pack_into(data, at, cell[0].position - own - at)
            else:
                late, layout = cell
                layout.pack_into(data, at, late.value)
        sink.write(data)


def distance_to(at: int, target: Node) -> int:
    """The offset that leads from ``at`` to an object. Raises SaveError where 31 bits cannot hold it."""
    distance = target.position - at
    if not 0 < distance <= LIMIT:
        raise SaveError(
            f"an offset of {distance} bytes does not fit: a FlatBuffer holds at most 2 GiB.",
            offset=at,
            hint="Store large data behind the FlatBuffer, or in vectors with 64-bit offsets.",
        )
    return distance


class Layout(NamedTuple):
    """Where the fields of a table stand in it: one offset per field, in the order given."""

    offsets: tuple[int, ...]
    size: int
    align: int
    vtable: VTable


def lay_out(fields: list[Field], vtables: dict[bytes, VTable]) -> Layout:
    """Places fields, widest first."""
    inline = {field.id: field.inline() for field in fields}
    order = sorted(inline, key=lambda number: (-inline[number][1], number))
    align = max([4, *(own for _, own in inline.values())])
    first = next((number for number in order if inline[number] == (4, 4)), None)
    if align == 8 and first is not None:
        # A four-byte cell behind the vtable offset saves the padding that an eight-byte one would need.
        order.remove(first)
        order.insert(0, first)
    slots = [0] * (max(inline, default=-1) + 1)
    at = 4
    for number in order:
        size, own = inline[number]
        at += -at % own
        slots[number] = at
        at += size
    data = pack(f"<{len(slots) + 2}H", 2 * len(slots) + 4, at, *slots)
    return Layout(tuple(slots[field.id] for field in fields), at, align, vtables.setdefault(data, VTable(data)))
