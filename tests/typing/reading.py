"""What a user of the package writes must type-check, under mypy --strict and pyright's strict mode. Never run."""

# pyright: strict
from __future__ import annotations

import unlite


def overview(path: str) -> dict[str, tuple[int, ...]]:
    """Shapes of all constants, by name."""
    model = unlite.open(path)
    version: int | None = model.schema_version
    description: str | None = model.description
    print(version, description, [subgraph.name for subgraph in model.subgraphs])
    return {tensor.name or "": tensor.shape for tensor in model.main.tensors if tensor.is_constant}


def operators(model: unlite.Model) -> list[str]:
    """One line for each operator of the main subgraph."""
    lines: list[str] = []
    for operator in model.main.operators:
        inputs = [tensor.name for tensor in operator.inputs if tensor is not None]
        lines.append(f"{operator.label} {operator.name} {operator.version} {inputs}")
    return lines


def sound(data: bytes) -> bool:
    """Whether a model has no error; a file that does not open has one."""
    try:
        findings = unlite.open(data).verify()
    except unlite.UnliteError as error:
        print(error.file, error.path, error.offset, error.hint)
        return False
    return not any(finding.severity == "error" for finding in findings)
