"""Open, inspect, change and save TensorFlow Lite (LiteRT) models, without TensorFlow."""

from __future__ import annotations

from unlite import flatbuffers
from unlite._version import __version__

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from typing import Any

    from unlite.comparison.compare import compare as compare
    from unlite.comparison.run import run as run
    from unlite.coreml.module import to_coreml as to_coreml
    from unlite.errors import UnliteError as UnliteError
    from unlite.flatbuffers.schema import Schema
    from unlite.model.formats.c_array import from_c_array as from_c_array
    from unlite.model.formats.c_array import to_c_array as to_c_array
    from unlite.model.formats.json import from_json as from_json
    from unlite.model.formats.json import to_json as to_json
    from unlite.model.model import Model as Model
    from unlite.model.model import open_model as open  # noqa: A004 - unlite.open is the name people expect
    from unlite.model.objects.quantization import Quantization as Quantization
    from unlite.onnx.convert import to_onnx as to_onnx
    from unlite.pytorch.module import to_torch as to_torch
    from unlite.pytorch.weights.load import load_weights as load_weights
    from unlite.pytorch.weights.store import store_weights as store_weights

_HOMES = {
    "Model": "unlite.model.model:Model",
    "Quantization": "unlite.model.objects.quantization:Quantization",
    "UnliteError": "unlite.errors:UnliteError",
    "compare": "unlite.comparison.compare:compare",
    "from_c_array": "unlite.model.formats.c_array:from_c_array",
    "from_json": "unlite.model.formats.json:from_json",
    "load_weights": "unlite.pytorch.weights.load:load_weights",
    "open": "unlite.model.model:open_model",
    "run": "unlite.comparison.run:run",
    "store_weights": "unlite.pytorch.weights.store:store_weights",
    "to_c_array": "unlite.model.formats.c_array:to_c_array",
    "to_coreml": "unlite.coreml.module:to_coreml",
    "to_json": "unlite.model.formats.json:to_json",
    "to_onnx": "unlite.onnx.convert:to_onnx",
    "to_torch": "unlite.pytorch.module:to_torch",
}

__all__ = [
    "Model",
    "Quantization",
    "UnliteError",
    "__version__",
    "compare",
    "flatbuffers",
    "from_c_array",
    "from_json",
    "load_weights",
    "open",
    "run",
    "store_weights",
    "to_c_array",
    "to_coreml",
    "to_json",
    "to_onnx",
    "to_torch",
]


def __getattr__(name: str) -> Any:
    """Loads a public name on first use (PEP 562), so that importing the package costs nothing."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'unlite' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    found = globals()[name] = getattr(import_module(module), attribute)
    return found


def _bundled(name: str) -> Schema | None:
    """What ``unlite.flatbuffers``, which knows no schema, is told of those that come with the package."""
    from unlite.schema import find

    return find(name)


flatbuffers.finders.append(_bundled)


def __dir__() -> list[str]:
    return __all__
