"""Where written bytes go: a file or memory. Bulk bytes go from file to file inside the kernel where it can do that."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from unlite.errors import SaveError

if TYPE_CHECKING:
    from collections.abc import Callable

    from unlite.storage.source import Source

BUFFER = 1 << 18
SMALL = 4096  # below this, a look at mapped pages is cheaper than a read
KERNEL_COPY = 1 << 16  # below this, collecting in memory is cheaper than a system call
# What copy_file_range answers where two files do not allow it; plain reads do the same then.
NO_KERNEL_COPY = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.ETXTBSY)


class Sink:
    """Takes bytes in order.

    Attributes:
        position: Bytes taken so far.
    """

    position: int = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Takes ``data``."""
        raise NotImplementedError

    def copy(self, source: Source, offset: int, length: int) -> None:
        """Takes ``length`` bytes of ``source``."""
        if length < SMALL:
            self.write(source.view(offset, length))
            return
        for chunk in source.chunks(offset, length):
            self.write(chunk)

    def pad(self, align: int) -> None:
        """Takes zeros up to a multiple of ``align``."""
        self.write(bytes(-self.position % align))


class MemorySink(Sink):
    """Collects bytes in memory."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._data += data
        self.position = len(self._data)

    def value(self) -> bytes:
        """All bytes taken so far."""
        return bytes(self._data)


class FileSink(Sink):
    """Writes to an open file descriptor, from its current position on; ``flush`` before closing.

    Args:
        descriptor: The file.
        name: What messages call it.
        progress: Told the number of bytes each time some were handed to the operating system.
    """

    def __init__(self, descriptor: int, name: str, progress: Callable[[int], object] | None = None) -> None:
        self._progress = progress or (lambda _: None)
        self._step = 1 << 26 if progress else 1 << 30  # in one call of the kernel
        self._descriptor = descriptor
        self._name = name
        self._buffer = bytearray()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.position += len(data)
        self._buffer += data
        if len(self._buffer) >= BUFFER:
            self.flush()

    def flush(self) -> None:
        """Hands everything to the operating system."""
        rest = memoryview(self._buffer)
        self._progress(len(rest))
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            raise write_error(error, self._name) from error
        self._buffer = bytearray()

    def copy(self, source: Source, offset: int, length: int) -> None:
        source.check(offset, length)
        file = source.descriptor_at(offset) if length >= KERNEL_COPY and hasattr(os, "copy_file_range") else None
        if file is not None:
            self.flush()
            descriptor, at = file
            while length:
                try:
                    done = os.copy_file_range(descriptor, self._descriptor, min(length, self._step), at)
                except OSError as error:
                    if error.errno not in NO_KERNEL_COPY:
                        raise write_error(error, self._name) from error
                    break
                if not done:  # the source shrank, or a file system that answers 0 instead of an error
                    break
                self._progress(done)
                self.position += done
                at, offset, length = at + done, offset + done, length - done
        super().copy(source, offset, length)


def write_error(error: OSError, name: str) -> SaveError:
    """The error to raise where the operating system refuses to write."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return SaveError(
        f"cannot be written: {error.strerror}.",
        file=name,
        hint="Nothing was changed. Free some space, or save elsewhere." if full else "Nothing was changed.",
    )
