"""``compare``: a model in LiteRT against a conversion of it, tensor by tensor."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from unlite.comparison.inputs import graph_of, make_inputs
from unlite.comparison.litert import LiteRT, NotRunnable, Run, computed
from unlite.comparison.measured import Measured
from unlite.comparison.result import DIFFERENT, NOT_COMPARABLE, SAME, Comparison
from unlite.comparison.side import other_side
from unlite.errors import InvalidValueError
from unlite.model.model import Model, open_model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from typing_extensions import Self

    from unlite.comparison.result import Divergence, TensorDistance
    from unlite.comparison.side import Runner
    from unlite.model.objects.subgraph import Subgraph

    Array = NDArray[Any]

MODES = ("accumulated", "isolated")
KERNELS = ("reference", "default")
QUANTIZED = ("float", "exact")
_JUDGES = {
    "reference": "LiteRT, reference kernels",
    "optimized": "LiteRT, optimized kernels without delegate",
    "default": "LiteRT, default kernels (XNNPACK)",
}
LITERT, CONVERSION, OTHER = 30, 30, 40
"""How many hundredths of a comparison's time its parts take, more or less."""


@dataclass(frozen=True)
class _Request:
    """What is compared, and how."""

    model: Model
    graph: Subgraph
    inputs: Sequence[Array]
    mode: str
    kernels: str
    signature: str | None


class Reference:
    """LiteRT's part of a comparison. It begins at once, in a process of its own, while the other side is being made.

    Args:
        model: The reference: a Model, a path, or bytes.
        inputs, seed, mode, kernels, signature: As ``compare`` has them.

    Attributes:
        inputs: One array for each input, in the file's order.
    """

    def __init__(
        self,
        model: Any,
        inputs: Any = None,
        *,
        seed: int = 0,
        mode: str = "accumulated",
        kernels: str = "reference",
        signature: str | None = None,
    ) -> None:
        for name, value, choices in (("mode", mode, MODES), ("kernels", kernels, KERNELS)):
            if value not in choices:
                raise InvalidValueError(f"{name}={value!r} is not one of {', '.join(choices)}.")
        opened = open_model(model)
        with ExitStack() as stack:
            self._judge = stack.enter_context(LiteRT(opened))
            self.inputs = make_inputs(opened, inputs, seed=seed, signature=signature)
            graph = graph_of(opened, signature)
            self._request = _Request(opened, graph, self.inputs, mode, kernels, signature)
            for each in (kernels, *(name for name in KERNELS if name != kernels)):
                _ask(self._judge, self._request, each)
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def compare(
        self, other: Any = None, *, quantized: str = "float", progress: Callable[[int], None] | None = None
    ) -> Comparison:
        """The comparison with the other side; see the function ``compare``."""
        if quantized not in QUANTIZED:
            raise InvalidValueError(f"quantized={quantized!r} is not one of {', '.join(QUANTIZED)}.")
        if quantized != "float" and other is not None:
            raise InvalidValueError(
                "quantized= says how compare itself converts the model; here the other side is given."
            )
        done = progress or (lambda _: None)
        judge, request = self._judge, self._request
        side = other_side(request.model, other, request.signature, quantized)
        done(CONVERSION)
        if isinstance(side, Model):
            return _compare_files(judge, side, request)
        if request.mode == "isolated" and not side.is_isolable:
            raise InvalidValueError(f"mode='isolated' is for modules; this is {side.runtime}.")
        answer = judge.answer()
        if isinstance(answer, NotRunnable):
            return Comparison(NOT_COMPARABLE, answer.reason, model=request.model.file.name)
        others = _floors(judge)
        done(LITERT)
        found = _compare_side(request, side, answer, others)
        done(OTHER)
        if found.verdict == SAME:
            return found
        # Some results hold memory that nobody wrote: what LiteRT does not repeat is no fact.
        _ask(judge, request, request.kernels)
        again = judge.answer()
        steady = _repeated(answer, again) if isinstance(again, Run) else answer
        return found if len(steady.tensors) == len(answer.tensors) else _compare_side(request, side, steady, others)


def compare(
    model: Any,
    other: Any = None,
    inputs: Any = None,
    *,
    seed: int = 0,
    mode: str = "accumulated",
    kernels: str = "reference",
    signature: str | None = None,
    quantized: str = "float",
    progress: Callable[[int], None] | None = None,
) -> Comparison:
    """Runs a model in LiteRT, the other side beside it, and tells whether they are the same network.

    Each tensor has a noise floor of its own. In ``accumulated`` mode both sides run from the inputs on; a tensor past
    its floor is computed again from the reference's own inputs, so that drift is told from the operator that is wrong.
    Quantized integers are compared exactly where both sides have them; under ``kernels="default"`` they may differ by
    what LiteRT's two sets of kernels differ by. Real numbers against quantized integers are told in steps, and never
    called a fault.

    Args:
        model: The reference: a Model, a path, or bytes.
        other: None for what ``to_torch`` makes of it; a module (from ``to_torch``, in any layout; or of one's own: then
            only outputs are compared); a folder that ``convert --to torch`` wrote, whose ``model.py`` is run; an ONNX
            model (path or ``ModelProto``), run by ONNX Runtime; an ``.mlpackage`` (path or ``MLModel``); another TFLite
            model as Model, path or bytes, whose tensors are matched by name.
        inputs: See ``make_inputs``: dict by name, sequence, path of an ``.npz``; None for random values.
        seed: Of the random values.
        mode: ``accumulated``; ``isolated`` gives each operator of a module the reference's own inputs.
        kernels: LiteRT's ``reference`` kernels, or its ``default`` ones, as the judge.
        signature: Key of the signature to run.
        quantized: How ``other=None`` carries quantized tensors: ``float`` or ``exact``, see ``to_torch``.
        progress: Called with how many more hundredths are done.

    Returns:
        The outcome. A model that LiteRT does not run is ``not comparable``, with the reason.

    Raises:
        UnsupportedOperatorError: the model cannot be converted.
        UnsupportedFormatError: the other side does not load or run.
        MissingExtraError: what runs the other side is not installed.
        InvalidValueError: the inputs are not what the model wants.
    """
    with Reference(model, inputs, seed=seed, mode=mode, kernels=kernels, signature=signature) as reference:
        return reference.compare(other, quantized=quantized, progress=progress)


def _ask(judge: LiteRT, request: _Request, kernels: str) -> None:
    judge.ask(request.inputs, computed(request.graph), kernels=kernels, signature=request.signature)


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


def _compare_side(request: _Request, side: Runner, run: Run, others: dict[int, Array]) -> Comparison:
    facts = _facts(request.graph, run)
    judge = side.judge(Measured(request.graph, request.inputs, facts, others, run.kernels != "reference"))
    tensors = judge.judge(isolated=request.mode == "isolated")
    outcome = _outcome(request.model, tensors, judge.divergence, judge.doubt, _JUDGES[run.kernels])
    return replace(outcome, runtime=side.runtime)


def _compare_files(judge: LiteRT, other: Model, request: _Request) -> Comparison:
    from unlite.comparison.file_judge import judge_files

    if request.mode == "isolated":
        raise InvalidValueError("two files cannot be compared operator by operator: mode='isolated' is for modules.")
    with LiteRT(other) as second:
        graph, signature = graph_of(other, request.signature), request.signature
        theirs = make_inputs(other, list(request.inputs), signature=signature)
        second.ask(theirs, computed(graph), kernels=request.kernels, signature=signature)
        answers = judge.answer(), second.answer()
        names = request.model.file.name, other.file.name
        for answer, name in zip(answers, names, strict=True):
            if isinstance(answer, NotRunnable):
                return Comparison(NOT_COMPARABLE, f"{name}: {answer.reason}", model=names[0])
        mine, yours = (answer for answer in answers if isinstance(answer, Run))
        facts = _facts(request.graph, mine)
        tensors, divergence = judge_files(request.graph, graph, facts, yours.tensors, _floors(judge))
        outcome = _outcome(request.model, tensors, divergence, "", _JUDGES[mine.kernels])
        return replace(outcome, runtime=f"{names[1]}, in LiteRT too")


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
        reason = f"A quantized model in real numbers: {doubt}. Integers are compared by quantized='exact'."
    else:
        verdict, reason = SAME, _agreement(tensors)
    return Comparison(verdict, reason, divergence, tensors, judge, model.file.name)


def _agreement(tensors: list[TensorDistance]) -> str:
    """What there is to say of tensors that agree."""
    exact = [tensor for tensor in tensors if tensor.is_exact]
    rounded = [tensor for tensor in exact if tensor.is_rounding]
    steps = [tensor.max_abs / tensor.step for tensor in tensors if tensor.step]
    drifted = sum(tensor.drift for tensor in tensors)
    parts = [f"{len(tensors)} tensors agree" if len(tensors) != 1 else "1 tensor agrees"]
    if exact:
        parts.append(f"{len(exact) - len(rounded)} of them integers that are equal in every element")
    if rounded:
        most = max(tensor.max_abs for tensor in rounded)
        parts.append(f"{len(rounded)} differ by rounding, at most {most:.0f} steps, as LiteRT's own two kernels do")
    if drifted:
        parts.append(f"{drifted} of them past their noise floor, by drift: each operator is right on its own inputs")
    if steps:
        parts.append(f"at most {max(steps):.3g} quantization steps from LiteRT's integers")
    return "; ".join(parts) + "."
