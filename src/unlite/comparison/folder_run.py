"""A folder that ``convert --to torch`` wrote: run as it is now, its values matched with the tensors of the file.

A written network names no tensors, and people change it. So every PyTorch operation is noted while it runs, with its
line in ``model.py``, and beside it those of the module that the model converts to, where each node knows its tensor.
Both make the same operations in the same order, but for what was changed, and for permutes.
"""

from __future__ import annotations

import json
import os
import sys
from difflib import SequenceMatcher
from itertools import permutations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from unlite.comparison.candidate import Candidate, output_from, real_values
from unlite.comparison.distance import RELATIVE_FLOOR, measure, value_span
from unlite.comparison.names import IO, end_axes
from unlite.comparison.torch_run import (
    FAILURES,
    Unchanged,
    Walk,
    as_array,
    carried,
    first_line,
    in_order,
    module_inputs,
    tensors_of,
)  # fmt: skip
from unlite.errors import UnsupportedFormatError
from unlite.pytorch.source.folder import LARGEST_HEADER, MARK, SOURCE, WEIGHTS, load_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import fx

    from unlite.model.objects.subgraph import Subgraph

    Array = NDArray[Any]

REORDERING = ("permute", "transpose", "t", "clone", "contiguous", "detach", "alias", "copy_", "lift_fresh", "numpy_T")
"""Operations that change no values; writing source moves them."""
MOST_AXES = 5  # of a value that is tried in every order
MOST_OPERATIONS = 20_000  # of one run that are matched: a loop of many steps has more


class Operation(NamedTuple):
    """One PyTorch operation of a run.

    Attributes:
        kind: Its name, and the sizes of what it gave, in any order.
        value: What it gave.
        line: Of ``model.py``; 0 for elsewhere.
    """

    kind: tuple[str, tuple[int, ...]]
    value: torch.Tensor | None
    line: int


class Notes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes each operation that gives a tensor and may change values.

    Args:
        file: The source whose lines count; None for none. Values are kept where there is one.
    """

    def __init__(self, file: str | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._file = file
        self.operations: list[Operation] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = str(func.overloadpacket).rpartition(".")[2]
        value = result[0] if name.endswith("_with_indices") else result
        if isinstance(value, torch.Tensor) and name not in REORDERING and len(self.operations) <= MOST_OPERATIONS:
            kept = value.detach() if self._file is not None else None
            self.operations.append(Operation((name, tuple(sorted(value.shape))), kept, self._line()))
        return result

    def _line(self) -> int:
        if self._file is None:
            return 0
        frame = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_filename == self._file:
                return frame.f_lineno
            frame = frame.f_back  # type: ignore[assignment]  # None at the end
        return 0


class WrittenFolder:
    """A folder that convert wrote, recognised and loaded. Loading runs its ``model.py``: whoever names it wants that.

    Args:
        path: The folder.

    Attributes:
        quantized: The mode in which it was converted.
        channels_first: Whether its layout is PyTorch's.

    Raises:
        UnsupportedFormatError: it is no such folder (then nothing in it is run), or it does not load.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        header = _recognised(path)
        self._ends: list[dict[str, Any]] = header.get(IO) or []
        self.quantized = str(header.get("unlite.quantized", "float"))
        self.channels_first = any(end.get("layout") == "NCHW" for end in self._ends)
        self._network = load_folder(path)

    def run(
        self, bridge: fx.GraphModule, subgraph: Subgraph, inputs: Sequence[Array], known: Mapping[int, Array]
    ) -> Candidate:
        """Runs it on the file's inputs.

        Args:
            bridge: What ``to_torch`` makes of the model, in the mode of the folder, in any layout.
            subgraph: What it was made from.
            inputs: Stored values, in the file's order.
            known: The reference's values, which tell in which order axes are stored where sizes do not.

        Raises:
            UnsupportedFormatError: it fails.
        """
        notes = Notes(type(self._network).forward.__code__.co_filename)
        with torch.no_grad(), Unchanged(self._network):
            try:
                with notes:
                    results = self._network(*self._inputs(bridge, subgraph, inputs))
            except FAILURES as error:
                line = notes.operations[-1].line if notes.operations else 0
                where = f" after line {line} of {SOURCE}" if line else ""
                raise UnsupportedFormatError(f"fails{where}: {first_line(error)}.", file=self.path) from error
            values, lines = self._tensors(notes, bridge, subgraph, inputs, known)
        outputs = results if isinstance(results, (tuple, list)) else (results,)
        if len(outputs) != len(subgraph.outputs):
            problem = f"gives {len(outputs)} outputs, the .tflite has {len(subgraph.outputs)}."
            raise UnsupportedFormatError(problem, file=self.path)
        layouts = {end["index"]: end["layout"] for end in self._ends if end["kind"] == "output"}
        for place, (tensor, value) in enumerate(zip(subgraph.outputs, outputs, strict=True)):
            if isinstance(value, torch.Tensor):
                shape = known[tensor.index].shape if tensor.index in known else tensor.shape
                values[tensor.index] = output_from(as_array(value), shape, layouts.get(place))
        return Candidate("PyTorch, from the folder", values, lines, self.quantized == "exact")

    def _inputs(self, bridge: fx.GraphModule, subgraph: Subgraph, inputs: Sequence[Array]) -> list[torch.Tensor]:
        layouts = {end["index"]: end["layout"] for end in self._ends if end["kind"] == "input"}
        wanted = [node.meta["val"].dtype.is_floating_point for node in bridge.graph.nodes if node.op == "placeholder"]
        given = []
        for place, (tensor, stored, floats) in enumerate(zip(subgraph.inputs, inputs, wanted, strict=True)):
            value = carried(stored, tensor, floats)
            given.append(in_order(value, end_axes(layouts.get(place, "file"), value.ndim)).contiguous())
        return given

    def _tensors(
        self,
        notes: Notes,
        bridge: fx.GraphModule,
        subgraph: Subgraph,
        inputs: Sequence[Array],
        known: Mapping[int, Array],
    ) -> tuple[dict[int, Array], dict[int, int]]:
        """Values by tensor, and the lines that computed them."""
        pairs = _NodeNotes(bridge, subgraph)
        try:
            marks = pairs.marks(module_inputs(bridge, subgraph, inputs))
        except FAILURES:
            return {}, {}  # control flow does not let itself be watched; outputs are compared all the same
        found: dict[int, Array] = {}
        lines: dict[int, int] = {}
        carries = self.quantized != "exact"
        matched = _matched([o.kind for o in pairs.notes.operations], [o.kind for o in notes.operations])
        for index, mark in marks.items():
            operation = notes.operations[matched[mark]] if mark in matched else None
            if operation is None or operation.value is None or index not in known:
                continue
            reference = real_values(subgraph.tensors[index], known[index]) if carries else known[index]
            value = _arranged(as_array(operation.value), reference)
            if value is not None:
                found[index] = value
                lines[index] = operation.line
        return found, {index: line for index, line in lines.items() if line}


class _NodeNotes:
    """Runs a module that knows its tensors, and tells which operation each of them is."""

    def __init__(self, module: fx.GraphModule, subgraph: Subgraph) -> None:
        self._module, self._subgraph = module, subgraph
        self.notes = Notes(None)

    def marks(self, inputs: Sequence[torch.Tensor]) -> dict[int, int]:
        """Index of a tensor -> place of the operation that gives it, permutes apart."""
        last: dict[fx.Node, int] = {}
        notes, subgraph = self.notes, self._subgraph

        class Marking(Walk):
            def run_node(self, n: fx.Node) -> Any:
                before = len(notes.operations)
                with notes:
                    value = super().run_node(n)
                if len(notes.operations) > before:
                    last[n] = len(notes.operations) - 1
                elif n.op.startswith("call_") and n.all_input_nodes and n.all_input_nodes[0] in last:
                    last[n] = last[n.all_input_nodes[0]]  # a permute
                return value

        with Unchanged(self._module):
            Marking(self._module, subgraph, lambda *_: None).run(*inputs)
        return {
            index: last[node]
            for node in self._module.graph.nodes
            if node in last
            for index in tensors_of(node, subgraph.index)
        }


def _matched(mine: list[Any], theirs: list[Any]) -> dict[int, int]:
    """Places of operations here -> places of the same ones there."""
    if mine == theirs:
        return {place: place for place in range(len(mine))}
    if max(len(mine), len(theirs)) > MOST_OPERATIONS:
        return {}
    blocks = SequenceMatcher(None, mine, theirs, autojunk=False).get_matching_blocks()
    found = {block.a + i: block.b + i for block in blocks for i in range(block.size)}
    # What is left: first the same ones in another place, then others that give the same sizes.
    _pair(mine, theirs, found, lambda kind: kind)
    _pair(mine, theirs, found, lambda kind: kind[1])
    return found


def _pair(mine: list[Any], theirs: list[Any], found: dict[int, int], key: Callable[[Any], Any]) -> None:
    """Pairs what is unmatched and of one key in its order, where both sides have as many."""
    taken = set(found.values())
    left: dict[Any, tuple[list[int], list[int]]] = {}
    for place, kind in enumerate(mine):
        if place not in found:
            left.setdefault(key(kind), ([], []))[0].append(place)
    for place, kind in enumerate(theirs):
        if place not in taken:
            left.setdefault(key(kind), ([], []))[1].append(place)
    for a, b in left.values():
        if len(a) == len(b):
            found.update(zip(a, b, strict=True))


def _arranged(value: Array, reference: Array) -> Array | None:
    """A value with its axes in the reference's order; None where no order fits. Of several that fit, the nearest."""
    if value.ndim != reference.ndim:
        return None
    best: Array | None = None
    least = np.inf
    near = RELATIVE_FLOOR * value_span(reference) if reference.dtype.kind in "fiu" else 0.0
    for axes in permutations(range(value.ndim)) if value.ndim <= MOST_AXES else [tuple(range(value.ndim))]:
        moved = value.transpose(axes)
        if moved.shape != reference.shape:
            continue
        apart = measure(reference, moved, 0.0).max_abs
        if best is None or apart < least:
            best, least = moved, apart
        if apart <= near:
            break
    return best


def _recognised(path: str) -> dict[str, Any]:
    """The header of a folder's weights, where convert wrote the folder. Nothing in it is run."""
    source, weights = os.path.join(path, SOURCE), os.path.join(path, WEIGHTS)
    header: dict[str, Any] = {}
    try:
        with open(source, "rb") as file:
            is_ours = file.read(len(MARK)) == MARK.encode()
        with open(weights, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length <= LARGEST_HEADER:
                header = json.loads(file.read(length))["__metadata__"]
        if IO in header:
            header[IO] = [
                {"kind": str(end["kind"]), "index": int(end["index"]), "layout": str(end["layout"])}
                for end in json.loads(header[IO])
            ]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        is_ours = False
    if not is_ours:
        raise UnsupportedFormatError(
            "is no folder that unlite convert wrote: model.py and model.safetensors are wanted, as it writes them.",
            file=path,
            hint="Load a network of your own in Python, and hand it to unlite.compare.",
        )
    return header
