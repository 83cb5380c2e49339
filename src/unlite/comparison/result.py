"""What a comparison found."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os

SAME, DIFFERENT, NOT_COMPARABLE = "same", "different", "not comparable"


@dataclass(frozen=True)
class TensorDistance:
    """One tensor on both sides.

    Attributes:
        subgraph, index, name: Which tensor.
        operator: Index of the operator that it comes out of; None for none.
        operator_name: Its name, such as ``CONV_2D``.
        max_abs: Largest difference, in real values; infinite where shapes differ or one side alone has a NaN.
        max_rel: The same as a part of the reference's range.
        floor: What it may differ by.
        differing: Elements that are further apart.
        ok: Within the floor; or drift: past it, but the operator is right on the reference's own inputs.
        drift: Whether it is that.
        step: Real value of one quantization step where one side carries integers and the other real numbers; None
            elsewhere. Such a distance is reported, and never called a fault.
        is_exact: Whether both sides carry the same quantized integers: then ``max_abs`` counts steps.
        is_rounding: Whether it differs no more than LiteRT's two sets of kernels do, which round differently.
    """

    subgraph: int
    index: int
    name: str
    operator: int | None
    operator_name: str
    max_abs: float
    max_rel: float
    floor: float
    differing: int
    ok: bool
    drift: bool = False
    step: float | None = None
    is_exact: bool = False
    is_rounding: bool = False

    @property
    def steps(self) -> float | None:
        """Largest difference in quantization steps; None where nothing is quantized."""
        if self.is_exact:
            return self.max_abs
        return self.max_abs / self.step if self.step else None

    @property
    def state(self) -> str:
        """In a word: ``differs``, ``rounding``, ``drift``; empty for what simply agrees."""
        if not self.ok:
            return "differs"
        return "rounding" if self.is_rounding else "drift" if self.drift else ""

    def to_json(self) -> dict[str, Any]:
        """As ``unlite compare --json`` prints it."""
        return {
            "subgraph": self.subgraph,
            "index": self.index,
            "name": self.name,
            "max_abs": _number(self.max_abs),
            "max_rel": _number(self.max_rel),
            "floor": _number(self.floor),
            "differing": self.differing,
            "steps": None if self.steps is None else _number(self.steps),
            "ok": self.ok,
        }


@dataclass(frozen=True)
class Divergence:
    """The first operator that is wrong.

    Attributes:
        subgraph, operator, name: The operator: its index, and its name in the schema.
        tensor, tensor_name: Its output.
        max_abs, floor: How far it is from the reference on the reference's own inputs, and how far it may be.
        problem: In words.
        source_line: Line of the converted source; None where there is none.
    """

    subgraph: int
    operator: int | None
    name: str
    tensor: int
    tensor_name: str
    max_abs: float
    floor: float
    problem: str
    source_line: int | None = None

    @property
    def label(self) -> str:
        """What to call it: ``subgraphs[0].operators[3] CONV_2D 'conv2d'``."""
        place = f"subgraphs[{self.subgraph}]"
        return f"{place}.operators[{self.operator}] {self.name} {self.tensor_name!r}"

    def to_json(self) -> dict[str, Any]:
        """As ``unlite compare --json`` prints it."""
        return {
            "subgraph": self.subgraph,
            "operator": self.operator,
            "name": self.name,
            "tensor": self.tensor,
            "tensor_name": self.tensor_name,
            "max_abs": _number(self.max_abs),
            "floor": _number(self.floor),
            "source_line": self.source_line,
        }


@dataclass(frozen=True)
class Comparison:
    """The outcome of a comparison.

    Attributes:
        verdict: ``same``, ``different`` or ``not comparable``.
        reason: One sentence.
        first_divergence: The first operator that is wrong; None where none is.
        tensors: Every tensor that both sides have, in the order of running.
        judge: Which side is the reference: LiteRT, and its kernels.
        model: The model's file.
        runtime: What the other side is, or what computed it.
    """

    verdict: str
    reason: str
    first_divergence: Divergence | None = None
    tensors: list[TensorDistance] = field(default_factory=list)
    judge: str = ""
    model: str = ""
    runtime: str = ""

    def to_json(self) -> dict[str, Any]:
        """As ``unlite compare --json`` prints it. NaN and infinities are None."""
        divergence = self.first_divergence
        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "first_divergence": None if divergence is None else divergence.to_json(),
            "tensors": [tensor.to_json() for tensor in self.tensors],
        }

    def save_html(self, path: str | os.PathLike[str]) -> None:
        """Writes a page with the verdict, the error of each layer as a drawing, and all tensors."""
        from unlite.comparison.report import write_report

        write_report(self, path)

    def _repr_html_(self) -> str:
        from unlite.comparison.report import fragment

        return fragment(self)


def _number(value: float) -> float | None:
    return value if isfinite(value) else None
