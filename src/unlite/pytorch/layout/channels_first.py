"""``layout="nchw"``: the axes of pictures in PyTorch's order throughout, so that no permutes are left on the way.

Lowering keeps the file's order and puts a permute on both sides of every convolution. Here an order is chosen for each
value, so that as few permutes as possible are needed; then the graph is written anew, and a permute is put only where a
call wants a value in another order than it is stored in.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import torch
from torch import fx

from unlite.pytorch.layout.axis_orders import Axes, Rule, plain
from unlite.pytorch.layout.order_choice import CHANNELS_FIRST, Orders

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unlite.model.objects.subgraph import Subgraph

ENDS, AXES = "unlite.io", "unlite.axes"


def record_ends(module: fx.GraphModule, subgraph: Subgraph) -> None:
    """Notes what the inputs and outputs are, in ``meta["unlite.io"]``: a list of dictionaries.

    ``name``; ``kind``: "input" or "output"; ``index``: place among the inputs or outputs; ``layout``: "file", or "NCHW"
    where the file has NHWC; ``dtype``: as in the file; ``scale``: of a tensor that is quantized as a whole, else None.
    """
    module.meta[ENDS] = [
        {
            "name": tensor.name,
            "kind": kind,
            "index": index,
            "layout": "file",
            "dtype": tensor.dtype,
            "scale": float(scales[0]) if len(scales) == 1 else None,
        }
        for kind, tensors in (("input", subgraph.inputs), ("output", subgraph.outputs))
        for index, tensor in enumerate(tensors)
        for scales in ([] if tensor.quantization is None else tensor.quantization.scale,)
    ]


def to_channels_first(module: fx.GraphModule) -> None:
    """Rearranges a lowered module, in place.

    Where a node's value is not in the file's order, its ``meta["axes"]`` has the order: it is the file's tensor,
    permuted by it. Constants and state that calls want in another order are stored in it, under the same key, and
    ``module.meta["unlite.axes"]`` has key -> order; where that is longer than the file's shape, the constant has got
    axes of size 1 in front first. Inputs and outputs become NCHW only where that saves a permute; ``meta["unlite.io"]``
    says which.
    """
    module.meta[AXES] = {}
    for inner in [part for part in module.modules() if isinstance(part, fx.GraphModule) and part is not module]:
        _arrange(inner, inner_function=True)
    _arrange(module)


def _arrange(module: fx.GraphModule, *, inner_function: bool = False) -> None:
    orders = Orders(module.graph, ends=not inner_function)
    before = orders.total()
    orders.improve()
    if orders.total() == before:
        return
    if not inner_function:
        _mark_ends(module, orders)
    module.graph = _Writer(module, orders).run()


def _mark_ends(module: fx.GraphModule, orders: Orders) -> None:
    """Notes which inputs and outputs become NCHW."""
    nodes = list(module.graph.nodes)
    returned: Any = nodes[-1].args[0]
    ends = {
        "input": [node for node in nodes if node.op == "placeholder"],
        "output": list(returned) if isinstance(returned, (tuple, list)) else [returned],
    }
    for fact in module.meta.get(ENDS, ()):
        if orders.of(ends[fact["kind"]][fact["index"]]) == CHANNELS_FIRST:
            fact["layout"] = "NCHW"


class _Writer:
    """Writes a module's graph anew, its values in the chosen orders."""

    def __init__(self, module: fx.GraphModule, orders: Orders) -> None:
        self._module = module
        self._orders = orders
        self._graph = fx.Graph()
        self._made: dict[tuple[fx.Node, Axes], fx.Node] = {}  # old node and order -> new node
        self._views: dict[fx.Node, tuple[fx.Node, Axes]] = {}  # a new permute -> of what, and how
        self._permuted: dict[tuple[fx.Node, Axes], fx.Node] = {}
        self._targets = Counter(str(node.target) for node in module.graph.nodes if node.op == "get_attr")

    def run(self) -> fx.Graph:
        """The new graph."""
        old = self._module.graph
        for node in old.nodes:
            rule = self._orders.rules.get(node)
            order = self._orders.of(node)
            if node.op == "get_attr" and isinstance(node.meta.get("val"), torch.Tensor):
                order = self._stored(node)
            if rule is not None and rule.is_permute:
                self._made[node, order] = self._without_permute(node, rule, order)
            else:
                self._made[node, order] = self._copied(node, rule, order)
        self._graph.set_codegen(old._codegen)
        self._graph.eliminate_dead_code(is_impure_node=_is_impure)
        return self._graph

    def _copied(self, node: fx.Node, rule: Rule | None, order: Axes) -> fx.Node:
        args, kwargs = node.args, node.kwargs
        if rule is not None and not self._orders.is_part(node):
            held = {operand: self._orders.wanted(node, operand) for operand in rule.links}
            args, kwargs = rule.write(order, held)
        args, kwargs = fx.node.map_arg(
            (args, kwargs), lambda operand: self._in_order(operand, self._orders.wanted(node, operand), node)
        )
        made = self._graph.create_node(node.op, node.target, args, kwargs, node.name, node.type)
        made.meta = dict(node.meta)
        if order != plain(len(order)):
            made.meta.update(axes=order, val=_permuted(node.meta["val"], order))
        return made

    def _without_permute(self, node: fx.Node, rule: Rule, order: Axes) -> fx.Node:
        """What a permute gives, in an order: mostly its operand. The tensor that it is goes over to that."""
        (operand,) = rule.links
        made = self._in_order(operand, self._orders.wanted(node, operand), node)
        axes = () if order == plain(len(order)) else order
        if "tensor" in node.meta and "tensor" not in made.meta:
            made.meta.pop("axes", None)
            made.meta.update({key: node.meta[key] for key in ("tensor", "tensors") if key in node.meta})
            if axes:
                made.meta["axes"] = axes
        elif "tensors" in node.meta and made.meta.get("axes", ()) == axes:
            made.meta["tensors"] = [*made.meta.get("tensors", ()), *node.meta["tensors"]]
        return made

    def _in_order(self, node: fx.Node, order: Axes, user: fx.Node) -> fx.Node:
        """An old node's value in an order; permuted here where it is not stored that way."""
        found = self._made.get((node, order))
        if found is None:
            held = self._orders.of(node)
            found = self._made[node, order] = self._reordered(self._made[node, held], held, order, user)
        return found

    def _reordered(self, made: fx.Node, held: Axes, order: Axes, user: fx.Node) -> fx.Node:
        more = len(order) - len(held)
        if more and len(held) == 1:  # a vector, which broadcasting has put at the end
            return self._call(made, "reshape", (-1, *[1] * (len(order) - 1 - order.index(more))), user)
        for _ in range(more):
            made = self._call(made, "unsqueeze", (0,), user)
        lengthened = (*range(more), *(more + axis for axis in held))
        axes = tuple(lengthened.index(axis) for axis in order)
        if made in self._views:
            made, first = self._views[made]
            axes = tuple(first[axis] for axis in axes)
        if axes == plain(len(axes)):
            return made
        if (made, axes) not in self._permuted:
            permute = self._call(made, "permute", axes, user)
            self._views[permute] = made, axes
            self._permuted[made, axes] = permute
        return self._permuted[made, axes]

    def _call(self, made: fx.Node, method: str, args: Sequence[int], user: fx.Node) -> fx.Node:
        node = self._graph.call_method(method, (made, *args))
        node.meta.update(tflite=user.meta.get("tflite"), val=getattr(made.meta["val"], method)(*args))
        return node

    def _stored(self, node: fx.Node) -> Axes:
        """The order of a constant; where it is not the file's, the module's parameter gets it."""
        held, key = self._orders.of(node), str(node.target)
        order = self._orders.stored(node)
        if order == held or self._targets[key] > 1:
            return held
        values = getattr(self._module, key)
        trainable = isinstance(values, torch.nn.Parameter)
        shape = (1,) * (len(order) - len(held)) + tuple(values.shape)
        permuted = values.detach().reshape(shape).permute(order).contiguous()
        setattr(self._module, key, torch.nn.Parameter(permuted, values.requires_grad) if trainable else permuted)
        self._module.meta[AXES][key] = order
        initial = self._module.meta["unlite.state"]
        if key in initial and initial[key].ndim:
            initial[key] = initial[key].reshape(shape).permute(order).contiguous()
        return order


def _permuted(value: Any, order: Axes) -> Any:
    """A fake value, or each of several, in an order that may have more axes."""
    if not isinstance(value, torch.Tensor):
        return type(value)(_permuted(part, order) for part in value)
    return value.reshape((1,) * (len(order) - value.ndim) + tuple(value.shape)).permute(order)


def _is_impure(node: fx.Node) -> bool:
    return node.op in ("placeholder", "output") or (node.op == "call_method" and str(node.target).endswith("_"))
