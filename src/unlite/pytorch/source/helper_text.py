"""The helpers that a written model uses, as their own source text: with what they need, and nothing else."""

from __future__ import annotations

import ast
import builtins
import inspect
import io
import textwrap
import tokenize
from typing import TYPE_CHECKING, Any

from unlite.errors import UnsupportedOperatorError
from unlite.pytorch.trace import HELPERS

if TYPE_CHECKING:
    from collections.abc import Iterable

AT_TOP = ("torch", "F", "Tensor", "nn")
"""What every written file imports, if it is used."""
IMPORTS = {
    "Any": "from typing import Any",
    "Callable": "from collections.abc import Callable",
    "Iterator": "from collections.abc import Iterator",
    "Sequence": "from collections.abc import Sequence",
    "itertools": "import itertools",
    "math": "import math",
    "partial": "from functools import partial",
    "prod": "from math import prod",
    "reduce": "from functools import reduce",
}


class HelperTexts:
    """Helpers with names of their own in a file, and what they import.

    Attributes:
        names: Function -> its name.
        imports: Lines.
    """

    def __init__(self, functions: Iterable[Any]) -> None:
        self.names: dict[Any, str] = {}
        self.imports: set[str] = set()
        self._texts: dict[Any, str] = {}
        self._constants: dict[str, str] = {}
        for function in functions:
            self._add(function)

    def texts(self) -> list[str]:
        """Constants, and the functions; each after those that it calls."""
        constants = [f"{name} = {text}" for name, text in self._constants.items()]
        return (["\n".join(constants)] if constants else []) + [text for text in self._texts.values() if text]

    def _add(self, function: Any) -> None:
        if function in self.names:
            return
        name, count = function.__name__, 1
        while name in self.names.values():
            count += 1
            name = f"{function.__name__}_{count}"
        self.names[function] = name
        try:
            text = textwrap.dedent(inspect.getsource(function))
            text = text[text.index(f"def {function.__name__}(") :]
        except (OSError, ValueError) as error:
            raise UnsupportedOperatorError(f"the source text of {name} is not at hand.", operators=()) from error
        replaced = {function.__name__: name}
        for needed in _unbound(text):
            found = inspect.unwrap(function.__globals__.get(needed)) if needed in function.__globals__ else None
            if found in HELPERS if callable(found) else False:
                self._add(found)
                replaced[needed] = self.names[found]
            elif isinstance(found, (int, float, str, tuple)):
                self._constants[needed] = repr(found)
            elif needed in IMPORTS:
                self.imports.add(IMPORTS[needed])
            elif needed not in AT_TOP:
                raise UnsupportedOperatorError(f"{name} needs {needed!r}, which is not written down.", operators=())
        self._texts[function] = _written(text, replaced)


def _unbound(text: str) -> list[str]:
    """Names that a function does not define itself."""
    tree = ast.parse(text)
    bound = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    bound |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    bound |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    loaded = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
    return [name for name in dict.fromkeys(loaded) if name not in bound and not hasattr(builtins, name)]


def without_notes(text: str) -> str:
    """A text without comments for tools."""
    return _written(text, {})


def _written(text: str, replaced: dict[str, str]) -> str:
    """The text under other names, without comments for tools."""
    lines = text.rstrip().splitlines()
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    for token in reversed(tokens):
        row, start = token.start
        line = lines[row - 1] if row <= len(lines) else ""
        if token.type == tokenize.COMMENT and token.string.startswith(("# noqa", "# type: ignore")):
            lines[row - 1] = line[:start].rstrip()
        elif token.type == tokenize.NAME and replaced.get(token.string, token.string) != token.string:
            if line[:start].endswith("."):
                continue
            lines[row - 1] = line[:start] + replaced[token.string] + line[start + len(token.string) :]
    return "\n".join(lines)
