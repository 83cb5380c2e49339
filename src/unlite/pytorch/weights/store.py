"""``store_weights``: a network's weights back into the model that they came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import fx

from unlite.errors import InvalidTypeError, InvalidValueError, UnliteError
from unlite.model.formats.weights import keyed_constants, put_weights
from unlite.model.model import open_model
from unlite.model.values.constants import spread
from unlite.model.values.requantize import half_away, has_real_values, limits, narrowed
from unlite.model.values.sparsity import dense_positions
from unlite.pytorch.origins import Origin, folder_origins, in_file_order, module_origins
from unlite.pytorch.weights.new_scales import Rescaling
from unlite.pytorch.weights.plan import find_constant, plan_weights
from unlite.pytorch.weights.state_origins import state_origins

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from numpy.typing import NDArray

    from unlite.model.model import Model
    from unlite.model.objects.tensor import Tensor

ZERO = 1e-6  # of the largest value: what lies outside a sparse tensor's pattern, and counts as nothing
AGREE = 1e-6  # of the largest value: several parameters that are one tensor in the file


@dataclass(frozen=True)
class StoreReport:
    """What ``store_weights`` did.

    Attributes:
        model: The model, ready for ``save``.
        changed: Names of the tensors that hold other values now.
        unchanged: How many tensors hold what they held.
        saturated: Tensor -> number of values outside what its type holds; they became the nearest that it does.
        rescaled: Names of the tensors with new scales.
        kept_scales: Tensor -> why it has no new scale, where new ones were asked for.
        left: Keys of the network that the model has no place for.
    """

    model: Model
    changed: tuple[str, ...]
    unchanged: int
    saturated: dict[str, int]
    rescaled: tuple[str, ...] = ()
    kept_scales: dict[str, str] | None = None
    left: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{len(self.changed)} tensors changed, {self.unchanged} as they were"]
        if self.rescaled:
            lines.append(f"new scales: {len(self.rescaled)} tensors")
        lines += [f"scale kept: {name}: {why}" for name, why in (self.kept_scales or {}).items()]
        lines += [f"saturated: {name}: {count} values" for name, count in self.saturated.items()]
        lines += [f"left in the network: {key}" for key in self.left]
        return "\n".join(lines)


def store_weights(
    model: Any,
    module: torch.nn.Module,
    mapping: Mapping[str, str | int | Sequence[str | int] | None] | None = None,
    *,
    new_scales: bool = False,
) -> StoreReport:
    """Writes a network's weights, re-trained perhaps, into the tensors that they came from. ``model.save`` is next.

    Layout, type, sharing and sparse patterns stay as they are; float16 is rounded to, and quantized tensors are
    quantized with their own scales. Nothing is changed unless everything fits.

    Args:
        model: The model that the network was made from, or one like it; changed in place. A path or bytes, too: then
            the changed model is in the report.
        module: From ``to_torch``, or from a folder that ``unlite convert`` wrote; or one's own, as for
            ``load_weights``.
        mapping: Key in the network's state -> tensor, by name or by index in the main subgraph; None: it is left out.
            It wins over what the network knows.
        new_scales: Quantized weights get scales that fit their new values, and biases those that follow from them.

    Raises:
        InvalidTypeError: ``module`` is no module.
        InvalidValueError: weights that cannot go back, each by name: made from several constants, outside a sparse
            pattern, one tensor in the file but several parameters with different values, or too large for the type.
    """
    import torch

    if not isinstance(module, torch.nn.Module):
        raise InvalidTypeError(f"the network is a torch.nn.Module, not {type(module).__name__}.")
    opened = open_model(model)
    origins = module_origins(module) if isinstance(module, fx.GraphModule) else folder_origins(module)
    if origins is not None and not origins and not isinstance(module, fx.GraphModule):
        state = {key: as_numpy(value) for key, value in module.state_dict().items()}
        origins = state_origins(opened, state, {}, opened.file.name)
    if origins:
        return _store_known(opened, module, origins, mapping or {}, new_scales)
    if isinstance(module, fx.GraphModule) and mapping is None:
        raise InvalidValueError(
            "the module does not know which tensors its weights are.",
            hint="Give the module of to_torch itself, or say it: mapping={key: tensor}.",
        )
    return _store_own(opened, module, mapping or {}, new_scales)


def _store_known(
    model: Model,
    module: torch.nn.Module,
    origins: Mapping[str, Origin | None],
    mapping: Mapping[str, Any],
    new_scales: bool,
) -> StoreReport:
    """Of a converted network."""
    state = module.state_dict()
    unknown = [key for key in mapping if key not in state]
    if unknown:
        raise InvalidValueError(f"the mapping has keys that are not in the network: {', '.join(map(repr, unknown))}.")
    changed = dict(origins)
    for key, wanted in mapping.items():
        changed.pop(key, None)
        if wanted is not None:
            tensor = find_constant(model, wanted)
            known = origins.get(key)
            axes = known.axes if known is not None else None
            changed[key] = Origin(tensor.subgraph.index, tensor.index, tensor.name, axes)
    first = _first_values(module)
    arrays: dict[str, NDArray[Any]] = {}
    refused: list[str] = []
    for key, origin in changed.items():
        if key not in state:
            refused.append(f"{key!r} is not in the network any more")
        elif origin is not None:
            arrays[key] = as_numpy(state[key])
        elif key not in first or not _is_equal(state[key], first[key]):
            refused.append(f"{key!r} was made from several constants of the file")
    if refused:
        raise _refusal(refused)
    return store_arrays(model, arrays, {key: origin for key, origin in changed.items() if origin}, new_scales)


def _first_values(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Values that a lowered module had at first, of what goes back to no single tensor."""
    if not isinstance(module, fx.GraphModule):
        return {}
    constants = {
        str(node.target): node.meta["constant"] for node in module.graph.nodes if node.meta.get("constant") is not None
    }
    turned: dict[str, Any] = module.meta.get("unlite.axes", {})
    found: dict[str, torch.Tensor] = {}
    for key, constant in constants.items():
        if constant.source is None:
            value: torch.Tensor = constant.tensor()
            if key in turned:
                more = len(turned[key]) - value.ndim
                value = value.reshape((1,) * more + tuple(value.shape)).permute(turned[key])
            found[key] = value
    return found


def _is_equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and bool((one.detach().cpu() == other.to(one.dtype)).all())


def as_numpy(value: torch.Tensor) -> NDArray[Any]:
    """The values of an entry of a state: float32 for all real numbers but float64."""
    import torch

    plain = value.detach().cpu().resolve_conj().resolve_neg()
    if plain.is_floating_point() and plain.dtype is not torch.float64:
        plain = plain.float()
    array: NDArray[Any] = plain.contiguous().numpy()
    return array


def widened(values: NDArray[Any]) -> NDArray[Any]:
    """Values of types that only ml_dtypes knows (BFLOAT16, FLOAT8) as float32; others as they are."""
    import numpy as np

    return values.astype(np.float32) if values.dtype.name.startswith(("bfloat", "float8")) else values


def _store_own(model: Model, net: torch.nn.Module, mapping: Mapping[str, Any], new_scales: bool) -> StoreReport:
    """Of somebody's own network: what ``load_weights`` does, backwards."""
    import numpy as np

    plan = plan_weights(net, model, mapping)
    arrays: dict[str, NDArray[Any]] = {}
    origins: dict[str, Origin] = {}
    refused: list[str] = []
    for entry in plan.entries:
        values = np.sum([as_numpy(plan.state[key]) for key in entry.keys], axis=0, dtype=np.float32)
        if not entry.part.tensors:
            if values.any():
                refused.append(f"{entry.keys[0]!r} is not zero, and the file has no tensor for it")
            continue
        whole = values.reshape(entry.part.shape)
        start = 0
        for tensor in entry.part.tensors:
            several = len(entry.part.tensors) > 1
            size = tensor.shape[entry.part.axes[0] if entry.part.axes else 0] if several else 0
            name = f"{entry.keys[0]}[{start}:{start + size}]" if several else entry.keys[0]
            arrays[name] = whole[start : start + size] if several else whole
            origins[name] = Origin(tensor.subgraph.index, tensor.index, tensor.name, entry.part.axes)
            start += size
    if refused:
        raise _refusal(refused)
    return store_arrays(model, arrays, origins, new_scales, (*plan.missing, *plan.left_in_net))


def store_arrays(
    model: Model,
    arrays: Mapping[str, NDArray[Any]],
    origins: Mapping[str, Origin],
    new_scales: bool = False,
    left: tuple[str, ...] = (),
) -> StoreReport:
    """Writes arrays into the tensors that they came from; the work behind ``store_weights``.

    Args:
        model: Changed in place, or, on an error, not at all.
        arrays: Key -> values: of the tensor's own type, or real ones.
        origins: Key -> where they go.
        new_scales: As for ``store_weights``.
        left: Keys for the report.
    """
    refused: list[str] = []
    wanted: dict[str, tuple[str, NDArray[Any]]] = {}
    constants = keyed_constants(model)
    keys = {
        (tensor.subgraph.index, tensor.index): key
        for key, constant in constants.items()
        for tensor in (constant.tensor, *constant.aliases)
    }
    for key, array in arrays.items():
        try:
            tensor = _target(model, origins[key])
            place = keys.get((tensor.subgraph.index, tensor.index))
            if place is None:
                raise InvalidValueError(f"{tensor.name!r} is no constant")
            values = _own_type(tensor, in_file_order(array, tensor.shape, origins[key].axes))
            values = _storable(tensor, values)
            if place in wanted and not _agree(values, wanted[place][1]):
                raise InvalidValueError(f"it is one tensor with {wanted[place][0]!r} in the file, and differs from it")
            wanted.setdefault(place, (key, values))
        except UnliteError as error:
            refused.append(f"{key!r}: {error.message.rstrip('.')}")
    if refused:
        raise _refusal(refused)
    values_of = {place: values for place, (_, values) in wanted.items()}
    scales = Rescaling(constants, values_of) if new_scales else None
    stored = scales.stored if scales is not None else {}
    saturated: dict[str, int] = {}
    for place, values in list(values_of.items()):
        values_of[place], count = (stored[place], 0) if place in stored else _within(constants[place].tensor, values)
        if count:
            saturated[constants[place].tensor.name] = count
    report = put_weights(model, {**values_of, **stored}, complete=False)
    if scales is not None:
        scales.assign()
    for place, count in report.clipped.items():
        saturated[constants[place].tensor.name] = count
    return StoreReport(
        model,
        tuple(constants[place].tensor.name for place in report.changed),
        report.unchanged,
        saturated,
        tuple(scales.rescaled) if scales is not None else (),
        scales.kept if scales is not None else None,
        left,
    )


def _refusal(refused: list[str]) -> InvalidValueError:
    more = f"; and {len(refused) - 20} more" if len(refused) > 20 else ""
    return InvalidValueError(
        f"{len(refused)} weight(s) cannot go back: {'; '.join(refused[:20])}{more}.", hint="Nothing was changed."
    )


def _target(model: Model, origin: Origin) -> Tensor:
    """The tensor that is meant; by its name where indices have moved since."""
    graphs = model.subgraphs
    if origin.subgraph < len(graphs):
        tensors = graphs[origin.subgraph].tensors
        if origin.tensor < len(tensors) and origin.name in (None, tensors[origin.tensor].name):
            found: Tensor = tensors[origin.tensor]
            return found
        if origin.name:
            named: Tensor = tensors[origin.name]
            return named
    raise InvalidValueError(f"the model has no tensor {origin.tensor} in subgraph {origin.subgraph}")


def _own_type(tensor: Tensor, values: NDArray[Any]) -> NDArray[Any]:
    """Values as ``put_weights`` takes them: of the tensor's own type, or float32.

    Raises:
        InvalidTypeError, InvalidValueError: the type holds other things.
    """
    import numpy as np

    own = tensor.numpy_dtype
    if values.dtype.kind == "f" and has_real_values(tensor):
        return values if own == np.dtype("f8") else values.astype(np.float32)
    turned = values.astype(own)
    if (values.dtype.kind in "fc" and own.kind not in "fc") or not np.array_equal(turned.astype(values.dtype), values):
        raise InvalidValueError(f"values of {values.dtype} are not {tensor.dtype}")
    return turned


def _storable(tensor: Tensor, values: NDArray[Any]) -> NDArray[Any]:
    """Values that the tensor's type and pattern have a place for: what lies outside a sparse pattern is 0.

    Raises:
        InvalidValueError: there are others.
    """
    import numpy as np

    if tensor.is_sparse:
        outside = np.ones(values.size, bool)
        limit = tensor.subgraph.model.memory_limit()
        path = f"{tensor.path}.sparsity"
        outside[dense_positions(tensor._table["sparsity"], tensor.shape, path, values.size, limit)] = False
        flat = np.array(values).reshape(-1)
        lost = outside & ~(np.abs(flat) <= ZERO * float(np.abs(flat).max(initial=0)))
        if lost.any():
            raise InvalidValueError(
                f"{np.count_nonzero(lost)} values are not zero where the sparse tensor {tensor.name!r} stores none; "
                "keep the zeros while training: multiply by (first != 0)"
            )
        flat[outside] = 0
        values = flat.reshape(values.shape)
    if "FLOAT" in tensor.dtype:
        narrowed(tensor, values, tensor.numpy_dtype)
    elif values.dtype.kind == "f" and np.isnan(values).any():
        raise InvalidValueError(f"NaN cannot be stored as {tensor.dtype}")
    return values


def _within(tensor: Tensor, values: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """Values that INT8 and INT4 weights around 0 hold, and how many were outside.

    These stay within -127..127 and -7..7, which kernels rely on (LiteRT's quantization specification), unless the
    tensor holds the smallest value already.
    """
    import numpy as np

    if tensor.dtype not in ("INT8", "INT4") or values.dtype.kind != "f" or tensor.quantization is None:
        return values, 0
    low, high = limits(tensor)
    if any(tensor.quantization.zero_point) or bool((tensor.numpy() == low).any()):
        return values, 0
    scale, _ = spread(tensor, tensor.quantization)
    if not (np.isfinite(values).all() and (scale > 0).all()):
        return values, 0  # told where it is quantized
    steps = half_away(values.astype(np.float64) / scale)
    most = (high * scale).astype(np.float32)
    return np.clip(values, -most, most).astype(np.float32), int(np.count_nonzero(np.abs(steps) > high))


def _agree(one: NDArray[Any], other: NDArray[Any]) -> bool:
    import numpy as np

    if one.dtype.kind != "f" or other.dtype.kind != "f":
        return bool(np.array_equal(one, other))
    return bool(np.abs(one - other).max(initial=0) <= AGREE * np.abs(other).max(initial=0))
