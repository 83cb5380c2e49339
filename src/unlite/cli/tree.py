"""Views of FlatBuffers for people: a table as an indented tree, a field's type, a value in one line."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any

from unlite.cli.output import printable
from unlite.flatbuffers import schema as s
from unlite.flatbuffers import view as v

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unlite.flatbuffers.schema import Field

MOST_LINES = 5000  # objects may be shared, so that a small file could go on for ever
MOST_LEVELS = 64
MOST_NUMBERS = 16

_NAMES = dict(
    enumerate(
        (
            "ubyte",
            "bool",
            "byte",
            "ubyte",
            "short",
            "ushort",
            "int",
            "uint",
            "long",
            "ulong",
            "float",
            "double",
            "string",
        ),
        s.U_TYPE,
    )
)


def type_name(field: Field) -> str:
    """A field's type as a schema spells it: ``int``, ``[SubGraph]``, ``TensorType``."""
    base = field.type.base
    is_list = base in (s.VECTOR, s.VECTOR64, s.ARRAY)
    named = field.enum or field.object
    inner = named.name.rpartition(".")[2] if named else _NAMES.get(field.type.element if is_list else base, "?")
    return f"[{inner}]" if is_list else inner


def in_short(value: Any, field: Field | None = None) -> str:
    """A value in one line; of a table its type, of long lists their length."""
    if value is None:
        return "absent"
    if isinstance(value, str) and (field is None or field.enum is None):
        return printable(json.dumps(value, ensure_ascii=False))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, v.ScalarVector) and len(value) <= MOST_NUMBERS:
        return str(value.tolist())
    if isinstance(value, v.Vector):
        return f"{len(value)} entries" if len(value) != 1 else "1 entry"
    if isinstance(value, (v.Table, v.Struct)):
        return value._object.name.rpartition(".")[2]
    return printable(value)


def tree(view: v.Table | v.Struct) -> Iterator[str]:
    """The lines of a tree of everything below a table that is present; at most 5000."""
    lines = _tree(view, 0)
    yield from islice(lines, MOST_LINES)
    if next(lines, None) is not None:
        yield "... (--json has everything)"


def _tree(view: v.Table | v.Struct, level: int) -> Iterator[str]:
    fields = v.present(view) if isinstance(view, v.Table) else view._object.fields
    if level > MOST_LEVELS:
        yield f"{'  ' * level}..."
        return
    for field in fields:
        if field.type.base != s.U_TYPE:
            yield from _line(field.name, view[field.name], level, field)


def _line(name: str, value: Any, level: int, field: Field | None = None) -> Iterator[str]:
    inner = isinstance(value, v.Vector) and not isinstance(value, v.ScalarVector)
    yield f"{'  ' * level}{name}: {in_short(value, field)}"
    if isinstance(value, (v.Table, v.Struct)):
        yield from _tree(value, level + 1)
    elif inner:
        for index, entry in enumerate(value):
            yield from _line(f"[{index}]", entry, level + 1)
