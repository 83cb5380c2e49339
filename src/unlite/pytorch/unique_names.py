"""Names of one scope, each given once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class UniqueNames:
    """Gives names, with a number behind those that are taken.

    Args:
        taken: Names that are never given.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._counts: dict[str, int] = {}

    def take(self, name: str, between: str = "_") -> str:
        """``name``, else ``name_2`` and so on; ``between`` stands before the number."""
        if name in self._taken:
            return self._next(name, between, 2)
        self._taken.add(name)
        return name

    def take_numbered(self, name: str) -> str:
        """``name1``, ``name2`` and so on."""
        return self._next(name, "", 1)

    def release(self, name: str) -> None:
        """Gives a name free."""
        self._taken.discard(name)

    def _next(self, name: str, between: str, first: int) -> str:
        while True:
            self._counts[name] = self._counts.get(name, first - 1) + 1
            made = f"{name}{between}{self._counts[name]}"
            if made not in self._taken:
                self._taken.add(made)
                return made
