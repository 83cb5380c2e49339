"""What goes where between a network and a model: the plan behind ``load_weights``, and behind the way back."""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

from unlite.errors import AmbiguousNameError, InvalidTypeError, InvalidValueError, NoDataError, NotFoundError
from unlite.model.formats.weights import keyed_constants, place_of
from unlite.model.values.requantize import has_real_values
from unlite.pytorch.weights.axes import torch_axes
from unlite.pytorch.weights.file_layers import FileLayer, Part, file_layers, stored_constant, turned, upstream
from unlite.pytorch.weights.matching import Item, Pair, match
from unlite.pytorch.weights.net_layers import FOLDED, NetLayer, Network, take_apart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from unlite.model.model import Model
    from unlite.model.objects.tensor import Tensor

    Mapped = str | int | Sequence[str | int] | None


class Entry(NamedTuple):
    """A parameter and the constants that it is.

    Attributes:
        keys: Of the parameter; where there are several, their sum is meant, and all but the first are zeros.
        part: The constants.
        shape: Of the parameter.
        how: What decided.
    """

    keys: tuple[str, ...]
    part: Part
    shape: tuple[int, ...]
    how: str


NOTHING = Part(())
"""What the file leaves out because it is zeros."""


@dataclass
class Plan:
    """What goes where.

    Attributes:
        state: Key -> parameter or buffer of the network.
        shapes: Key -> sizes.
        entries: What was matched.
        missing: Keys of parameters that the model has nothing for.
        left_in_net: Key -> why it is left as it is.
        left_in_model: Constants with real values that are not in ``entries`` -> their shapes in PyTorch's order.
    """

    state: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]
    entries: list[Entry] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    left_in_net: dict[str, str] = field(default_factory=dict)
    left_in_model: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def left_text(self, most: int = 12) -> str:
        """What is left in the model, in words."""
        texts = [f"{key!r} {list(shape)}" for key, shape in self.left_in_model.items()]
        return ", ".join(texts[:most]) + (f", and {len(texts) - most} more" if len(texts) > most else "") or "nothing"


def plan_weights(net: torch.nn.Module, model: Model, mapping: Mapping[str, Mapped]) -> Plan:
    """Decides what goes where; see ``load_weights``. Reads no weights.

    Raises:
        InvalidValueError: the mapping does not fit, or it is not clear what goes where.
    """
    return _Planner(take_apart(net), model, mapping).run()


def real_values(entry: Entry) -> NDArray[np.float32]:
    """Real values of a parameter, in its shape: a new array."""
    import numpy as np

    if not entry.part.tensors:
        return np.zeros(entry.shape, np.float32)
    axes = entry.part.axes
    arrays = [tensor.dequantize() for tensor in entry.part.tensors]
    joined = [array if axes is None else array.transpose(axes) for array in arrays]
    whole = np.concatenate(joined) if len(joined) > 1 else joined[0]
    return np.array(whole.reshape(entry.shape), np.float32, order="C")


class _Planner:
    def __init__(self, network: Network, model: Model, mapping: Mapping[str, Mapped]) -> None:
        self._network, self._model = network, model
        self._plan = Plan(network.state, {key: tuple(value.shape) for key, value in network.state.items()})
        self._mapped = self._resolve(mapping)
        self._layers = list(file_layers(model))
        self._placed: set[str] = set()

    def run(self) -> Plan:
        plan, network = self._plan, self._network
        unclear = self._match_layers()
        for key, part in self._mapped.items():
            if key in self._placed:
                continue
            if part is None:
                plan.left_in_net[key] = "the mapping says so"
            else:
                plan.entries.append(Entry((key,), self._fitting(key, part), plan.shapes[key], "mapping"))
            self._placed.add(key)
        unclear += self._match_single()
        if unclear:
            raise InvalidValueError(
                f"it is not clear what goes where: {'; '.join(unclear)}.",
                hint="Say it: mapping={key of the network: name or index of the tensor, ...}. Nothing was changed.",
            )
        plan.left_in_net |= dict.fromkeys((key for key in network.folded if key not in self._placed), FOLDED)
        plan.left_in_net |= dict.fromkeys((key for key in network.buffers if key not in self._placed), "a buffer")
        plan.missing = [key for key in network.state if key not in self._placed and key not in plan.left_in_net]
        for key, tensor in self._left().items():
            plan.left_in_model[key] = turned(tensor.shape, torch_axes(tensor))
        order = {key: number for number, key in enumerate(network.state)}
        plan.entries.sort(key=lambda entry: order[entry.keys[0]])
        return plan

    # -- layers --------------------------------------------------------------------------------------------------------

    def _match_layers(self) -> list[str]:
        """Layers and operators. Returns what is unclear."""
        decided: list[Pair] = []
        mine: list[NetLayer] = []
        for layer in self._network.layers:
            name, keys = next(iter(layer.parts.items()))
            part = self._mapped.get(keys[0])
            if part is None and keys[0] in self._mapped:
                continue  # is left as it is
            mine.append(layer)
            if part is not None:
                alike = [i for i, other in enumerate(self._layers) if _is_same(other.parts.get(name), part)]
                alike = [i for i in alike if self._layers[i].signature == layer.signature]
                if alike:
                    decided.append(Pair(len(mine) - 1, alike[0], "mapping"))
                else:
                    mine.pop()
        # A network without layers that read backwards may turn the sequence around by itself.
        turns = any(layer.is_reverse for layer in mine)
        net = [Item(layer.label, (layer.signature, layer.is_reverse), (layer.path,)) for layer in mine]
        file = [
            Item(layer.label, (layer.signature, layer.is_reverse and turns), layer.names, _same(layer))
            for layer in self._layers
        ]
        before = upstream(self._layers)
        pairs, unclear = match(net, file, lambda first, second: first in before[second], decided)
        for pair in sorted([*decided, *pairs]):
            self._place(mine[pair.net], self._layers[pair.file], pair.how)
        return unclear

    def _place(self, layer: NetLayer, found: FileLayer, how: str) -> None:
        for name, keys in layer.parts.items():
            part = found.parts.get(name, NOTHING)
            shape = self._plan.shapes[keys[0]]
            mapped = [key for key in keys if key in self._mapped]
            if how == "mapping" and keys[0] in self._mapped and _is_same(part, self._mapped[keys[0]]):
                mapped = [key for key in mapped if key != keys[0]]
            if mapped or (part.tensors and _squeezed(part.shape) != _squeezed(shape)):
                continue  # the mapping says something else; or it is told as missing
            self._plan.entries.append(Entry(keys, part, shape, how))
            self._placed.update(keys)

    # -- parameters beside layers --------------------------------------------------------------------------------------

    def _match_single(self) -> list[str]:
        """Parameters of no known layer, and constants that no layer took. Returns what is unclear."""
        keys = [key for key in self._network.single if key not in self._placed]
        if not keys:
            return []
        tensors = list(self._left().values())
        net = [Item(f"'{key}'", _leading(self._plan.shapes[key]), (key,)) for key in keys]
        file = [
            Item(
                f"{tensor.name!r} (tensor {tensor.index})",
                _leading(turned(tensor.shape, torch_axes(tensor))),
                (tensor.name,),
                place_of(tensor),
            )
            for tensor in tensors
        ]
        pairs, unclear = match(net, file, lambda _first, _second: False)
        for pair in pairs:
            tensor, key = tensors[pair.file], keys[pair.net]
            self._plan.entries.append(
                Entry((key,), Part((tensor,), torch_axes(tensor)), self._plan.shapes[key], pair.how)
            )
            self._placed.add(key)
        return unclear

    def _left(self) -> dict[str, Tensor]:
        """Constants with real values that no entry has, by key."""
        entries = self._plan.entries
        used = {(tensor.subgraph.index, tensor.index) for entry in entries for tensor in entry.part.tensors}
        return {
            key: tensor
            for key, (_, tensor, aliases) in keyed_constants(self._model).items()
            if has_real_values(tensor)
            and not used.intersection((each.subgraph.index, each.index) for each in (tensor, *aliases))
        }

    # -- the mapping ---------------------------------------------------------------------------------------------------

    def _resolve(self, mapping: Mapping[str, Mapped]) -> dict[str, Part | None]:
        unknown = [key for key in mapping if key not in self._plan.state]
        if unknown:
            near = [
                f"{key!r} -> {found[0]!r}" for key in unknown if (found := get_close_matches(key, self._plan.state))
            ]
            raise InvalidValueError(
                f"the mapping has keys that are not in the network: {', '.join(map(repr, unknown[:10]))}.",
                hint=f"Close: {', '.join(near[:10])}." if near else None,
            )
        resolved: dict[str, Part | None] = {}
        for key, wanted in mapping.items():
            if wanted is None:
                resolved[key] = None
                continue
            several = tuple(wanted) if isinstance(wanted, (list, tuple)) else (wanted,)
            tensors = tuple(find_constant(self._model, each) for each in several)
            if len({tensor.shape for tensor in tensors}) != 1:
                raise InvalidValueError(f"the mapping of {key!r} joins no tensors, or tensors of several shapes.")
            resolved[key] = Part(tensors, torch_axes(tensors[0]))
        return resolved

    def _fitting(self, key: str, part: Part) -> Part:
        """The part in the order of axes that fits a parameter."""
        shape = self._plan.shapes[key]
        for found in (part, Part(part.tensors)):
            if _squeezed(found.shape) == _squeezed(shape):
                return found
        raise InvalidValueError(
            f"{key!r} is {list(shape)}, but {', '.join(repr(tensor.name) for tensor in part.tensors)} is "
            f"{list(part.shape)} in PyTorch's order."
        )


def find_constant(model: Model, wanted: str | int) -> Tensor:
    """The constant with real values that a name, a key of ``read_weights``, or an index in the main subgraph means.

    Raises:
        NotFoundError: there is none of that name; AmbiguousNameError: there are several.
        NoDataError: it is no constant.
    """
    if isinstance(wanted, bool) or not isinstance(wanted, (str, int)):
        raise InvalidTypeError(f"a tensor's name or index is wanted, not {wanted!r:.60}.")
    if isinstance(wanted, int):
        tensor: Tensor = model.main.tensors[wanted]
    else:
        constants = keyed_constants(model)
        bearers = [t for graph in model.subgraphs for t in graph.tensors if t.name == wanted]
        if wanted in constants:
            bearers = [constants[wanted].tensor]
        if not bearers:
            near = get_close_matches(wanted, [*constants], 3)
            raise NotFoundError(
                f"there is no tensor {wanted!r}.", hint=f"Close: {', '.join(map(repr, near))}." if near else None
            )
        if len(bearers) > 1:
            raise AmbiguousNameError(wanted, tuple(tensor.index for tensor in bearers), path="tensors")
        tensor = bearers[0]
    found = stored_constant(tensor)
    if found is None or not has_real_values(found):
        raise NoDataError(f"{tensor.name!r} holds no real numbers.", path=tensor.path)
    return found


def _is_same(part: Part | None, other: Part | None) -> bool:
    mine, theirs = ([place_of(t) for t in each.tensors] if each is not None else None for each in (part, other))
    return mine is not None and mine == theirs


def _same(layer: FileLayer) -> object:
    return tuple((name, place_of(tensor)) for name, part in layer.parts.items() for tensor in part.tensors)


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _leading(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without the ones in front."""
    first = next((place for place, size in enumerate(shape) if size != 1), len(shape))
    return shape[first:]
