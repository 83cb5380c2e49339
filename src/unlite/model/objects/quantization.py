"""Quantization of a tensor: real = scale * (q - zero_point)."""

from __future__ import annotations

from unlite.errors import InvalidValueError, NotFoundError
from unlite.flatbuffers import view as v

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from unlite.flatbuffers.view import Table


FIELDS = ("details", "max", "min", "quantized_dimension", "scale", "zero_point")


class Quantization:
    """How stored numbers become real ones, as plain values. Assign one to ``tensor.quantization``.

    Args:
        scale: One per tensor, or one per entry of ``quantized_dimension``.
        zero_point: As many; zeros when left out.
        quantized_dimension: The axis that several scales run along.
        min, max: What training saw; no meaning for the arithmetic.
        details: Blockwise, multi-axis or custom quantization as the schema has it; it overrides the rest.
    """

    __slots__ = FIELDS

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
            getattr(self, name) == getattr(other, name) for name in FIELDS if name != "details"
        )

    __hash__ = None  # type: ignore[assignment]  # compares by content

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r:.80}" for name in ("scale", "zero_point", "quantized_dimension"))
        return f"Quantization({', '.join(shown)}, kind={self.kind!r})"


class TensorQuantization(Quantization):
    """The quantization of one tensor, read from the model at each access. Each field is assignable.

    Numbers of scales and zero points go together: to change both, assign a ``Quantization`` to the tensor.

    Args:
        parameters: The table of a tensor that holds it.
    """

    __slots__ = ("_parameters",)

    def __init__(self, parameters: Table) -> None:
        self._parameters = parameters  # a place: it shows what stands there now, and raises where nothing does

    def __repr__(self) -> str:
        try:
            return super().__repr__()
        except NotFoundError:
            return "<quantization that was taken out>"

    def _numbers(self, name: str) -> tuple[Any, ...]:
        stored = self._parameters[name]
        return () if stored is None else tuple(stored.tolist())

    def _set_numbers(self, name: str, value: Any, other: str | None = None) -> None:
        path = f"{v.path(self._parameters)}.{name}"
        numbers = [value] if isinstance(value, (int, float)) else list(value)
        count = len(self._numbers(other)) if other is not None else 0
        if other is not None and len(numbers) != count:
            raise InvalidValueError(
                f"there are {count} entries of {other}, so as many are wanted, not {len(numbers)}.",
                path=path,
                hint="To change both, assign tensor.quantization = unlite.Quantization(scale, zero_point, ...).",
            )
        setattr(self._parameters, name, numbers or None)

    @property
    def scale(self) -> tuple[float, ...]:
        """One per tensor, or one per entry of ``quantized_dimension``."""
        return self._numbers("scale")

    @scale.setter
    def scale(self, value: Any) -> None:
        self._set_numbers("scale", value, "zero_point" if self.zero_point else None)

    @property
    def zero_point(self) -> tuple[int, ...]:
        """As many as scales."""
        return self._numbers("zero_point")

    @zero_point.setter
    def zero_point(self, value: Any) -> None:
        self._set_numbers("zero_point", value, "scale")

    @property
    def quantized_dimension(self) -> int:
        """The axis that several scales run along."""
        axis: int = self._parameters["quantized_dimension"]
        return axis

    @quantized_dimension.setter
    def quantized_dimension(self, value: int) -> None:
        self._parameters.quantized_dimension = value

    @property
    def min(self) -> tuple[float, ...]:
        """What training saw."""
        return self._numbers("min")

    @min.setter  # noqa: A003 - the schema's name
    def min(self, value: Any) -> None:
        self._set_numbers("min", value)

    @property
    def max(self) -> tuple[float, ...]:
        """What training saw."""
        return self._numbers("max")

    @max.setter  # noqa: A003 - the schema's name
    def max(self, value: Any) -> None:
        self._set_numbers("max", value)

    @property
    def details(self) -> Table | None:
        """Blockwise, multi-axis or custom quantization as the schema has it."""
        found: Table | None = self._parameters["details"]
        return found

    @details.setter
    def details(self, value: Any) -> None:
        self._parameters.details = value


def has_quantization(parameters: Table | None) -> bool:
    """Whether a QuantizationParameters table says anything."""
    if parameters is None:
        return False
    return bool(parameters["scale"] or parameters["min"] or parameters["max"] or parameters["details"] is not None)


def write_quantization(tensor: Table, quantization: Quantization | None, path: str) -> None:
    """Stores it in a Tensor table: field by field where the table is there, so that equal sizes can be patched."""
    if quantization is None:
        tensor.quantization = None
        return
    from unlite.flatbuffers.assign import change

    with change(tensor, "quantization"):
        _write_fields(tensor, quantization, path)


def _write_fields(tensor: Table, quantization: Quantization, path: str) -> None:
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
