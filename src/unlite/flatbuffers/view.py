"""Lazy views of a FlatBuffer, by field name.

A table's fields are attributes: ``model.subgraphs[0].tensors[3].name``. Nothing is read before it is asked for,
everything is checked when it is, and every view knows its path, so that an error names the place.

What a field gives: numbers and bools; enum values by name (an int where the schema has no name); strings; tables,
structs and union values as views (None where absent); vectors as sequences. Attributes of a table are its schema's
fields and nothing else: what one can do with a view are functions.

A view is a place: it has a path, and shows what stands there now. What was assigned lies in the store of edits that
all views of a file share; a view that is older than the last change finds its place anew when it is next asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from unlite.errors import CorruptFileError, InvalidTypeError, NoSuchIndexError, NotFoundError, UnknownFieldError
from unlite.flatbuffers import schema as s
from unlite.flatbuffers.edits import Edits, Past, TableNode, VectorNode
from unlite.flatbuffers.wire import vector_layout

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from unlite.flatbuffers.edits import Edit
    from unlite.flatbuffers.saving import SaveReport
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

    ``_edits`` is the store that all views of a file share, ``_revision`` its state when the view last looked, and
    ``_node`` what was then assigned at this place; None for nothing.
    """

    __slots__ = ("_edits", "_key", "_node", "_parent", "_revision", "_wire")
    _edits: Edits
    _key: str | int
    _node: Any
    _parent: View | None
    _revision: int
    _wire: Wire

    def __reduce__(self) -> tuple[Any, ...]:
        from unlite.flatbuffers.past import reduced

        return reduced(self)


def path(view: View) -> str:
    """Where a view stands, such as ``subgraphs[0].tensors[3].quantization``; "" for the root."""
    steps: list[str] = []
    at: View = view
    while at._parent is not None:
        steps.append(f"[{at._key}]" if isinstance(at._key, int) else f".{at._key}")
        at = at._parent
    steps.append(str(at._key))
    return "".join(reversed(steps)).lstrip(".")


def locate(error: CorruptFileError, view: View, name: str) -> CorruptFileError:
    """The error with its path filled in: the field or element ``name`` of ``view``."""
    if error.path is None:
        error.path = f"{path(view)}{name}".lstrip(".")
    return error


def refresh(view: View) -> None:
    """Finds the place of a view anew after a change, if there was one.

    Raises:
        NotFoundError: nothing of its type stands there any more.
    """
    revision = view._edits.revision
    if view._revision == revision:
        return
    stale = [view]
    while stale[-1]._parent is not None and stale[-1]._parent._revision != revision:
        stale.append(stale[-1]._parent)
    for at in reversed(stale):  # from above, as each is found through its parent
        _find(at, revision)


def _find(view: View, revision: int) -> None:
    parent, key = view._parent, view._key
    found: Any
    if parent is not None:
        try:
            found = parent[key]  # type: ignore[index]  # whatever has children can be asked for them
        except NotFoundError:
            found = None
    else:
        edits = view._edits
        node: Any = edits.root or TableNode(edits.wire, edits.position)
        found = type(view)(node.wire, node.position, None, key, edits)  # type: ignore[call-arg]  # roots are tables
        _SET(found, "_node", edits.root)
    if type(found) is not type(view):
        now = "nothing is there" if found is None else "something else is there"
        raise NotFoundError(f"was changed since this was read; now {now}.", path=path(view), hint="Read it again.")
    for name in _PLACES.get(type(view)) or _place_slots(type(view)):
        _SET(view, name, getattr(found, name))
    _SET(view, "_revision", revision)


_PLACES: dict[type, tuple[str, ...]] = {}


def _place_slots(kind: type) -> tuple[str, ...]:
    """The slots of a kind of view that say where it stands."""
    own = ("_wire", "_node", "_position", "_slots", "_start", "_count")
    slots = {slot for base in kind.__mro__ for slot in getattr(base, "__slots__", ())}
    _PLACES[kind] = found = tuple(slot for slot in own if slot in slots)
    return found


def node_of(view: View) -> Any:
    """The node of a place that is to be changed, made if need be, as are those above it."""
    refresh(view)
    bare: list[View] = []
    at: View | None = view
    while at is not None and at._node is None:
        bare.append(at)
        at = at._parent
    node = None if at is None else at._node
    edits = view._edits
    for place in reversed(bare):
        made: Any
        if isinstance(place, Vector):
            made = VectorNode(place._wire, place._start, place._count)
        else:
            made = TableNode(place._wire, place._position)  # type: ignore[attr-defined]  # tables and structs have one
        if node is None:
            edits.place_root(made)
        elif isinstance(place._key, int):
            edits.put(node.entries, place._key, made)
        else:
            edits.put(node.fields, _object(place._parent).by_name[place._key].id, made)
        node = made
    return node


def assigned(table: Table) -> dict[int, Any]:
    """Field id -> what was assigned, as the view gives it; None for what was taken out."""
    refresh(table)
    if table._node is None:
        return {}
    fields = table._object.fields
    return {
        number: None if value is None else get(table, fields[number]) for number, value in table._node.fields.items()
    }


def is_edited(view: View) -> bool:
    """Whether this place, or one below it, is other than the bytes under it."""
    refresh(view)
    node = view._node
    return node is not None and bool(node.entries if isinstance(node, VectorNode) else node.fields)


def _object(view: Any) -> Object:
    return view._object if hasattr(type(view), "_object") else view._field.owner  # type: ignore[no-any-return]


class _Record(View):
    """What tables and structs have in common: fields by name."""

    __slots__ = ("_position",)
    _object: Object
    _readers: dict[str, Callable[[Any], Any]]
    _position: int

    def __init__(
        self, wire: Wire, position: int, parent: View | None, key: str | int, edits: Edits | None = None
    ) -> None:
        if parent is not None:
            edits = parent._edits
            _SET(self, "_revision", parent._revision)
        else:
            if edits is None:
                edits = Edits(wire, position)
            _SET(self, "_revision", edits.revision)
        _SET(self, "_edits", edits)
        _SET(self, "_wire", wire)
        _SET(self, "_position", position)
        _SET(self, "_parent", parent)
        _SET(self, "_key", key)
        _SET(self, "_node", None)

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

    def __init__(  # as that of _Record, which would be one more call for each of many thousand tables
        self, wire: Wire, position: int, parent: View | None, key: str | int, edits: Edits | None = None
    ) -> None:
        if parent is not None:
            edits = parent._edits
            _SET(self, "_revision", parent._revision)
        else:
            if edits is None:
                edits = Edits(wire, position)
            _SET(self, "_revision", edits.revision)
        _SET(self, "_edits", edits)
        _SET(self, "_wire", wire)
        _SET(self, "_position", position)
        _SET(self, "_parent", parent)
        _SET(self, "_key", key)
        _SET(self, "_node", None)
        try:
            _SET(self, "_slots", wire.slots(position))
        except CorruptFileError as error:
            raise locate(error, self, "") from None

    def __setattr__(self, name: str, value: object) -> None:
        from unlite.flatbuffers.assign import assign

        assign(self, name, value)

    def save(self, path: str, **options: Any) -> SaveReport:
        """Writes the file that this is the root of, with all changes; see ``unlite.flatbuffers.save``.

        A schema's field of that name hides it; the function is always there.
        """
        from unlite.flatbuffers.saving import save

        return save(self, path, **options)


class Struct(_Record):
    """A struct: fixed layout, all fields present, read-only."""

    __slots__ = ()

    def __init__(
        self, wire: Wire, position: int, parent: View | None, key: str | int, edits: Edits | None = None
    ) -> None:
        super().__init__(wire, position, parent, key, edits)
        if position + self._object.bytesize > wire.size:
            error = wire.corrupt(f"a {self._object.name} at byte 0x{position:X} leaves the file.", position)
            raise locate(error, self, "")

    def __setattr__(self, name: str, value: object) -> None:
        raise InvalidTypeError("a struct is assigned as a whole, as a dict of its fields.", path=f"{path(self)}.{name}")


class UnknownUnion(View):
    """A union value whose type the schema does not know."""

    __slots__ = ("_position",)

    def __init__(self, wire: Wire, position: int, parent: View, key: str | int) -> None:
        self._wire, self._position, self._parent, self._key, self._node = wire, position, parent, key, None
        self._edits, self._revision = parent._edits, parent._revision

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

    def __init__(self, wire: Wire, start: int, count: int, field: Field, parent: View | None, key: str | int) -> None:
        self._wire = wire
        self._start = start
        self._count = count
        self._field = field
        self._parent = parent
        self._key = key
        self._node = None
        self._edits = Past(wire, 0) if parent is None else parent._edits
        self._revision = 0 if parent is None else parent._revision

    def __len__(self) -> int:
        if self._revision != self._edits.revision:
            refresh(self)
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if self._revision != self._edits.revision:
            refresh(self)
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        if not isinstance(index, int):
            raise InvalidTypeError(f"an index is wanted, not {index!r}.", path=path(self))
        position = index + self._count if index < 0 else index
        if not 0 <= position < self._count:
            raise NoSuchIndexError(f"there is no entry {index}, only {self._count}.", path=path(self))
        try:
            if self._node is not None and position in self._node.entries:
                return self._given(self._node.entries[position], position)
            return self._element(position)
        except CorruptFileError as error:
            raise locate(error, self, f"[{position}]") from None

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __setitem__(self, index: Any, value: object) -> None:
        from unlite.flatbuffers.assign import assign_entry

        assign_entry(self, index, value)

    def _element(self, index: int) -> Any:
        raise NotImplementedError

    def _given(self, value: Any, index: int) -> Any:
        """What an entry that was assigned comes as."""
        return value if not isinstance(value, TableNode) else placed(self._field.the_object, value, self, index)

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
        if self._revision != self._edits.revision:
            refresh(self)
        values = list(self._wire.unpack(vector_layout(self._count, self.code), self._start))
        enum = self._field.enum
        return [enum.label(value) for value in values] if enum is not None else values

    def span(self) -> tuple[int, int]:
        """Position and length in bytes."""
        if self._revision != self._edits.revision:
            refresh(self)
        return self._start, self._count * s.SCALARS[self._field.type.element].size

    def memoryview(self) -> memoryview:
        """The stored bytes, without a copy where the source is in memory."""
        start, length = self.span()
        return self._wire.source.view(start, length)

    def numpy(self) -> NDArray[np.generic]:
        """The stored values as a read-only array, without a copy where the source is in memory."""
        import numpy as np

        return np.frombuffer(self.memoryview(), NUMPY_CODES[self.code])

    @property
    def root(self) -> Table:
        """Root table of the FlatBuffer that the bytes are (attribute ``nested_flatbuffer``); changes go back into them.

        Raises:
            UnknownFieldError: the schema does not say that they are one.
        """
        from unlite.flatbuffers.assign import assign
        from unlite.flatbuffers.nested import nested_root

        nested, table, name = self._field.nested_object, self._parent, self._field.name
        if nested is None or not isinstance(table, Table):
            raise UnknownFieldError("the schema does not say that these bytes are a FlatBuffer.", path=path(self))

        def write(data: bytes, edit: Edit) -> None:
            with self._edits.change(edit.path, edit.old, edit.new):
                assign(table, name, data)

        return nested_root(self._edits, nested, path(self), self.memoryview, write)  # type: ignore[no-any-return]

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

    def _kind(self, index: int) -> Any:
        types = get(self._parent, self._field.owner.fields[self._field.id - 1])  # type: ignore[arg-type]  # a table's
        if types is None or index >= len(types):
            raise self._wire.corrupt("a vector of unions has fewer types than values.", self._start)
        return types[index]

    def _element(self, index: int) -> Any:
        kind = self._kind(index)
        if kind == "NONE":
            return None
        position = self._wire.follow(self._start + 4 * index)
        return union_value(self._wire, position, self._field.enum, kind, self, index)

    def _given(self, value: Any, index: int) -> Any:
        if not isinstance(value, TableNode):
            return value
        return placed_union(self._field.enum, self._kind(index), value, self, index)


def union_value(wire: Wire, position: int, enum: Enum | None, label: str | int, parent: View, key: str | int) -> Any:
    """The value of a union whose type has that label: a view, or a string."""
    number = enum.number(label) if enum is not None else None
    member = enum.member(number) if enum is not None and number is not None else None
    if member is not None and member.base == s.STRING:
        return wire.string(position)
    if member is None or member.base != s.OBJ or enum is None:
        return UnknownUnion(wire, position, parent, key)
    return view_type(enum._schema.object(member.index))(wire, position, parent, key)


def placed(owner: Object, node: TableNode, parent: View, key: str | int) -> Any:
    """The view of a table or struct that lies over the bytes, or was put there."""
    made = view_type(owner)(node.wire, node.position, parent, key)
    _SET(made, "_node", node)
    return made


def placed_union(enum: Enum | None, label: str | int, node: TableNode, parent: View, key: str | int) -> Any:
    """The same for a union value whose type has that label."""
    made = union_value(node.wire, node.position, enum, label, parent, key)
    if isinstance(made, View):
        _SET(made, "_node", node)
    return made


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
    refresh(table)
    if table._node is not None and field.id in table._node.fields:
        return table._node.fields[field.id] is not None
    return field.id < len(table._slots) and table._slots[field.id] != 0


def present(table: Table) -> Iterator[Field]:
    """The fields that are present, by id."""
    return (field for field in table._object.fields if is_present(table, field))


def unknown_fields(table: Table) -> list[int]:
    """Ids of stored fields that the schema does not have."""
    known = len(table._object.fields)
    return [known + i for i, slot in enumerate(table._slots[known:]) if slot]


def root_view(wire: Wire, owner: Object) -> Table:
    """The root table of a buffer, with a store of edits of its own."""
    try:
        return view_type(owner)(wire, wire.root(), None, "")  # type: ignore[no-any-return]
    except CorruptFileError as error:
        error.path = error.path or "root"
        raise


def unedited(root: Table) -> Table:
    """The root table as it is stored, whatever was assigned."""
    edits = root._edits
    return type(root)(edits.wire, edits.position, None, "", Past(edits.wire, edits.position))


def _unknown_field(owner: Object, name: str) -> UnknownFieldError:
    return UnknownFieldError(
        f"{owner.name} has no field {name!r}.", hint=f"Its fields: {', '.join(owner.by_name) or 'none'}."
    )
