"""Loops and branches: coremltools takes none of PyTorch's, though its own programs have both.

Before it reads an exported program, each of PyTorch's calls becomes one that names its functions by number; our
translation of that call builds their blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import fx

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def unlite_while_loop(*_: Any) -> Any:
    """Stands in a graph for ``while_loop``: numbers of its functions, what it carries, what else they read."""


def unlite_cond(*_: Any) -> Any:
    """Stands in a graph for ``cond``: the predicate, numbers of its functions, what they read."""


def take_apart(exported: torch.export.ExportedProgram) -> list[fx.GraphModule]:
    """Gives a program's loops and branches the form that is translated, in place. Returns their functions."""
    functions: list[fx.GraphModule] = []
    _rewrite(exported.graph_module, functions)
    return functions


def _rewrite(module: fx.GraphModule, functions: list[fx.GraphModule]) -> None:
    graph = module.graph
    for node in list(graph.nodes):
        if node.target is torch.ops.higher_order.while_loop:
            condition, body, carried, read = node.args
            numbers = [_number(module, function, functions) for function in (condition, body)]
            _replace(node, unlite_while_loop, (numbers, list(carried), list(read)))
        elif node.target is torch.ops.higher_order.cond:
            predicate, yes, no, read = node.args
            numbers = [_number(module, function, functions) for function in (yes, no)]
            _replace(node, unlite_cond, (predicate, numbers, list(read)))
        elif node.target is torch.ops.aten.cat.default:
            _drop_empty(node)
    graph.eliminate_dead_code()


def _number(module: fx.GraphModule, attribute: fx.Node, functions: list[fx.GraphModule]) -> int:
    """The function that a node reads from its module gets the next number, and names that no other one has."""
    function: fx.GraphModule = getattr(module, str(attribute.target))
    number = len(functions)
    functions.append(function)
    for node in function.graph.nodes:
        node._rename(f"block_{number}_{node.name}")
    _rewrite(function, functions)
    return number


def _replace(node: fx.Node, call: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    with node.graph.inserting_before(node):
        made = node.graph.call_function(call, arguments)
    made.meta = dict(node.meta)
    node.replace_all_uses_with(made)
    node.graph.erase_node(node)


def _drop_empty(node: fx.Node) -> None:
    """Leaves out of a concatenation what has no elements, which an ML program cannot hold."""
    parts: Any = node.args[0]
    full = [part for part in parts if not any(isinstance(n, int) and n == 0 for n in part.meta["val"].shape)]
    if full and len(full) < len(parts):
        node.args = (full, *node.args[1:])


def translations(functions: Sequence[fx.GraphModule]) -> dict[str, Callable[..., Any]]:
    """How the calls are translated, by the name that coremltools looks for."""

    def while_loop(context: Any, node: Any) -> None:
        from coremltools.converters.mil.mil import Builder

        (condition, body), carried, read = node.inputs
        values = tuple(context[name] for name in carried)
        others = [context[name] for name in read]
        found = Builder.while_loop(
            _cond=lambda *given: _flag(_run(context, functions[condition], [*given, *others])[0]),
            _body=lambda *given: tuple(_run(context, functions[body], [*given, *others])),
            loop_vars=values,
            name=node.name,
        )
        context.add(tuple(found), torch_name=node.name)

    def cond(context: Any, node: Any) -> None:
        from coremltools.converters.mil.mil import Builder

        predicate, (yes, no), read = node.inputs
        others = [context[name] for name in read]
        found = Builder.cond(
            pred=_flag(context[predicate]),
            _true_fn=lambda: tuple(_run(context, functions[yes], others)),
            _false_fn=lambda: tuple(_run(context, functions[no], others)),
            name=node.name,
        )
        context.add(tuple(found) if isinstance(found, (list, tuple)) else (found,), torch_name=node.name)

    return {unlite_while_loop.__name__: while_loop, unlite_cond.__name__: cond}


def _run(context: Any, function: fx.GraphModule, given: Sequence[Any]) -> list[Any]:
    """The operations of a function, in the block that is being built; values of its results."""
    from coremltools.converters.mil.frontend.torch.internal_graph import InternalTorchIRBlock, InternalTorchIRNode
    from coremltools.converters.mil.frontend.torch.ops import convert_block
    from coremltools.converters.mil.mil import Builder

    nodes = list(function.graph.nodes)
    inputs = [node.name for node in nodes if node.op == "placeholder"]
    constants = [node for node in nodes if node.op == "get_attr" and node.users]
    values = [Builder.const(val=getattr(function, str(node.target)).numpy(), name=node.name) for node in constants]
    returned: Any = nodes[-1].args[0]
    results = [returned] if isinstance(returned, fx.Node) else list(returned)
    block = InternalTorchIRBlock(
        inputs=[*inputs, *(node.name for node in constants)],
        outputs=[node.name for node in results],
        nodes=[InternalTorchIRNode.from_exir_node(node) for node in nodes if node.op == "call_function"],
    )
    found: list[Any] = convert_block(context, block, [*given, *values])
    return found


def _flag(var: Any) -> Any:
    """A condition as a scalar."""
    from coremltools.converters.mil.mil import Builder

    return Builder.squeeze(x=var) if var.rank else var
