"""What a forked process does before anything else runs in it: it lets go of what it shares with its parent.

A lock may have been held by a thread of the parent's, which the child does not have; a connection carries the parent's
answers; the position of an open file is one for both.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet

of_the_parent: list[object] = []
"""What a forked process no longer uses but must not finalize: a thread of the parent's may have held a lock inside."""


class Inheritable(Protocol):
    """What is told that it finds itself in a forked process."""

    def _inherited(self) -> None:
        """Lets go of what is shared with the parent."""


_known: WeakSet[Inheritable] = WeakSet()


def tell_after_fork(one: Inheritable) -> None:
    """Has ``one._inherited()`` called in every process that is forked while ``one`` lives."""
    _known.add(one)


def _tell_all() -> None:
    for one in list(_known):
        one._inherited()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_tell_all)
