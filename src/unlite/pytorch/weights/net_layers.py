"""What somebody's own network is made of: layers whose weights a model may have, and parameters beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from unlite.pytorch.weights.file_layers import conv_signature

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

FOLDED = "batch normalization; converters fold it into the weights before it"


@dataclass(frozen=True, eq=False)
class NetLayer:
    """A layer.

    Attributes:
        path: Of its module.
        signature: As in ``file_layers.py``.
        parts: Name of a parameter, as in ``file_layers.py`` -> its keys in the network's state. Where there are
            several, their sum counts.
        is_reverse: Whether it reads its sequence from the end.
    """

    path: str
    signature: Hashable
    parts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    is_reverse: bool = False

    @property
    def label(self) -> str:
        """For messages."""
        return repr(self.path or next(iter(self.parts.values()))[0])


@dataclass
class Network:
    """A network, taken apart.

    Attributes:
        state: Key -> parameter or buffer.
        layers: In the order in which they were made.
        single: Keys of parameters that belong to no layer known here.
        folded: Keys of batch normalization.
        buffers: Keys of other buffers.
    """

    state: dict[str, Any]
    layers: list[NetLayer] = field(default_factory=list)
    single: list[str] = field(default_factory=list)
    folded: list[str] = field(default_factory=list)
    buffers: list[str] = field(default_factory=list)


def take_apart(net: nn.Module) -> Network:
    """The layers of a network. Parameters that several names lead to are there once."""
    network = Network({})
    taken: set[int] = set()
    for path, module in net.named_modules():
        own = {_key(path, name): value for name, value in module.named_parameters(recurse=False)}
        buffers = {
            _key(path, name): value
            for name, value in module.named_buffers(recurse=False)
            if name not in module._non_persistent_buffers_set
        }
        own = {key: value for key, value in own.items() if id(value) not in taken}
        taken.update(id(value) for value in own.values())
        network.state |= own | buffers
        if isinstance(module, _BatchNorm):
            network.folded += [*own, *buffers]
            continue
        in_layers: set[str] = set()
        for layer in _layers(path, module):
            keys = [key for part in layer.parts.values() for key in part]
            if all(key in own for key in keys):
                network.layers.append(layer)
                in_layers.update(keys)
        network.single += [key for key in own if key not in in_layers]
        network.buffers += list(buffers)
    return network


def _key(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _layers(path: str, module: nn.Module) -> Iterator[NetLayer]:
    """The layers that a module is: one, none, or several."""
    signature: Hashable = None
    if isinstance(module, (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
        signature = conv_signature("transposed", tuple(module.weight.shape), module.groups)
    elif isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        signature = conv_signature("conv", tuple(module.weight.shape), module.groups)
    elif isinstance(module, nn.Linear):
        signature = conv_signature("conv", tuple(module.weight.shape), 1)
    elif isinstance(module, nn.PReLU):
        signature = ("prelu", module.num_parameters)
    elif isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        signature = ("embedding", tuple(module.weight.shape))
    elif isinstance(module, (nn.LSTM, nn.LSTMCell, nn.RNN, nn.RNNCell)):
        yield from _recurrent(path, module)
    if signature is not None:
        parts: dict[str, tuple[str, ...]] = {"weight": (_key(path, "weight"),)}
        if getattr(module, "bias", None) is not None:
            parts["bias"] = (_key(path, "bias"),)
        yield NetLayer(path, signature, parts)


def _recurrent(path: str, module: nn.LSTM | nn.LSTMCell | nn.RNN | nn.RNNCell) -> Iterator[NetLayer]:
    kind = "lstm" if isinstance(module, (nn.LSTM, nn.LSTMCell)) else "rnn"
    ends = [""]
    if isinstance(module, (nn.LSTM, nn.RNN)):
        directions = ("", "_reverse") if module.bidirectional else ("",)
        ends = [f"_l{layer}{direction}" for layer in range(module.num_layers) for direction in directions]
    for end in ends:
        weights = [getattr(module, f"{name}{end}", None) for name in ("weight_ih", "weight_hh", "weight_hr")]
        sizes = tuple(None if weight is None else tuple(weight.shape) for weight in weights)
        parts: dict[str, tuple[str, ...]] = {
            name: (_key(path, f"{name}{end}"),)
            for name, weight in zip(("weight_ih", "weight_hh", "weight_hr"), weights, strict=True)
            if weight is not None
        }
        if module.bias:
            parts["bias"] = tuple(_key(path, f"{name}{end}") for name in ("bias_ih", "bias_hh"))
        signature = (kind, *(sizes if kind == "lstm" else sizes[:2]))
        yield NetLayer(f"{path}{end}", signature, parts, end.endswith("_reverse"))
