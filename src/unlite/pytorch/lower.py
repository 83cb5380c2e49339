"""A subgraph of a model as a torch.fx graph: each operator's function is called once, with stand-ins.

What the file holds becomes parameters and buffers; what follows from constants alone (weights behind DEQUANTIZE and
DENSIFY, shapes) is computed here and only the result is kept.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from inspect import signature
from math import inf, prod
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import fx

from unlite.errors import CorruptFileError, UnliteError, UnsupportedOperatorError
from unlite.pytorch.activations import activated
from unlite.pytorch.bodies import Body
from unlite.pytorch.bounded import Bounded
from unlite.pytorch.calls import CALLS, reached
from unlite.pytorch.carrying import Carrying, check_quantization, is_quantized
from unlite.pytorch.constants import Constant, Names, from_array
from unlite.pytorch.dtypes import TORCH
from unlite.pytorch.examples import UNKNOWN
from unlite.pytorch.ops import CUSTOM, EXACT, EXACT_CUSTOM, MOVES, OPERATORS, OWN_ACTIVATION
from unlite.pytorch.options import Options
from unlite.pytorch.sizes import Sizes, follow, measured
from unlite.pytorch.state import ModelModule, State, Variable, register_state
from unlite.pytorch.support import check_supported
from unlite.pytorch.trace import Tracer, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from unlite.model.objects.operator import Operator
    from unlite.model.objects.subgraph import Subgraph
    from unlite.model.objects.tensor import Tensor

FOLDED_BYTES = 1 << 16  # results of constants are folded up to this size, whatever the operator
ALWAYS_FOLDED = ("DEQUANTIZE", "DENSIFY", "CAST", "TRANSPOSE", "RESHAPE", "QUANTIZE", "EXPAND_DIMS", "SQUEEZE")


LARGER = (1 << 8, 1 << 12, 1 << 16)
"""What free sizes count as, where an operator does not take those of the file: a window that nothing fits in."""


def lowered(subgraph: Subgraph, custom: Mapping[str, Callable[..., Any]] | None, carrying: Carrying) -> ModelModule:
    """The subgraph as a module. See ``Lowering``."""
    try:
        return Lowering(subgraph, custom, carrying=carrying).run()
    except UnsupportedOperatorError:
        if not any(size < 0 for tensor in subgraph.inputs for size in tensor.shape_signature):
            raise
        for least in LARGER:
            with suppress(UnsupportedOperatorError):
                return Lowering(subgraph, custom, carrying=carrying, least=least).run()
        raise


class Lowering:
    """One subgraph being lowered.

    Args:
        subgraph: What to lower.
        custom: Functions for custom operators, by custom code; they come before those that are built in.
        outer: The lowering that this one is part of, where the subgraph is the body of a loop or the branch of a
            condition: what it reads beside its inputs becomes inputs too.
        carrying: How quantized tensors are carried.
        least: Free sizes of the inputs, but for the batch, count as that many where the file has fewer.
    """

    def __init__(
        self,
        subgraph: Subgraph,
        custom: Mapping[str, Callable[..., Any]] | None = None,
        outer: Lowering | None = None,
        carrying: Carrying | None = None,
        least: int = 1,
    ) -> None:
        self._subgraph = subgraph
        self._least = least
        self.carrying: Carrying = (outer.carrying if outer is not None else carrying) or Carrying()
        self._given = custom or {}
        self._custom = {**CUSTOM, **(custom or {})}
        self._is_body = outer is not None
        self.state: State = State(subgraph.model.memory_limit()) if outer is None else outer.state
        self.tracer: Tracer = Tracer(subgraph.model.memory_limit())
        self.tracer.in_order = self.in_order
        self.root = torch.nn.Module()
        self.names = Names()
        self._values: dict[int, Any] = {}
        self._ordered: dict[tuple[int, tuple[int, ...]], Value] = {}
        self._attributes: dict[Constant | Variable, Value] = {}
        self._current: dict[Variable, Value] = {}
        self.assigned: dict[Variable, None] = {}
        self.buffers: dict[Variable, str] = {}

    def run(self) -> ModelModule:
        """The subgraph as a module: inputs in the file's order; one output, or a tuple of them."""
        check_supported(self._subgraph, self._custom, self.carrying.exact)
        if self.carrying.exact:
            check_quantization(reached(self._subgraph))
        inputs = [self._placeholder(tensor) for tensor in self._subgraph.inputs]
        entering = zip(inputs, self._subgraph.inputs, strict=True)
        outputs = self.inline(self._subgraph, [self._entering(value, tensor) for value, tensor in entering])
        self.tracer.place = None
        leaving = zip(outputs, self._subgraph.outputs, strict=True)
        outputs = [self.carrying.leaving(value, tensor) for value, tensor in leaving]
        for variable in self.assigned:
            self.attribute(variable).copy_(self.read(variable).detach())
        nodes = tuple(self.tensor_of(output).node for output in outputs)
        self.tracer.graph.output(nodes[0] if len(nodes) == 1 else nodes)
        return self._finish()

    def _finish(self) -> ModelModule:
        graph = self.tracer.graph
        for variable, value in self._current.items():
            if variable not in self.assigned:  # nothing changes it: no copy is needed
                value.node.replace_all_uses_with(self.attribute(variable).node)
        self.sweep()
        kept: dict[str, Constant] = {}
        for item, node in self.attributes().items():
            key = self.names.make(item.name, "state" if isinstance(item, Variable) else "tensor")
            node.target = key  # only now: what was folded away needs no name
            node._rename(key)
            if isinstance(item, Variable):
                self.buffers[item] = key
            else:
                kept[key] = item
                size = prod(item.shape) * item.dtype.itemsize
                self.state.memory.spend(size, f"the constants, with {item.name!r:.60},", node.meta.get("path"))
                register(self.root, key, item)
        state = register_state(self.root, self.buffers)
        module = ModelModule(self.root, graph, class_name=self.names.make(self._subgraph.name, "Model"))
        module.meta["unlite.tensors"] = {key: constant.name for key, constant in kept.items()}
        module.meta["unlite.state"] = state
        return module

    def sweep(self) -> None:
        """Removes what no output needs."""
        self.tracer.graph.eliminate_dead_code(is_impure_node=_is_impure)

    def attributes(self) -> dict[Constant | Variable, fx.Node]:
        """What is read from the module, with its nodes, in the graph's order."""
        items = {value.node: item for item, value in self._attributes.items()}
        return {items[node]: node for node in self.tracer.graph.nodes if node in items}

    # -- values ----------------------------------------------------------------------------------------------------

    def _placeholder(self, tensor: Tensor) -> Value:
        shape = list(_example(tensor))
        free = [axis for axis, size in enumerate(tensor.shape_signature[: len(shape)]) if size < 0]
        for axis in free[1:] or free:  # of several the first is the batch
            shape[axis] = max(shape[axis], self._least)
        return self.placeholder(tensor, self.tracer.fake(shape, self.carrying.end_dtype(tensor)))

    def _entering(self, value: Value, tensor: Tensor) -> Value:
        try:
            entered: Value = self.carrying.entering(value, tensor)
        except (RuntimeError, ValueError) as error:
            raise _inexpressible(error, f"{tensor.path} {tensor.name!r}") from error
        if entered is not value:
            entered.node.meta["tensor"] = tensor.index
        return entered

    def placeholder(self, tensor: Tensor, fake: torch.Tensor) -> Value:
        """The stand-in of an input."""
        value = self.tracer.create_proxy("placeholder", self.names.make(tensor.name, "input"), (), {})
        value.node.meta.update(val=fake, tensor=tensor.index)
        return value

    def value(self, tensor: Tensor | None) -> Any:
        """The stand-in of a tensor; None for an input that is left out."""
        if tensor is None:
            return None
        found = self._values.get(tensor.index)
        if found is None:
            if tensor.is_variable:
                return self.read(self.variable(tensor))  # not kept: it may be assigned in between
            found = self._values[tensor.index] = self.attribute(self.state.constant(tensor, self.carrying.constant))
            found.node.meta.setdefault("tensor", tensor.index)
        return found

    def attribute(self, item: Constant | Variable) -> Value:
        """The stand-in of a constant or variable: a parameter or buffer of the module, an input of a body."""
        found = self._attributes.get(item)
        if found is None:
            found = self.tracer.create_proxy("get_attr", f"attribute_{len(self._attributes)}", (), {})
            found.node.meta["val"] = self.tracer.fake(item.shape, item.dtype)
            found.node.meta["constant"] = item if isinstance(item, Constant) else None
            found.node.meta["source"] = item.source
            self._attributes[item] = found
        return found

    def in_order(self, value: Value, axes: tuple[int, ...]) -> Value:
        """The stand-in of a constant with its axes permuted."""
        constant = value.constant
        if constant is None:
            made = value.node.meta.get("made")  # from a constant, entry by entry: the constant is stored in order
            return cast("Value", value.permute(*axes) if made is None else made[1](self.in_order(made[0], axes)))
        key = id(value.node), axes
        if key not in self._ordered:
            self._ordered[key] = self.attribute(constant.permuted(axes))
        return self._ordered[key]

    def tensor_of(self, value: Any) -> Value:
        """A value as a tensor, where it was followed as numbers."""
        return value.tensor(self.tracer) if isinstance(value, Sizes) else value

    def variable(self, tensor: Tensor) -> Variable:
        """The memory behind a variable tensor."""
        return self.state.of_tensor(tensor, self.carrying.dtype(tensor), self.carrying.start(tensor))

    def resource(self, handle: Any, tensor: Tensor, value: Value | None = None) -> Variable:
        """The memory behind a handle, for reading it as ``tensor``, or for giving it the value of ``tensor``."""
        shape = tensor.shape if value is None else tuple(value.fake.shape)
        dtype = self.carrying.dtype(tensor) if value is None else value.dtype
        variable = self.state.of_resource(handle, shape, dtype, tensor.path)
        if variable.dtype != dtype or (value is not None and variable.shape != shape):
            raise UnsupportedOperatorError(
                f"the variable {variable.name!r}, {variable.dtype} {list(variable.shape)}, is used as {dtype} "
                f"{list(shape)}; a buffer cannot change.",
                operators=(tensor.path,),
                path=tensor.path,
            )
        return variable

    def read(self, variable: Variable) -> Value:
        """The value of a variable at this point of the run: a copy, since the buffer changes when the run ends."""
        if variable not in self._current:
            value = self.attribute(variable)
            self._current[variable] = value if self._is_body else cast("Value", value.clone())
        return self._current[variable]

    def assign(self, variable: Variable, value: Value) -> None:
        """Gives a variable a value; the module's buffer takes the last one when the run ends."""
        self.read(variable)
        if tuple(value.fake.shape) != variable.shape:
            value = cast("Value", value.reshape(variable.shape))
        self._current[variable] = value
        self.assigned[variable] = None

    # -- other subgraphs -------------------------------------------------------------------------------------------

    def inline(self, subgraph: Subgraph, arguments: Sequence[Any]) -> list[Any]:
        """Lowers the operators of a subgraph at this place. Returns the values of its outputs."""
        before = self._subgraph, self._values, self.tracer.place
        inputs = subgraph.inputs
        if len(arguments) != len(inputs):
            raise CorruptFileError(f"it has {len(inputs)} inputs and gets {len(arguments)}.", path=subgraph.path)
        self._subgraph = subgraph
        self._values = {tensor.index: value for tensor, value in zip(inputs, arguments, strict=True)}
        for operator in subgraph.operators:
            self._lower(operator)
        outputs = [self.value(tensor) for tensor in subgraph.outputs]
        self._subgraph, self._values, self.tracer.place = before
        return outputs

    def body(self, subgraph: Subgraph, arguments: Sequence[Any]) -> Body:
        """Traces a subgraph as a function of its own. ``arguments`` are values of this lowering."""
        inner = self.empty(subgraph)
        inputs = [
            inner.placeholder(tensor, value.fake) if isinstance(value, Value) else value
            for tensor, value in zip(subgraph.inputs, arguments, strict=False)
        ]
        return Body(inner, inputs, [inner.tensor_of(value) for value in inner.inline(subgraph, inputs)])

    def empty(self, subgraph: Subgraph | None = None) -> Lowering:
        """A lowering for a function that is used here, with a graph of its own."""
        return Lowering(subgraph or self._subgraph, self._given, self)

    def run_once(self, subgraph: Subgraph) -> None:
        """Runs a subgraph now; what it assigns are the variables' values before the first run."""
        lowering = Lowering(subgraph, self._given, carrying=self.carrying)
        module = lowering.run()
        with torch.no_grad():
            module()
        values = {variable: module.get_buffer(key) for variable, key in lowering.buffers.items()}
        self.state.start_from(values, lowering.state)

    def submodule(self, module: fx.GraphModule, name: str) -> Value:
        """The stand-in of a function that is handed to another: a module inside this one."""
        key = self.names.make(name)
        self.root.add_module(key, module)
        return self.tracer.create_proxy("get_attr", key, (), {})

    # -- operators -------------------------------------------------------------------------------------------------

    def _lower(self, operator: Operator) -> None:
        self.tracer.place = (self._subgraph.index, operator.index)
        try:
            options = Options(operator, lowering=self)
            inputs = [self.value(tensor) for tensor in operator.inputs]
            outputs = [tensor for tensor in operator.outputs if tensor is not None]
            results = self._results(operator, inputs, outputs, options)
        except UnliteError as error:
            error.path = error.path or operator.label
            raise
        except (RuntimeError, ValueError, LookupError, ArithmeticError) as error:
            # What PyTorch says of shapes, sizes and axes that do not fit. AttributeError and TypeError are not among
            # them: those are mistakes in an operator's function, and come out as what they are.
            raise _inexpressible(error, operator.label) from error
        for tensor, result in zip(outputs, results, strict=False):
            self._values[tensor.index] = self._mark(tensor, result)

    def _results(self, operator: Operator, inputs: list[Any], outputs: list[Tensor], options: Options) -> list[Any]:
        name = operator.name
        numbers = follow(name, inputs, options, [TORCH.get(output.dtype, torch.float32) for output in outputs])
        if numbers is not None:
            return numbers
        if name in ("SHAPE", "RANK"):
            return [measured(name, inputs[0], options.output.dtype)]
        folded = self._folded(operator, inputs, outputs)
        if folded is not None:
            return [folded]
        function = self._function(operator)
        check_inputs(function, inputs, operator)
        arguments = [self.tensor_of(value) for value in inputs]
        with Bounded(self._subgraph.model.memory_limit()):
            result = function(*arguments, options=options)
        results = list(result) if isinstance(result, (tuple, list)) else [result]
        is_done = self._is_exact(operator) or name in OWN_ACTIVATION
        activation = "NONE" if is_done else options.get("fused_activation_function", "NONE")
        moved = name in MOVES and not operator.custom
        return [
            self.carrying.result(name, value, tensor, activation, moved)
            for value, tensor in zip(results, outputs, strict=False)
        ]

    def _is_exact(self, operator: Operator) -> bool:
        """Whether an operator works on stored integers that stand for real numbers."""
        ends = (*operator.inputs, *operator.outputs)
        return self.carrying.exact and any(end is not None and is_quantized(end) for end in ends)

    def _function(self, operator: Operator) -> Callable[..., Any]:
        """What an operator means in this mode."""
        name = operator.name
        if operator.custom:
            is_own = name not in self._given and self._is_exact(operator)
            return EXACT_CUSTOM[name] if is_own else self._custom[name]
        return EXACT[name] if self._is_exact(operator) and name not in MOVES else OPERATORS[name]

    def _folded(self, operator: Operator, inputs: list[Any], outputs: list[Tensor]) -> Value | None:
        """The result of an operator on constants alone, as a constant."""
        given = [value for value in inputs if value is not None]
        if operator.custom or len(outputs) != 1 or not given or outputs[0].is_variable:
            return None
        if not all(isinstance(value, Value) and value.constant is not None for value in given):
            return None
        if operator.name not in ALWAYS_FOLDED and 4 * prod(outputs[0].shape) > FOLDED_BYTES:
            return None
        if operator.name in UNFOLDED:
            return None
        constants = [value.constant if value is not None else None for value in inputs]
        is_exact = self._is_exact(operator)
        if operator.name == "DENSIFY" or (operator.name == "DEQUANTIZE" and not is_exact):
            source: Constant = inputs[0].constant
            dtype = self.carrying.dtype(outputs[0])
            return self.attribute(Constant(outputs[0].name, source.source, source.shape, dtype, source.numpy))
        options = Options(operator)  # tables that it makes are tensors too
        limit = self._subgraph.model.memory_limit()
        function = self._function(operator)
        check_inputs(function, inputs, operator)
        with torch.no_grad(), Bounded(limit):
            arguments = [None if constant is None else constant.tensor() for constant in constants]
            result = function(*arguments, options=options)
            if not is_exact and operator.name not in OWN_ACTIVATION:
                result = activated(result, options.get("fused_activation_function", "NONE"))
        if not isinstance(result, torch.Tensor) or result.dtype in NO_NUMPY:
            return None
        limit.check(result.numel() * result.dtype.itemsize, f"a constant {list(result.shape)}", operator.label)
        return self.attribute(from_array(outputs[0].name, result.numpy()))

    def _mark(self, tensor: Tensor, value: Any) -> Any:
        if isinstance(value, Value):
            value.node.meta.setdefault("tensor", tensor.index)
            value.node.meta.setdefault("tensors", []).append((tensor.subgraph.index, tensor.index))  # all that it is
            fake: Any = value.node.meta.get("val")
            if fake is UNKNOWN or (value.guessed and tensor.shape and fake.ndim != len(tensor.shape)):
                value.node.meta["val"] = self.tracer.fake(_example(tensor), self.carrying.dtype(tensor))
        return value


def check_inputs(function: Callable[..., Any], inputs: Sequence[Any], operator: Operator) -> None:
    """Raises UnsupportedOperatorError where an operator has fewer or more inputs than its function takes."""
    needed, most = _takes(function)
    reason = ""
    if len(inputs) > most:
        reason = f"it has {len(inputs)} inputs; {most} are known"
    for place, name in enumerate(needed):
        if place >= len(inputs) or (inputs[place] is None and name is not None):
            reason = reason or f"input {place} ({name or 'an optional one'}) is left out, and needed"
    if reason:
        raise UnsupportedOperatorError(
            f"cannot be expressed: {reason}.", operators=(operator.label,), path=operator.label
        )


@cache
def _takes(function: Callable[..., Any]) -> tuple[tuple[str | None, ...], float]:
    """The names of the inputs that a function needs, None where the value may be None; and how many it takes."""
    try:
        parameters = list(signature(function).parameters.values())
    except (ValueError, TypeError):  # somebody's own, of a kind that does not tell
        return (), inf
    by_place = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.name != "options"]
    needed = tuple(None if "None" in str(p.annotation) else p.name for p in by_place if p.default is p.empty)
    many = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    return needed, inf if many else len(by_place)


NO_NUMPY = (torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2)  # results are not folded: NumPy has no such type
UNFOLDED = ("RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL", "MULTINOMIAL", "READ_VARIABLE", "ASSIGN_VARIABLE", *CALLS)


def _is_impure(node: fx.Node) -> bool:
    return node.op in ("placeholder", "output") or (node.op == "call_method" and str(node.target).endswith("_"))


def _example(tensor: Tensor) -> tuple[int, ...]:
    return tuple(max(size, 1) if size < 0 else size for size in tensor.shape)


def register(root: torch.nn.Module, key: str, constant: Constant) -> None:
    """Gives a module a constant as parameter or buffer."""
    values = constant.tensor()
    if constant.is_trainable and constant.source is not None:
        root.register_parameter(key, torch.nn.Parameter(values))
    else:
        root.register_buffer(key, values)


def _inexpressible(error: Exception, place: str) -> UnsupportedOperatorError:
    """What is said where PyTorch has no such shapes, sizes or types."""
    said = str(error).splitlines()[0] if str(error) else ""
    return UnsupportedOperatorError(
        f"cannot be expressed: {type(error).__name__}: {said}", operators=(place,), path=place
    )
