"""What an operator's function is told beside its tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from unlite.errors import CorruptFileError, InvalidValueError, UnknownFieldError
from unlite.pytorch.arithmetic.quantized import RANGES
from unlite.pytorch.calls import known_options
from unlite.pytorch.carrying import grid, is_quantized
from unlite.pytorch.dtypes import torch_dtype

if TYPE_CHECKING:
    from unlite.model.objects.operator import Operator
    from unlite.model.objects.quantization import Quantization
    from unlite.model.objects.tensor import Tensor
    from unlite.pytorch.lower import Lowering


class Ends:
    """Facts of one input or output of an operator, as the file states them.

    Attributes:
        tensor: The tensor; None for an input that is left out.
    """

    def __init__(self, tensor: Tensor | None) -> None:
        self.tensor = tensor

    @property
    def dtype(self) -> torch.dtype:
        """PyTorch's type of the stored values."""
        if self.tensor is None:
            raise CorruptFileError("an input or output that the operator needs is left out.")
        return torch_dtype(self.tensor.dtype, self.tensor.path)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in the file; only an example where dimensions are free."""
        return self.tensor.shape if self.tensor is not None else ()

    @property
    def quantization(self) -> Quantization | None:
        """Scales and zero points."""
        return self.tensor.quantization if self.tensor is not None else None

    @property
    def is_quantized(self) -> bool:
        """Whether the stored integers stand for real numbers."""
        return self.tensor is not None and is_quantized(self.tensor)

    @property
    def scales(self) -> tuple[float, ...]:
        """Its scales: one, or one for each entry of an axis."""
        return tuple(self.quantization.scale) if self.quantization is not None else ()

    @property
    def scale(self) -> float:
        """The one scale of the tensor."""
        if len(self.scales) != 1:
            raise InvalidValueError(f"it has {len(self.scales)} scales where one is needed.", path=self._path)
        return float(self.scales[0])

    @property
    def zero_point(self) -> int:
        """The one zero point of the tensor; 0 where it has none."""
        points = tuple(self.quantization.zero_point) if self.quantization is not None else ()
        if len(set(points)) > 1:
            raise InvalidValueError("it has several zero points where one is needed.", path=self._path)
        return int(points[0]) if points else 0

    @property
    def range(self) -> tuple[int, int]:
        """The lowest and highest integer of its type."""
        if self.tensor is not None and self.tensor.dtype in RANGES:
            return RANGES[self.tensor.dtype]
        if self.dtype.is_floating_point or self.dtype.is_complex or self.dtype is torch.bool:
            raise InvalidValueError(f"{self.dtype} stands where integers are needed.", path=self._path or None)
        kind = torch.iinfo(self.dtype)
        return kind.min, kind.max

    @property
    def _path(self) -> str:
        return self.tensor.path if self.tensor is not None else ""


class Options:
    """An operator's options by schema name (``options.stride_h``), and what else its meaning depends on.

    A field that the options table does not have, or an operator without options, gives the schema's default of that
    name where ``get`` is told one; asking for an unknown name is an error.

    Attributes:
        operator: The operator in the model; None in tests of single functions.
        inputs, outputs, intermediates: Facts of its tensors.
        lowering: The subgraph at work, for operators that run other subgraphs or remember; None in tests of functions.
    """

    def __init__(
        self,
        operator: Operator | None = None,
        *,
        lowering: Lowering | None = None,
        **values: Any,
    ) -> None:
        self.operator = operator
        self.lowering: Any = lowering
        self._values = values
        self._table = known_options(operator) if operator is not None else None
        self.inputs = [Ends(t) for t in operator.inputs] if operator is not None else []
        self.outputs = [Ends(t) for t in operator.outputs] if operator is not None else []
        self.intermediates = [Ends(t) for t in operator.intermediates] if operator is not None else []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self._values:
            return self._values[name]
        if self._table is None:
            raise UnknownFieldError(f"the operator has no options; {name!r} is needed.", path=self._label)
        return self._table[name]

    def get(self, name: str, default: Any) -> Any:
        """An option, or ``default`` where the file's options do not have it."""
        if name in self._values:
            return self._values[name]
        if self._table is None or name not in self._table._object.by_name:
            return default
        return self._table[name]

    @property
    def custom(self) -> Any:
        """Options of a custom operator: decoded where they are a FlexBuffer, else bytes."""
        return self._values.get("custom") if self.operator is None else self.operator._decoded_options()

    def grid(self, index: int) -> tuple[float, int, int, int] | None:
        """Scale, zero point, lowest and highest integer of input ``index``; None where values are not to be rounded."""
        tensor = self.inputs[index].tensor if self.operator is not None and index < len(self.inputs) else None
        if tensor is None or self.lowering is None or not self.lowering.carrying.rounds_to(tensor):
            return None
        return grid(tensor)

    def remember(self, index: int, value: Any) -> None:
        """Makes ``value`` the content of input ``index`` in the next run, where that is a variable tensor."""
        tensor = self.inputs[index].tensor if self.operator is not None else None
        if tensor is not None and tensor.is_variable and self.lowering is not None:
            self.lowering.assign(self.lowering.variable(tensor), value)

    def memory(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Any:
        """The value of a memory that belongs to the operator, as ``keep`` left it; zeros at first."""
        if self.lowering is None or self.operator is None:
            return torch.zeros(shape, dtype=dtype)
        return self.lowering.read(self.lowering.state.of_operator(self.operator, name, shape, dtype))

    def keep(self, name: str, value: Any) -> None:
        """Makes ``value`` the content of a memory that ``memory`` gave, in the next run."""
        if self.lowering is not None and self.operator is not None:
            shape = tuple(value.fake.shape)
            self.lowering.assign(self.lowering.state.of_operator(self.operator, name, shape, value.dtype), value)

    @property
    def output(self) -> Ends:
        """Facts of the first output."""
        if not self.outputs:
            raise CorruptFileError("the operator has no output.", path=self._label)
        return self.outputs[0]

    @property
    def _label(self) -> str | None:
        return self.operator.label if self.operator is not None else None

    @property
    def path(self) -> str:
        """The operator's place in the file."""
        return self.operator.path if self.operator is not None else ""
