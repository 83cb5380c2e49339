"""The other side of a comparison: a module, a folder, an ONNX model, a Core ML package, another TFLite model."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from unlite.errors import InvalidTypeError, MissingExtraError, UnsupportedFormatError
from unlite.model.model import Model, open_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import fx

    from unlite.comparison.candidate import Candidate
    from unlite.comparison.measured import Measured
    from unlite.comparison.torch_judge import TorchJudge

ONNX, CORE_ML = (".onnx",), (".mlpackage", ".mlmodel")
REFUSED = (".py", ".pth", ".pt")


class Runner(Protocol):
    """A side that is compared tensor by tensor.

    Attributes:
        runtime: What runs it, for people.
        is_isolable: Whether its operators can be given the reference's own inputs.
    """

    runtime: str
    is_isolable: bool

    def judge(self, measured: Measured) -> TorchJudge:
        """The judge over this side, for what LiteRT gave."""
        ...


class _Module:
    """A module."""

    runtime, is_isolable = "a module in PyTorch", True

    def __init__(self, module: Any) -> None:
        self._module = module

    def judge(self, measured: Measured) -> TorchJudge:
        from unlite.comparison.torch_judge import TorchJudge

        exact = getattr(self._module, "meta", {}).get("unlite.quantized") == "exact"
        return TorchJudge(self._module, measured if exact else replace(measured, allows_rounding=False))


class _Converted:
    """Something that another runtime computes; a module beside it tells drift from fault.

    Args:
        runtime: What runs it, for people.
        run: Gives the candidate for what it is judged by, and what gives the module beside.
        bridge: Gives the module beside, for whether it puts values on the grids of quantized tensors.
    """

    is_isolable = False

    def __init__(self, runtime: str, run: Callable[..., Candidate], bridge: Callable[[bool], fx.GraphModule]) -> None:
        self.runtime = runtime
        self._run = run
        self._make = bridge
        self._made: fx.GraphModule | None = None
        self._candidate: Candidate | None = None

    def _bridge(self) -> fx.GraphModule:
        if self._made is None:
            self._made = self._make(self._candidate is not None and self._candidate.rounds)
        return self._made

    def judge(self, measured: Measured) -> TorchJudge:
        from unlite.comparison.candidate import CandidateJudge

        if self._candidate is None:
            self._candidate = self._run(measured, self._bridge)
        return CandidateJudge(self._candidate, self._bridge, measured)


def other_side(model: Model, other: Any, signature: str | None, quantized: str) -> Runner | Model:
    """What a model is compared with.

    Args:
        model: The model.
        other: What the caller of ``compare`` gave.
        signature: Key of the signature to run.
        quantized: How the model is converted where ``other`` is None.

    Raises:
        UnsupportedFormatError: a path that leads to nothing of these.
        InvalidTypeError: an object that is nothing of these.
    """
    if isinstance(other, Model):
        return other
    if isinstance(other, (bytes, bytearray, memoryview)):
        return open_model(other)
    path = os.fspath(other) if isinstance(other, (str, os.PathLike)) else None
    if path is not None and not _is_converted(path):
        if path.endswith(REFUSED):
            raise UnsupportedFormatError(
                "cannot be compared with.",
                file=path,
                hint="Wanted: a .tflite, .onnx or .mlpackage, a folder from unlite convert, or in Python a module.",
            )
        return open_model(path)
    try:
        import torch
    except ImportError:
        raise MissingExtraError("torch", extra="torch", purpose="running a converted model") from None

    def bridge(rounds: bool) -> fx.GraphModule:
        return _to_torch(model, signature, "float", "round" if rounds else "none")

    if other is None:
        return _Module(_to_torch(model, signature, quantized))
    if isinstance(other, torch.nn.Module):
        return _Module(other)
    suffix = "" if path is None else os.path.splitext(path.rstrip("/\\"))[1].lower()
    if suffix in ONNX or type(other).__name__ == "ModelProto":
        from unlite.comparison.onnx_run import run_onnx

        def run_in_onnx(measured: Measured, _: Any) -> Candidate:
            return run_onnx(other, measured.subgraph, measured.inputs)

        return _Converted("ONNX Runtime", run_in_onnx, bridge)
    if suffix in CORE_ML or type(other).__name__ == "MLModel":
        from unlite.comparison.coreml_run import RUNTIME, run_coreml

        def run_in_coreml(measured: Measured, _: Any) -> Candidate:
            return run_coreml(other, measured.subgraph, measured.inputs)

        return _Converted(RUNTIME, run_in_coreml, bridge)
    if path is not None:
        from unlite.comparison.folder_run import WrittenFolder

        folder = WrittenFolder(path)

        def run_folder(measured: Measured, module: Callable[[], fx.GraphModule]) -> Candidate:
            return folder.run(module(), measured.subgraph, measured.inputs, measured.reference)

        return _Converted(
            "the folder's model.py in PyTorch", run_folder, lambda _: _to_torch(model, signature, folder.quantized)
        )
    raise InvalidTypeError(f"a module, a model or a path is wanted to compare with, not {other!r:.60}.")


def _is_converted(path: str) -> bool:
    """Whether a path names a conversion: an ONNX or Core ML model by its ending, or a folder."""
    return path.rstrip("/\\").lower().endswith((*ONNX, *CORE_ML)) or os.path.isdir(path)


def _to_torch(model: Model, signature: str | None, quantized: str, requantize: str = "none") -> fx.GraphModule:
    from unlite.pytorch.module import to_torch

    return to_torch(model, signature=signature, quantized=quantized, requantize=requantize)
