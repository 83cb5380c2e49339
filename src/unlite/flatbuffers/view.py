"""Lazy views of a FlatBuffer, by field name.

A table's fields are attributes: ``model.subgraphs[0].tensors[3].name``. Nothing is read before it is asked for,
everything is checked when it is, and every view knows its path, so that an error names the place.

What a field gives: numbers and bools; enum values by name (an int where the schema has no name); strings; tables,
structs and union values as views (None where absent); vectors as sequences. Attributes of a table are its schema's
fields and nothing else: what one can do with a view are functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from unlite.errors import CorruptFileError, InvalidTypeError, NoSuchIndexError, UnknownFieldError
from unlite.flatbuffers import schema as s
from unlite.flatbuffers.wire import vector_layout

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from unlite.flatbuffers.schema import Enum, Field, Object
    from unlite.flatbuffers.wire import Wire

CODES = dict(
    zip(range(s.U_TYPE, s.DOUBLE + 1), ("B", "?", "b", "B", "h", "H", "i", "I", "q", "Q", "f", "d"), strict=True)
)
NUMPY_CODES = dict(
    zip("B?bhHiIqQfd", ("u1", "?", "i1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f4", "<f8"), strict=True)
)
_SET = object.__setattr__


class View:
    """Anything in a FlatBuffer that has a place: a table, struct or vector.

    ``_changes`` holds what was assigned below this place: field id or index -> new value, or the view that
    was changed further down. It is None until something is.
    """

    __slots__ = ("_changes", "_key", "_parent", "_wire")
    _wire: Wire
    _parent: View | None
    _key: str | int
    _changes: dict[int, Any] | None


def path(view: View) -> str:
    """Where a view stands, such as ``subgraphs[0].tensors[3].quantization``; "" for the root."""
    steps: list[str] = []
    at: View | None = view
    while at is not None and at._parent is not None:
        steps.append(f"[{at._key}]" if isinstance(at._key, int) else f".{at._key}")
        at = at._parent
    return "".join(reversed(steps)).lstrip(".")


def locate(error: CorruptFileError, view: View, name: str) -> CorruptFileError:
    """The error with its path filled in: the field or element ``name`` of ``view``."""
    if error.path is None:
        error.path = f"{path(view)}{name}".lstrip(".")
    return error


def changes(view: View) -> dict[int, Any]:
    """The view's own record of what was assigned below it, known to all its parents."""
    chain = [view]
    while chain[-1]._changes is None and chain[-1]._parent is not None:
        chain.append(chain[-1]._parent)
    record = chain[-1]._changes
    for at in reversed(chain):
        if at._changes is None:
            held: dict[int, Any] | None = None
            if record is not None and at._parent is not None:
                slot = at._key if isinstance(at._key, int) else _object(at._parent).by_name[at._key].id
                held = getattr(record.setdefault(slot, at), "_changes", None)
            _SET(at, "_changes", {} if held is None else held)
        record = at._changes
    return record if record is not None else {}


def _object(view: View) -> Object:
    return view._object  # type: ignore[attr-defined,no-any-return]  # tables only; vectors are asked by index


class _Record(View):
    """What tables and structs have in common: fields by name."""

    __slots__ = ("_position",)
    _object: Object
    _readers: dict[str, Callable[[Any], Any]]
    _position: int

    def __init__(self, wire: Wire, position: int, parent: View | None, key: str | int) -> None:
        _SET(self, "_wire", wire)
        _SET(self, "_position", position)
        _SET(self, "_parent", parent)
        _SET(self, "_key", key)
        _SET(self, "_changes", None)

    def __getattr__(self, name: str) -> Any:
        raise _unknown_field(self._object, name)

    def __getitem__(self, name: str) -> Any:
        read = self._readers.get(name)
        if read is None:
            raise _unknown_field(self._object, name)
        return read(self)

    def __repr__(self) -> str:
        return f"<{self._object.name} {path(self)}>".replace(" >", ">")

    def __str__(self) -> str:
        from unlite.flatbuffers.description import described

        return described(self)


class Table(_Record):
    """A table; subclasses made from the schema have its fields as attributes."""

    __slots__ = ("_slots",)
    _slots: tuple[int, ...]

    def __init__(self, wire: Wire, position: int, parent: View | None, key: str | int) -> None:
        super().__init__(wire, position, parent, key)
        try:
            _SET(self, "_slots", wire.slots(position))
        except CorruptFileError as error:
            raise locate(error, self, "") from None

    def __setattr__(self, name: str, value: object) -> None:
        from unlite.flatbuffers.assign import assign

        assign(self, name, value)


class Struct(_Record):
    """A struct: fixed layout, all fields present, read-only."""

    __slots__ = ()

    def __init__(self, wire: Wire, position: int, parent: View | None, key: str | int) -> None:
        super().__init__(wire, position, parent, key)
        if position + self._object.bytesize > wire.size:
            error = wire.corrupt(f"a {self._object.name} at byte 0x{position:X} leaves the file.", position)
            raise locate(error, self, "")

    def __setattr__(self, name: str, value: object) -> None:
        raise InvalidTypeError("a struct is assigned as a whole, as a dict of its fields.", path=f"{path(self)}.{name}")


class UnknownUnion(View):
    """A union value whose type the schema does not know."""

    __slots__ = ("_position",)

    def __init__(self, wire: Wire, position: int, parent: View, key: str | int) -> None:
        self._wire, self._position, self._parent, self._key, self._changes = wire, position, parent, key, None

    def __str__(self) -> str:
        return "a value of unknown type"


if TYPE_CHECKING:
    _Entries = Sequence[Any]
else:

    class _Entries:
        """What a sequence has, without its metaclass: ``isinstance`` would cost three times as much."""

        __slots__ = ()
        __contains__ = Sequence.__contains__
        __reversed__ = Sequence.__reversed__
        index = Sequence.index
        count = Sequence.count


class Vector(View, _Entries):
    """A vector or array. Elements come as the fields of a table do."""

    __slots__ = ("_count", "_field", "_start")

    def __init__(self, wire: Wire, start: int, count: int, field: Field, parent: View, key: str | int) -> None:
        self._wire = wire
        self._start = start
        self._count = count
        self._field = field
        self._parent = parent
        self._key = key
        self._changes = None

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        if not isinstance(index, int):
            raise InvalidTypeError(f"an index is wanted, not {index!r}.", path=path(self))
        position = index + self._count if index < 0 else index
        if not 0 <= position < self._count:
            raise NoSuchIndexError(f"there is no entry {index}, only {self._count}.", path=path(self))
        if self._changes is not None and position in self._changes:
            return self._changes[position]
        try:
            return self._element(position)
        except CorruptFileError as error:
            raise locate(error, self, f"[{position}]") from None

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(self._count))

    def _element(self, index: int) -> Any:
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Sequence)
            and len(self) == len(other)
            and all(a == b for a, b in zip(self, other, strict=True))
        )

    __hash__ = None  # type: ignore[assignment]  # compares by content

    def __repr__(self) -> str:
        return f"<{len(self)} entries {path(self)}>"


Sequence.register(Vector)  # pyright: ignore[reportAttributeAccessIssue]  # it is an abstract base class


class ScalarVector(Vector):
    """Numbers, bools or enum values."""

    __slots__ = ()

    @property
    def code(self) -> str:
        """Type of the elements, as in ``struct``."""
        return CODES[self._field.type.element]

    def _element(self, index: int) -> Any:
        layout = s.SCALARS[self._field.type.element]
        (value,) = self._wire.unpack(layout, self._start + index * layout.size)
        enum = self._field.enum
        return enum.label(value) if enum is not None else value

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def tolist(self) -> list[Any]:
        """All values."""
        values = list(self._wire.unpack(vector_layout(self._count, self.code), self._start))
        enum = self._field.enum
        return [enum.label(value) for value in values] if enum is not None else values

    def span(self) -> tuple[int, int]:
        """Position and length in bytes."""
        return self._start, self._count * s.SCALARS[self._field.type.element].size

    def memoryview(self) -> memoryview:
        """The stored bytes, without a copy where the source is in memory."""
        return self._wire.source.view(*self.span())

    def numpy(self) -> NDArray[np.generic]:
        """The stored values as a read-only array, without a copy where the source is in memory."""
        import numpy as np

        return np.frombuffer(self.memoryview(), NUMPY_CODES[self.code])

    @property
    def root(self) -> Table:
        """Root table of the FlatBuffer that the bytes are (attribute ``nested_flatbuffer``)."""
        from unlite.flatbuffers.wire import Wire
        from unlite.storage.source import MemorySource

        nested = self._field.nested_object
        if nested is None:
            raise UnknownFieldError("the schema does not say that these bytes are a FlatBuffer.", path=path(self))
        return root_view(Wire(MemorySource(self.memoryview(), f"{self._wire.source.name}:{path(self)}")), nested)

    def __repr__(self) -> str:
        return repr(self.tolist()) if len(self) <= 16 else super().__repr__()


class TableVector(Vector):
    """Tables."""

    __slots__ = ()

    def _element(self, index: int) -> Any:
        kind = view_type(self._field.object)
        return kind(self._wire, self._wire.follow(self._start + 4 * index), self, index)


class StructVector(Vector):
    """Structs, one behind the other."""

    __slots__ = ()

    def _element(self, index: int) -> Any:
        owner = self._field.the_object
        return view_type(owner)(self._wire, self._start + index * owner.bytesize, self, index)


class StringVector(Vector):
    """Strings."""

    __slots__ = ()

    def _element(self, index: int) -> Any:
        return self._wire.string(self._wire.follow(self._start + 4 * index))


class UnionVector(Vector):
    """Union values; their types stand in the vector beside it, ``<name>_type``."""

    __slots__ = ()

    def _element(self, index: int) -> Any:
        types = get(self._parent, self._field.owner.fields[self._field.id - 1])  # type: ignore[arg-type]  # a table's
        if types is None or index >= len(types):
            raise self._wire.corrupt("a vector of unions has fewer types than values.", self._start)
        if types[index] == "NONE":
            return None
        return union_value(
            self._wire, self._wire.follow(self._start + 4 * index), self._field.enum, types[index], self, index
        )


def union_value(wire: Wire, position: int, enum: Enum | None, label: str | int, parent: View, key: str | int) -> Any:
    """The value of a union whose type has that label: a view, or a string."""
    number = enum.number(label) if enum is not None else None
    member = enum.member(number) if enum is not None and number is not None else None
    if member is not None and member.base == s.STRING:
        return wire.string(position)
    if member is None or member.base != s.OBJ or enum is None:
        return UnknownUnion(wire, position, parent, key)
    return view_type(enum._schema.object(member.index))(wire, position, parent, key)


def view_type(owner: Object | None) -> type[Any]:
    """The class of views of a table or struct; one per schema object."""
    if owner is None:
        raise CorruptFileError("the schema names an object that it does not have.")
    if owner.view is None:
        from unlite.flatbuffers.fields import readers_of  # it knows all the kinds of views

        readers = readers_of(owner)
        body: dict[str, Any] = {
            "__slots__": (),
            "_object": owner,
            "_readers": readers,
            "__doc__": f"View of {owner.name!a}.",
        }
        base = Struct if owner.is_struct else Table
        for name, read in readers.items():
            if not name.startswith("_"):  # those are read with table["_name"]
                body[name] = property(read)
        name = owner.name.rpartition(".")[2]
        owner.view = type(name if name.isidentifier() else "Unnamed", (base,), body)
    return owner.view


def get(table: Table, field: Field) -> Any:
    """The value of a field."""
    return table._readers[field.name](table)


def is_present(table: Table, field: Field) -> bool:
    """Whether the field is stored or was assigned; scalars that are not have their default."""
    if table._changes is not None and field.id in table._changes:
        return table._changes[field.id] is not None
    return field.id < len(table._slots) and table._slots[field.id] != 0


def present(table: Table) -> Iterator[Field]:
    """The fields that are present, by id."""
    return (field for field in table._object.fields if is_present(table, field))


def unknown_fields(table: Table) -> list[int]:
    """Ids of stored fields that the schema does not have."""
    known = len(table._object.fields)
    return [known + i for i, slot in enumerate(table._slots[known:]) if slot]


def root_view(wire: Wire, owner: Object) -> Table:
    """The root table of a buffer."""
    try:
        return view_type(owner)(wire, wire.root(), None, "")  # type: ignore[no-any-return]
    except CorruptFileError as error:
        error.path = error.path or "root"
        raise


def _unknown_field(owner: Object, name: str) -> UnknownFieldError:
    return UnknownFieldError(
        f"{owner.name} has no field {name!r}.", hint=f"Its fields: {', '.join(owner.by_name) or 'none'}."
    )
