"""Which layer of a network is which operator of a model: by name, by shape, by order, or it is said to be unclear."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    Follows = Callable[[int, int], bool]

LISTED = 8


class Item(NamedTuple):
    """Something to match.

    Attributes:
        label: For messages.
        signature: Only what has the same one fits.
        names: What it is called; a network's item has one.
        same: Equal for items that are the same weights.
    """

    label: str
    signature: Hashable
    names: tuple[str, ...]
    same: Hashable = None


class Pair(NamedTuple):
    """A match.

    Attributes:
        net, file: Indices of the items.
        how: ``name``, ``shape`` (nothing else has it), or ``order``.
    """

    net: int
    file: int
    how: str


def match(
    net: Sequence[Item], file: Sequence[Item], follows: Follows, decided: Sequence[Pair] = ()
) -> tuple[list[Pair], list[str]]:
    """Pairs items, each at most once.

    Args:
        net: In the order in which the network's layers were made.
        file: In the order in which the model's operators run.
        follows: Whether a file's item (the second) depends on another (the first). The order of items that run side by
            side says nothing.
        decided: Pairs that are known already.

    Returns:
        The pairs, without the decided ones, and what could not be decided, as sentences.
    """
    pairs = _by_name(net, file, decided)
    known = [*decided, *pairs]
    open_net, open_file = _open(net, {pair.net for pair in known}), _open(file, {pair.file for pair in known})
    unclear: list[str] = []
    waiting: dict[Hashable, tuple[list[int], list[int]]] = {}
    for signature, mine in open_net.items():
        theirs = open_file.get(signature, [])
        if len(theirs) > len(mine):
            theirs = _once(theirs, file)
        if len(mine) == len(theirs) == 1:
            pairs.append(Pair(mine[0], theirs[0], "shape"))
        elif theirs and len(mine) != len(theirs):
            unclear.append(_sentence(mine, theirs, net, file, "are not as many"))
        elif not all(follows(*two) for two in pairwise(theirs)):
            unclear.append(_sentence(mine, theirs, net, file, "run side by side, so that no order tells them apart"))
        elif theirs:
            waiting[signature] = mine, theirs
    by_order, crossing = _by_order(waiting, [*decided, *pairs], net)
    pairs += by_order
    why = "come in another order than the layers around them"
    unclear += [_sentence(*waiting[signature], net, file, why) for signature in crossing]
    return pairs, unclear


def _open(items: Sequence[Item], taken: set[int]) -> dict[Hashable, list[int]]:
    found: dict[Hashable, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        if index not in taken:
            found[item.signature].append(index)
    return found


def _once(indices: list[int], items: Sequence[Item]) -> list[int]:
    """The first of each that are the same weights."""
    found: dict[Hashable, int] = {}
    for index in indices:
        found.setdefault(items[index].same, index)
    return list(found.values())


# -- by name -----------------------------------------------------------------------------------------------------------


def _by_name(net: Sequence[Item], file: Sequence[Item], decided: Sequence[Pair]) -> list[Pair]:
    """Pairs whose names agree, where they do so with one item alone on both sides."""
    taken = {pair.net for pair in decided}, {pair.file for pair in decided}
    bearers: dict[tuple[Hashable, str], set[int]] = defaultdict(set)
    for index, item in enumerate(file):
        if index not in taken[1]:
            for run in {run for name in item.names for single in name[:4000].split(";") for run in _runs(single)}:
                bearers[item.signature, run].add(index)
    wanted = {
        index: found
        for index, item in enumerate(net)
        if index not in taken[0] and (found := bearers.get((item.signature, _plain(item.names[0])), set()))
    }
    claims = Counter(index for found in wanted.values() for index in found)
    return [
        Pair(index, next(iter(found)), "name")
        for index, found in wanted.items()
        if len(found) == 1 and claims[next(iter(found))] == 1
    ]


def _plain(name: str) -> str:
    """A name without case and separators; "" where it has no letters to tell it by."""
    plain = re.sub(r"[^0-9a-z]+", "", name[:1000].lower())
    return plain if re.search(r"[a-z]", plain) else ""


def _runs(name: str) -> set[str]:
    """All runs of a name's components: ``model/conv1/Conv2D`` is called ``conv1`` and ``model.conv1``, too."""
    parts = [plain for part in re.split(r"[/.:]+", name[:1000]) if (plain := re.sub(r"[^0-9a-z]+", "", part.lower()))]
    parts = parts[:16]
    return {"".join(parts[start:end]) for start in range(len(parts)) for end in range(start + 1, len(parts) + 1)}


# -- by order ----------------------------------------------------------------------------------------------------------


def _by_order(
    waiting: dict[Hashable, tuple[list[int], list[int]]], known: Sequence[Pair], net: Sequence[Item]
) -> tuple[list[Pair], list[Hashable]]:
    """Pairs the n-th with the n-th of those that look alike, where both sides agree on the order of all of them.

    Returns:
        The pairs, and the signatures for which the sides do not agree.
    """
    mine = [signature for _, signature in sorted((i, s) for s, (indices, _) in _numbered(waiting) for i in indices)]
    theirs = [signature for _, signature in sorted((i, s) for s, (_, indices) in _numbered(waiting) for i in indices)]
    names = list(waiting)
    crossing: set[int] = set()
    if mine != theirs:
        for one in range(len(names)):
            for other in range(one):
                both = (one, other)
                if [s for s in mine if s in both] != [s for s in theirs if s in both]:
                    crossing.update(both)
    pairs: list[Pair] = []
    for number, signature in enumerate(names):
        ordered = [Pair(*ends, "order") for ends in zip(*waiting[signature], strict=True)]
        # Those of the same kind whose names decided have to lie between them.
        named = [pair for pair in known if pair.how == "name" and net[pair.net].signature == signature]
        around = sorted([*ordered, *named])
        if any(after.file <= before.file for before, after in pairwise(around)):
            crossing.add(number)
        if number not in crossing:
            pairs += ordered
    return pairs, [names[number] for number in sorted(crossing)]


def _numbered(
    waiting: dict[Hashable, tuple[list[int], list[int]]],
) -> list[tuple[int, tuple[list[int], list[int]]]]:
    return list(enumerate(waiting.values()))


def _sentence(mine: list[int], theirs: list[int], net: Sequence[Item], file: Sequence[Item], why: str) -> str:
    ours = _listed([net[index].label for index in mine])
    return f"{ours} could be {_listed([file[index].label for index in theirs])}: they {why}"


def _listed(labels: list[str]) -> str:
    more = f", and {len(labels) - LISTED} more" if len(labels) > LISTED else ""
    return ", ".join(labels[:LISTED]) + more
