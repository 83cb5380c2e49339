"""FlatBuffers of any schema: lazy views, verifier, writer, JSON. Knows nothing of TFLite.

``open`` is the way in for people who have other FlatBuffers.
"""

from __future__ import annotations

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike
    from typing import Any

    from unlite.flatbuffers.edits import Edits
    from unlite.flatbuffers.saving import SaveReport
    from unlite.flatbuffers.schema import Schema
    from unlite.flatbuffers.view import Table, View

finders: list[Callable[[str], Schema | None]] = []
"""Asked for a schema by its name, before a file is looked for. Who brings schemas adds what finds them."""


def open(  # noqa: A001 - unlite.flatbuffers.open is the name people expect
    file: object,
    schema: object,
    *,
    root: str | None = None,
    size_prefixed: bool | None = None,
    offset: int = 0,
    include: Sequence[str | PathLike[str]] = (),
) -> Table:
    """The root table of any FlatBuffer, read lazily through its schema.

    Args:
        file: A path, bytes, a binary file object, or a URL.
        schema: A compiled schema (a path to a ``.bfbs``, its bytes, or a ``Schema``), a path to a ``.fbs``, which
            is compiled with flatc (extra ``fbs``), or the name of a bundled schema, such as ``tflite``.
        root: Name of the root table, where it is not the schema's own.
        size_prefixed: Whether the buffer's length stands in front of it; told from the bytes when left out.
        offset: Where in the file the FlatBuffer, or its size prefix, begins.
        include: Folders where the files are looked for that a ``.fbs`` includes.

    Raises:
        UnsupportedFormatError: the schema is none, or the file does not bear the schema's identifier.
        CorruptFileError: the root cannot be read.
        InvalidValueError: the offset lies outside the file.
    """
    from unlite.errors import InvalidValueError, UnsupportedFormatError
    from unlite.flatbuffers.view import root_view
    from unlite.flatbuffers.wire import U32, Wire
    from unlite.storage.source import open_source

    found = open_schema(schema, include=include)
    source = open_source(file)
    owner = found.root if root is None else found.named(root)
    expected = found.file_identifier.encode("utf-8", "surrogateescape") if root is None else b""
    if not 0 <= offset <= source.size:
        raise InvalidValueError(f"the offset {offset} lies outside the file, 0 to {source.size}.", file=source.name)
    if size_prefixed is None:
        size_prefixed = False
        if source.size - offset >= 12:
            (length,) = source.unpack(U32, offset)
            # Where it begins inside a file, other things may follow.
            fits = length == source.size - offset - 4 or (
                offset > 0 and expected and length <= source.size - offset - 4
            )
            if fits and (not expected or bytes(source.view(offset + 4, 4)) != expected):
                size_prefixed = offset == 0 or not expected or bytes(source.view(offset + 8, 4)) == expected
    if size_prefixed:
        offset += 4
    if offset:
        from unlite.storage.window import Window

        source = Window(source, offset)
    wire = Wire(source)
    if expected and wire.identifier() != expected:
        raise UnsupportedFormatError(
            f"bears the identifier {wire.identifier()!r}, files of this schema bear {expected!r}.",
            file=source.name,
            offset=wire.in_file(4),
            hint="Check that the schema is the right one, or name the root table to read it all the same.",
        )
    return root_view(wire, owner)


def save(root: Table, path: str, **options: Any) -> SaveReport:
    """Writes a FlatBuffer with everything that was assigned to it; see ``flatbuffers.saving.save``."""
    from unlite.flatbuffers.saving import save

    return save(root, path, **options)


def edits_of(view: View) -> Edits:
    """The store of changes that all views of a file share: ``history``, ``undo()``, ``redo()``."""
    return view._edits


def open_schema(schema: object, *, include: Sequence[str | PathLike[str]] = ()) -> Schema:
    """A schema by its name, from a path (``.bfbs``, or ``.fbs`` with the ``fbs`` extra), from bytes, or as it is."""
    import os

    from unlite.errors import UnliteError
    from unlite.flatbuffers.schema import Schema
    from unlite.storage.paths import checked_path, read_unmapped

    if isinstance(schema, Schema):
        return schema
    if not isinstance(schema, (str, os.PathLike)):
        return Schema(schema)  # type: ignore[arg-type]  # anything with a buffer; Schema refuses the rest
    path = os.fspath(schema)
    for find in finders:
        found = find(path)
        if found is not None:
            return found
    if path.endswith(".fbs"):
        from unlite.flatbuffers.compile import compile_schema

        return Schema(compile_schema(path, include), path)
    try:
        with _open(checked_path(path), "rb") as file:
            data = read_unmapped(file, path)
    except OSError as error:
        raise UnliteError(f"cannot be opened: {error.strerror or error}.", file=path) from error
    return Schema(data, path)


from builtins import open as _open  # noqa: E402 - behind the function that takes the name in this module
