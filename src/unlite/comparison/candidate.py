"""A conversion that another runtime computes: its values by tensor of the file, and the judge over them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unlite.comparison.distance import dequantized, measure, noise_floor, value_span
from unlite.comparison.names import Place, end_axes, inverse
from unlite.comparison.torch_judge import MOST_NOISE, NOISE_FACTOR, TorchJudge, held, own_noise
from unlite.comparison.torch_run import NodeError, Replay, carried
from unlite.errors import UnsupportedFormatError
from unlite.pytorch.carrying import is_quantized

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import fx

    from unlite.comparison.measured import Measured
    from unlite.comparison.result import TensorDistance
    from unlite.model.objects.subgraph import Subgraph
    from unlite.model.objects.tensor import Tensor

    Array = NDArray[Any]


MOST_ROUNDED = 0.1
"""Of the range: how far rounding to fewer bits than float32 may move a result that hangs on its inputs' last bits."""
MOVED_BY_OPTIMIZING = 4.0
"""How many times as far a runtime's joined operators may be from the single ones as these are from LiteRT."""


@dataclass(frozen=True)
class Candidate:
    """What a conversion gave for the inputs of a comparison.

    Attributes:
        runtime: What computed it, for people.
        values: Index of a tensor of the file -> its values, axes in the file's order; real numbers or stored ones.
        lines: Index of a tensor -> the line of source that computed it, where there is source.
        is_exact: Quantized tensors are the integers that the kernels would compute; else real numbers count.
        rounding: How much farther a value may be from its operator's meaning on its own inputs, as a part of its
            range, where the runtime computes in fewer bits than float32.
        rounds: Real numbers are put on the grid of quantized tensors, and so does the module that tells what is meant.
        unoptimized: Outputs of the run that gave the tensors on the way, where ``values`` has those of another run, in
            which the runtime was free to join operators.
    """

    runtime: str
    values: Mapping[int, Array]
    lines: Mapping[int, int] = field(default_factory=dict)
    is_exact: bool = False
    rounding: float = 0.0
    rounds: bool = False
    unoptimized: Mapping[int, Array] = field(default_factory=dict)


def file_values(
    subgraph: Subgraph, named: Mapping[str, Array], places: Mapping[str, Place], outputs: Sequence[Array | None]
) -> dict[int, Array]:
    """Values of a runtime, by name and as outputs, as tensors of the file.

    Args:
        subgraph: What was converted.
        named: Name -> values.
        places: Name -> which tensor that is. What they leave out is matched by the tensor's own name, where one alone
            has it.
        outputs: In the file's order and layout; None for unknown.
    """
    found: dict[int, Array] = {}
    count = len(subgraph.tensors)
    for name, place in places.items():
        if name not in named or place.subgraph != subgraph.index or place.tensor >= count:
            continue
        value = as_file(named[name], place.axes, len(subgraph.tensors[place.tensor].shape))
        if value is not None:
            found[place.tensor] = value
    names = {} if places else _unique_names(subgraph)
    found.update({names[name]: value for name, value in named.items() if name in names})
    found.update({t.index: v for t, v in zip(subgraph.outputs, outputs, strict=False) if v is not None})
    return found


def as_file(value: Array, axes: tuple[int, ...] | None, rank: int) -> Array | None:
    """Values that are stored with permuted axes, in the file's order; None where they have other axes."""
    if axes is None:
        return value
    if value.ndim != len(axes):
        return None
    value = value.transpose(inverse(axes))
    return value.reshape(value.shape[len(axes) - rank :]) if len(axes) > rank else value


def input_for(tensor: Tensor, stored: Array, shape: Sequence[Any], layout: str | None, floats: bool) -> Array:
    """An input as a converted model wants it.

    Args:
        tensor: The file's input.
        stored: Its values.
        shape: What the converted model wants; what is no int is free.
        layout: As ``unlite.io`` states it; None where nothing is stated: then the shape tells.
        floats: Whether it wants real numbers.

    Raises:
        UnsupportedFormatError: the shapes do not fit.
    """
    value = np.asarray(carried(stored, tensor, floats).numpy())
    axes = end_axes("NCHW", value.ndim)
    if layout != "file" and axes is not None and (layout == "NCHW" or not _fits(value.shape, shape)):
        moved = value.transpose(axes)
        value = moved if layout == "NCHW" or _fits(moved.shape, shape) else value
    if not _fits(value.shape, shape):
        raise UnsupportedFormatError(
            f"wants {list(shape)} for input {tensor.name!r}, which the .tflite has as {list(stored.shape)}.",
            hint="Compare it with the model that it was made from, or give inputs of that shape.",
        )
    return np.ascontiguousarray(value)


def output_from(value: Array, reference: Sequence[int], layout: str | None) -> Array:
    """An output of a converted model, in the file's layout."""
    axes = end_axes("NCHW", value.ndim)
    if axes is None or layout == "file" or (layout is None and value.shape == tuple(reference)):
        return value
    moved = value.transpose(inverse(axes))
    return moved if layout == "NCHW" or moved.shape == tuple(reference) else value


def _fits(shape: Sequence[int], wanted: Sequence[Any]) -> bool:
    return len(shape) == len(wanted) and all(
        not isinstance(size, int) or size <= 0 or size == given for given, size in zip(shape, wanted, strict=True)
    )


def real_values(tensor: Tensor, stored: Array) -> Array:
    """Real values of quantized integers; other values as they are. Shapes that cannot be are left alone."""
    quantization = tensor.quantization
    if stored.dtype.kind in "iu" and is_quantized(tensor) and quantization is not None and quantization.scale:
        return dequantized(stored, quantization)
    return stored


def _all_real(subgraph: Subgraph, values: Mapping[int, Array]) -> dict[int, Array]:
    return {index: real_values(subgraph.tensors[index], stored) for index, stored in values.items()}


def _unique_names(subgraph: Subgraph) -> dict[str, int]:
    names: dict[str, list[int]] = {}
    for tensor in subgraph.tensors:
        names.setdefault(tensor.name, []).append(tensor.index)
    return {name: indices[0] for name, indices in names.items() if name and len(indices) == 1}


class CandidateJudge(TorchJudge):
    """Compares what another runtime gave with values of LiteRT.

    A tensor past its floor is drift where the operator's meaning, computed in PyTorch, agrees with both sides on each
    side's own inputs; else its operator is at fault.

    Args:
        candidate: What the runtime gave.
        bridge: Gives what ``to_torch`` makes of the model; it is asked for only where a tensor is past its floor.
        measured: What it is judged by.
    """

    def __init__(self, candidate: Candidate, bridge: Callable[[], fx.GraphModule], measured: Measured) -> None:
        subgraph, allows_rounding = measured.subgraph, candidate.is_exact and measured.allows_rounding
        super().__init__(torch.nn.Module(), replace(measured, allows_rounding=allows_rounding))
        self._candidate = candidate
        if not candidate.is_exact:
            self._candidate = replace(
                candidate,
                values=_all_real(subgraph, candidate.values),
                unoptimized=_all_real(subgraph, candidate.unoptimized),
            )
        self._bridge = bridge

    def judge(self, *, isolated: bool = False) -> list[TensorDistance]:  # noqa: ARG002 - as the base class has it
        for index, values in self._values():
            tensor = self._subgraph.tensors[index]
            if index in self._reference and not self.is_chance(tensor):
                self._take(tensor, values)
        if any(not found.ok for found in self._ordered()):
            self._blame(self._bridge())
        divergence = self.divergence
        if divergence is not None and divergence.source_line is None:
            self.divergence = replace(divergence, source_line=self._candidate.lines.get(divergence.tensor))
        return self._ordered()

    def _values(self) -> Iterator[tuple[int, torch.Tensor]]:
        for index, values in self._candidate.values.items():
            if values.dtype.kind in "fiubc":
                yield index, torch.from_numpy(np.array(values, order="C"))

    def _dtype(self, tensor: Tensor, value: torch.Tensor) -> torch.dtype:  # noqa: ARG002 - runtimes have types of their own
        return value.dtype

    @cached_property
    def _own(self) -> Replay:
        """Computes single tensors from the candidate's own values."""
        given = {tensor.index: values for tensor, values in zip(self._subgraph.inputs, self._inputs, strict=True)}
        return Replay(
            self._bridge(), self._subgraph, {**self._candidate.values, **self._candidate.unoptimized, **given}
        )

    def _own_distance(self, found: TensorDistance) -> tuple[float, float]:
        """How far a value of the candidate is from its operator's meaning on its own inputs, and how far it may be.

        What the runtime optimizes may move an output as far again as the conversion is from LiteRT without it, a few
        times.
        """
        values = self._candidate.values[found.index]
        unoptimized = self._candidate.unoptimized.get(found.index)
        if unoptimized is not None:
            reference = self._reference[found.index]
            if not self._candidate.is_exact:
                reference = real_values(self._subgraph.tensors[found.index], reference)
            allowed = max(found.floor, MOVED_BY_OPTIMIZING * measure(reference, unoptimized, 0.0).max_abs)
            moved = measure(unoptimized, values, allowed).max_abs
            if moved > allowed:
                return moved, allowed
            values = unoptimized
        try:
            meant = self._own.value(found.index)
        except NodeError:
            return np.inf, 0.0
        expected = meant.detach().contiguous().numpy()
        if found.step is not None:
            tensor = self._subgraph.tensors[found.index]
            expected, values = held(expected, tensor), held(values, tensor)
        rounding = self._candidate.rounding
        floor = max(noise_floor(expected, None), found.floor) + rounding * value_span(expected)
        distance = measure(expected, values, floor)
        if distance.max_abs > floor and meant.dtype.is_floating_point and (found.step is None or rounding):
            noise = NOISE_FACTOR * own_noise(self._own, found.index, meant, rounding / NOISE_FACTOR)
            floor = max(floor, min(noise, (MOST_ROUNDED if rounding else MOST_NOISE) * distance.range))
        return distance.max_abs, floor
