"""``unlite convert --to onnx``: one ``.onnx``, and its weights beside it where they are more than one file holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from unlite.comparison.compare import Reference
    from unlite.comparison.result import Comparison
    from unlite.model.model import Model

EXTRA = "onnx"
LIBRARIES = ("torch", "onnx", "onnxscript", "onnxruntime")


def is_own(path: str) -> bool:
    """Whether a file is what convert wrote."""
    from unlite.onnx.files import is_written

    return is_written(path)


def write(model: Model, arguments: argparse.Namespace, path: str) -> Callable[[Reference], Comparison]:
    """Writes the file, checks it, and loads it in ONNX Runtime."""
    from unlite.onnx.convert import to_ir
    from unlite.onnx.files import write as write_file

    key = arguments.signature
    graph = model.main if key is None else model.signatures[key].subgraph
    made = to_ir(
        model,
        graph,
        quantized=arguments.quantized,
        real_io=arguments.real_io,
        layout=arguments.layout or "nchw",
    )
    write_file(made, path)

    def compare(reference: Reference) -> Comparison:
        """What was written, against LiteRT."""
        return reference.compare(path)

    return compare
