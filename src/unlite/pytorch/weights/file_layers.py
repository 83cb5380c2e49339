"""What a model's operators with weights would be as layers of PyTorch.

Layer kinds are shared with ``net_layers.py``; both sides give a layer a signature, and equal signatures fit. Sources of
the operators' inputs: LiteRT tflite/kernels/{conv,fully_connected,transpose_conv,lstm_shared.h,basic_rnn}.cc and their
like. Needs no PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from unlite.pytorch.weights.axes import TRANSPARENT, WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from unlite.model.model import Model
    from unlite.model.objects.operator import Operator
    from unlite.model.objects.subgraph import Subgraph
    from unlite.model.objects.tensor import Tensor

Axes = tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """Constants that are one parameter in PyTorch.

    Attributes:
        tensors: One, or several that follow each other along the first axis, such as the gates of an LSTM.
        axes: The order in which PyTorch wants the axes of each; None for the file's own.
        note: What is worth knowing about it.
    """

    tensors: tuple[Tensor, ...]
    axes: Axes | None = None
    note: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """In PyTorch's order."""
        shapes = [turned(tensor.shape, self.axes) for tensor in self.tensors]
        return (sum(shape[0] for shape in shapes), *shapes[0][1:]) if len(shapes) > 1 else shapes[0]


@dataclass(frozen=True, eq=False)
class FileLayer:
    """An operator with weights.

    Attributes:
        operator: The operator.
        signature: Equal for layers whose weights fit each other.
        parts: PyTorch's name of a parameter, such as ``weight`` -> what it is in the file.
        is_reverse: Whether it reads its sequence from the end.
    """

    operator: Operator
    signature: Hashable
    parts: dict[str, Part] = field(default_factory=dict)
    is_reverse: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """What the file calls the layer and its weights."""
        stored = [tensor.name for part in self.parts.values() for tensor in part.tensors]
        return (*stored, *(output.name for output in self.operator.outputs if output is not None))

    @property
    def label(self) -> str:
        """For messages."""
        weights = next(iter(self.parts.values()))
        more = f" and {len(weights.tensors) - 1} more" if len(weights.tensors) > 1 else ""
        return f"{weights.tensors[0].name!r}{more} ({self.operator.name}, operator {self.operator.index})"


def turned(shape: tuple[int, ...], axes: Axes | None) -> tuple[int, ...]:
    """A shape with its axes in another order."""
    return shape if axes is None else tuple(shape[axis] for axis in axes)


def conv_signature(kind: str, shape: tuple[int, ...], groups: int) -> Hashable:
    """Signature of convolutions and linear layers. shape: [out, in / groups, ...], of up to three dimensions."""
    return kind, groups, shape[:2] + (1,) * (5 - len(shape)) + shape[2:]


def stored_constant(tensor: Tensor | None) -> Tensor | None:
    """The constant that a tensor is, behind DEQUANTIZE and DENSIFY; None where it is none."""
    seen: set[int] = set()
    while tensor is not None and not tensor.is_constant:
        producer = tensor.producer
        if producer is None or producer.name not in TRANSPARENT or tensor.index in seen or not producer.inputs:
            return None
        seen.add(tensor.index)
        tensor = producer.inputs[0]
    return tensor


def file_layers(model: Model) -> Iterator[FileLayer]:
    """The operators with constant weights, in the order in which they run."""
    for graph in model.subgraphs:
        for operator in graph.operators:
            read = _READERS.get(operator.name)
            if read is not None:
                yield from read(operator)


def upstream(layers: list[FileLayer]) -> list[set[int]]:
    """For each layer, the indices of those whose results it depends on."""
    at: dict[tuple[int, int], list[int]] = {}
    graphs: dict[int, Subgraph] = {}
    for index, layer in enumerate(layers):
        graph = layer.operator.subgraph
        graphs[graph.index] = graph
        at.setdefault((graph.index, layer.operator.index), []).append(index)
    found: list[set[int]] = [set() for _ in layers]
    for number, graph in graphs.items():
        before: dict[int, int] = {}  # tensor -> the layers that it depends on, a bit each
        for operator in graph.operators:
            mask = 0
            for tensor in operator.inputs:
                mask |= 0 if tensor is None else before.get(tensor.index, 0)
            own = at.get((number, operator.index), [])
            for index in own:
                found[index] = {bit for bit in range(mask.bit_length()) if mask >> bit & 1}
            for tensor in operator.outputs:
                if tensor is not None:
                    before[tensor.index] = mask | sum(1 << index for index in own)
    return found


def _input(operator: Operator, place: int) -> Tensor | None:
    """The constant that is an input."""
    inputs = operator.inputs
    return stored_constant(inputs[place]) if place < len(inputs) else None


def _part(operator: Operator, place: int, axes: Axes | None = None, note: str = "") -> Part | None:
    tensor = _input(operator, place)
    return None if tensor is None else Part((tensor,), axes, note)


def _convolution(bias: int, data: int) -> Callable[[Operator], Iterator[FileLayer]]:
    def read(operator: Operator) -> Iterator[FileLayer]:
        place, axes = WEIGHTS[operator.name]
        weight = _part(operator, place, axes)
        if weight is None or len(weight.tensors[0].shape) != len(axes):
            return
        kind = "transposed" if "TRANSPOSE" in operator.name else "conv"
        source = operator.inputs[data]
        channels = source.shape[-1] if source is not None and source.shape else 0
        inner = weight.shape[1]
        groups = channels // inner if kind == "conv" and inner and channels % inner == 0 else 1
        yield _layer(operator, conv_signature(kind, weight.shape, groups), weight=weight, bias=_part(operator, bias))

    return read


def _fully_connected(operator: Operator) -> Iterator[FileLayer]:
    weight = _part(operator, 1, note=_flattened(operator))
    if weight is not None and len(weight.shape) == 2 and _option(operator, "weights_format") in (None, "DEFAULT"):
        yield _layer(operator, conv_signature("conv", weight.shape, 1), weight=weight, bias=_part(operator, 2))


def _option(operator: Operator, name: str) -> Any:
    return getattr(operator.options, name, None)


def _flattened(operator: Operator) -> str:
    """A note where the columns of the weights run over a picture in the file's order."""
    data = operator.inputs[0]
    if data is not None and data.producer is not None and data.producer.name == "RESHAPE":
        data = data.producer.inputs[0]
    shape = data.shape if data is not None else ()
    if len(shape) == 4 and shape[1] * shape[2] > 1 and shape[3] > 1:
        height, width, channels = shape[1:]
        return (
            f"reads a flattened picture: columns are in the order height {height}, width {width}, channels {channels}; "
            "flatten x.permute(0, 2, 3, 1)"
        )
    return ""


def _prelu(operator: Operator) -> Iterator[FileLayer]:
    weight = _part(operator, 1)
    if weight is not None and weight.shape and all(size == 1 for size in weight.shape[:-1]):
        yield _layer(operator, ("prelu", weight.shape[-1]), weight=weight)


def _table(place: int) -> Callable[[Operator], Iterator[FileLayer]]:
    def read(operator: Operator) -> Iterator[FileLayer]:
        weight = _part(operator, place)
        if weight is not None and len(weight.shape) == 2:
            yield _layer(operator, ("embedding", weight.shape), weight=weight)

    return read


def _lstm(offsets: tuple[int, ...], extra: tuple[int, ...]) -> Callable[[Operator], Iterator[FileLayer]]:
    """LSTMs without peepholes and normalization, whose input gate has weights: others are no nn.LSTM.

    Gates stand in the file in the order input, forget, cell, output, which is PyTorch's.
    """

    def read(operator: Operator) -> Iterator[FileLayer]:
        inputs = operator.inputs
        for offset in offsets:
            refused = [*range(offset + 9, offset + 12), *extra]
            if any(place < len(inputs) and inputs[place] is not None for place in refused):
                continue
            gates = [_gates(operator, offset + first) for first in (1, 5, 12)]
            if gates[0] is None or gates[1] is None:
                continue
            projection = _part(operator, offset + 16)
            sizes = gates[0].shape, gates[1].shape, None if projection is None else projection.shape
            gates[0] = Part(gates[0].tensors, note=_differs(operator))
            parts = {"weight_ih": gates[0], "weight_hh": gates[1], "bias": gates[2], "weight_hr": projection}
            yield _layer(operator, ("lstm", *sizes), bool(offset) or _reads_reversed(operator), **parts)

    return read


def _differs(operator: Operator) -> str:
    """What the operator does and nn.LSTM does not."""
    clips = [(word, _option(operator, name)) for word, name in (("cell", "cell_clip"), ("output", "proj_clip"))]
    told = [f"the file clips the {word} to +-{limit:g}" for word, limit in clips if limit]
    activation = _option(operator, "fused_activation_function")
    if activation not in (None, "TANH"):
        told.append(f"the file's activation is {activation}")
    return f"{', '.join(told)}; PyTorch's has nothing like it" if told else ""


def _gates(operator: Operator, first: int) -> Part | None:
    found = [tensor for place in range(first, first + 4) if (tensor := _input(operator, place)) is not None]
    return Part(tuple(found)) if len(found) == 4 and len({tensor.shape for tensor in found}) == 1 else None


def _rnn(offsets: tuple[int, ...]) -> Callable[[Operator], Iterator[FileLayer]]:
    def read(operator: Operator) -> Iterator[FileLayer]:
        for offset in offsets:
            weight, recurrent, bias = (_part(operator, offset + place) for place in (1, 2, 3))
            if weight is not None and recurrent is not None:
                parts = {"weight_ih": weight, "weight_hh": recurrent, "bias": bias}
                is_reverse = bool(offset) or _reads_reversed(operator)
                yield _layer(operator, ("rnn", weight.shape, recurrent.shape), is_reverse, **parts)

    return read


def _reads_reversed(operator: Operator) -> bool:
    data = operator.inputs[0]
    return data is not None and data.producer is not None and data.producer.name.startswith("REVERSE")


def _layer(operator: Operator, signature: Hashable, is_reverse: bool = False, **parts: Part | None) -> FileLayer:
    return FileLayer(operator, signature, {name: part for name, part in parts.items() if part is not None}, is_reverse)


_READERS: dict[str, Callable[[Operator], Iterator[FileLayer]]] = {
    "CONV_2D": _convolution(bias=2, data=0),
    "DEPTHWISE_CONV_2D": _convolution(bias=2, data=0),
    "CONV_3D": _convolution(bias=2, data=0),
    "TRANSPOSE_CONV": _convolution(bias=3, data=2),
    "CONV_3D_TRANSPOSE": _convolution(bias=3, data=2),
    "FULLY_CONNECTED": _fully_connected,
    "PRELU": _prelu,
    "EMBEDDING_LOOKUP": _table(1),
    "GATHER": _table(0),
    "LSTM": _lstm((0,), (20, 21, 22, 23)),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm((0,), (20, 21, 22, 23)),
    "BIDIRECTIONAL_SEQUENCE_LSTM": _lstm((0, 17), ()),
    "RNN": _rnn((0,)),
    "UNIDIRECTIONAL_SEQUENCE_RNN": _rnn((0,)),
    "BIDIRECTIONAL_SEQUENCE_RNN": _rnn((0, 4)),
}
