"""Whether an exception out of an exporter is a mistake in this package: that must come out as what it is."""

from __future__ import annotations

import os

PACKAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")
MISTAKES = (AttributeError, TypeError, NameError)


def is_own_mistake(error: BaseException) -> bool:
    """Whether the error, or what it was made of, was raised by a line of this package, and not by a library's.

    Exporters call functions of ours (translations, helpers) and wrap whatever they raise.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, MISTAKES) and _raised_here(cause):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _raised_here(error: BaseException) -> bool:
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and os.path.abspath(last.tb_frame.f_code.co_filename).startswith(PACKAGE)
