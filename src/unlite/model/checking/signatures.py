"""Whether signatures have keys and names of their own, and name inputs and outputs of their subgraph.

LiteRT loads a model whose signatures name other tensors. A program that then runs the signature writes its inputs over
constants, or reads outputs from memory that something else uses by now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unlite.flatbuffers import view as v

if TYPE_CHECKING:
    from unlite.flatbuffers.view import Table
    from unlite.model.facts.inspection import Inspection

    SubgraphEnds = dict[str, list[int]]
    """Tensors that are inputs, and those that are outputs."""


def check_signatures(check: Inspection) -> None:
    """Checks all signatures."""
    keys: set[str] = set()
    known: dict[int, SubgraphEnds | None] = {}
    for _, signature in check.entries(check.root.signature_defs):
        check.guard(_signature, check, signature, keys, known)


def signature_subgraphs(check: Inspection) -> set[int]:
    """The subgraphs that signatures lead to."""
    return {
        number
        for _, signature in check.entries(check.guard(lambda: check.root.signature_defs))
        if 0 <= (number := check.guard(lambda one=signature: one.subgraph_index) or 0) < check.subgraphs
    }


def _signature(check: Inspection, signature: Table, keys: set[str], known: dict[int, SubgraphEnds | None]) -> None:
    key = signature.signature_key
    check.work.spend(len(key or ""))
    if key is None:
        check.say("error", signature, "signature_key", "is absent.")
    elif key in keys:
        check.say("warning", signature, "signature_key", f"{key!r:.60} is the key of several signatures.")
    else:
        keys.add(key)
    number = signature.subgraph_index
    if not check.index(signature, "subgraph_index", number, check.subgraphs, "subgraph"):
        return
    tensors = check.guard(lambda: check.root.subgraphs[number].tensors)
    if number not in known:
        known[number] = check.guard(_ends, check, number)
    for what in ("inputs", "outputs"):
        ends = known[number]
        check.guard(_entries, check, signature, what, 0 if tensors is None else len(tensors), ends and ends[what])


def _ends(check: Inspection, number: int) -> SubgraphEnds:
    subgraph = check.root.subgraphs[number]
    return {what: list(check.integers(getattr(subgraph, what))) for what in ("inputs", "outputs")}


def _entries(check: Inspection, signature: Table, what: str, tensors: int, ends: list[int] | None) -> None:
    names: set[str] = set()
    found: set[int] = set()
    check.work.spend(len(ends or ()))
    members = None if ends is None else set(ends)
    for _, entry in check.entries(getattr(signature, what)):
        check.guard(_entry, check, entry, what, tensors, members, names)
        found.add(check.guard(lambda one=entry: one.tensor_index) or 0)
    missing = [index for index in ends or () if index not in found]
    if missing:
        message = f"there is none for tensor {missing[0]}, which is one of the subgraph's {what}."
        check.say("warning" if what == "inputs" else "note", signature, what, message)


def _entry(check: Inspection, entry: Table, what: str, tensors: int, members: set[int] | None, names: set[str]) -> None:
    index = entry.tensor_index
    if check.index(entry, "tensor_index", index, tensors, "tensor") and members is not None and index not in members:
        check.say("error", entry, "tensor_index", f"tensor {index} is not one of the subgraph's {what}.")
    check_name(check, entry, names, "of several entries; readers see one of them")


def check_name(check: Inspection, entry: Table, names: set[str], several: str) -> None:
    """A warning where a name is absent or one of ``names``; adds it to them."""
    if not v.is_present(entry, entry._object.by_name["name"]):
        check.say("warning", entry, "name", "is absent.")
        return
    name = entry.name or ""
    check.work.spend(len(name))
    if name in names:
        check.say("warning", entry, "name", f"{name!r:.60} is the name {several}.")
    names.add(name)
