"""A module against LiteRT's values: which tensors are apart, and which operator is the first to blame."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import fx

from unlite.comparison.distance import (
    Distance,
    dequantized,
    measure,
    noise_floor,
    value_span,
)
from unlite.comparison.result import Divergence, TensorDistance
from unlite.comparison.torch_run import (
    FAILURES,
    NodeError,
    Replay,
    Unchanged,
    Walk,
    as_array,
    carried,
    first_line,
    in_file_order,
    module_ends,
    module_inputs,
)
from unlite.pytorch.calls import called
from unlite.pytorch.carrying import grid, has_grid, is_quantized
from unlite.pytorch.dtypes import torch_dtype

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from unlite.comparison.measured import Measured
    from unlite.model.objects.operator import Operator
    from unlite.model.objects.tensor import Tensor

    Array = NDArray[Any]

RANDOM = ("RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL", "MULTINOMIAL", "STABLEHLO_RNG_BIT_GENERATOR")
"""Operators whose results are no facts; what the reference drew goes on in their place."""
NOISE_FACTOR = 8.0  # times what an operator's own rounding was measured to be
MOST_NOISE = 1e-2  # of the range: what moves by more on inputs that differ in their last bit is not rounding
QUANTIZED_STEPS = 2.0  # real arithmetic on the same inputs stays that close to integers that were rounded
HYBRID_PART = 0.02  # of the range: activations were quantized to 8 bits on the way
BOUNDED = ("LOGISTIC", "SOFTMAX", "TANH")
"""Operators whose results are parts of 1. Kernels compute them so: near 0 they are right to the last bit of 1."""
LAST_BIT_OF_1 = float(np.finfo(np.float32).eps)


class TorchJudge:
    """Compares a module with values of LiteRT.

    Args:
        module: What ``to_torch`` gave; any other module is compared at its outputs alone.
        measured: What it is judged by.
    """

    def __init__(self, module: torch.nn.Module, measured: Measured) -> None:
        self._module = module
        self._subgraph, self._inputs = measured.subgraph, measured.inputs
        self._reference, self._other = measured.reference, measured.other_kernels
        given = {tensor.index: values for tensor, values in zip(measured.subgraph.inputs, measured.inputs, strict=True)}
        self._carries_floats = getattr(module, "meta", {}).get("unlite.quantized") != "exact"
        self._allows_rounding = measured.allows_rounding and bool(measured.other_kernels)
        self._blamed = self._other if self._allows_rounding else self._reference
        self._known = {**self._blamed, **given}
        self._distances: dict[int, TensorDistance] = {}
        self._problems: dict[int, str] = {}
        self.divergence: Divergence | None = None
        self.doubt: str = ""

    def judge(self, *, isolated: bool) -> list[TensorDistance]:
        """Every tensor that both sides have, in the order of running; ``divergence`` and ``doubt`` follow from it.

        Args:
            isolated: Whether each operator is given the reference's own inputs.
        """
        module = self._module
        tensors = module_inputs(module, self._subgraph, self._inputs)
        broken: NodeError | None = None
        with Unchanged(module), torch.no_grad():
            if isinstance(module, fx.GraphModule):
                try:
                    results = Walk(module, self._subgraph, self._visitor(isolated)).run(*tensors)
                    self._compare_outputs(results)
                except NodeError as error:
                    broken = error
                self._blame(module)
                if broken is not None:
                    self._blame_failure(broken)
            else:
                try:
                    self._compare_outputs(module(*tensors))
                except FAILURES as error:
                    self._cannot_run(first_line(error))
                self._blame(None)
        return self._ordered()

    def _ordered(self) -> list[TensorDistance]:
        return [self._distances[index] for index in self._reference if index in self._distances]

    @staticmethod
    def is_chance(tensor: Tensor) -> bool:
        """Whether a tensor is drawn at random: its values are no facts."""
        return tensor.producer is not None and tensor.producer.name in RANDOM

    # -- distances -------------------------------------------------------------------------------------------------

    def _visitor(self, isolated: bool) -> Any:
        def visit(index: int, value: torch.Tensor) -> torch.Tensor | None:
            if index not in self._reference:
                return None
            tensor = self._subgraph.tensors[index]
            chance = self.is_chance(tensor)
            if not chance:
                self._take(tensor, value)
            if isolated or chance:
                return carried(self._reference[index], tensor, value.dtype.is_floating_point)
            return None

        return visit

    def _take(self, tensor: Tensor, value: torch.Tensor) -> None:
        distance, floor, step = self._distance(tensor, value)
        operator = tensor.producer
        exact = is_quantized(tensor) and not value.dtype.is_floating_point
        if value.dtype != (wanted := self._dtype(tensor, value)):
            self._problems[tensor.index] = f"is {value.dtype}, not {wanted}".replace("torch.", "")
        elif tuple(value.shape) != self._reference[tensor.index].shape:
            shapes = list(value.shape), list(self._reference[tensor.index].shape)
            self._problems[tensor.index] = f"has shape {shapes[0]}, not {shapes[1]}"
        self._distances[tensor.index] = TensorDistance(
            tensor.subgraph.index,
            tensor.index,
            tensor.name,
            None if operator is None else operator.index,
            "" if operator is None else operator.name,
            distance.max_abs,
            distance.max_rel,
            floor,
            distance.differing,
            distance.max_abs <= floor and tensor.index not in self._problems,
            step=step,
            is_exact=exact,
            is_rounding=exact and 0 < distance.max_abs <= floor,
        )

    def _dtype(self, tensor: Tensor, value: torch.Tensor) -> torch.dtype:
        if is_quantized(tensor) and value.dtype.is_floating_point:
            return value.dtype
        return torch_dtype(tensor.dtype, tensor.path)

    def _distance(
        self, tensor: Tensor, value: torch.Tensor, noise: float = 0.0, *, replayed: bool = False
    ) -> tuple[Distance, float, float | None]:
        """Distance from the reference, floor, and quantization step (None where none applies).

        replayed: computed from the reference's own inputs, so that nothing has added up.
        """
        reference = (self._blamed if replayed else self._reference)[tensor.index]
        other = as_array(value)
        step: float | None = None
        if reference.dtype.name == "bfloat16":
            reference = reference.astype(np.float32)
            noise = max(noise, value_span(reference) / 128)  # its last bit
        if tensor.producer is not None and tensor.producer.name in BOUNDED and reference.dtype.kind == "f":
            noise = max(noise, LAST_BIT_OF_1)
        if is_quantized(tensor) and value.dtype.is_floating_point:
            quantization = tensor.quantization
            if quantization is not None and quantization.scale:
                reference = dequantized(reference, quantization)
                other = held(other, tensor)
                step = max(quantization.scale)
        elif self._is_hybrid(tensor.producer):
            step = value_span(reference) * HYBRID_PART / QUANTIZED_STEPS if reference.dtype.kind == "f" else 1.0
        if step is not None:
            return measure(reference, other, step * QUANTIZED_STEPS), step * QUANTIZED_STEPS, step
        kernels = self._other.get(tensor.index)
        if self._allows_rounding and not replayed and is_quantized(tensor) and kernels is not None:
            noise = max(noise, measure(reference, kernels, 0.0).max_abs)
        floor = max(noise_floor(reference, kernels), noise)
        return measure(reference, other, floor), floor, None

    def _is_hybrid(self, operator: Operator | None) -> bool:
        """Whether an operator on floats quantizes inside: it reads integer weights, or has quantized ends."""
        waiting, seen = [operator], {self._subgraph.index}
        while waiting:
            each = waiting.pop()
            if each is None or each.name in ("DEQUANTIZE", "DENSIFY"):
                continue
            if any(tensor is not None and is_quantized(tensor) for tensor in (*each.inputs, *each.outputs)):
                return self._carries_floats
            for graph in called(each):
                if graph.index not in seen:
                    seen.add(graph.index)
                    waiting += graph.operators
        return False

    def _compare_outputs(self, results: Any) -> None:
        """Compares what the module returned: for some outputs, no node is marked."""
        values = list(results) if isinstance(results, (tuple, list)) else [results]
        outputs = self._subgraph.outputs
        if len(values) != len(outputs):
            self._cannot_run(f"gives {len(values)} outputs, the file has {len(outputs)}")
            return
        for tensor, stored, axes in zip(outputs, values, module_ends(self._module, "output", values), strict=True):
            value = in_file_order(stored, axes, stored.ndim) if axes is not None else stored
            known = tensor.index in self._reference and tensor.index not in self._distances
            if known and isinstance(value, torch.Tensor) and not self.is_chance(tensor):
                self._take(tensor, value)

    # -- blame -----------------------------------------------------------------------------------------------------

    def _blame(self, module: fx.GraphModule | None) -> None:
        """Tells drift from fault, in the order of running, up to the first fault."""
        replay = None if module is None else Replay(module, self._subgraph, self._known)
        replayable = set() if replay is None else set(replay.nodes())
        for found in self._ordered():
            if found.ok:
                continue
            if replay is None or found.index not in replayable or found.index not in self._blamed:
                if found.step is None:
                    self._diverges(found, found.max_abs, found.floor, self._problems.get(found.index, ""))
                    return
                self._doubts(found, found.max_abs)
                continue
            tensor = self._subgraph.tensors[found.index]
            try:
                value = replay.value(found.index)
                distance, floor, _ = self._distance(tensor, value, replayed=True)
                if distance.max_abs > floor and found.step is None and value.dtype.is_floating_point:
                    noise = min(NOISE_FACTOR * own_noise(replay, found.index, value), MOST_NOISE * distance.range)
                    distance, floor, _ = self._distance(tensor, value, noise, replayed=True)
            except NodeError as error:
                self._diverges(found, np.inf, found.floor, str(error))
                return
            apart, allowed = self._own_distance(found)
            if apart > allowed and found.index not in self._problems:
                self._diverges(found, apart, allowed, "")
                return
            if distance.max_abs <= floor and found.index not in self._problems:
                self._distances[found.index] = replace(found, ok=True, drift=True)
            elif found.step is not None and found.index not in self._problems:
                self._doubts(found, distance.max_abs)
            else:
                self._diverges(found, distance.max_abs, floor, self._problems.get(found.index, ""))
                return

    def _own_distance(self, found: TensorDistance) -> tuple[float, float]:  # noqa: ARG002 - others look
        """How far a value is from what its operator means on this side's own inputs, and how far it may be.

        The module at hand is what computes both, so that there is nothing to find.
        """
        return 0.0, 0.0

    def _doubts(self, found: TensorDistance, distance: float) -> None:
        """Notes that real arithmetic is far from the file's integers, which is no proof of a fault."""
        if not self.doubt and found.step is not None:
            self.doubt = (
                f"operators[{found.operator}] {found.operator_name} {found.name!r} is {distance / found.step:.3g} "
                "quantization steps from LiteRT's integers"
                if is_quantized(self._subgraph.tensors[found.index])
                else f"operators[{found.operator}] {found.operator_name} {found.name!r}, which quantizes inside, is "
                f"{distance:.3g} from LiteRT"
            )

    def _diverges(self, found: TensorDistance, distance: float, floor: float, problem: str) -> None:
        self.divergence = Divergence(
            found.subgraph,
            found.operator,
            found.operator_name,
            found.index,
            found.name,
            distance,
            floor,
            problem or f"is {distance:.3g} apart, {floor:.3g} allowed",
        )

    def _blame_failure(self, error: NodeError) -> None:
        """A node that cannot be computed is a fault, unless an earlier operator is to blame."""
        graph, index = error.node.meta.get("tflite") or (self._subgraph.index, None)
        earlier = self.divergence
        if earlier is not None and (index is None or (earlier.operator is not None and earlier.operator < index)):
            return
        if graph != self._subgraph.index or index is None:
            self._cannot_run(str(error))
            return
        operator = self._subgraph.operators[index]
        tensor = next((tensor for tensor in operator.outputs if tensor is not None), None)
        number, name = (-1, "") if tensor is None else (tensor.index, tensor.name)
        self.divergence = Divergence(graph, index, operator.name, number, name, np.inf, 0.0, f"fails: {error}")

    def _cannot_run(self, problem: str) -> None:
        outputs = self._subgraph.outputs
        number, name = (outputs[0].index, outputs[0].name) if outputs else (-1, "")
        self.divergence = Divergence(self._subgraph.index, None, "", number, name, np.inf, 0.0, problem)


def held(values: Array, tensor: Tensor) -> Array:
    """Real values as far as a quantized tensor can hold them: integers saturate, real numbers go on."""
    if not has_grid(tensor):
        return values
    scale, zero_point, low, high = grid(tensor)
    return np.clip(values, (low - zero_point) * scale, (high - zero_point) * scale)


def own_noise(replay: Replay, index: int, value: torch.Tensor, rounding: float = 0.0) -> float:
    """How far an operator's result moves by rounding alone.

    It is computed in float64, and from inputs that differ in their last bit, or by ``rounding`` as a part of them
    where that is more. A wrong operator stays as wrong in both, so that this hides no fault.
    """
    generator = torch.Generator().manual_seed(0)

    def widened(given: Any) -> Any:
        narrow = isinstance(given, torch.Tensor) and given.dtype in (torch.float32, torch.float16, torch.bfloat16)
        return given.double() if narrow else given

    def shaken(given: Any) -> Any:
        if not isinstance(given, torch.Tensor) or not given.dtype.is_floating_point:
            return given
        sign = torch.randint(0, 2, given.shape, generator=generator) * 2 - 1
        return given * (1 + sign.to(given.dtype) * max(torch.finfo(given.dtype).eps, rounding))

    most = 0.0
    base = as_array(value).astype(np.float64)
    for change in (widened, shaken, shaken):
        try:
            other = as_array(replay.value(index, change)).astype(np.float64)
        except NodeError:
            continue  # float64 does not meet everything that the node was made with
        distance = measure(base, other, 0.0).max_abs
        if np.isfinite(distance):
            most = max(most, distance)
    return most
