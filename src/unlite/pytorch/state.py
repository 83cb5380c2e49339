"""What a module remembers from one run to the next: variable tensors and resource variables, as buffers."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import fx

from unlite.errors import CorruptFileError
from unlite.model.values.constants import check_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from unlite.model.objects.operator import Operator
    from unlite.model.objects.tensor import Tensor
    from unlite.pytorch.constants import Constant
    from unlite.storage.memory_limit import MemoryLimit


@dataclass(frozen=True)
class Resource:
    """A handle to a resource variable: what VAR_HANDLE gives, and operators hand on. No tensor at run time."""

    container: str
    shared_name: str


@dataclass(eq=False)
class Variable:
    """Memory of a module, a buffer of its own.

    Attributes:
        name: Where its key in the state dictionary comes from.
        shape, dtype: Of its values; they never change.
        initial: Values before the first run; None for zeros.
        source: The variable tensor of the file that it is, if it is one.
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    initial: torch.Tensor | None = None
    source: Tensor | None = None


class State:
    """What the subgraphs of a model share while they are lowered: its variables, and the constants they read."""

    def __init__(self, memory: MemoryLimit) -> None:
        self.memory = memory
        self._variables: dict[Hashable, Variable] = {}
        self._initial: dict[Resource, torch.Tensor] = {}
        self._constants: dict[Hashable, Constant] = {}

    def constant(self, tensor: Tensor, make: Callable[[Tensor], Constant]) -> Constant:
        """The one Constant of a tensor, made when it is first asked for."""
        key = tensor.subgraph.index, tensor.index
        if key not in self._constants:
            self._constants[key] = make(tensor)
        return self._constants[key]

    def of_tensor(self, tensor: Tensor, dtype: torch.dtype, start: float = 0) -> Variable:
        """The memory behind a variable tensor. It has no data in the file: every element starts as ``start``."""
        key = tensor.subgraph.index, tensor.index
        if key not in self._variables:
            shape = _fixed(tensor.shape)
            self._spend(shape, dtype, tensor.name, tensor.path)
            initial = torch.full(shape, start, dtype=dtype) if start else None
            self._variables[key] = Variable(tensor.name, shape, dtype, initial, tensor)
        return self._variables[key]

    def of_operator(self, operator: Operator, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Variable:
        """A memory that belongs to an operator."""
        key = operator.subgraph.index, operator.index, name
        if key not in self._variables:
            self._spend(shape, dtype, name, operator.path)
            self._variables[key] = Variable(name, shape, dtype)
        return self._variables[key]

    def of_resource(self, resource: Any, shape: Sequence[int], dtype: torch.dtype, path: str) -> Variable:
        """The memory behind a handle; made with ``shape`` and ``dtype`` where there is none yet."""
        if not isinstance(resource, Resource):
            raise CorruptFileError("the variable's handle does not come from VAR_HANDLE.", path=path)
        found = self._variables.get(resource)
        if found is None:
            initial = self._initial.get(resource)
            size = _fixed(shape) if initial is None else tuple(initial.shape)
            self._spend(size, dtype, resource.shared_name, path)
            found = Variable(resource.shared_name, size, dtype if initial is None else initial.dtype, initial)
            self._variables[resource] = found
        return found

    def _spend(self, shape: Sequence[int], dtype: torch.dtype, name: str, path: str) -> None:
        check_shape(shape, path)
        self.memory.spend(prod(shape) * dtype.itemsize, f"the variable {name!r:.60}, {list(shape)},", path)

    def start_from(self, values: Mapping[Variable, torch.Tensor], other: State) -> None:
        """Takes the values that another state's resource variables have after a run as the initial ones."""
        for key, variable in other._variables.items():
            if isinstance(key, Resource) and variable in values and key not in self._variables:
                self._initial[key] = values[variable].detach().clone()


def _fixed(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(max(int(size), 1) if int(size) < 0 else int(size) for size in shape)


class ModelModule(fx.GraphModule):
    """A converted model. What it remembers from run to run, if anything, are buffers.

    ``meta["unlite.tensors"]``: key in the state dictionary -> tensor of the file. ``meta["unlite.state"]``: key of a
    buffer that a run changes -> its value before the first run.
    """

    def reset_state(self) -> None:
        """Puts back what earlier runs changed: every variable gets its initial value."""
        with torch.no_grad():
            for key, initial in self.meta["unlite.state"].items():
                self.get_buffer(key).copy_(initial)


def register_state(root: torch.nn.Module, keys: Mapping[Variable, str]) -> dict[str, torch.Tensor]:
    """Gives a module a buffer for each variable. Returns key -> initial value."""
    initial: dict[str, torch.Tensor] = {}
    for variable, key in keys.items():
        try:
            if variable.initial is None:
                root.register_buffer(key, torch.zeros(variable.shape, dtype=variable.dtype))
                initial[key] = torch.zeros((), dtype=variable.dtype)  # copies to every element
            else:
                root.register_buffer(key, variable.initial.clone())
                initial[key] = variable.initial
        except (RuntimeError, MemoryError) as error:
            raise CorruptFileError(f"no memory for the variable {variable.name!r}, {list(variable.shape)}.") from error
    return initial
