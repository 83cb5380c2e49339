"""``compare``: a model in LiteRT against a conversion of it, tensor by tensor."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from unlite.comparison.inputs import graph_of, make_inputs
from unlite.comparison.litert import LiteRT, NotRunnable, Run, computed
from unlite.comparison.result import DIFFERENT, NOT_COMPARABLE, SAME, Comparison
from unlite.errors import InvalidTypeError, InvalidValueError, MissingExtraError, UnsupportedFormatError
from unlite.model.model import Model, open_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from unlite.comparison.result import Divergence, TensorDistance
    from unlite.model.subgraph import Subgraph

    Array = NDArray[Any]

MODES = ("accumulated", "isolated")
KERNELS = ("reference", "default")
_JUDGES = {
    "reference": "LiteRT, reference kernels",
    "optimized": "LiteRT, optimized kernels without delegate",
    "default": "LiteRT, default kernels (XNNPACK)",
}


def compare(
    model: Any,
    other: Any = None,
    inputs: Any = None,
    *,
    seed: int = 0,
    mode: str = "accumulated",
    kernels: str = "reference",
    signature: str | None = None,
) -> Comparison:
    """Runs a model in LiteRT, the other side beside it, and tells whether they are the same network.

    Each tensor has a noise floor of its own. In ``accumulated`` mode both sides run from the inputs on; a tensor past
    its floor is computed again from the reference's own inputs, so that drift is told from the operator that is wrong.

    Args:
        model: The reference: a Model, a path, or bytes.
        other: None for what ``to_torch`` makes of it; a module (from ``to_torch``, or of one's own: then only outputs
            are compared); another TFLite model as Model, path or bytes, whose tensors are matched by name.
        inputs: See ``make_inputs``: dict by name, sequence, path of an ``.npz``; None for random values.
        seed: Of the random values.
        mode: ``accumulated``; ``isolated`` gives each operator the reference's own inputs.
        kernels: LiteRT's ``reference`` kernels, or its ``default`` ones, as the judge.
        signature: Key of the signature to run.

    Returns:
        The outcome. A model that LiteRT does not run is ``not comparable``, with the reason.

    Raises:
        UnsupportedOperatorError: the model cannot be converted.
        InvalidValueError: the inputs are not what the model wants.
    """
    if mode not in MODES:
        raise InvalidValueError(f"mode={mode!r} is not one of {', '.join(MODES)}.")
    if kernels not in KERNELS:
        raise InvalidValueError(f"kernels={kernels!r} is not one of {', '.join(KERNELS)}.")
    opened = open_model(model)
    with LiteRT(opened) as judge:
        graph = graph_of(opened, signature)
        values = make_inputs(opened, inputs, seed=seed, signature=signature)
        wanted = computed(graph)
        for each in (kernels, *(other for other in KERNELS if other != kernels)):
            judge.ask(values, wanted, kernels=each, signature=signature)
        # From here on LiteRT runs beside us, while PyTorch is loaded.
        side = _other_side(opened, other, signature)
        if isinstance(side, Model):
            return _compare_files(opened, judge, side, values, mode, kernels, signature)
        answer = judge.answer()
        if isinstance(answer, NotRunnable):
            return Comparison(NOT_COMPARABLE, answer.reason, model=opened.file.name)
        others = _floors(judge)
        found = _compare_module(opened, graph, side, values, answer, others, mode)
        if found.verdict == SAME:
            return found
        # Some results hold memory that nobody wrote: what LiteRT does not repeat is no fact.
        judge.ask(values, wanted, kernels=kernels, signature=signature)
        again = judge.answer()
        steady = _repeated(answer, again) if isinstance(again, Run) else answer
        if len(steady.tensors) == len(answer.tensors):
            return found
        return _compare_module(opened, graph, side, values, steady, others, mode)


def _other_side(model: Model, other: Any, signature: str | None) -> Any:
    """A module, or a Model."""
    if isinstance(other, Model):
        return other
    if isinstance(other, (bytes, bytearray, memoryview)):
        return open_model(other)
    if isinstance(other, (str, os.PathLike)):
        path = os.fspath(other)
        if os.path.isdir(path) or path.endswith((".onnx", ".mlpackage", ".mlmodel", ".py", ".pth", ".pt")):
            raise UnsupportedFormatError(
                "cannot be compared with.", file=path, mend="Wanted: a .tflite, or in Python a module."
            )
        return open_model(path)
    try:
        import torch
    except ImportError:
        raise MissingExtraError("torch", extra="torch", purpose="running a converted model") from None
    if other is None:
        from unlite.pytorch.module import to_torch

        return to_torch(model, signature=signature)
    if not isinstance(other, torch.nn.Module):
        raise InvalidTypeError(f"a module, a model or a path is wanted to compare with, not {other!r:.60}.")
    return other


def _floors(judge: LiteRT) -> dict[int, Array]:
    """What the other kernels give: between them and the judge lies the noise. Empty where they do not run."""
    answer = judge.answer()
    return dict(answer.tensors) if isinstance(answer, Run) else {}


def _repeated(run: Run, again: Run) -> Run:
    """A run without the tensors that another run has different values of."""
    from unlite.comparison.distance import measure

    same = {
        index: values
        for index, values in run.tensors.items()
        if index in again.tensors and measure(values, again.tensors[index], 0.0).max_abs == 0
    }
    return Run(run.kernels, same, run.unreadable)


def _facts(graph: Subgraph, run: Run) -> dict[int, Array]:
    """What LiteRT's values prove. Under XNNPACK, operators on constants alone are not run, and read as zeros."""
    if run.kernels != "default":
        return dict(run.tensors)
    constant: set[int] = set()
    for operator in graph.operators:
        inputs = [tensor for tensor in operator.inputs if tensor is not None]
        if inputs and all(tensor.is_constant or tensor.index in constant for tensor in inputs):
            constant.update(tensor.index for tensor in operator.outputs if tensor is not None)
    return {index: values for index, values in run.tensors.items() if index not in constant}


def _compare_module(
    model: Model,
    graph: Subgraph,
    module: Any,
    inputs: Sequence[Array],
    run: Run,
    others: dict[int, Array],
    mode: str,
) -> Comparison:
    from unlite.comparison.torch_judge import TorchJudge

    judge = TorchJudge(module, graph, inputs, _facts(graph, run), others)
    tensors = judge.judge(isolated=mode == "isolated")
    return _outcome(model, tensors, judge.divergence, judge.doubt, _JUDGES[run.kernels])


def _compare_files(
    model: Model,
    judge: LiteRT,
    other: Model,
    inputs: Sequence[Array],
    mode: str,
    kernels: str,
    signature: str | None,
) -> Comparison:
    from unlite.comparison.file_judge import judge_files

    if mode == "isolated":
        raise InvalidValueError("two files cannot be compared operator by operator: mode='isolated' is for modules.")
    with LiteRT(other) as second:
        graph = graph_of(other, signature)
        theirs = make_inputs(other, list(inputs), signature=signature)
        second.ask(theirs, computed(graph), kernels=kernels, signature=signature)
        answers = judge.answer(), second.answer()
        names = model.file.name, other.file.name
        for answer, name in zip(answers, names, strict=True):
            if isinstance(answer, NotRunnable):
                return Comparison(NOT_COMPARABLE, f"{name}: {answer.reason}", model=names[0])
        mine, yours = (answer for answer in answers if isinstance(answer, Run))
        tensors, divergence = judge_files(
            graph_of(model, signature), graph, _facts(graph_of(model, signature), mine), yours.tensors, _floors(judge)
        )
        return _outcome(model, tensors, divergence, "", _JUDGES[mine.kernels])


def _outcome(
    model: Model, tensors: list[TensorDistance], divergence: Divergence | None, doubt: str, judge: str
) -> Comparison:
    """The verdict that follows from the distances."""
    if divergence is not None:
        verdict = DIFFERENT
        where = divergence.label if divergence.operator is not None else "it"
        reason = f"{where} {divergence.problem}."
    elif not tensors:
        verdict, reason = NOT_COMPARABLE, "No tensor is computed on both sides."
    elif doubt:
        verdict = NOT_COMPARABLE
        reason = f"A quantized model in real numbers: {doubt}."
    else:
        verdict, reason = SAME, _agreement(tensors)
    return Comparison(verdict, reason, divergence, tensors, judge, model.file.name)


def _agreement(tensors: list[TensorDistance]) -> str:
    steps = [tensor.max_abs / tensor.step for tensor in tensors if tensor.step]
    drifted = sum(tensor.drift for tensor in tensors)
    parts = [f"{len(tensors)} tensors agree" if len(tensors) != 1 else "1 tensor agrees"]
    if drifted:
        parts.append(f"{drifted} of them past their noise floor, by drift: each operator is right on its own inputs")
    if steps:
        parts.append(f"at most {max(steps):.3g} quantization steps from LiteRT's integers")
    return "; ".join(parts) + "."
