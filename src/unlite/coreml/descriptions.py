"""What the TFLite metadata says of a model, where Core ML's users look for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.errors import UnliteError
from unlite.flatbuffers.view import Table
from unlite.model.metadata.tflite_metadata import ENTRY

if TYPE_CHECKING:
    from unlite.coreml.ends import Ends
    from unlite.model.model import Model
    from unlite.model.objects.subgraph import Subgraph

FIELDS = {"author": "author", "license": "license", "version": "version", "description": "short_description"}
"""Field of the metadata -> attribute of an MLModel."""


def describe(made: Any, model: Model, graph: Subgraph, ends: Ends) -> None:
    """Gives an MLModel author, licence, version and description, and its inputs and outputs theirs."""
    root = _root(model)
    for field, attribute in FIELDS.items():
        text = _text(root, field)
        if text:
            setattr(made, attribute, text)
    if not made.short_description:
        made.short_description = model.description or ""
    made.user_defined_metadata["unlite.source"] = str(model.file.name or "").replace("\\", "/").rsplit("/", 1)[-1]
    spec = made.get_spec()
    for side, names, features in (
        ("input", ends.inputs, made.input_description),
        ("output", ends.outputs, made.output_description),
    ):
        present = {feature.name for feature in getattr(spec.description, side)}
        for place, name in enumerate(names):
            text = _text(_end(root, graph, side, place), "description")
            if text and name in present:
                features[name] = text


def _root(model: Model) -> Table | None:
    try:
        root = model.metadata.decoded(ENTRY) if ENTRY in model.metadata else None
    except UnliteError:
        return None  # metadata is advice: what cannot be read says nothing
    return root if isinstance(root, Table) else None


def _end(root: Table | None, graph: Subgraph, side: str, place: int) -> Table | None:
    try:
        graphs: Any = (root["subgraph_metadata"] if root is not None else None) or ()
        ends: Any = graphs[graph.index][f"{side}_tensor_metadata"] if graph.index < len(graphs) else None
        return ends[place] if ends is not None and place < len(ends) else None
    except UnliteError:
        return None


def _text(table: Table | None, field: str) -> str:
    try:
        text: Any = table[field] if table is not None else None
    except UnliteError:
        return ""
    return text.encode("utf-8", "replace").decode("utf-8") if isinstance(text, str) else ""
