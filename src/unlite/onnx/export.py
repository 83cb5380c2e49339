"""A prepared module through PyTorch's exporter."""

from __future__ import annotations

import logging
import re
import warnings
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import fx
from torch.fx import traceback as fx_traceback

from unlite.errors import UnsupportedOperatorError
from unlite.onnx.opsets import types_of
from unlite.onnx.translations import table
from unlite.pytorch.exported import decomposing_where_needed
from unlite.pytorch.mistakes import is_own_mistake

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_ir as ir

    from unlite.model.objects.subgraph import Subgraph
    from unlite.onnx.ends import Ends


def export(module: fx.GraphModule, ends: Ends, graph: Subgraph, opset: int) -> ir.Model:
    """The module as an ONNX graph, not optimized, with the exporter's names. Free sizes of the file's inputs are free.

    Raises UnsupportedOperatorError that says what cannot be expressed, and where.
    """
    for node in module.graph.nodes:
        if node.target is torch.fake_quantize_per_tensor_affine:
            node.target = torch.ops.unlite.on_grid.default
        if node.meta.get("tflite") is not None:
            node.meta["custom"] = {PLACE: node.meta["tflite"]}  # what torch.export hands on
    marked = _Marked(module)
    with _quiet(), torch.no_grad():
        try:
            program = _captured(marked, ends, graph)
        except Exception as error:
            if is_own_mistake(error):
                raise
            raise _refusal("torch.export does not take it", error, graph, []) from error
        try:
            with _unread_functions():
                made = torch.onnx.export(
                    decomposing_where_needed(program),
                    dynamo=True,
                    optimize=False,
                    verbose=False,
                    opset_version=opset,
                    custom_translation_table=table(types_of(opset)),
                )
        except torch.onnx.OnnxExporterError as error:
            if is_own_mistake(error):
                raise
            places = _places(program, _messages(error))
            raise _refusal(
                "ONNX cannot say it, or PyTorch's exporter does not know how", error, graph, places
            ) from error
    return made.model  # type: ignore[union-attr]  # with dynamo=True there is one


PLACE = "unlite.place"


class _Marked(torch.nn.Module):
    """Runs a module node by node, so that what is traced knows which operator of the file it belongs to."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, *values: Any) -> Any:
        with fx_traceback.preserve_node_meta():
            return fx.Interpreter(self.module).run(*values)


def _messages(error: BaseException) -> list[str]:
    """The error and what led to it, outermost first."""
    found: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        found.append(str(cause))
        cause = cause.__cause__
    return found


def _places(program: torch.export.ExportedProgram, messages: list[str]) -> list[tuple[int, int]]:
    """Operators of the file that a call stands for on which the exporter failed: all that make the same call."""
    found = re.search(r"translating node %(\w+) .*?target=([\w.]+)", "\n".join(messages))
    if found is None:
        return []
    name, target = found.groups()
    for nodes in (program.graph.nodes, program.run_decompositions().graph.nodes):
        same = [node for node in nodes if node.op == "call_function" and _called(node) == target]
        places = [node.meta.get("custom", {}).get(PLACE) for node in same or [n for n in nodes if n.name == name]]
        if any(places):
            return sorted({tuple(place) for place in places if place})
    return []


def _called(node: fx.Node) -> str:
    return f"torch.ops.{node.target}" if isinstance(node.target, torch._ops.OpOverload) else str(node.target)


def _refusal(what: str, error: Exception, graph: Subgraph, places: list[tuple[int, int]]) -> UnsupportedOperatorError:
    """The error for what cannot be exported, with the operators of the file in it."""
    operators = [graph.model.subgraphs[subgraph].operators[index] for subgraph, index in places]
    reason = next((line for text in reversed(_messages(error)) for line in text.strip().splitlines() if line), "")
    listed = ", ".join(f"{name} x{count}" for name, count in Counter(o.name for o in operators).items())
    return UnsupportedOperatorError(
        f"cannot be exported: {listed or 'the graph'}: {what}: {reason[:300]}",
        operators=tuple(operator.label for operator in operators),
        file=graph.model.file.name,
        path=operators[0].path if operators else graph.path,
    )


def _captured(module: torch.nn.Module, ends: Ends, graph: Subgraph) -> torch.export.ExportedProgram:
    """The module as torch.export has it: with free sizes where the network allows it, else with the file's own."""
    memories = [memory.initial for memory in ends.memories]
    for free in _free_axes(ends, graph):
        examples = [
            value.new_zeros([max(size, 2) if axis in axes else size for axis, size in enumerate(value.shape)])
            for value, axes in zip(ends.examples, free, strict=True)
        ]
        shapes: Any = [
            {axis: torch.export.Dim.AUTO if axis in axes else torch.export.Dim.STATIC for axis in range(value.ndim)}
            for value, axes in zip(examples, free, strict=True)
        ]
        shapes += [dict.fromkeys(range(value.ndim), torch.export.Dim.STATIC) for value in memories]
        try:
            return torch.export.export(module, (*examples, *memories), dynamic_shapes=(tuple(shapes),), strict=False)
        except Exception:  # noqa: BLE001, S112 - the network does not allow these sizes, in whichever way it says so
            continue
    return torch.export.export(module, (*ends.examples, *memories), strict=False)


def _free_axes(ends: Ends, graph: Subgraph) -> list[list[set[int]]]:
    """Which axes of the inputs may be free, best first: all that the file leaves free, then the first of them only."""
    everything: list[set[int]] = []
    for tensor, traced in zip(graph.inputs, ends.inputs, strict=True):
        axes = traced.axes if traced.axes is not None else range(len(tensor.shape))
        everything.append({place for place, axis in enumerate(axes) if tensor.shape_signature[axis] < 0})
    first = [axes & {0} for axes in everything]
    return [choice for choice in (everything, first) if any(choice)][: 1 if first == everything else 2]


@contextmanager
def _unread_functions() -> Iterator[None]:
    """Keeps onnxscript from parsing the text of its functions, for each one's domain, each time it lists them.

    A version of onnxscript that keeps them elsewhere is left as it is: it is slower, and gives the same.
    """
    import onnxscript

    functions: Any = getattr(getattr(onnxscript, "values", None), "TracedOnnxFunction", None)
    whole = getattr(functions, "function_ir", None)
    if whole is None:
        yield
        return
    functions.function_ir = property(_Named)
    try:
        yield
    finally:
        functions.function_ir = whole


class _Named:
    """What is asked of a function when it is listed."""

    def __init__(self, function: Any) -> None:
        self.domain = function.opset.domain


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the exporter from talking about itself."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
