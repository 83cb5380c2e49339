"""The path language of ``unlite set``: ``PATH=VALUE``, a place in a model and what shall stand there.

A path has the schema's names, as in ``subgraphs[0].tensors[3].quantization.scale``. Entries are told by index, by name
(in quotes, where it has brackets or quotes itself) or by ``*`` for all. Beyond the schema: ``tensors`` and
``operators`` alone are those of the main subgraph; a tensor has ``data``, and that has elements; an operator has
``options``, ``version``, and keys of its ``custom_options``;
``metadata[NAME]`` is the content of an entry. Values: see ``path_values``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from unlite.errors import InvalidTypeError, InvalidValueError, NotFoundError, UnknownFieldError, UnliteError
from unlite.flatbuffers import schema as s
from unlite.flatbuffers import view as v
from unlite.model.metadata.entries import Metadata
from unlite.model.model import Model, open_model
from unlite.model.objects.buffer import Buffer
from unlite.model.objects.names import NamedSequence
from unlite.model.objects.operator import Operator
from unlite.model.objects.subgraph import Subgraph
from unlite.model.objects.tensor import Tensor
from unlite.model.setting.custom_options import CustomOptions
from unlite.model.setting.path_values import content_bytes, field_value, new_elements, new_values, string_value
from unlite.model.values.constants import store_span
from unlite.model.values.plain_values import plain_content

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EXAMPLES = "description=mine, tensors[3].name=x, operators[0].options.padding=SAME, tensors[*].data=round(x, 0.02)"


class Part(NamedTuple):
    """One step of a path.

    Attributes:
        kind: ``field``, ``index``, ``name`` or ``all``.
        value: The field's or the entry's name, or the entry's index.
    """

    kind: str
    value: str | int

    def __str__(self) -> str:
        return f".{self.value}" if self.kind == "field" else f"[{'*' if self.kind == 'all' else self.value}]"


class Change(NamedTuple):
    """What one ``PATH=VALUE`` did.

    Attributes:
        path: The path.
        places: How many were assigned.
        skipped: Tensors under a ``*`` that hold no float constant.
        clipped: Values outside what a type holds; they became the nearest that it does.
    """

    path: str
    places: int
    skipped: int = 0
    clipped: int = 0


_FIELD = re.compile(r"[A-Za-z_]\w*")
_SUBSCRIPT = re.compile(
    r"""\[\s*(?:(?P<all>\*)|(?P<index>-?\d{1,18})"""
    r"""|'(?P<single>(?:[^'\\]|\\.)*)'|"(?P<double>(?:[^"\\]|\\.)*)"|(?P<bare>[^\]'"\s][^\]]*))\s*\]""",
    re.DOTALL,
)


def parse_path(text: str) -> tuple[list[Part], str]:
    """The steps at the beginning of a text, and the text behind them.

    Raises:
        InvalidValueError: it does not begin with a path.
    """
    parts: list[Part] = []
    at = 0
    while True:
        field = _FIELD.match(text, at)
        if field is None:
            raise InvalidValueError(
                f"{text!r:.80} is no path: a field is wanted at character {at + 1}.", hint=f"Such as: {EXAMPLES}"
            )
        parts.append(Part("field", field[0]))
        at = field.end()
        while text.startswith("[", at):
            subscript = _SUBSCRIPT.match(text, at)
            if subscript is None:
                raise InvalidValueError(f"{text!r:.80} is no path: the bracket at character {at + 1} does not close.")
            parts.append(_subscript(subscript))
            at = subscript.end()
        if not text.startswith(".", at):
            return parts, text[at:]
        at += 1


def _subscript(found: re.Match[str]) -> Part:
    if found["all"]:
        return Part("all", "*")
    if found["index"]:
        return Part("index", int(found["index"]))
    quoted = found["single"] if found["single"] is not None else found["double"]
    return Part("name", found["bare"].strip() if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL))


def assign_path(model: Any, text: str) -> Change:
    """Does what ``PATH=VALUE`` says; ``save`` writes it.

    Args:
        model: A model, a path or bytes.
        text: Such as ``tensors[conv2d/Kernel].data=@kernel.npy``. Files are looked for from the working folder.

    Raises:
        InvalidValueError, InvalidTypeError: the text is no assignment, or the value does not fit.
        NotFoundError: no such field, name or index.
    """
    model = open_model(model)
    parts, rest = parse_path(text)
    path = text[: len(text) - len(rest)]
    if not rest.startswith("="):
        raise InvalidValueError(
            f"{text!r:.80} is no assignment: '=' is wanted behind the path.", hint=f"Such as: {EXAMPLES}"
        )
    value = rest[1:].strip()
    try:
        at = _data_part(parts)
        if at is not None and at < len(parts) - 1:
            tensors = list(walk(model, parts[:at]))
            if tensors and all(isinstance(owner, Tensor) for owner in tensors):
                return _assign_elements(path, tensors, parts[at + 1 :], value)
        owners = list(walk(model, parts[:-1], create=True))
        several = any(part.kind == "all" for part in parts[:-1])
        if parts[-1] == Part("field", "data") and owners and all(isinstance(owner, Tensor) for owner in owners):
            return _assign_data(path, owners, value, several)
        count = 0
        for owner in owners:
            count += _assign(owner, parts[-1], value)
        if not count:
            raise NotFoundError("no place was changed: the list that [*] stands for is empty.")
        return Change(path, count)
    except UnliteError as error:
        error.path = error.path or path
        raise


def _data_part(parts: Sequence[Part]) -> int | None:
    """Where ``data`` stands, if anything but indices follows it or nothing at all."""
    places = [i for i, part in enumerate(parts) if part == Part("field", "data")]
    return places[-1] if places and all(part.kind != "field" for part in parts[places[-1] + 1 :]) else None


# -- finding the place ---------------------------------------------------------------------------------------------


def walk(root: Any, parts: Sequence[Part], *, create: bool = False) -> Iterator[Any]:
    """Everything that a path leads to, from a model or from any view.

    Args:
        root: Where the path begins.
        parts: The path.
        create: Make tables that are absent, so that their fields can be assigned. Else an absent value at the end
            of the path comes as None.
    """
    if not parts:
        yield root
        return
    part, *rest = parts
    if part.kind == "field":
        child = _child(root, str(part.value))
        if child is None and (rest or create):
            child = _absent(root, str(part.value), create)
        yield from walk(child, rest, create=create)
    elif part.kind == "all":
        if isinstance(root, Metadata):
            root = root._model.root["metadata"] or ()
        if not isinstance(root, (NamedSequence, v.Vector)):
            raise InvalidTypeError("[*] stands behind a list of entries alone.")
        for entry in root:
            yield from walk(entry, rest, create=create)
    else:
        yield from walk(_entry(root, part), rest, create=create)


def _child(owner: Any, name: str) -> Any:
    if isinstance(owner, Model):
        if name in ("tensors", "operators"):
            owner = owner.main
        elif name in ("subgraphs", "buffers", "metadata"):
            return getattr(owner, name)
        elif name == "signature_defs":
            return owner.signatures
    if isinstance(owner, Subgraph) and name in ("tensors", "operators"):
        return getattr(owner, name)
    if isinstance(owner, Operator) and name == "custom_options":
        return CustomOptions(owner)
    if isinstance(owner, CustomOptions):
        return owner.inside(name)
    if isinstance(owner, Operator) and name == "options":
        if owner.options is None:
            raise NotFoundError(f"{owner.label} has no options.")
        return owner.options
    return table_of(owner, name)[name]


def _absent(owner: Any, name: str, create: bool) -> v.Table:
    """An empty table for a field that is absent, where one may be made."""
    table = table_of(owner, name)
    if not create or table._object.by_name[name].type.base != s.OBJ:
        raise NotFoundError(f"{name!r} is absent.", path=v.path(table) or None)
    setattr(table, name, {})
    made: v.Table = table[name]
    return made


def table_of(owner: Any, name: str) -> v.Table | v.Struct:
    """The table behind an object, which must have a field of that name.

    Raises:
        UnknownFieldError: it does not.
        InvalidTypeError: the object has no fields.
    """
    table = owner.root if isinstance(owner, Model) else getattr(owner, "_table", owner)
    if not isinstance(table, (v.Table, v.Struct)):
        raise InvalidTypeError(
            f"{name!r} is wanted of what has no fields.", hint="A list wants an index first, such as [0]."
        )
    if name not in table._object.by_name:
        from difflib import get_close_matches

        own = {Tensor: ["data"], Operator: ["options", "version"], Model: ["tensors", "operators"]}.get(type(owner), [])
        names = [*table._object.by_name, *own]
        near = get_close_matches(name, names, 3)
        close = f"Close: {', '.join(near)}. " if near else ""
        raise UnknownFieldError(
            f"{table._object.name} has no field {name!r}.",
            path=v.path(table) or None,
            hint=f"{close}Its fields: {', '.join(names)}.",
        )
    return table


def _entry(sequence: Any, part: Part) -> Any:
    if isinstance(sequence, CustomOptions):
        return sequence.inside(part.value)
    if isinstance(sequence, Metadata):
        if part.kind == "name":
            raise InvalidTypeError(
                "the content of a metadata entry has no fields.", hint="Such as: metadata[NAME]=@FILE"
            )
        sequence = sequence._model.root["metadata"] or ()
    if isinstance(sequence, v.Vector) and part.kind == "name":
        raise InvalidTypeError(
            f"entries of {v.path(sequence)} have no names: {part.value!r} was asked for.", hint="Give an index."
        )
    if not isinstance(sequence, (NamedSequence, v.Vector)):
        raise InvalidTypeError(f"{part} stands behind what has no entries.")
    return sequence[part.value]


# -- assigning -----------------------------------------------------------------------------------------------------


def _assign(owner: Any, part: Part, value: str) -> int:
    """Assigns to a field or entry of one object; the number of places."""
    if isinstance(owner, CustomOptions) and part.kind != "all":
        owner.inside(part.value).set(value)
        return 1
    if part.kind != "field":
        return _assign_entry(owner, part, value)
    name = str(part.value)
    if isinstance(owner, Buffer) and name == "data":
        owner.data = content_bytes(value)
    elif isinstance(owner, Tensor) and name == "name":
        owner.name = string_value(value) or ""
    elif isinstance(owner, Operator) and name == "version":
        owner.version = field_value(owner.code._table._object.by_name["version"], value)
    elif isinstance(owner, Operator) and name == "options":
        raise InvalidTypeError("options are assigned one by one, as in options.padding=SAME.")
    else:
        table = table_of(owner, name)
        setattr(table, name, field_value(table._object.by_name[name], value))
    return 1


def _assign_entry(owner: Any, part: Part, value: str) -> int:
    if isinstance(owner, Metadata) and part.kind == "name":
        if value == "null":
            del owner[str(part.value)]
        else:
            owner[str(part.value)] = content_bytes(value)
        return 1
    if not isinstance(owner, (v.ScalarVector, v.StringVector)) or not isinstance(owner._parent, v.Table):
        raise InvalidTypeError(
            f"{part} is no value that can be assigned.", hint="Assign to a field of it, such as .name=..."
        )
    if part.kind == "name":
        raise InvalidTypeError(
            f"entries of {v.path(owner)} have no names: {part.value!r} was asked for.", hint="Give an index."
        )
    entries = list(owner)
    places = range(len(entries)) if part.kind == "all" else [_checked(owner, part)]
    for place in places:
        entries[place] = field_value(owner._field, value, element=True)
    setattr(owner._parent, owner._field.name, entries)
    return len(places)


def _checked(vector: v.Vector, part: Part) -> int:
    index = int(part.value)
    vector[index]  # raises where there is no such entry
    return index


def _assign_data(path: str, tensors: list[Tensor], value: str, several: bool) -> Change:
    """New constants."""
    if several:
        return _assign_several(path, tensors, value)
    (tensor,) = tensors
    plain = plain_content(tensor, value)
    if plain is not None:
        store_span(tensor, plain)
        return Change(path, 1)
    prepared = new_values(tensor, value, several)
    if prepared is None:
        return Change(path, 1)
    tensor.data, clipped = prepared
    return Change(path, 1, clipped=clipped)


def _assign_several(path: str, tensors: list[Tensor], value: str) -> Change:
    """New constants under a ``*``: only float ones change, and buffers that are shared change once."""
    from unlite.model.formats.weights import Unfolding, place_of

    count = skipped = clipped = 0
    done: set[object] = set()
    unfolding = Unfolding(tensors[0].subgraph.model)
    for tensor in tensors:
        if not tensor.is_constant or "FLOAT" not in tensor.dtype:
            skipped += 1
            continue
        place = place_of(tensor)
        if place in done:
            continue
        if place[0] == "buffer":  # an external one is not changed: each tensor gets a buffer of its own
            done.add(place)
        unfolding.add(tensor)
        prepared = new_values(tensor, value, several=True)
        if prepared is not None:
            tensor.data, outside = prepared
            clipped += outside
        count += 1
    if not count:
        raise InvalidValueError(
            f"no place was changed: none of the {skipped} tensors holds a float constant.",
            hint="[*] is for float constants; name an integer tensor to change it: tensors[NAME].data=...",
        )
    return Change(path, count, skipped, clipped)


def _assign_elements(path: str, tensors: list[Tensor], indices: Sequence[Part], value: str) -> Change:
    """One element of a constant, or the part of it that indices lead to."""
    if len(tensors) > 1:
        raise InvalidValueError("elements are assigned in one tensor at a time.", hint="Name it instead of [*].")
    if not all(part.kind == "index" for part in indices):
        raise InvalidTypeError("elements are told by numbers.", hint="Such as: tensors[3].data[0][1]=5")
    (tensor,) = tensors
    prepared = new_elements(tensor, tuple(int(part.value) for part in indices), value)
    if prepared is None:
        return Change(path, 1)
    tensor.data, clipped = prepared
    return Change(path, 1, clipped=clipped)
