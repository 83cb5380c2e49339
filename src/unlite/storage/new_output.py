"""A result, file or folder, that takes its name when it is whole.

One file, or one folder, takes the place of the old one in one step, where the system can exchange two folders (Linux,
macOS). Files that belong together, such as an ``.onnx`` and the weights beside it, cannot: no system replaces two names
at once. So all of them are whole on the disk before the first takes its name; those that are named by another go first,
the file that was asked for last; between two of them lies one rename each, and if one fails, the ones before it are
taken back. Whoever opens the pair in between, or after a power cut just there, finds the old file with new weights.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from unlite.errors import SaveError
from unlite.storage.atomic import real_path, sync_folder
from unlite.storage.leftovers import new_folder, sweep
from unlite.storage.rename import exchange
from unlite.storage.sink import write_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self


class NewOutput:
    """A place to write to: ``with NewOutput(path, is_own) as new: ...; new.keep()``.

    Without ``keep``, and after an exception, nothing is left, and what was there before is as it was. What interrupted
    ones left in the folder is removed.

    Args:
        path: The name it shall have.
        is_own: Whether what has that name now may be replaced.

    Attributes:
        temporary: Where to write in the meantime: a name that is free, with the same ending. Set by ``with``.

    Raises:
        SaveError: something else is there, or nothing can be written.
    """

    temporary: str

    def __init__(self, path: str, is_own: Callable[[str], bool]) -> None:
        self.path = path
        self._target = real_path(path)
        self._is_kept = False
        self._parent, self._name = os.path.split(self._target)
        sweep(self._parent)  # an old folder that an interrupted one had moved away is back with that
        if os.path.lexists(self._target) and not is_own(self._target):
            raise SaveError(
                "is there already, and holds something else than what convert wrote; it is left alone.",
                file=self.path,
                hint="Name another, or remove this one yourself.",
            )

    def __enter__(self) -> Self:
        try:
            self._folder, self._lock = new_folder(self._parent, self._name)
        except OSError as error:
            raise write_error(error, self.path) from error
        self.temporary = os.path.join(self._folder, self._name)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if self._is_kept and error is None:
                self._take_name()
        except OSError as failure:
            raise write_error(failure, self.path) from failure
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
            if self._lock is not None:
                os.close(self._lock)

    def keep(self) -> None:
        """Gives it its name at the end of the ``with``."""
        self._is_kept = True

    def _take_name(self) -> None:
        for path in _files(self._folder):
            with open(path, "rb+") as file:
                os.fsync(file.fileno())
        if os.path.isdir(self._target):
            if not exchange(self.temporary, self._target):
                self._replace_folder()
        else:
            self._replace_files()
        sync_folder(self._parent)

    def _replace_files(self) -> None:
        """The file, and before it what lies beside it, such as weights."""
        names = sorted(os.listdir(self._folder), key=lambda name: name == self._name)
        taken: list[tuple[str, str | None]] = []
        try:
            for name in names:
                new, target = os.path.join(self._folder, name), os.path.join(self._parent, name)
                old = _second_name(target, self._folder, name) if len(names) > 1 else None
                os.replace(new, target)
                taken.append((target, old))
        except BaseException:
            for target, old in reversed(taken):
                os.unlink(target) if old is None else os.replace(old, target)
            raise

    def _replace_folder(self) -> None:
        """A folder takes the name of another one only once that is out of the way."""
        old = f"{self._folder}.old"
        os.rename(self._target, old)
        try:
            os.rename(self.temporary, self._target)
        except BaseException:
            os.rename(old, self._target)
            raise
        shutil.rmtree(old, ignore_errors=True)


def _second_name(target: str, folder: str, name: str) -> str | None:
    """Another name for what is there, to put it back by; None for nothing, and where there are no second names."""
    old = os.path.join(folder, f"{name}.old")
    with suppress(OSError):
        os.link(target, old)
        return old
    return None


def _files(path: str) -> list[str]:
    if os.path.isfile(path):
        return [path]
    return [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
