"""The modules of the room import each other one way round, but for types."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import unlite.storage

PREFIX = "unlite.storage."


def imported(node: ast.AST) -> set[str]:
    """The room's modules that a module imports, inside functions too; not those under ``if TYPE_CHECKING``."""
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
        return set()
    found = {node.module} if isinstance(node, ast.ImportFrom) and node.module else set()
    for child in ast.iter_child_nodes(node):
        found |= imported(child)
    return {name for name in found if name.startswith(PREFIX)}


def test_there_is_no_circle() -> None:
    (folder,) = unlite.storage.__path__
    files = sorted(Path(folder).glob("[!_]*.py"))
    graph = {PREFIX + file.stem: imported(ast.parse(file.read_text(encoding="utf-8"))) for file in files}
    assert sum(map(len, graph.values())) > 20
    assert len(list(TopologicalSorter(graph).static_order())) == len(graph)  # raises CycleError
