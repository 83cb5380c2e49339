"""``load_weights``: the weights of a model in somebody's own network."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from unlite.errors import InvalidTypeError, InvalidValueError
from unlite.model.model import open_model
from unlite.pytorch.weights.plan import Entry, plan_weights, real_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

MOST_ROWS = 1000


@dataclass(frozen=True)
class Match:
    """A parameter that got its values.

    Attributes:
        key: Its key in the network's state.
        tensors: Names of the constants that it was made from; () where the file has none, and it is zeros.
        shape: Its sizes.
        how: What decided: ``mapping``, ``name``, ``shape`` or ``order``.
        note: What is worth knowing; "" for nothing.
    """

    key: str
    tensors: tuple[str, ...]
    shape: tuple[int, ...]
    how: str
    note: str = ""


@dataclass(frozen=True)
class WeightReport:
    """What ``load_weights`` did. Prints as a table.

    Attributes:
        matches: Each parameter that got values.
        left_in_net: Key -> why it did not.
        left_in_model: Constant with real values that nothing in the network took -> its shape, in PyTorch's order.
    """

    matches: tuple[Match, ...]
    left_in_net: dict[str, str]
    left_in_model: dict[str, tuple[int, ...]]

    def _rows(self) -> list[tuple[str, str, str, str]]:
        rows = [
            (match.key, _sizes(match.shape), match.how, " + ".join(match.tensors) or "zeros: the file has none")
            for match in self.matches
        ]
        rows += [(key, "", "left in net", why) for key, why in self.left_in_net.items()]
        return rows + [("", _sizes(shape), "left in model", key) for key, shape in self.left_in_model.items()]

    def _summary(self) -> str:
        told = f"{len(self.matches)} matched, {len(self.left_in_net)} left in the network"
        return f"{told}, {len(self.left_in_model)} left in the model"

    def __str__(self) -> str:
        rows = [("network", "shape", "how", "model"), *self._rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip() for row in rows
        ]
        notes = [f"{match.key}: {match.note}" for match in self.matches if match.note]
        return "\n".join([*lines, *notes, self._summary()])

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in self._rows()[:MOST_ROWS]
        )
        notes = "".join(f"<p>{escape(match.key)}: {escape(match.note)}</p>" for match in self.matches if match.note)
        head = "<tr><th>network</th><th>shape</th><th>how</th><th>model</th></tr>"
        return f"<table>{head}{rows}</table>{notes}<p>{self._summary()}</p>"


def _sizes(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def load_weights(
    net: torch.nn.Module, model: Any, mapping: Mapping[str, str | int | Sequence[str | int] | None] | None = None
) -> WeightReport:
    """Puts the weights of a model into one's own network, its layers in PyTorch's order of axes.

    A layer gets an operator's weights where its name says so, or nothing else has its shape, or the n-th layer of a
    shape meets the n-th operator of that shape and both sides agree on the order of all such layers. Sparse, float16
    and quantized weights become real numbers. LSTMs are stacked in PyTorch's order of gates.

    Args:
        net: The network; changed in place, or, on an error, not at all.
        model: A model, a path or bytes.
        mapping: Key in the network's state -> tensor, by name or by index in the main subgraph; several are joined
            along the first axis; None: the key is left as it is. It wins over everything else, and the mapping of a
            layer's weight decides for its bias, too.

    Returns:
        Each match, and what is left on both sides. Batch normalization is always left: converters fold it.

    Raises:
        InvalidTypeError: ``net`` is no module.
        InvalidValueError: it is not clear what goes where; or parameters are left, and ``mapping`` does not allow it.
    """
    import torch

    if not isinstance(net, torch.nn.Module):
        raise InvalidTypeError(f"the network is a torch.nn.Module, not {type(net).__name__}.")
    plan = plan_weights(net, open_model(model), mapping or {})
    if plan.missing:
        lines = "; ".join(f"{key} {_sizes(plan.shapes[key])}" for key in plan.missing[:20])
        more = f"; and {len(plan.missing) - 20} more" if len(plan.missing) > 20 else ""
        raise InvalidValueError(
            f"the model has nothing for {len(plan.missing)} parameter(s): {lines}{more}.",
            hint="Say which tensor it is, mapping={key: name}, or that it stays as it is, mapping={key: None}. "
            f"Left in the model: {plan.left_text()}.",
        )
    values = [(entry, torch.from_numpy(real_values(entry))) for entry in plan.entries]
    with torch.no_grad():
        for entry, value in values:
            first, *others = entry.keys
            plan.state[first].copy_(value)
            for key in others:
                plan.state[key].zero_()
    return WeightReport(
        tuple(_match(entry, key) for entry in plan.entries for key in entry.keys), plan.left_in_net, plan.left_in_model
    )


def _match(entry: Entry, key: str) -> Match:
    tensors = entry.part.tensors if key == entry.keys[0] else ()
    note = entry.part.note
    if key != entry.keys[0]:
        note = f"zeros: the file has one bias, which is in {entry.keys[0]}"
    return Match(key, tuple(tensor.name for tensor in tensors), entry.shape, entry.how, note)
