"""Whether a file is a model that can be used: its bytes, and TensorFlow Lite's own rules.

Errors are what LiteRT refuses at load or when it allocates tensors, and what cannot be read at all, such as an index
that leads nowhere. Warnings are what the stricter verifier beside LiteRT refuses, or what is likely a mistake.

Sources: LiteRT tflite/core/interpreter_builder.cc, tflite/core/subgraph.cc, tflite/core/tools/verifier.cc, measured
against LiteRT 2.3.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from unlite.errors import UnliteError
from unlite.flatbuffers import view as v
from unlite.flatbuffers.findings import Finding, OutOfWorkError
from unlite.flatbuffers.verify import survey, verify
from unlite.flatbuffers.wire import Wire
from unlite.model.checking.graph import check_subgraph, find_reached, find_recursion
from unlite.model.checking.metadata import check_metadata
from unlite.model.checking.signatures import check_signatures, signature_subgraphs
from unlite.model.facts.inspection import Inspection
from unlite.model.objects.operator import CUSTOM
from unlite.schema import load
from unlite.schema.operators import RUNTIME, operator_facts
from unlite.schema.sniff import IDENTIFIER, sniff
from unlite.schema.upgrade import upgrade
from unlite.storage.source import MemorySource
from unlite.storage.window import Window

if TYPE_CHECKING:
    from unlite.flatbuffers.schema import Object
    from unlite.flatbuffers.view import Table
    from unlite.model.checking.graph import Refusal
    from unlite.storage.source import Source

VERSION = 3
PREFIX = 4  # bytes of a size before the FlatBuffer


def verify_file(source: Source, *, limit: int = 100) -> list[Finding]:
    """What is wrong with a file that should be a model of any version: errors, then warnings, then notes.

    Args:
        source: The file.
        limit: How many findings of each severity to tell, of bytes and rules each; the rest is counted.

    Raises:
        UnliteError: the source cannot be fetched. Never because of what the file holds.
    """
    try:
        found = sniff(source)
    except UnliteError as error:
        return [Finding("error", error.path or "root", error.offset, error.message)]
    schema = load(found.schema)
    if found.version == VERSION:
        buffer = Window(source, found.origin) if found.origin else source
        return _verify(buffer, schema.root, limit, size_prefixed=found.origin > 0)
    message = f"the file is of schema version {found.version}, {RUNTIME} reads only {VERSION}."
    findings = [*verify(source, schema, limit=limit), Finding("warning", "root", None, message)]
    try:
        newest = MemorySource(upgrade(v.root_view(Wire(source), schema.root)), source.name)
    except UnliteError as error:
        return _merged(findings, [Finding("error", error.path or "root", error.offset, error.message)])
    later = _verify(newest, load().root, limit)
    return _merged(findings, [Finding(one.severity, one.path, None, one.message) for one in later])


def _verify(source: Source, owner: Object, limit: int, *, size_prefixed: bool = False) -> list[Finding]:
    structure = survey(source, owner, IDENTIFIER, limit, size_prefixed=size_prefixed)
    findings = structure.listed()
    if size_prefixed:
        message = f"the file has a size prefix of {PREFIX} bytes; {RUNTIME} takes only files without."
        findings.append(Finding("error", "root", 0, message))
    if structure.is_cut_short:
        return findings
    try:
        check = Inspection(v.root_view(Wire(source), owner), source, limit)
    except UnliteError:
        return findings  # they tell why
    try:
        for part in _PARTS:
            check.guard(part, check)
    except OutOfWorkError as error:
        check.findings.end(error, None)
    return _merged(findings, check.findings.listed())


def _merged(findings: list[Finding], later: list[Finding]) -> list[Finding]:
    """Both, without later errors at places that have one."""
    places = {(finding.path, finding.offset) for finding in findings if finding.severity == "error"}
    kept = [
        one for one in later if one.severity != "error" or one.offset is None or (one.path, one.offset) not in places
    ]
    return sorted(findings + kept, key=lambda finding: ("error", "warning", "note").index(finding.severity))


def _version(check: Inspection) -> None:
    version = check.root.version
    if version != VERSION:
        check.say("error", check.root, "version", f"the version is {version}, {RUNTIME} reads only {VERSION}.")


def _buffers(check: Inspection) -> None:
    buffers = check.root.buffers
    if buffers is None:
        check.say("error", check.root, "buffers", "is absent.")
        return
    check.starts = array("q", [-1]) * len(buffers)
    check.sizes = array("q", [-1]) * len(buffers)
    for index, buffer in check.entries(buffers):
        check.guard(_buffer, check, index, buffer)
    if len(check.sizes) and check.sizes[0] > 0:
        check.say("warning", check.root, "buffers[0]", "has data; this buffer stands for 'no data' and must be empty.")


def _buffer(check: Inspection, index: int, buffer: Table) -> None:
    data, offset, size = buffer.data, buffer.offset, buffer.size
    if data is not None:
        check.starts[index], check.sizes[index] = data.span()
        if offset > 1:
            check.say("warning", buffer, "offset", "points behind the FlatBuffer, but data is here too and wins.")
    elif offset > 1 and not check.outside(buffer, "offset", offset, size):
        check.starts[index], check.sizes[index] = offset, size


def _external_buffers(check: Inspection) -> None:
    groups = check.root.external_buffer_groups
    for _, group in check.entries(groups):
        check.guard(_group, check, group)
    for _, buffer in check.entries(check.root.external_buffers):
        check.guard(_external_buffer, check, buffer, 0 if groups is None else len(groups))


def _group(check: Inspection, group: Table) -> None:
    name = group.name or ""
    check.work.spend(len(name))
    steps = name.replace("\\", "/").split("/")
    if steps[0] == "" or steps[0].endswith(":") or ".." in steps:
        check.say("warning", group, "name", f"{name!r:.60} is no file beside the model.")


def _external_buffer(check: Inspection, buffer: Table, groups: int) -> None:
    check.index(buffer, "group", buffer.group, groups, "group")
    if buffer.id in check.external:
        check.say("warning", buffer, "id", f"{buffer.id} is the id of several external buffers.")
    check.external.add(buffer.id)


def _operator_codes(check: Inspection) -> None:
    codes = check.root.operator_codes
    if codes is None:
        return
    check.operators = [("", False)] * len(codes)
    for index, code in check.entries(codes):
        check.operators[index] = check.guard(_operator_code, check, code) or ("", False)


def _operator_code(check: Inspection, code: Table) -> tuple[str, bool]:
    """Name of the operator ("" = unknown), and whether it is a custom one."""
    enum = code._object.by_name["builtin_code"].the_enum
    number = max(code.deprecated_builtin_code, enum.number(code.builtin_code) or 0)
    if number == CUSTOM:
        name: str = code.custom_code or ""
        check.work.spend(len(name))
        if not name:
            check.say("error", code, "custom_code", "a custom operator has no name.")
        return "", True
    label, version = enum.label(number), code.version
    if isinstance(label, int):
        check.say("error", code, "builtin_code", f"{label} is no builtin operator; the file may be of a newer schema.")
        return "", False
    if label == "PLACEHOLDER_FOR_GREATER_OP_CODES":
        check.say("error", code, "builtin_code", "is absent, and deprecated_builtin_code says that it is needed.")
        return label, False
    facts = operator_facts(label)
    if facts is None or facts.versions is None:
        check.say("error", code, "builtin_code", f"{RUNTIME} has no kernel for {label}.")
    elif not facts.versions[0] <= version <= facts.versions[1]:
        oldest, newest = facts.versions
        known = f"version {oldest}" if oldest == newest else f"versions {oldest} to {newest}"
        check.say("error", code, "version", f"there is no version {version} of {label}; {RUNTIME} has {known}.")
    return label, False


def _subgraphs(check: Inspection) -> None:
    subgraphs = check.root.subgraphs
    check.subgraphs = 0 if subgraphs is None else len(subgraphs)
    if not check.subgraphs:
        check.say("error", check.root, "subgraphs", "there is none.")
    calls: dict[int, dict[int, Table]] = {}
    refused: dict[int, list[Refusal]] = {}
    for index, subgraph in check.entries(subgraphs):
        called = calls[index] = {}
        refused[index] = check.guard(check_subgraph, check, subgraph, called) or []
    find_recursion(check, calls)
    reached = find_reached(calls, {0} | signature_subgraphs(check))
    for index, refusals in refused.items():
        for operator, name, message in refusals:
            if index in reached:
                check.say("error", operator, name, message)
            else:
                check.say("warning", operator, name, f"{message} Nothing calls this subgraph.")


_PARTS = (_version, _buffers, _external_buffers, _operator_codes, _subgraphs, check_signatures, check_metadata)
