"""Bytes set aside in a temporary file: bulk data on its way from a text into a FlatBuffer."""

from __future__ import annotations

import os
import weakref
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO

from unlite.errors import CorruptFileError, InvalidTypeError
from unlite.storage.abstract_source import Source
from unlite.storage.forks import tell_after_fork
from unlite.storage.sink import Sink, write_error

if TYPE_CHECKING:
    from struct import Struct


class TemporaryFile(Source, Sink):
    """A file that is written at its end and read anywhere, also by several threads, and in a forked process.

    Args:
        file: An empty binary file, open for writing and reading; its owner closes it. Without one, a temporary file
            that has no name and goes with this object.
    """

    def __init__(self, file: BinaryIO | None = None) -> None:
        if file is None:
            file = open_temporary()
            weakref.finalize(self, file.close)
        self._file: BinaryIO = file
        self._lock = Lock()  # for the position, where there is no descriptor to read from at any place
        tell_after_fork(self)
        self.name = "<temporary file>"
        self.size = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        rest = memoryview(data)
        try:
            with self._lock:
                self._file.seek(self.size)
                while rest:
                    written = self._file.write(rest)
                    self.size += written
                    rest = rest[written:]
                self._file.flush()
        except OSError as error:
            raise write_error(error, self.name) from error
        self.position = self.size

    def view(self, offset: int, length: int) -> memoryview:
        """The bytes, as a copy."""
        self.check(offset, length)
        data = bytearray()
        while len(data) < length:
            piece = self._read(offset + len(data), length - len(data))
            if not piece:
                raise CorruptFileError(f"{length} bytes wanted, the file ends.", file=self.name, offset=offset)
            data += piece
        return memoryview(data).toreadonly()

    def _inherited(self) -> None:
        """Called in a forked process; see ``tell_after_fork``."""
        self._lock = Lock()

    def _read(self, offset: int, length: int) -> bytes:
        file = self.descriptor_at(offset) if hasattr(os, "pread") else None
        if file is not None:
            return os.pread(file[0], length, offset)
        with self._lock:
            self._file.seek(offset)
            return self._file.read(length)

    def unpack(self, layout: Struct, offset: int) -> tuple[Any, ...]:
        return layout.unpack(self.view(offset, layout.size))

    def descriptor_at(self, offset: int) -> tuple[int, int] | None:
        try:
            descriptor: int = self._file.fileno()
        except (OSError, ValueError, AttributeError):  # io.BytesIO and its like
            return None
        return descriptor, offset

    def close(self) -> None:
        self._file.close()

    def __reduce__(self) -> tuple[Any, ...]:
        raise InvalidTypeError("cannot be pickled: a temporary file is this process's own.", file=self.name)


def open_temporary() -> BinaryIO:
    """An empty file without a name, open for writing and reading, which goes when it is closed."""
    from tempfile import TemporaryFile

    try:
        return TemporaryFile(buffering=0)
    except OSError as error:
        raise write_error(error, "<temporary file>") from error
