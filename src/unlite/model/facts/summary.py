"""A model at a glance: what the overview on a terminal and in a notebook say."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from unlite.errors import UnliteError

if TYPE_CHECKING:
    from collections.abc import Callable

    from unlite.model.model import Model
    from unlite.model.objects.subgraph import Subgraph


class Summary:
    """Facts of a model.

    Attributes:
        histogram: Operator name -> how often it occurs, most frequent first.
        ends: One row per input and output: which, index, name, dtype, shape.
        associated: Associated file -> length in bytes.
    """

    def __init__(self) -> None:
        self.file = ""
        self.size = 0
        self.schema_version = 3
        self.description = ""
        self.subgraphs = self.tensors = self.operators = 0
        self.quantization = ""
        self.weights: Counter[str] = Counter()
        self.weight_dtypes: Counter[str] = Counter()
        self.signatures: list[str] = []
        self.metadata: list[str] = []
        self.histogram: dict[str, int] = {}
        self.ends: list[tuple[str, int, str, str, str]] = []
        self.associated: dict[str, int] = {}

    def facts(self) -> list[tuple[str, object]]:
        """Name and value of each fact that there is."""
        dtypes = ", ".join(f"{dtype} {bytes_text(n)}" for dtype, n in self.weight_dtypes.most_common())
        where = {
            "inline": "in the FlatBuffer",
            "offset": "behind the FlatBuffer",
            "external": "in other files",
            "new": "assigned",
        }
        weights = ", ".join(f"{bytes_text(n)} {where[place]}" for place, n in self.weights.most_common())
        rows: list[tuple[str, object]] = [
            ("file", self.file),
            ("size", bytes_text(self.size)),
            ("schema version", self.schema_version),
            ("description", self.description),
            (
                "contents",
                ", ".join(
                    (
                        _count(self.subgraphs, "subgraph"),
                        _count(self.tensors, "tensor"),
                        _count(self.operators, "operator"),
                    )
                ),
            ),
            ("quantization", self.quantization),
            ("weights", weights),
            ("weight types", dtypes),
            ("signatures", ", ".join(self.signatures)),
            ("metadata", ", ".join(self.metadata)),
        ]
        return [(name, value) for name, value in rows if value not in ("", None)]


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def bytes_text(number: int) -> str:
    """A number of bytes for people."""
    value, units = float(number), ["B", "kB", "MB", "GB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{number} B" if units[0] == "B" else f"{value:.3g} {units[0]}"


class _Collector:
    """Reads what can be read, and keeps the errors of the rest."""

    def __init__(self, model: Model, damage: list[UnliteError]) -> None:
        self.model = model
        self.damage = damage
        self.summary = Summary()
        self.activations: Counter[str] = Counter()
        self.parameters: dict[str, set[str]] = {}
        self.histogram: Counter[str] = Counter()
        self._seen: set[tuple[str, int]] = set()

    def attempt(self, work: Callable[..., object], *arguments: Any) -> None:
        try:
            work(*arguments)
        except UnliteError as error:
            self.damage.append(error)

    def graphs(self) -> None:
        self.summary.subgraphs = len(self.model.subgraphs)
        for index in range(self.summary.subgraphs):
            self.attempt(self.graph, index)

    def graph(self, index: int) -> None:
        graph = self.model.subgraphs[index]
        self.summary.tensors += len(graph.tensors)
        self.summary.operators += len(graph.operators)
        for i in range(len(graph.tensors)):
            self.attempt(self.tensor, graph, i)
        for i in range(len(graph.operators)):
            self.attempt(self.operator, graph, i)

    def operator(self, graph: Subgraph, index: int) -> None:
        self.histogram[graph.operators[index].name] += 1

    def tensor(self, graph: Subgraph, index: int) -> None:
        tensor = graph.tensors[index]
        span, quantization = tensor._span(), tensor.quantization
        if span is None:
            self.activations[tensor.dtype] += 1
            return
        self.parameters.setdefault(tensor.dtype, set()).add("plain" if quantization is None else quantization.kind)
        if tensor.is_sparse:
            self.parameters.setdefault("sparse", set()).add("sparse")
        place = span.source.name, span.start
        if place not in self._seen:
            self._seen.add(place)
            self.summary.weights[span.where] += span.length
            self.summary.weight_dtypes[tensor.dtype] += span.length

    def ends(self) -> None:
        graph = self.model.main
        for kind, tensors in (("input", graph.inputs), ("output", graph.outputs)):
            for t in tensors:
                shape = "x".join("?" if n < 0 else str(n) for n in t.shape_signature) or "scalar"
                self.summary.ends.append((kind, t.index, t.name, t.dtype, shape))

    def rest(self) -> None:
        summary, model = self.summary, self.model
        self.attempt(lambda: setattr(summary, "description", model.description))
        self.attempt(lambda: summary.signatures.extend(signature.key for signature in model.signatures))
        self.attempt(lambda: summary.metadata.extend(model.metadata))
        self.attempt(lambda: summary.associated.update(model.associated_files.sizes()))


def summarize(model: Model, damage: list[UnliteError]) -> Summary:
    """The facts of a model; what cannot be read is left out and added to ``damage``."""
    collector = _Collector(model, damage)
    summary = collector.summary
    summary.file, summary.size, summary.schema_version = model.file.name, model.file.size, model.schema_version
    collector.attempt(collector.graphs)
    if summary.subgraphs:
        collector.attempt(collector.ends)
    collector.rest()
    summary.histogram = dict(collector.histogram.most_common())
    summary.quantization = quantization_kind(collector.parameters, collector.activations, collector.histogram)
    return summary


def quantization_kind(parameters: dict[str, set[str]], activations: Counter[str], operators: Counter[str]) -> str:
    """In a few words how a model is quantized, told from its weights and activations."""
    integer = [
        dtype
        for dtype in ("INT8", "UINT8", "INT4", "UINT4", "INT2", "INT16")
        if "plain" not in parameters.get(dtype, {"plain"})
    ]
    sparse = ", sparse" if "sparse" in parameters else ""
    runs_on = next((dtype for dtype in ("INT8", "UINT8", "INT16") if activations[dtype] > activations["FLOAT32"]), None)
    if integer:
        kinds = {kind for dtype in integer for kind in parameters[dtype]}
        how = next((kind for kind in ("blockwise", "multi-axis", "per-channel") if kind in kinds), "per-tensor")
        weights = "/".join(integer)
        if runs_on:
            return f"{runs_on} activations, {weights} weights, {how}{sparse}"
        return (
            f"{weights} weights {'behind DEQUANTIZE' if operators['DEQUANTIZE'] else '(dynamic range)'}, {how}{sparse}"
        )
    if "FLOAT16" in parameters:
        return f"none; FLOAT16 weights{sparse}"
    return f"none{sparse}" if parameters else ""
