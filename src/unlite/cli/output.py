"""How results reach people and pipes: tables for a terminal, tab-separated lines for a pipe, JSON for programs."""

from __future__ import annotations

import argparse
import json
import sys
from math import isfinite

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Sequence
    from typing import Any

_DIRECTIONS = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {
    code: f"\\u{code:04x}" for code in _DIRECTIONS
}


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the examples as they are written. Its width is fixed: asking the terminal loads half the library."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=100)


def new_parser(command: str, description: str, examples: str) -> argparse.ArgumentParser:
    """A parser for one command, with examples behind its help."""
    return argparse.ArgumentParser(
        prog=f"unlite {command}",
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=_Formatter,
    )


def add_limit(parser: argparse.ArgumentParser) -> None:
    """Adds ``--limit`` to the arguments of a command that reads values."""
    parser.add_argument(
        "--limit",
        metavar="BYTES",
        help="memory that the file may ask for, such as 8G; left out: 1G, or 256 times its size if that is more",
    )


def printable(text: object) -> str:
    """Text out of a file without what a terminal would obey: control characters, and marks that reverse the writing."""
    return str(text).translate(_CONTROL)


def is_terminal() -> bool:
    """Whether a person looks at the result."""
    return sys.stdout.isatty()


def print_json(value: Any) -> None:
    """Prints a value as JSON, indented."""
    print(_strict_json(value, 2))


def print_json_line(value: Any) -> None:
    """Prints a value as JSON on one line."""
    print(_strict_json(value, None))


def _strict_json(value: Any, indent: int | None) -> str:
    try:
        text = json.dumps(value, indent=indent, ensure_ascii=True, allow_nan=False)
    except ValueError:  # NaN or an infinity
        text = json.dumps(_finite(value), indent=indent, ensure_ascii=True, allow_nan=False)
    return strict(text)


def strict(text: str) -> str:
    """JSON text in ASCII with text such as ``xff`` behind a backslash for bytes that are no UTF-8.

    Python has a half of a character for each; most readers refuse such a half, and with it the whole text.
    """
    if "\\ud" not in text:
        return text
    import re

    return re.sub(r"\\(?:u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})|ud([89a-f][0-9a-f]{2})|.)", _whole_character, text)


def _whole_character(found: re.Match[str]) -> str:
    half = found[3]
    if half is None:
        return found[0]
    return f"\\\\x{half[1:]}" if half[0] == "c" and half[1] >= "8" else "\\ufffd"


def _finite(value: Any) -> Any:
    """The value with null for NaN and infinities."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    return [_finite(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints rows: as a table on a terminal, tab-separated in a pipe."""
    if not is_terminal():
        sys.stdout.write("\t".join(columns) + "\n")
        for row in rows:
            sys.stdout.write("\t".join(printable(cell) for cell in row) + "\n")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(printable(title)), title_justify="left", header_style="bold")
    for column in columns:
        numeric = column in ("#", "bytes", "count", "share")
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console().print(table)


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Prints names and values: aligned on a terminal, tab-separated in a pipe."""
    pairs = [(name, printable(value)) for name, value in facts]
    if not is_terminal():
        for name, value in pairs:
            sys.stdout.write(f"{name}\t{value}\n")
        return
    width = max((len(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        print(f"{name:<{width}}  {value}")


def size(number: int) -> str:
    """A number of bytes for people: ``1.58 GB``."""
    value = float(number)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB"


def refuse_model_name(output: str | None) -> None:
    """Raises InvalidValueError where a text would take the name of a model."""
    if output is not None and output.lower().endswith(".tflite"):
        from unlite.errors import InvalidValueError

        raise InvalidValueError(
            "is the name of a model, and this writes a text.", file=output, hint="Name another file."
        )
