"""Owner, group, permissions and extended attributes: a file that replaces another takes them over."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ACCESS_LIST = "system.posix_acl_access"


def take_over(new: str, old: str) -> tuple[str, ...]:
    """Gives ``new`` the attributes of ``old``, another file; what could not be kept, in words.

    Permissions of a group that is lost go with it: they were meant for that group, not for the one that the file has
    now. Attributes are those of Linux; Python knows none elsewhere.

    Raises:
        OSError: the permissions cannot be set.
    """
    before = os.stat(old)
    mode = stat.S_IMODE(before.st_mode)
    lost = list(_take_over_owner(new, before))
    if any(one.startswith("the group") for one in lost):
        mode = (mode & ~(stat.S_ISGID | stat.S_IRWXG)) | (mode & stat.S_IRWXO) << 3 & mode
    if any(one.startswith("the owner") for one in lost):
        mode &= ~stat.S_ISUID
    if hasattr(os, "listxattr"):
        lost += _take_over_extended(new, old)
    os.chmod(new, mode)
    if before.st_nlink > 1:
        lost.append(f"its other names ({before.st_nlink - 1} hard links, which lead to the old file)")
    return tuple(lost)


def _take_over_owner(new: str, before: os.stat_result) -> Iterator[str]:
    if not hasattr(os, "chown"):
        return
    now = os.stat(new)
    # One after the other: a user may give a file to another group of theirs, but to nobody else.
    if now.st_gid != before.st_gid:
        try:
            os.chown(new, -1, before.st_gid)
        except OSError:
            yield f"the group (number {before.st_gid})"
    if now.st_uid != before.st_uid:
        try:
            os.chown(new, before.st_uid, -1)
        except OSError:
            yield f"the owner (number {before.st_uid})"


def _take_over_extended(new: str, old: str) -> Iterator[str]:
    try:
        names = os.listxattr(old)
    except OSError:  # the file system has none
        return
    if _ACCESS_LIST not in names and _ACCESS_LIST in os.listxattr(new):
        os.removexattr(new, _ACCESS_LIST)  # that of the folder, which new files get
    for name in names:
        try:
            value = os.getxattr(old, name)
            if name not in os.listxattr(new) or os.getxattr(new, name) != value:
                os.setxattr(new, name, value)
        except OSError:
            yield f"the attribute {name}"
