"""Whether the bytes of a FlatBuffer are what its schema says, for any schema.

Errors are what the verifier in generated C++ code rejects, or what cannot be read here. Beyond that, warnings and notes
name what it lets pass: fields outside their table, misaligned elements, text that is not UTF-8, values without a name,
fields of a newer schema. An error does not end the check: what lies beside it is still looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unlite.flatbuffers.findings import Finding, Findings, OutOfWorkError
from unlite.flatbuffers.walk import Job, Walk
from unlite.flatbuffers.wire import U32

if TYPE_CHECKING:
    from unlite.flatbuffers.schema import Object, Schema
    from unlite.storage.source import Source


def verify(
    source: Source,
    schema: Schema,
    *,
    origin: int = 0,
    root: Object | None = None,
    identifier: bytes = b"",
    limit: int = 100,
) -> list[Finding]:
    """What is wrong with a FlatBuffer: errors, then warnings, then notes. Without errors all of it can be read.

    Args:
        source: Its bytes; other things may follow them.
        schema: What they should be.
        origin: Where the buffer begins in the source (4 behind a size prefix).
        root: Type of the root table, where it is not the schema's.
        identifier: The four bytes that must follow the root offset; empty = any.
        limit: How many findings of each severity to tell; the rest is counted.

    Raises:
        UnliteError: the schema is damaged, or the source cannot be fetched. Never because of a damaged FlatBuffer.
    """
    return survey(source, origin, root or schema.root, identifier, limit).listed()


def survey(source: Source, origin: int, root: Object, identifier: bytes, limit: int) -> Findings:
    """The findings of ``verify``, and whether it saw everything."""
    job = Job(source, Findings(limit))
    walk = Walk(job, origin, source.size)
    if origin >= 4 and source.size >= origin and source.unpack(U32, origin - 4)[0] == source.size - origin:
        walk.base = origin - 4  # writers align a buffer together with its size prefix
    try:
        walk.buffer(root, identifier, None, 0)
    except OutOfWorkError as error:
        job.findings.end(error, origin)
    return job.findings
