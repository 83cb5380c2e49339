"""The walk over all tables of a FlatBuffer that ``verify`` takes: positions only, no views.

Recursion is bounded by the depth that tables may have. What all tables with one vtable have in common is found once.
Sources: FlatBuffers include/flatbuffers/verifier.h and src/idl_gen_cpp.cpp.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING

from unlite.flatbuffers import schema as s
from unlite.flatbuffers.findings import Findings, Place, Severity, Work, words
from unlite.flatbuffers.wire import I32, TABLE, U32, U64
from unlite.storage.window import Window

if TYPE_CHECKING:
    from unlite.flatbuffers.schema import Field, Object
    from unlite.storage.source import Source

MAX_DEPTH = 64  # this and the next two: verifier.h
MAX_TABLES = 1_000_000
MAX_SIZE = (1 << 31) - 1  # 32-bit FlatBuffers are smaller than that
MIN_SIZE = 12
KEPT_LAYOUTS = 4096
BATCH = 1024
_BATCH = Struct(f"<{BATCH}I")

# Checks a field. Gets the position of its inline value and of its union's type (else 0), its table's place and depth.
Check = Callable[["Walk", "Field", int, int, "Place | None", int], None]


class Job:
    """What the check of a buffer shares with those of the buffers nested in it."""

    def __init__(self, source: Source, findings: Findings) -> None:
        self.source = source
        self.findings = findings
        self.tables = Work(MAX_TABLES, f"there are more than {MAX_TABLES} tables, counted once per offset to each.")
        self.steps = Work(source.size + MAX_TABLES, "the same bytes are used over and over.")
        self.text = 16 * source.size  # bytes of text to look at; strings may overlap


class Layout:
    """What a vtable says about all tables of one type that use it.

    Attributes:
        extent: Bytes from a table's start to the end of its last known field.
        checks: What is left to check per table: how, field, slot, bytes there, slot of the union's type.
        faults: What is wrong with each of these tables: severity, field ("" = the table), message.
    """

    __slots__ = ("checks", "extent", "faults")

    def __init__(self) -> None:
        self.extent = 4
        self.checks: list[tuple[Check, Field, int, int, int]] = []
        self.faults: list[tuple[Severity, str, str]] = []


class Walk:
    """The check of one buffer.

    Args:
        job: What it shares with the checks of other buffers.
        source: The buffer's bytes, from the first.
        aligned_from: The place that alignment counts from: -4 behind a size prefix.
    """

    def __init__(self, job: Job, source: Source, aligned_from: int = 0) -> None:
        self.job = job
        self.source = source
        self.unpack = source.unpack
        self.aligned_from = aligned_from
        self.far_end = source.size  # what 64-bit offsets may reach
        self.end = min(source.size, MAX_SIZE - 1)
        self.layouts: dict[tuple[int, int], Layout] = {}

    def say(self, severity: Severity, place: Place | None, offset: int, message: str) -> None:
        findings = self.job.findings
        findings.add(severity, "" if findings.full(severity) else words(place), self.in_file(offset), message)

    def alike(self, place: Place | None, offset: int, message: str) -> None:
        self.job.findings.alike(message, words(place), self.in_file(offset))

    def in_file(self, offset: int) -> int:
        """Where a byte of the buffer lies in the whole file."""
        return self.source.base + offset

    def shown(self, offset: int) -> str:
        """The same as a message says it."""
        return f"0x{self.in_file(offset):X}"

    def buffer(self, root: Object, identifier: bytes, place: Place | None, depth: int) -> None:
        if self.end < MIN_SIZE:
            self.say("error", place, 0, f"{self.end} bytes are too few for a FlatBuffer.")
            return
        found = bytes(self.source.view(4, 4))
        if identifier and found != identifier:
            self.say("error", place, 4, f"the identifier is {found!r}, not {identifier!r}.")
        position = self.follow(0, place)
        if position:
            self.table(root, position, place, depth + 1)

    def table(self, owner: Object, position: int, place: Place | None, depth: int) -> None:
        self.job.tables.spend()
        if depth > MAX_DEPTH:
            self.say("error", place, position, f"tables are nested more than {MAX_DEPTH} deep.")
            return
        if not self.readable("table", position, 4, self.end, place):
            return
        vtable = position - self.unpack(I32, position)[0]
        layout = self.layouts.get((owner.index, vtable))
        if layout is None:
            layout = self.read_layout(owner, vtable, position, place)
            if layout is None:
                return
            if len(self.layouts) >= KEPT_LAYOUTS:
                self.layouts.clear()
            self.layouts[owner.index, vtable] = layout
        for severity, name, message in layout.faults:
            self.say(severity, (place, name) if name else place, position, message)
        end = self.end
        if position + layout.extent > end:
            self.say("error", place, position, f"fields of the table lie past the end, {self.shown(end)}.")
        for check, field, slot, size, other in layout.checks:
            if position + slot + size <= end and position + other < end:
                check(self, field, position + slot, position + other if other else 0, place, depth)

    def read_layout(self, owner: Object, vtable: int, position: int, place: Place | None) -> Layout | None:
        if vtable < 0 or vtable + 4 > self.end or (vtable - self.aligned_from) % 2:
            self.say("error", place, position, f"the table's vtable cannot lie at byte {self.shown(vtable)}.")
            return None
        vtable_bytes, table_bytes = self.unpack(TABLE, vtable)
        if vtable_bytes < 4 or vtable_bytes % 2 or vtable + vtable_bytes > self.end:
            self.say("error", place, vtable, f"the table's vtable has an impossible size, {vtable_bytes}.")
            return None
        self.job.steps.spend(vtable_bytes)
        count = min((vtable_bytes - 4) // 2, len(owner.fields))
        layout = Layout()
        _lay_out(layout, owner, self.unpack(Struct(f"<{count}H"), vtable + 4), table_bytes)
        unknown = self.source.view(vtable + 4 + 2 * count, vtable_bytes - 4 - 2 * count)
        if bytes(unknown).strip(b"\0"):
            name = owner.name.rpartition(".")[2]
            self.alike(place, position, f"a {name} has fields that the schema does not know.")
        if vtable < position + table_bytes and position < vtable + vtable_bytes:
            layout.faults.append(("warning", "", "the table and its vtable overlap."))
        return layout

    def readable(self, what: str, position: int, size: int, end: int, place: Place | None) -> bool:
        """Whether the first bytes of something are aligned and inside; an error where they are not."""
        if (position - self.aligned_from) % size:
            self.say("error", place, position, f"the {what} is not aligned to {size} bytes.")
        elif position + size > end:
            self.say("error", place, position, f"the {what} reaches past the end, {self.shown(end)}.")
        else:
            return True
        return False

    def follow(self, at: int, place: Place | None, layout: Struct = U32) -> int:
        """Target of the offset at ``at``; 0 and an error where it leads nowhere."""
        (offset,) = self.unpack(layout, at)
        if layout is U32 and 0 < offset <= MAX_SIZE and at + offset < self.end:
            return at + int(offset)
        if layout is U64 and 0 < offset < 1 << 63 and at + offset < self.far_end:
            return at + int(offset)
        self.say("error", place, at, f"the offset, {offset}, leads outside the file." if offset else "the offset is 0.")
        return 0

    def follow_field(self, field: Field, at: int, place: Place | None) -> int:
        if field.offset64 and (at - self.aligned_from) % 8:
            self.say("error", place, at, "the offset is not aligned to 8 bytes.")
        return self.follow(at, place, U64 if field.offset64 else U32)

    def wide(self, field: Field, at: int, _: int, place: Place | None, __: int) -> None:
        """A scalar or struct whose alignment the slot alone does not tell."""
        align = field.inline()[1]
        if (at - self.aligned_from) % align:
            self.say("error", (place, field.name), at, f"is not aligned to {align} bytes.")

    def named_value(self, field: Field, at: int, _: int, place: Place | None, depth: int) -> None:
        layout = s.SCALARS[field.type.base]
        if layout.size > 4:
            self.wide(field, at, 0, place, depth)
        self.names(field, {self.unpack(layout, at)[0]}, at, (place, field.name))

    def names(self, field: Field, values: set[int], at: int, place: Place) -> None:
        enum = field.enum
        if enum is None or values <= enum.names.keys():
            return
        unknown = [value for value in values if isinstance(enum.label(value), int) and (value or not enum.bit_flags)]
        if unknown:
            name = enum.name.rpartition(".")[2]
            self.say("note", place, at, f"{min(unknown)} is no value of {name} that the schema knows.")

    def table_field(self, field: Field, at: int, _: int, place: Place | None, depth: int) -> None:
        place = place, field.name
        position = self.follow_field(field, at, place)
        if position and field.object is not None:
            self.table(field.object, position, place, depth + 1)

    def string_field(self, field: Field, at: int, _: int, place: Place | None, __: int) -> None:
        place = place, field.name
        position = self.follow_field(field, at, place)
        if position:
            self.string(position, self.far_end if field.offset64 else self.end, place)

    def string(self, position: int, end: int, place: Place | None) -> None:
        if not self.readable("string", position, 4, end, place):
            return
        (count,) = self.unpack(U32, position)
        stop = position + 4 + count
        if stop >= end:
            self.say("error", place, position, f"the string claims {count} bytes: past the end, {self.shown(end)}.")
        elif self.source.view(stop, 1)[0]:
            self.say("error", place, stop, "the string does not end with a zero byte.")
        elif count <= self.job.text:
            self.job.text -= count
            try:
                str(self.source.view(position + 4, count), "utf-8")
            except UnicodeDecodeError as error:
                self.say("warning", place, position + 4 + error.start, "the text is not UTF-8.")

    def union_field(self, field: Field, at: int, type_at: int, place: Place | None, depth: int) -> None:
        place = place, field.name
        position = self.follow(at, place)
        (kind,) = self.unpack(s.SCALARS[s.U_TYPE], type_at)
        if not kind:
            self.say("warning", place, at, "there is a value, but its type is NONE.")
        elif position:
            self.member(field, kind, position, place, depth)

    def lone_type(self, field: Field, at: int, _: int, place: Place | None, __: int) -> None:
        """The type of a union that has no value."""
        (kind,) = self.unpack(s.SCALARS[s.U_TYPE], at)
        if kind:
            self.say("warning", (place, field.name), at, f"the type is {kind}, but there is no value.")

    def member(self, field: Field, kind: int, position: int, place: Place | None, depth: int) -> None:
        member = field.enum.member(kind) if field.enum is not None else None
        if member is None:
            self.alike(place, position, f"the schema knows no type {kind} here: not checked.")
        elif member.base == s.STRING:
            self.string(position, self.end, place)
        elif member.base == s.OBJ:
            owner = field.owner.schema.object(member.index)
            if not owner.is_struct:
                self.table(owner, position, place, depth + 1)
            elif (position - self.aligned_from) % owner.minalign:
                self.say("error", place, position, f"the struct is not aligned to {owner.minalign} bytes.")
            elif position + owner.bytesize > self.end:
                self.say("error", place, position, f"the struct reaches past the end, {self.shown(self.end)}.")

    def vector_field(self, field: Field, at: int, type_at: int, place: Place | None, depth: int) -> None:
        place = place, field.name
        position = self.follow_field(field, at, place)
        span = self.span(field, position, place) if position else None
        if span is None:
            return
        start, count = span
        element, owner = field.type.element, field.object
        if element == s.UNION:
            self.unions(field, start, count, type_at, place, depth)
        elif element == s.STRING:
            self.entries(start, count, place, lambda entry, where: self.string(entry, self.end, where))
        elif element == s.OBJ and owner is not None and not owner.is_struct:
            self.entries(start, count, place, lambda entry, where: self.table(owner, entry, where, depth + 1))
        elif element != s.U_TYPE and field.enum is not None:
            self.named_values(field, start, count, place)
        elif field.nested and field.nested_object is not None:
            Walk(self.job, Window(self.source, start, count)).buffer(field.nested_object, b"", place, depth)

    def span(self, field: Field, position: int, place: Place) -> tuple[int, int] | None:
        """First byte and number of a vector's elements; None and an error where they are not inside."""
        layout = U64 if field.type.base == s.VECTOR64 else U32
        end = self.far_end if field.offset64 else self.end
        if not self.readable("vector", position, layout.size, end, place):
            return None
        (count,) = self.unpack(layout, position)
        start = position + layout.size
        size, align = field.element()
        if start + count * size > end:
            self.say("error", place, position, f"the vector claims {count} entries: past the end, {self.shown(end)}.")
            return None
        if count and align > 4 and (start - self.aligned_from) % align:
            self.say("warning", place, start, f"the entries are not aligned to {align} bytes.")
        elif count and field.align and (start - self.aligned_from) % field.align:
            name = f"{field.owner.name.rpartition('.')[2]}.{field.name}"
            self.alike(place, start, f"{name} is not aligned to {field.align} bytes.")
        return start, count

    def entries(self, start: int, count: int, place: Place, check: Callable[[int, Place], None]) -> None:
        """Calls ``check`` with position and place of each entry of a vector of offsets."""
        for first in range(0, count, BATCH):
            number = min(BATCH, count - first)
            self.job.steps.spend(number)
            at = start + 4 * first
            layout = _BATCH if number == BATCH else Struct(f"<{number}I")
            for index, offset in enumerate(self.unpack(layout, at), first):
                if 0 < offset <= MAX_SIZE and at + offset < self.end:
                    check(at + offset, (place, index))
                else:
                    self.follow(at, (place, index))
                at += 4

    def unions(self, field: Field, start: int, count: int, type_at: int, place: Place, depth: int) -> None:
        position = self.follow(type_at, place)
        types = self.span(field.owner.fields[field.id - 1], position, place) if position else None
        if types is not None and types[1] != count:
            self.say("error", place, start, f"there are {count} values, but {types[1]} types.")
        elif types is not None:
            for index in range(count):
                self.job.steps.spend()
                (kind,) = self.unpack(s.SCALARS[s.U_TYPE], types[0] + index)
                entry = self.follow(start + 4 * index, (place, index)) if kind else 0
                if entry:
                    self.member(field, kind, entry, (place, index), depth)

    def named_values(self, field: Field, start: int, count: int, place: Place) -> None:
        self.job.steps.spend(count)
        layout = s.SCALARS[field.type.element]
        values: set[int] = set()
        for first in range(0, count, BATCH):
            piece = self.source.view(start + first * layout.size, min(BATCH, count - first) * layout.size)
            values.update(value for (value,) in layout.iter_unpack(piece))
            if len(values) > BATCH:
                break
        self.names(field, values, start, place)


def _lay_out(layout: Layout, owner: Object, slots: tuple[int, ...], table_bytes: int) -> None:
    """Fills in what the slots tell."""
    inline: list[tuple[int, int, str]] = []
    for field, slot in zip(owner.fields, slots + (0,) * (len(owner.fields) - len(slots)), strict=True):
        if slot:
            size, align = field.inline()
            inline.append((slot, slot + size, field.name))
            if align <= 4 and slot % align:
                layout.faults.append(("error", field.name, f"is not aligned to {align} bytes."))
            _choose_check(layout, field, slots)
        elif field.required:
            layout.faults.append(("error", field.name, "is required, but absent."))
    end, name = 4, "the offset of the vtable"
    for first, stop, field_name in sorted(inline):
        if first < end:
            layout.faults.append(("warning", field_name, f"overlaps {name}."))
        if stop > table_bytes:
            layout.faults.append(("warning", field_name, f"lies outside the table, which claims {table_bytes} bytes."))
        end, name = max((end, name), (stop, field_name))
    layout.extent = end


def _choose_check(layout: Layout, field: Field, slots: tuple[int, ...]) -> None:
    """How to check a field that is there; a union and its type, two fields, go together."""
    base, element = field.type.base, field.type.element
    check, type_slot = _check(field), 0
    if field.is_union:
        type_slot = slots[field.id - 1]
        if not type_slot:
            layout.faults.append(("warning" if base == s.UNION else "error", field.name, "has no type."))
            return
    elif s.U_TYPE in (base, element) and not any(slots[field.id + 1 : field.id + 2]):
        if element == s.U_TYPE:
            layout.faults.append(("error", field.name, "there are types, but no values."))
        else:
            check = Walk.lone_type
    if check is not None:
        layout.checks.append((check, field, slots[field.id], field.inline()[0], type_slot))


def _check(field: Field) -> Check | None:
    base = field.type.base
    if base in s.SCALARS and base != s.U_TYPE and field.enum is not None:
        return Walk.named_value
    if base in (s.VECTOR, s.VECTOR64):
        return Walk.vector_field
    if base == s.OBJ and field.object is not None and not field.object.is_struct:
        return Walk.table_field
    known: dict[int, Check] = {s.STRING: Walk.string_field, s.UNION: Walk.union_field}
    return known.get(base) or (Walk.wide if field.inline()[1] > 4 else None)
