"""An ONNX model in ONNX Runtime: its outputs as it stands, and every tensor of the file that it has a name for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from unlite.comparison.candidate import Candidate, file_values, input_for, output_from
from unlite.comparison.names import REQUANTIZE, from_metadata
from unlite.errors import MissingExtraError, UnsupportedFormatError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from unlite.model.objects.subgraph import Subgraph

    Array = NDArray[Any]

_TYPES = {"float": "f4", "double": "f8", "float16": "f2", "bool": "?", "string": "O"}
QUIET = 4  # ONNX Runtime's levels: errors alone come to us, as exceptions


def run_onnx(model: Any, subgraph: Subgraph, inputs: Sequence[Array]) -> Candidate:
    """Runs an ONNX model on a ``.tflite``'s inputs.

    Outputs come from the model as it is, with all that the runtime optimizes; tensors on the way from a second run, in
    which they are outputs too.

    Args:
        model: A path, or an ``onnx.ModelProto``.
        subgraph: What it was made from.
        inputs: Stored values, in the file's order.

    Raises:
        UnsupportedFormatError: it is no ONNX model, ONNX Runtime refuses it, or it wants other inputs.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError(error.name or "onnxruntime", extra="onnx", purpose="running an ONNX model") from None
    onnxruntime.set_default_logger_severity(QUIET)
    file = os.fspath(model) if isinstance(model, (str, os.PathLike)) else None
    try:
        proto = model if file is None else onnx.load(file)
    except Exception as error:
        raise UnsupportedFormatError(f"is no ONNX model: {_first_line(error)}", file=file) from error
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    ends, places = from_metadata(metadata, file)
    rounds = metadata.get(REQUANTIZE) == "round"
    layouts = {(end["kind"], end["index"]): end["layout"] for end in ends}
    plain = _Session(onnxruntime, proto.SerializeToString() if file is None else file, file)
    try:
        given = plain.inputs(subgraph, inputs, layouts)
        results = plain.run(given)
    except UnsupportedFormatError as error:
        error.file = error.file or file
        raise
    if len(plain.outputs) < len(subgraph.outputs):
        raise UnsupportedFormatError(
            f"gives {len(plain.outputs)} outputs, the .tflite has {len(subgraph.outputs)}.", file=file
        )

    def by_tensor(named: dict[str, Array]) -> dict[int, Array]:
        outputs = [
            output_from(named[name], tensor.shape, layouts.get(("output", place)))
            for place, (name, tensor) in enumerate(zip(plain.outputs, subgraph.outputs, strict=False))
        ]
        return file_values(subgraph, named, places, outputs)

    tensor_names = set(places) or {tensor.name for tensor in subgraph.tensors}
    inner = [name for node in proto.graph.node for name in node.output if name in tensor_names and name not in results]
    if not inner:
        return Candidate("ONNX Runtime", by_tensor(results), rounds=rounds)
    opened = onnx.ModelProto()
    opened.CopyFrom(proto)
    opened.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in inner)
    values = by_tensor(_Session(onnxruntime, opened.SerializeToString(), file).run(given))
    optimized = by_tensor(results)
    unoptimized = {index: values[index] for index in optimized}
    return Candidate("ONNX Runtime", {**values, **optimized}, unoptimized=unoptimized, rounds=rounds)


class _Session:
    """A model loaded by ONNX Runtime."""

    def __init__(self, runtime: Any, model: Any, file: str | None) -> None:
        self._file = file
        options = runtime.SessionOptions()
        options.log_severity_level = QUIET
        options.intra_op_num_threads = 1  # what is proved must not depend on the machine's cores
        try:
            self._session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise UnsupportedFormatError(f"ONNX Runtime refuses it: {_first_line(error)}", file=file) from error
        self.outputs = [end.name for end in self._session.get_outputs()]

    def inputs(
        self, subgraph: Subgraph, inputs: Sequence[Array], layouts: dict[tuple[str, int], str]
    ) -> dict[str, Array]:
        """The file's inputs by the model's names: matched by name, else by place. Memories begin with zeros."""
        wanted = {end.name: end for end in self._session.get_inputs()}
        tensors = subgraph.inputs
        by_name = all(tensor.name in wanted for tensor in tensors)
        names = [tensor.name for tensor in tensors] if by_name else list(wanted)[: len(tensors)]
        if len(names) < len(tensors):
            raise UnsupportedFormatError(f"has {len(wanted)} inputs, the .tflite has {len(tensors)}.", file=self._file)
        given: dict[str, Array] = {}
        for place, (name, tensor, stored) in enumerate(zip(names, tensors, inputs, strict=True)):
            dtype = _dtype(wanted[name].type)
            shape, layout = wanted[name].shape, layouts.get(("input", place))
            value = input_for(tensor, stored, shape, layout, dtype.kind == "f")
            given[name] = value.astype(dtype, copy=False)
        for name, end in wanted.items():
            if name not in given:
                given[name] = np.zeros([size if isinstance(size, int) else 1 for size in end.shape], _dtype(end.type))
        return given

    def run(self, given: dict[str, Array]) -> dict[str, Array]:
        try:
            results = self._session.run(None, given)
        except Exception as error:
            raise UnsupportedFormatError(f"ONNX Runtime fails: {_first_line(error)}", file=self._file) from error
        ends = zip((end.name for end in self._session.get_outputs()), results, strict=True)
        return {name: value for name, value in ends if isinstance(value, np.ndarray)}


def _dtype(name: str) -> np.dtype[Any]:
    """NumPy's type for ``tensor(float)``."""
    inner = name.removeprefix("tensor(").removesuffix(")")
    return np.dtype(_TYPES.get(inner, inner if inner[:3] in ("int", "uin") else "f4"))


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:400] if text else type(error).__name__
