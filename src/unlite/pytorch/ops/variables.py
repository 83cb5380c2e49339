"""Resource variables: memory that operators read and assign by a handle. Buffers of the module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.pytorch.state import Resource

if TYPE_CHECKING:
    from torch import Tensor

    from unlite.pytorch.options import Options


def var_handle(*, options: Options) -> Resource:
    """The handle of a variable. Equal names mean the same variable, in all subgraphs.

    Source: LiteRT tflite/kernels/var_handle.cc.
    """
    return Resource(options.container or "", options.shared_name or "")


def read_variable(handle: Any, *, options: Options) -> Tensor:
    """The variable's value at this point of the run; later assignments do not change it.

    Source: LiteRT tflite/kernels/read_variable.cc.
    """
    lowering = options.lowering
    return lowering.read(lowering.resource(handle, options.output.tensor))  # type: ignore[no-any-return]


def assign_variable(handle: Any, value: Any, *, options: Options) -> list[Any]:
    """Nothing; the variable has the value from here on, and in the next run.

    Source: LiteRT tflite/kernels/assign_variable.cc.
    """
    lowering = options.lowering
    lowering.assign(lowering.resource(handle, options.inputs[1].tensor, value), value)
    return []


OPERATORS = {"VAR_HANDLE": var_handle, "READ_VARIABLE": read_variable, "ASSIGN_VARIABLE": assign_variable}
MOVES = tuple(OPERATORS)
