"""Bytes set aside in a temporary file: bulk data on its way from a text into a FlatBuffer."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, BinaryIO

from unlite.errors import CorruptFileError
from unlite.storage.sink import Sink, write_error
from unlite.storage.source import Source

if TYPE_CHECKING:
    from struct import Struct


class TemporaryFile(Source, Sink):
    """A file that is written at its end and read anywhere.

    Args:
        file: An empty binary file, open for writing and reading; its owner closes it. Without one, a temporary file
            that has no name and goes with this object.
    """

    def __init__(self, file: BinaryIO | None = None) -> None:
        if file is None:
            file = _temporary_file()
            weakref.finalize(self, file.close)
        self._file: BinaryIO = file
        self.name = "<temporary file>"
        self.size = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        rest = memoryview(data)
        try:
            self._file.seek(self.size)
            while rest:
                written = self._file.write(rest)
                self.size += written
                rest = rest[written:]
        except OSError as error:
            raise write_error(error, self.name) from error
        self.position = self.size

    def view(self, offset: int, length: int) -> memoryview:
        """The bytes, as a copy."""
        self.check(offset, length)
        self._file.seek(offset)
        data = bytearray()
        while len(data) < length:
            piece = self._file.read(length - len(data))
            if not piece:
                raise CorruptFileError(f"{length} bytes wanted, the file ends.", file=self.name, offset=offset)
            data += piece
        return memoryview(data).toreadonly()

    def unpack(self, layout: Struct, offset: int) -> tuple[Any, ...]:
        return layout.unpack(self.view(offset, layout.size))

    def descriptor_at(self, offset: int) -> tuple[int, int] | None:
        try:
            self._file.flush()
            descriptor: int = self._file.fileno()
        except (OSError, AttributeError):  # io.BytesIO and its like
            return None
        return descriptor, offset

    def close(self) -> None:
        self._file.close()


def _temporary_file() -> BinaryIO:
    from tempfile import TemporaryFile

    try:
        return TemporaryFile(buffering=0)
    except OSError as error:
        raise write_error(error, "<temporary file>") from error
