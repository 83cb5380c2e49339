"""What the file says of itself, in the model's ``metadata_props``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from unlite.errors import UnliteError
from unlite.flatbuffers.view import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

    from unlite.model.model import Model
    from unlite.onnx.names import Place

FIELDS = ("name", "description", "version", "author", "license")
LARGEST_FILE = 1 << 20  # bytes of an associated file that is carried along


def describe(made: ir.Model, model: Model, facts: list[dict[str, Any]], places: Mapping[str, Place]) -> None:
    """Fills ``metadata_props``, description and producer.

    ``unlite.io``: the module's ``meta["unlite.io"]``, a list of inputs and outputs. ``unlite.tensors``: name of a value
    -> [subgraph, tensor, order of its axes or null], for the values that are still there. ``name``, ``description``,
    ``version``, ``author``, ``license``: from the file's metadata. ``file:NAME``: texts that lie behind the file, such
    as labels. All values are text; JSON where there is more to say.
    """
    there = {str(value.name) for value in made.graph.inputs}
    there.update(str(value.name) for node in made.graph for value in node.outputs)
    properties = made.metadata_props
    properties.clear()
    properties["unlite.io"] = json.dumps(facts)
    properties["unlite.tensors"] = json.dumps({name: place for name, place in places.items() if name in there})
    properties.update(_stated(model))
    made.producer_name, made.producer_version = "unlite", _version()
    made.doc_string = properties.get("description") or _text(model.description)


def _stated(model: Model) -> dict[str, str]:
    """The file's metadata and associated files that are text. What cannot be read says nothing: it is advice."""
    found: dict[str, str] = {}
    try:
        root = model.metadata.decoded("TFLITE_METADATA") if "TFLITE_METADATA" in model.metadata else None
        if isinstance(root, Table):
            found.update({field: _text(root[field]) for field in FIELDS if root[field]})
        for name in model.associated_files:
            data = model.associated_files[name]
            if len(data) <= LARGEST_FILE:
                found[f"file:{_text(name)}"] = data.decode("utf-8")
    except (UnliteError, UnicodeDecodeError):
        return found
    return found


def _text(value: Any) -> str:
    return str(value or "").encode("utf-8", "replace").decode("utf-8")


def _version() -> str:
    from unlite._version import __version__

    return __version__
