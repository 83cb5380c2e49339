"""ONNX files: checked before they are written, with weights in a file of their own where one would be too large."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from unlite.errors import InvalidValueError, SaveError, UnsupportedOperatorError

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

LARGEST = (1 << 31) - (1 << 20)
"""Bytes of weights in one file: protobuf ends at 2 GiB, the rest is for the graph."""


def checked_proto(made: ir.Model) -> onnx.ModelProto:
    """The model as onnx has it, accepted by its checker."""
    import onnx_ir as ir

    if _weights(made) > LARGEST:
        raise SaveError(
            f"its weights are {_weights(made)} bytes, and one ONNX message holds 2 GiB.",
            hint="unlite convert --to onnx writes such a model as two files.",
        )
    proto: onnx.ModelProto = ir.to_proto(made)
    check(proto)
    return proto


def check(model: onnx.ModelProto | str) -> None:
    """Raises UnsupportedOperatorError where onnx.checker refuses a model; ``model`` may be a path."""
    import onnx

    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise UnsupportedOperatorError(f"the exported graph is not valid ONNX: {error}", operators=()) from error


def write(made: ir.Model, path: str, *, largest: int = LARGEST) -> list[str]:
    """Writes a model that onnx.checker accepts and ONNX Runtime loads. Returns the paths of the files.

    Args:
        made: The model.
        path: Of the ``.onnx``.
        largest: Weights of more bytes than this go to ``path`` with ``.data`` behind it.

    Raises:
        UnsupportedOperatorError: it is refused.
    """
    import onnx_ir as ir

    data = f"{path}.data"
    if _weights(made) > largest:
        ir.save(made, path, external_data=os.path.basename(data))
        check(path)
    else:
        proto = ir.to_proto(made)
        check(proto)
        with open(path, "wb") as file:
            file.write(proto.SerializeToString())
    load(path)
    return [path, data] if os.path.exists(data) else [path]


def is_written(path: str) -> bool:
    """Whether a file is an ONNX model that was written here: its first fields are the IR version and the producer."""
    try:
        with open(path, "rb") as file:
            head = file.read(16)
    except OSError:
        return False
    return head[:1] == b"\x08" and b"\x12\x06unlite" in head


def load(path: str) -> None:
    """Raises UnsupportedOperatorError where ONNX Runtime does not load a file. Nothing happens where it is absent."""
    from importlib.util import find_spec

    if find_spec("onnxruntime") is None:
        return
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    try:
        path.encode()
    except UnicodeEncodeError:
        raise InvalidValueError("ONNX Runtime takes only paths in UTF-8.", file=path) from None
    kinds: list[Any] = [*vars(state).values(), RuntimeError]
    failures = tuple(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Exception))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except failures as error:
        raise UnsupportedOperatorError(f"ONNX Runtime does not load it: {error}", operators=()) from error


def _weights(made: ir.Model) -> int:
    return sum(value.const_value.nbytes for value in made.graph.initializers.values() if value.const_value is not None)
