"""Names of parts: what stands behind ``#`` in ``bundle.litertlm#prefill_decode``, ``models.h#g_person``, ``#[3]``.

A part is told by its name, the second of a name as ``NAME:2``, or by its position from 0 as ``[3]``.
"""

from __future__ import annotations

import os
import re

from unlite.errors import AmbiguousNameError, NotFoundError

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from collections.abc import Sequence

_POSITION = re.compile(r"\[(\d{1,9})\]")
_NUMBERED = re.compile(r"(.+):([1-9]\d{0,8})", re.DOTALL)


def split_part(path: str) -> tuple[str, str | None]:
    """A path and the part that is meant in it, None for the whole. A file whose own name contains ``#`` wins."""
    if "#" not in path or os.path.exists(path):
        return path, None
    if "://" in path:
        whole, _, part = path.partition("#")
        return whole, part or None
    at = path.rfind("#")
    while at > 0:
        if os.path.exists(path[:at]):
            return path[:at], path[at + 1 :]
        at = path.rfind("#", 0, at)
    return path, None


def find_part(part: str | int, names: Sequence[str], file: str | None, what: str) -> int:
    """Index of a part among all names.

    Args:
        part: ``NAME``, ``NAME:2``, ``[3]``, or the index itself.
        names: The names of all parts, in order.
        file: The file's name, for messages.
        what: What a part is called in messages, such as ``section``.

    Raises:
        NotFoundError: there is no such part; AmbiguousNameError: several have the name.
    """
    position = _POSITION.fullmatch(part) if isinstance(part, str) else None
    if position is not None or isinstance(part, int):
        index = int(position[1]) if position is not None else int(part)
        if 0 <= index < len(names):
            return index
        raise NotFoundError(f"there is no {what} {index}, only {len(names)}.", file=file)
    numbered = _NUMBERED.fullmatch(part)
    found = [i for i, name in enumerate(names) if name == part]
    if not found and numbered is not None:
        found = [i for i, name in enumerate(names) if name == numbered[1]]
        count = int(numbered[2])
        if found and count > len(found):
            raise NotFoundError(f"there are only {len(found)} {what}s called {numbered[1]!r}.", file=file)
        found = found[count - 1 : count]
    if len(found) > 1:
        raise AmbiguousNameError(part, tuple(found), file=file)
    if not found:
        shown = ", ".join(dict.fromkeys(names[:20])) + (", ..." if len(names) > 20 else "")
        raise NotFoundError(f"there is no {what} {part!r}.", file=file, hint=f"There is: {shown or 'nothing'}.")
    return found[0]
