"""Locks on open files, which the system lets go of when their process ends, however it ends."""

from __future__ import annotations

import errno
import os

_BUSY = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)
_FAR = 1 << 40  # Windows locks bytes: one that nobody reads


def try_lock(descriptor: int) -> bool | None:
    """Takes the lock of an open file: True if it is ours now, False if another holds it, None if there are no locks.

    It is let go of when the descriptor and its copies in forked processes are closed.
    """
    try:
        if os.name == "nt":
            import msvcrt

            place = os.lseek(descriptor, 0, os.SEEK_CUR)
            try:
                os.lseek(descriptor, _FAR, os.SEEK_SET)
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
            finally:
                os.lseek(descriptor, place, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        return None
    except OSError as error:
        return False if error.errno in _BUSY else None
    return True


def is_named(descriptor: int, path: str) -> bool:
    """Whether an open file is the one that has this name now."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False
