"""What LiteRT gave for the inputs of a comparison: what every side is judged by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from unlite.model.objects.subgraph import Subgraph

    Array = NDArray[Any]


@dataclass(frozen=True)
class Measured:
    """Values of a subgraph, as they are stored.

    Attributes:
        subgraph: What was run.
        inputs: In the file's order.
        reference: Index of a tensor -> values.
        other_kernels: The same from other kernels, for the noise; empty where they do not run.
        allows_rounding: Whether quantized integers may differ as those of the two kernels do. Then the other kernels'
            values are what a module of integers is held against where they differ by more.
    """

    subgraph: Subgraph
    inputs: Sequence[Array]
    reference: Mapping[int, Array]
    other_kernels: Mapping[int, Array] = field(default_factory=dict)
    allows_rounding: bool = False
