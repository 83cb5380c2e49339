"""Whether the bytes of a FlatBuffer are what its schema says, for any schema.

Errors are what the verifier in generated C++ code rejects, or what cannot be read here. Beyond that, warnings and notes
name what it lets pass: fields outside their table, misaligned elements, text that is not UTF-8, values without a name,
fields of a newer schema. An error does not end the check: what lies beside it is still looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unlite.flatbuffers.findings import Finding, Findings, OutOfWorkError
from unlite.flatbuffers.walk import Job, Walk
from unlite.storage.window import Window

if TYPE_CHECKING:
    from unlite.flatbuffers.schema import Object, Schema
    from unlite.storage.source import Source


def verify(
    source: Source,
    schema: Schema,
    *,
    size_prefixed: bool = False,
    root: Object | None = None,
    identifier: bytes = b"",
    limit: int = 100,
) -> list[Finding]:
    """What is wrong with a FlatBuffer: errors, then warnings, then notes. Without errors all of it can be read.

    Args:
        source: Its bytes; other things may follow them. For a buffer that begins elsewhere: a Window.
        schema: What they should be.
        size_prefixed: Whether the buffer's length, 4 bytes, stands in front of it.
        root: Type of the root table, where it is not the schema's.
        identifier: The four bytes that must follow the root offset; empty = any.
        limit: How many findings of each severity to tell; the rest is counted.

    Raises:
        UnliteError: the schema is damaged, or the source cannot be fetched. Never because of a damaged FlatBuffer.
    """
    buffer = Window(source, 4) if size_prefixed else source
    return survey(buffer, root or schema.root, identifier, limit, size_prefixed=size_prefixed).listed()


def survey(source: Source, root: Object, identifier: bytes, limit: int, *, size_prefixed: bool = False) -> Findings:
    """The findings of ``verify``, and whether it saw everything.

    Args:
        source: As in ``verify``, but without a size prefix.
        root: Type of the root table.
        identifier: As in ``verify``.
        limit: As in ``verify``.
        size_prefixed: Whether one stands in front of the source: writers align a buffer together with it.
    """
    job = Job(source, Findings(limit))
    walk = Walk(job, source, -4 if size_prefixed else 0)
    try:
        walk.buffer(root, identifier, None, 0)
    except OutOfWorkError as error:
        job.findings.end(error, source.base)
    return job.findings
