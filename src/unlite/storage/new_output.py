"""A result, file or folder, that takes its name when it is whole."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from unlite.errors import SaveError
from unlite.storage.atomic import sync_folder
from unlite.storage.paths import checked_path
from unlite.storage.sink import write_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self


class NewOutput:
    """A place to write to: ``with NewOutput(path, is_own) as new: ...; new.keep()``.

    Without ``keep``, and after an exception, nothing is left, and what was there before is as it was.

    Args:
        path: The name it shall have.
        is_own: Whether what has that name now may be replaced.

    Attributes:
        temporary: Where to write in the meantime: a name that is free, with the same ending.

    Raises:
        SaveError: something else is there, or nothing can be written.
    """

    def __init__(self, path: str, is_own: Callable[[str], bool]) -> None:
        self.path = path
        self._target = os.path.realpath(checked_path(path))  # a link stays a link
        self._is_kept = False
        if os.path.lexists(self._target) and not is_own(self._target):
            raise SaveError(
                "is there already, and holds something else than what convert wrote; it is left alone.",
                file=self.path,
                hint="Name another, or remove this one yourself.",
            )
        folder, name = os.path.split(self._target)
        self._folder = os.path.join(folder, f".{name[:100]}.unlite-{os.urandom(6).hex()}.tmp")
        self.temporary = os.path.join(self._folder, name)

    def __enter__(self) -> Self:
        try:
            os.mkdir(self._folder)
        except OSError as error:
            raise write_error(error, self.path) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if self._is_kept and error is None:
                self._take_name()
        except OSError as failure:
            raise write_error(failure, self.path) from failure
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def keep(self) -> None:
        """Gives it its name at the end of the ``with``."""
        self._is_kept = True

    def _take_name(self) -> None:
        for path in _files(self._folder):
            with open(path, "rb+") as file:
                os.fsync(file.fileno())
        if os.path.isdir(self._target):
            self._replace_folder()
        else:
            for name in os.listdir(self._folder):  # the file, and what lies beside it, such as weights
                os.replace(os.path.join(self._folder, name), os.path.join(os.path.dirname(self._target), name))
        sync_folder(os.path.dirname(self._target))

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


def _files(path: str) -> list[str]:
    if os.path.isfile(path):
        return [path]
    return [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
