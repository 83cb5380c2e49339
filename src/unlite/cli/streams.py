"""Where commands read and write: what a MODEL argument may be, and ``-`` for standard input and output.

Every command turns its arguments into models and outputs here.
"""

from __future__ import annotations

import os
import sys

from unlite.model.model import Model, open_model

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from collections.abc import Generator
    from contextlib import AbstractContextManager

    from unlite.storage.source import Source

MODEL = "a .tflite, JSON, or a C array, by path or URL; BUNDLE#PART; - for standard input"
"""Help of an argument that names a model."""

STANDARD = "-"
_standard_input: list[Source] = []


def open_input(name: str, *, weights: str | None = None, limit: str | None = None) -> Model:
    """The model that an argument names. Arguments and errors as for ``unlite.open``."""
    if os.path.exists(f"{name}.unlite-undo"):  # what was interrupted is undone, and told
        tell_warnings()
    return open_model(input_source(name) if name == STANDARD else name, weights=weights, limit=limit)


def input_source(name: str) -> Source:
    """The bytes that an argument names. Standard input is read once, whole; asked for again, it is the same."""
    if name != STANDARD:
        from unlite.storage.source import open_source

        return open_source(name)
    if not _standard_input:
        from unlite.storage.source import MemorySource

        _standard_input.append(MemorySource(sys.stdin.buffer.read(), "<stdin>"))
    return _standard_input[0]


def forget_standard_input() -> None:
    """Lets go of what was read; whoever runs several commands in one process gives each its own."""
    _standard_input.clear()


def output_path(name: str | None, ending: str = "") -> AbstractContextManager[str | None]:
    """The file that a command writes to: ``name`` itself, or for ``-`` a temporary one.

    What was written there goes to standard output at the end, and whatever is printed meanwhile to standard error, so
    that the result stands alone. After an exception nothing is written.

    Args:
        name: What ``-o`` was given.
        ending: Of the temporary file, for writers that choose the format by it.
    """
    from contextlib import nullcontext

    tell_warnings()
    return nullcontext(name) if name != STANDARD else _to_standard_output(ending)


def _to_standard_output(ending: str) -> AbstractContextManager[str | None]:
    from contextlib import contextmanager

    return contextmanager(_temporary_output)(ending)


def _temporary_output(ending: str) -> Generator[str | None, None, None]:
    from contextlib import redirect_stdout
    from shutil import copyfileobj
    from tempfile import TemporaryDirectory

    out = sys.stdout
    with TemporaryDirectory(prefix="unlite-") as folder:
        path = os.path.join(folder, f"output{ending}")
        with redirect_stdout(sys.stderr):
            yield path
        if os.path.exists(path):
            out.flush()
            with open(path, "rb") as file:
                copyfileobj(file, out.buffer, 1 << 20)
            out.flush()


def tell_warnings() -> None:
    """Has warnings come as messages for people, without the place in the source."""
    import warnings

    def tell(message: Warning | str, category: type[Warning], filename: str, line: int, *_: object) -> None:
        del category, filename, line
        print(f"warning: {message}", file=sys.stderr)

    warnings.showwarning = tell  # type: ignore[assignment]  # it takes what the rest may be, and looks at none of it


def shown(name: str | None) -> str:
    """What messages call an output."""
    return "standard output" if name == STANDARD else name or ""
