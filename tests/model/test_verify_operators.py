"""Operators that lack something, have too much of it, or say what LiteRT does not know: LiteRT is the judge.

One model of each operator is taken, and one thing in it is changed at a time.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.model.litert_judge import answers

from unlite.flatbuffers.write import build
from unlite.model.checking.verify import verify_file
from unlite.model.formats.json import to_json
from unlite.schema import load
from unlite.schema.operators import kernel_versions
from unlite.storage.source import MemorySource

Plain = dict[str, Any]
PAST_THE_END = "ASSIGN_VARIABLE: 1 inputs"  # XNNPACK reads what lies behind the list of inputs, and may run
LARGEST = 30_000  # bytes of a model that is taken
BATCHES = 6

# What a kernel finds out from types, shapes and values when it prepares; and operators that LiteRT does not have.
KERNEL = re.compile(
    r"data_type|output data type|dims->|NumElements|SizeOfDimension|index_out_type|->type|overflowed|_dtype|"
    r"unresolved custom op|Select TensorFlow op|batch_size|^allocating: $"
)


def errors(data: bytes) -> list[str]:
    return [str(finding) for finding in verify_file(MemorySource(data)) if finding.severity == "error"]


def written(model: Plain) -> bytes:
    return build(load().root, model, b"TFL3")


def _name(model: Plain, operator: Plain) -> str:
    code = model["operator_codes"][operator.get("opcode_index", 0)]
    enum = load().enum_named("BuiltinOperator")
    number = max(enum.values[code.get("builtin_code", "ADD")], code.get("deprecated_builtin_code", 0))
    return str(enum.label(number))


def _samples(shared: Path) -> Iterator[tuple[str, Plain, int, int]]:
    """One model for each operator, form and number of inputs: name, model, subgraph, operator."""
    seen: set[tuple[str, int, int]] = set()
    paths = sorted((shared / "opsuite/models").glob("*.tflite"), key=lambda path: (path.stat().st_size, path.name))
    for path in paths:
        if path.stat().st_size > LARGEST:
            continue
        model: Plain = json.loads(to_json(path) or "")
        for number, graph in enumerate(model["subgraphs"]):
            for place, operator in enumerate(graph.get("operators", ())):
                name = _name(model, operator)
                form = name, len(operator.get("inputs", ())), len(operator.get("outputs", ()))
                if name in kernel_versions() and form not in seen:
                    seen.add(form)
                    yield f"{path.stem} {name}", model, number, place


def _changes(model: Plain, number: int, place: int) -> Iterator[tuple[str, Plain]]:
    original = model["subgraphs"][number]["operators"][place]
    inputs, outputs = original.get("inputs", []), original.get("outputs", [])

    def changed(**fields: Any) -> Plain:
        result = copy.deepcopy(model)
        result["subgraphs"][number]["operators"][place].update(fields)
        return result

    for count in range(len(inputs)):
        if count in (0, len(inputs) - 1):
            yield f"{count} inputs", changed(inputs=inputs[:count])
        if inputs[count] >= 0:
            yield f"input {count} absent", changed(inputs=[*inputs[:count], -1, *inputs[count + 1 :]])
    yield "one input more", changed(inputs=[*inputs, -1])
    for count in range(len(outputs)):
        yield f"{count} outputs", changed(outputs=outputs[:count])
        yield f"output {count} absent", changed(outputs=[*outputs[:count], -1, *outputs[count + 1 :]])
    more = changed()
    graph = more["subgraphs"][number]
    graph["tensors"].append({"name": "more", "shape": [1]})
    graph["operators"][place]["outputs"] = [*outputs, len(graph["tensors"]) - 1]
    yield "one output more", more
    yield from _versions(model, original)
    yield from _options(changed, original)


def _versions(model: Plain, operator: Plain) -> Iterator[tuple[str, Plain]]:
    oldest, newest = kernel_versions()[_name(model, operator)]
    for version in (oldest - 1, newest, newest + 1):
        result = copy.deepcopy(model)
        result["operator_codes"][operator.get("opcode_index", 0)]["version"] = version
        yield f"version {version}", result


def _options(changed: Any, operator: Plain) -> Iterator[tuple[str, Plain]]:
    for union in ("builtin_options", "builtin_options_2"):
        kind = operator.get(f"{union}_type", "NONE")
        if kind == "NONE":
            continue
        yield "no options", changed(**{f"{union}_type": "NONE", union: None})
        options = operator.get(union, {})
        for field in load().named(kind).fields:
            if field.enum is not None:
                yield f"{field.name} unknown", changed(**{union: {**options, field.name: 77}})
            elif isinstance(options.get(field.name), (list, str)):
                yield f"{field.name} absent", changed(**{union: {**options, field.name: None}})
            if isinstance(options.get(field.name), list):
                yield f"{field.name} too long", changed(**{union: {**options, field.name: [1] * 30}})


@pytest.mark.parametrize("batch", range(BATCHES))
def test_errors_are_what_litert_refuses(shared: Path, tmp_path: Path, batch: int) -> None:
    samples = [sample for index, sample in enumerate(_samples(shared)) if index % BATCHES == batch]
    cases = {label: written(model) for label, model, _, _ in samples}
    sound = {
        label for label, answer in zip(cases, answers(tmp_path, list(cases.values())), strict=True) if answer == "ok"
    }
    changed = {
        f"{label}: {change}": written(result)
        for label, model, number, place in samples
        if label in sound
        for change, result in _changes(model, number, place)
    }
    assert len(changed) > 150
    found = dict(zip(changed, answers(tmp_path, list(changed.values())), strict=True))
    told = {label: errors(data) for label, data in changed.items()}
    missed = {
        label: answer
        for label, answer in found.items()
        if answer != "ok" and not told[label] and (answer.startswith("building: ") or not KERNEL.search(answer))
    }
    # XNNPACK runs what the kernels of three operators refuse; an error is false where either runs the model.
    default = answers(tmp_path, [changed[label] for label in missed], delegates=True)
    assert {label: missed[label] for label, answer in zip(missed, default, strict=True) if answer != "ok"} == {}
    doubtful = [label for label in found if told[label] and not label.endswith(PAST_THE_END)]
    # Behind an operator whose output has no known size yet, kernels find out when they run.
    later = [label for label in doubtful if found[label] == "ok"]
    runs = answers(tmp_path, [changed[label] for label in later], run=True)
    assert {label: told[label] for label, answer in zip(later, runs, strict=True) if answer == "ok"} == {}
    runs = answers(tmp_path, [changed[label] for label in doubtful], run=True, delegates=True)
    assert {label: told[label] for label, answer in zip(doubtful, runs, strict=True) if answer == "ok"} == {}
