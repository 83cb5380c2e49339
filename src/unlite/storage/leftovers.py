"""Temporary files and folders with names, and the removal of those whose process died.

A file is called ``.unlite-HEX.tmp``, a folder ``.NAME.unlite-HEX.tmp``; where one folder replaces another in two steps,
the old one is called ``.NAME.unlite-HEX.tmp.old`` in between. Whoever writes one holds its lock: what nobody holds was
left behind. Where the system has no locks there is no telling, and nothing is removed.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from typing import NamedTuple

from unlite.storage.locks import is_named, try_lock

_FILE = re.compile(r"\.unlite-[0-9a-f]{12}\.tmp")
_FOLDER = re.compile(r"\.(.+)\.unlite-[0-9a-f]{12}\.tmp(\.old)?")


class NewFile(NamedTuple):
    """A new, empty file.

    Attributes:
        path: Its path.
        descriptor: What to write to; its lock is held until it is closed.
        is_locked: Whether there is a lock: some file systems have none.
    """

    path: str
    descriptor: int
    is_locked: bool


def new_file(folder: str, mode: int) -> NewFile:
    """A new, empty, locked file in a folder. Raises OSError."""
    # tempfile would do the same, and load ten modules for it.
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    while True:
        path = os.path.join(folder, f".unlite-{os.urandom(6).hex()}.tmp")
        descriptor = os.open(path, flags, mode)
        locked = try_lock(descriptor)
        if locked is not False and is_named(descriptor, path):
            return NewFile(path, descriptor, bool(locked))
        os.close(descriptor)  # somebody swept the folder between the two lines, and took it for left behind


def new_folder(folder: str, name: str) -> tuple[str, int | None]:
    """Path of a new, empty, locked folder for what shall be called ``name``, and the descriptor that holds its lock.

    The descriptor is None where folders have no locks. Raises OSError.
    """
    while True:
        path = os.path.join(folder, f".{name[:100]}.unlite-{os.urandom(6).hex()}.tmp")
        os.mkdir(path)
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue  # as above
        except OSError:  # Windows opens no folders
            return path, None
        if try_lock(descriptor) is not False and is_named(descriptor, path):
            return path, descriptor
        os.close(descriptor)


def sweep(folder: str) -> None:
    """Removes what interrupted saves left in a folder. Never raises: whoever saves next tries again."""
    with suppress(OSError):
        with os.scandir(folder or ".") as entries:
            left = [entry for entry in entries if ".unlite-" in entry.name]
        for entry in sorted(left, key=lambda entry: entry.name, reverse=True):  # .old before what tells of its process
            with suppress(OSError):
                if _FILE.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    _remove(entry.path, is_folder=False)
                elif (found := _FOLDER.fullmatch(entry.name)) and entry.is_dir(follow_symlinks=False):
                    if found[2] and not _put_back(entry.path, folder, found[1]):
                        continue
                    _remove(entry.path, is_folder=True)


def _remove(path: str, *, is_folder: bool) -> None:
    descriptor = os.open(path, (os.O_RDONLY if is_folder else os.O_RDWR) | getattr(os, "O_NOFOLLOW", 0))
    try:
        if not try_lock(descriptor) or not is_named(descriptor, path):
            return
        if os.name == "posix":
            shutil.rmtree(path) if is_folder else os.unlink(path)
    finally:
        os.close(descriptor)
    if os.name == "nt":
        os.unlink(path)  # refused there while anybody has it open


def _put_back(path: str, folder: str, name: str) -> bool:
    """Gives an old folder its name back, if the process died before the new one had taken it; whether it did die."""
    target = os.path.join(folder, name)
    try:
        descriptor = os.open(path.removesuffix(".old"), os.O_RDONLY)  # the new one's lock tells
    except FileNotFoundError:
        return True
    try:
        if not try_lock(descriptor):
            return False
        if len(name) < 100 and not os.path.lexists(target):
            os.rename(path, target)
    finally:
        os.close(descriptor)
    return True
