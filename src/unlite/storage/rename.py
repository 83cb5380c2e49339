"""Two renames that Python does not have: both names change places, and a name that must be free."""

from __future__ import annotations

import errno
import os
import sys
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_UNKNOWN = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EXDEV)
# Linux, renameat2: RENAME_NOREPLACE 1, RENAME_EXCHANGE 2. macOS, renamex_np: RENAME_SWAP 2, RENAME_EXCL 4.
_EXCHANGE, _NEW = 2, (4 if sys.platform == "darwin" else 1)


def exchange(first: str, second: str) -> bool:
    """Lets two files or folders change names in one step; False where the system cannot. Raises OSError."""
    return _rename(first, second, _EXCHANGE)


def rename_to_new(old: str, new: str) -> bool:
    """Renames to a name that nothing has; False where the system cannot do that in one step.

    Raises:
        FileExistsError: something has the name.
        OSError: it cannot be renamed.
    """
    return _rename(old, new, _NEW)


def _rename(old: str, new: str, flags: int) -> bool:
    call = _system_call()
    if call is None:
        return False
    number = call(os.fsencode(old), os.fsencode(new), flags)
    if number in _UNKNOWN:
        return False
    if number:
        raise OSError(number, os.strerror(number), old)
    return True


@lru_cache(1)
def _system_call() -> Callable[[bytes, bytes, int], int] | None:
    """A function that renames with flags, and gives the error's number, 0 for none."""
    if os.name != "posix":
        return None
    import ctypes

    try:
        library = ctypes.CDLL(None, use_errno=True)
        call = library.renamex_np if sys.platform == "darwin" else library.renameat2
    except (OSError, AttributeError):
        return None
    here = () if sys.platform == "darwin" else (-100,)  # AT_FDCWD

    def rename(old: bytes, new: bytes, flags: int) -> int:
        failed = call(here[0], old, here[0], new, flags) if here else call(old, new, flags)
        return ctypes.get_errno() if failed else 0

    return rename
