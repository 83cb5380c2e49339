"""Quantization of a tensor: real = scale * (q - zero_point)."""

from __future__ import annotations

from unlite.errors import InvalidValueError
from unlite.flatbuffers import view as v

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from unlite.flatbuffers.view import Table


class Quantization:
    """How stored numbers become real ones. Assign one to ``tensor.quantization``.

    Args:
        scale: One per tensor, or one per entry of ``quantized_dimension``.
        zero_point: As many; zeros when left out.
        quantized_dimension: The axis that several scales run along.
        min, max: What training saw; no meaning for the arithmetic.
        details: Blockwise, multi-axis or custom quantization as the schema has it; it overrides the rest.
    """

    __slots__ = ("details", "max", "min", "quantized_dimension", "scale", "zero_point")

    def __init__(
        self,
        scale: Sequence[float] = (),
        zero_point: Sequence[int] | None = None,
        quantized_dimension: int = 0,
        min: Sequence[float] = (),  # noqa: A002 - the schema's name
        max: Sequence[float] = (),  # noqa: A002 - the schema's name
        details: Table | None = None,
    ) -> None:
        self.scale = tuple(scale)
        self.zero_point = (0,) * len(self.scale) if zero_point is None else tuple(zero_point)
        self.quantized_dimension = quantized_dimension
        self.min = tuple(min)
        self.max = tuple(max)
        self.details = details

    @property
    def kind(self) -> str:
        """``per-tensor``, ``per-channel``, ``blockwise``, ``multi-axis``, ``custom``, or ``none`` (only a range)."""
        if self.details is not None:
            name = getattr(getattr(self.details, "_object", None), "name", "")
            return {
                "BlockwiseQuantization": "blockwise",
                "MultiAxisQuantization": "multi-axis",
                "CustomQuantization": "custom",
            }.get(name.rpartition(".")[2], "unknown")
        return "none" if not self.scale else "per-tensor" if len(self.scale) == 1 else "per-channel"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantization) and all(
            getattr(self, name) == getattr(other, name) for name in self.__slots__ if name != "details"
        )

    __hash__ = None  # type: ignore[assignment]  # compares by content

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r:.80}" for name in ("scale", "zero_point", "quantized_dimension"))
        return f"Quantization({', '.join(shown)}, kind={self.kind!r})"


def read_quantization(parameters: Table | None) -> Quantization | None:
    """What a QuantizationParameters table says; None where it says nothing."""
    if parameters is None:
        return None
    scale, zero_point = parameters["scale"], parameters["zero_point"]
    low, high, details = parameters["min"], parameters["max"], parameters["details"]
    if not scale and not low and not high and details is None:
        return None
    return Quantization(
        scale=scale.tolist() if scale is not None else (),
        zero_point=zero_point.tolist() if zero_point is not None else (),
        quantized_dimension=parameters["quantized_dimension"],
        min=low.tolist() if low is not None else (),
        max=high.tolist() if high is not None else (),
        details=details,
    )


def write_quantization(tensor: Table, quantization: Quantization | None, path: str) -> None:
    """Stores it in a Tensor table: field by field where the table is there, so that equal sizes can be patched."""
    if quantization is None:
        tensor.quantization = None
        return
    if quantization.scale and len(quantization.zero_point) != len(quantization.scale):
        raise InvalidValueError(
            f"{len(quantization.scale)} scales want as many zero points, not {len(quantization.zero_point)}.", path=path
        )
    values: dict[str, Any] = {
        name: list(getattr(quantization, name)) or None for name in ("scale", "zero_point", "min", "max")
    }
    values["quantized_dimension"] = quantization.quantized_dimension
    old: Table | None = tensor["quantization"]
    if old is None:
        tensor.quantization = {name: value for name, value in values.items() if value is not None}
        old = tensor["quantization"]
    else:
        for name, value in values.items():
            stored = old[name]
            if (value or None) != ((list(stored) if isinstance(stored, v.Vector) else stored) or None):
                setattr(old, name, value)
    if quantization.details is None:
        if old is not None and old["details"] is not None:
            old.details = None
            old.details_type = None
    elif old is not None and quantization.details is not old["details"]:
        old.details = quantization.details
