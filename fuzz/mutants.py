"""Damage that knows the format: every place of a FlatBuffer by what it holds, found through the schema."""

from __future__ import annotations

import random
import struct
from typing import NamedTuple

from unlite.flatbuffers import schema as s

WORDS = (0, 1, 2, 3, 4, 8, 16, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
FLOATS = (0.0, -1.0, 1e-30, 1e30, float("nan"), float("inf"), float("-inf"))
MOST_ELEMENTS = 24  # of a vector of scalars, that count as places of their own


class Spot(NamedTuple):
    """A place in a FlatBuffer.

    Attributes:
        kind: ``scalar``, ``float``, ``enum``, ``type`` (of a union), ``offset``, ``length``, ``slot`` (of a vtable) or
            ``vtable`` (the way to it).
        at: Where it is.
        width: How many bytes.
        values: What an enum may be.
        target: Where an offset leads to.
    """

    kind: str
    at: int
    width: int
    values: tuple[int, ...] = ()
    target: int = 0


def spots(data: bytes, root: s.Object) -> list[Spot]:
    """All places of a sound FlatBuffer, as far as they can be followed."""
    found: list[Spot] = []
    seen: set[tuple[int, str]] = set()
    start = struct.unpack_from("<I", data)[0]
    found.append(Spot("offset", 0, 4, target=start))
    waiting = [(start, root)]
    while waiting:
        position, owner = waiting.pop()
        if (position, owner.name) not in seen:
            seen.add((position, owner.name))
            waiting += _table(data, position, owner, found)
    return found


def _table(data: bytes, position: int, owner: s.Object, found: list[Spot]) -> list[tuple[int, s.Object]]:
    below: list[tuple[int, s.Object]] = []
    vtable = position - struct.unpack_from("<i", data, position)[0]
    size = struct.unpack_from("<H", data, vtable)[0]
    found += [Spot("vtable", position, 4), Spot("slot", vtable, 2), Spot("slot", vtable + 2, 2)]
    for field in owner.fields:
        slot = 4 + 2 * field.id
        if slot >= size:
            continue
        found.append(Spot("slot", vtable + slot, 2))
        inside = struct.unpack_from("<H", data, vtable + slot)[0]
        if not inside:
            continue
        at = position + inside
        base = field.type.base
        if base in s.SCALARS:
            found.append(_scalar(base, at, field.enum))
            continue
        if base == s.OBJ and field.the_object.is_struct:
            found += [Spot("scalar", at + i, 1) for i in range(min(field.the_object.bytesize, 8))]
            continue
        target = at + struct.unpack_from("<I", data, at)[0]
        found.append(Spot("offset", at, 4, target=target))
        if base == s.OBJ:
            below.append((target, field.the_object))
        elif base == s.UNION:
            below += _union(data, position, vtable, field, target)
        elif base in (s.STRING, s.VECTOR):
            below += _vector(data, target, field, found)
    return below


def _union(data: bytes, position: int, vtable: int, field: s.Field, target: int) -> list[tuple[int, s.Object]]:
    slot = struct.unpack_from("<H", data, vtable + 4 + 2 * (field.id - 1))[0]
    member = field.the_enum.member(data[position + slot]) if slot else None
    if member is None or member.index < 0:
        return []
    return [(target, field._schema.object(member.index))]


def _vector(data: bytes, start: int, field: s.Field, found: list[Spot]) -> list[tuple[int, s.Object]]:
    count = struct.unpack_from("<I", data, start)[0]
    found.append(Spot("length", start, 4))
    if field.type.base == s.STRING:
        found += [Spot("scalar", start + 4 + i, 1) for i in range(min(count, 4))]
        return []
    element = field.type.element
    if element in s.SCALARS:
        width = s.SCALARS[element].size
        return (
            found.extend(_scalar(element, start + 4 + i * width, field.enum) for i in range(min(count, MOST_ELEMENTS)))
            or []
        )
    if element not in (s.OBJ, s.STRING) or (element == s.OBJ and field.the_object.is_struct):
        return []
    below = []
    for i in range(count):
        at = start + 4 + 4 * i
        target = at + struct.unpack_from("<I", data, at)[0]
        found.append(Spot("offset", at, 4, target=target))
        if element == s.OBJ:
            below.append((target, field.the_object))
    return below


def _scalar(base: int, at: int, enum: s.Enum | None) -> Spot:
    width = s.SCALARS[base].size
    if base in (s.FLOAT, s.DOUBLE):
        return Spot("float", at, width)
    if base == s.U_TYPE or (enum is not None and enum.is_union):
        return Spot("type", at, width, tuple(enum.names) if enum is not None else ())
    return Spot("enum" if enum is not None else "scalar", at, width, tuple(enum.names) if enum is not None else ())


def mutated(data: bytes, places: list[Spot], chance: random.Random) -> bytes:
    """One to four places with other content of the same kind."""
    broken = bytearray(data)
    kinds = sorted({place.kind for place in places})
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 4))):
        kind = chance.choice(kinds)  # each kind as often as any other: there are far more slots than types
        alike = [place for place in places if place.kind == kind]
        place = chance.choice(alike)
        _change(broken, place, alike, places, chance)
    return bytes(broken)


def _change(broken: bytearray, place: Spot, alike: list[Spot], places: list[Spot], chance: random.Random) -> None:
    old = int.from_bytes(broken[place.at : place.at + place.width], "little")
    most = (1 << 8 * place.width) - 1
    if place.kind == "float":
        struct.pack_into("<f" if place.width == 4 else "<d", broken, place.at, chance.choice(FLOATS))
        return
    if place.kind in ("type", "enum") and chance.randrange(4):
        new = chance.choice(place.values or (0,))
    elif place.kind == "offset" and chance.randrange(4):
        new = chance.choice([other.target for other in places if other.kind == "offset"]) - place.at
    elif place.kind == "slot" and chance.randrange(3) == 0:
        new = 0
    elif chance.randrange(3) == 0:
        other = chance.choice(alike)
        new = int.from_bytes(broken[other.at : other.at + place.width], "little")
    elif chance.randrange(2):
        new = old + chance.choice((-4, -2, -1, 1, 2, 4))
    else:
        new = chance.choice((*WORDS, most, most >> 1, (most >> 1) + 1, chance.randrange(most)))
    broken[place.at : place.at + place.width] = (new & most).to_bytes(place.width, "little")


def damage(data: bytes, chance: random.Random, other: bytes) -> bytes:
    """A few changes that know nothing: bits, bytes, words, stretches moved, taken out, or taken from another file."""
    broken = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        if len(broken) < 8:
            break
        at = chance.randrange(len(broken) - 4)
        kind = chance.randrange(8)
        if kind == 0:
            broken[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            broken[at] = chance.randrange(256)
        elif kind == 2:
            struct.pack_into("<I", broken, at & ~3, chance.choice(WORDS))
        elif kind == 3:
            struct.pack_into("<H", broken, at & ~1, chance.choice(WORDS) & 0xFFFF)
        elif kind == 4:  # another offset or count of the same file
            start = chance.randrange(len(broken) - 4) & ~3
            broken[at & ~3 : (at & ~3) + 4] = broken[start : start + 4]
        elif kind == 5:
            (word,) = struct.unpack_from("<I", broken, at & ~3)
            struct.pack_into("<I", broken, at & ~3, (word + chance.choice((-4, -1, 1, 4, 1000))) & 0xFFFFFFFF)
        elif kind == 6:
            length = chance.randrange(1, 64)
            start = chance.randrange(len(other))
            broken[at : at + length] = other[start : start + length]
        elif chance.randrange(4) == 0:
            del broken[at:]
    return bytes(broken)
