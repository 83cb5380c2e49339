"""Writes src/unlite/schema/operator_table.py from operators.toml beside it: ``python scripts/operator_table.py``.

With ``--check`` it writes nothing and fails where the two differ.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib  # type: ignore[import-not-found,no-redef]

SOURCE = Path(__file__).parents[1] / "src/unlite/schema/operators.toml"
TABLE = SOURCE.with_name("operator_table.py")
HEAD = '''\
"""What LiteRT's kernels want of each builtin operator. Written by scripts/operator_table.py from operators.toml."""

# fmt: off
from __future__ import annotations

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from typing import Any

TABLE: dict[str, dict[str, Any]] = {
'''
WIDTH = 120
LISTS = (
    "enums_at_load",
    "enums_at_prepare",
    "ignores_more",
    "input_counts",
    "inputs",
    "needed",
    "output_counts",
    "outputs",
    "versions",
)


def main() -> None:
    """Writes or compares the table."""
    written = table()
    if "--check" not in sys.argv[1:]:
        TABLE.write_text(written, encoding="utf-8")
    elif TABLE.read_text(encoding="utf-8") != written:
        sys.exit(f"{TABLE.name} is not what {SOURCE.name} says: python scripts/operator_table.py")


def table() -> str:
    """The module's text."""
    operators = tomllib.loads(SOURCE.read_text(encoding="utf-8"))
    lines: list[str] = []
    for name, facts in operators.items():
        lines.append(f'    "{name}": {{')
        for key, value in facts.items():
            lines += _wrapped(f'        "{key}": ', _plain(key, value))
        lines.append("    },")
    return HEAD + "\n".join(lines) + "\n}\n"


def _plain(key: str, value: Any) -> Any:
    """Lists as tuples, which a compiled module holds ready-made."""
    if key in ("together", "requires"):
        return tuple(tuple(names) for names in value)
    if key == "otherwise":
        return {name: tuple(entries) for name, entries in value.items()}
    return tuple(value) if key in LISTS else value


def _wrapped(start: str, value: Any) -> list[str]:
    line = f"{start}{_text(value)},"
    if len(line) <= WIDTH or not isinstance(value, (tuple, dict)):
        return [line]
    if isinstance(value, dict):
        inner = [entry for key, each in value.items() for entry in _wrapped(f'            "{key}": ', each)]
        return [f"{start}{{", *inner, "        },"]
    lines, current = [], ""
    indent = " " * (len(start) - len(start.lstrip()) + 4)
    for entry in value:
        text = f"{_text(entry)},"
        if current and len(current) + len(text) + 1 > WIDTH:
            lines.append(current)
            current = ""
        current = f"{current} {text}" if current else indent + text
    return [f"{start}(", *lines, current, indent[4:] + "),"]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return f"({', '.join(map(_text, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_text(key)}: {_text(each)}' for key, each in value.items())}}}"
    return repr(value)


if __name__ == "__main__":
    main()
