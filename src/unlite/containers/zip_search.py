"""Whether a ZIP may lie behind other bytes; told without the code that reads one, which a listing seldom needs."""

from __future__ import annotations

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from unlite.storage.source import Source

SIGNATURE = b"PK\5\6"
SHORTEST = 22  # an end record without a comment
LONGEST = SHORTEST + 0xFFFF


def may_end_in_zip(source: Source) -> bool:
    """Whether the signature of a ZIP's end record stands where one could. It may stand there by chance."""
    if source.size < SHORTEST:
        return False
    if bytes(source.view(source.size - SHORTEST, len(SIGNATURE))) == SIGNATURE:
        return True
    length = min(source.size, LONGEST)
    return SIGNATURE in bytes(source.view(source.size - length, length))
