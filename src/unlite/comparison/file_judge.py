"""Two TFLite models, both in LiteRT: their tensors matched by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.comparison.distance import dequantized, measure, noise_floor
from unlite.comparison.result import Divergence, TensorDistance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from unlite.model.objects.subgraph import Subgraph
    from unlite.model.objects.tensor import Tensor

    Array = NDArray[Any]


def judge_files(
    graph: Subgraph,
    other: Subgraph,
    reference: Mapping[int, Array],
    values: Mapping[int, Array],
    other_kernels: Mapping[int, Array],
) -> tuple[list[TensorDistance], Divergence | None]:
    """Every tensor that both have, in the reference's order of running, and the first operator that differs.

    Tensors are matched by name, where both sides have the name once; outputs by their place. What is quantized is
    compared in real values.
    """
    found: list[TensorDistance] = []
    divergence: Divergence | None = None
    for index, match in _matches(graph, other, reference, values).items():
        tensor = graph.tensors[index]
        mine, yours = _real(tensor, reference[index]), _real(other.tensors[match], values[match])
        exact = tensor.dtype == other.tensors[match].dtype and mine is reference[index]
        kernels = other_kernels.get(index)
        floor = noise_floor(mine, kernels if kernels is None or exact else _real(tensor, kernels))
        distance = measure(mine, yours, floor)
        operator = tensor.producer
        name = "" if operator is None else operator.name
        place = None if operator is None else operator.index
        ok = distance.max_abs <= floor
        found.append(
            TensorDistance(
                graph.index, index, tensor.name, place, name, distance.max_abs, distance.max_rel, floor,
                distance.differing, ok,
            )
        )  # fmt: skip
        if not ok and divergence is None:
            problem = (
                f"is {distance.max_abs:.3g} apart, {floor:.3g} allowed"
                if mine.shape == yours.shape
                else f"has shape {list(yours.shape)}, not {list(mine.shape)}"
            )
            divergence = Divergence(graph.index, place, name, index, tensor.name, distance.max_abs, floor, problem)
    return found, divergence


def _matches(
    graph: Subgraph, other: Subgraph, reference: Mapping[int, Array], values: Mapping[int, Array]
) -> dict[int, int]:
    """Index here -> index there."""
    mine, theirs = _unique(graph, reference), _unique(other, values)
    found = {index: theirs[name] for name, index in mine.items() if name in theirs}
    if len(graph.outputs) == len(other.outputs):
        for a, b in zip(graph.outputs, other.outputs, strict=True):
            if a.index in reference and b.index in values:
                found[a.index] = b.index
    return {index: found[index] for index in reference if index in found}


def _unique(graph: Subgraph, values: Mapping[int, Array]) -> dict[str, int]:
    names: dict[str, list[int]] = {}
    for index in values:
        names.setdefault(graph.tensors[index].name, []).append(index)
    return {name: indices[0] for name, indices in names.items() if name and len(indices) == 1}


def _real(tensor: Tensor, stored: Array) -> Array:
    quantization = tensor.quantization
    if stored.dtype.kind in "iu" and quantization is not None and quantization.scale:
        return dequantized(stored, quantization)
    return stored
