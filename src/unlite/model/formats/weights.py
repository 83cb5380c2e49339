"""All constants of a model by name: taken out as arrays, and put back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from unlite.errors import CorruptFileError, InvalidTypeError, InvalidValueError
from unlite.model.model import open_model
from unlite.model.values.constants import check_values
from unlite.model.values.requantize import has_real_values, stored_values
from unlite.model.values.sparsity import sparsify

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from unlite.model.model import Model
    from unlite.model.objects.tensor import Tensor

Axes = Callable[["Tensor"], "tuple[int, ...] | None"]
"""The order in which another framework keeps a tensor's axes; None = the same."""

NO_VALUES = ("RESOURCE", "VARIANT")
HELD_NOWHERE = ("STRING", "COMPLEX128")
"""Types that some file of weights cannot hold: they may be missing from what is put back."""

# Bytes of values per byte of file. No writer's sharing comes near this.
UNFOLDED, UNFOLDED_LEAST = 64, 1 << 20
RESIDENT = 1 << 24

# A name that ends like an added index, or that means something else in a file of weights, gets an index itself.
_NO_KEY = re.compile(r".*#\d+\.\d+|__metadata__", re.DOTALL)
_UNSAFE = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff]")


class Constant(NamedTuple):
    """A constant under its key.

    Attributes:
        key: The tensor's name; with ``#SUBGRAPH.INDEX`` behind it where it is empty or several bear it.
        tensor: The tensor; where several subgraphs share the buffer, that of the first.
        aliases: The tensors of the other subgraphs.
    """

    key: str
    tensor: Tensor
    aliases: tuple[Tensor, ...]


class Unfolding:
    """Tensors may share bytes, so that a small file could unfold without end; this is where it ends."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._memory = model.memory_limit()
        self._work = 0

    def add(self, tensor: Tensor, more: int = 0) -> None:
        """Counts the values of a tensor, and what else is read of it: names and scales.

        Raises:
            MemoryLimitError: all values together would take more memory than the file may ask for.
            CorruptFileError: tensors share bytes, names and scales far more often than any writer lets them.
        """
        self._memory.spend(tensor.nbytes, "all constants together", tensor.path)
        if self._model.limit is not None:
            return
        self._work += min(tensor.nbytes, tensor._constant().length) + more
        held = self._model.file.size + sum(file.size for file in self._model._weight_files.values())
        if self._work > UNFOLDED * held + UNFOLDED_LEAST:
            raise CorruptFileError(
                "tensors share their bytes so often that all values together are out of all proportion.",
                file=self._model.file.name,
                path=tensor.path,
            )


def keyed_constants(model: Model) -> dict[str, Constant]:
    """Key -> constant, in the file's order. Keys are unique, and the same from run to run.

    Tensors of different subgraphs with the same buffer, type, shape and quantization are one constant. Characters that
    are no text (control characters, bytes that are no UTF-8) stand in keys as U+FFFD.
    """
    groups = _grouped(model)
    names = [_UNSAFE.sub("\ufffd", tensors[0].name) for tensors in groups]
    bearers: dict[str, int] = {}
    for name in names:
        bearers[name] = bearers.get(name, 0) + 1
    result: dict[str, Constant] = {}
    for name, (tensor, *aliases) in zip(names, groups, strict=True):
        plain = name and bearers[name] == 1 and not _NO_KEY.fullmatch(name)
        key = name if plain else f"{name}#{tensor.subgraph.index}.{tensor.index}"
        result[key] = Constant(key, tensor, tuple(aliases))
    return result


def _grouped(model: Model) -> list[list[Tensor]]:
    """The tensors with constants, those of different subgraphs that are one constant together."""
    shared: dict[tuple[object, ...], list[list[Tensor]]] = {}
    groups: list[list[Tensor]] = []
    unfolding = Unfolding(model)
    for graph in model.subgraphs:
        met: dict[tuple[object, ...], int] = {}
        for tensor in graph.tensors:
            if tensor.dtype in NO_VALUES or not tensor.is_constant:
                continue
            alike = _likeness(tensor)
            unfolding.add(tensor, len(tensor.name) + sum(len(part) for part in alike if isinstance(part, tuple)))
            number = met.get(alike, 0)
            met[alike] = number + 1
            known = shared.setdefault(alike, [])
            if number < len(known):
                known[number].append(tensor)
            else:
                known.append([tensor])
                groups.append(known[-1])
    return groups


def _likeness(tensor: Tensor) -> tuple[object, ...]:
    """Equal for tensors that hold the same values in the same place."""
    quantization = tensor.quantization
    place = place_of(tensor)
    if tensor.is_sparse or (quantization is not None and quantization.details is not None):
        return (*place, tensor.path)
    scales = (
        () if quantization is None else (quantization.scale, quantization.zero_point, quantization.quantized_dimension)
    )
    return (*place, tensor.dtype, tensor.shape, *scales)


def place_of(tensor: Tensor) -> tuple[str, int]:
    """Equal for tensors that share their bytes."""
    external = tensor._constant().where == "external"
    return ("external_buffer", tensor._table["external_buffer"]) if external else ("buffer", tensor._table["buffer"])


def read_weights(
    model: Any, *, dequantize: bool = False, axes: Axes | None = None
) -> Iterator[tuple[str, Tensor, NDArray[np.generic]]]:
    """Key, tensor and values of each constant, one after the other.

    Args:
        model: A model, a path or bytes.
        dequantize: Real values (float32) of quantized and float tensors. Other types come as they are stored.
        axes: Gives the order in which each tensor's axes are wanted.
    """
    for key, tensor, _ in in_turn(keyed_constants(open_model(model)).values()):
        yield key, tensor, values_of(tensor, dequantize=dequantize, axes=axes)


def in_turn(constants: Iterable[Constant], trim: Callable[[], object] = lambda: None) -> Iterator[Constant]:
    """Hands constants on, and lets go of the mapped pages of those before, so that no whole file becomes resident.

    Args:
        constants: Whose values are read one after the other.
        trim: Lets go of what else is read along with them.
    """
    touched = 0
    for constant in constants:
        yield constant
        touched += constant.tensor.nbytes
        if touched > RESIDENT:
            constant.tensor._constant().source.trim()
            trim()
            touched = 0


def values_of(tensor: Tensor, *, dequantize: bool = False, axes: Axes | None = None) -> NDArray[np.generic]:
    """The values of a constant; arguments as for ``read_weights``."""
    values: NDArray[np.generic] = tensor.dequantize() if dequantize and has_real_values(tensor) else tensor.numpy()
    order = axes(tensor) if axes is not None else None
    return values if order is None else values.transpose(order)


class LazyArrays(Mapping[str, "NDArray[Any]"]):
    """Arrays that are read when they are asked for, and tell their shapes without that."""

    def shape_of(self, key: str) -> tuple[int, ...]:
        """The shape of an array."""
        raise NotImplementedError

    def trim(self) -> None:
        """Lets go of what was read; it comes back when it is asked for again."""


class PutReport(NamedTuple):
    """What ``put_weights`` did.

    Attributes:
        changed: Keys of the constants that got new values.
        unchanged: How many have the values that they had.
        clipped: Key -> number of values outside what the type holds; they became the nearest that it does.
    """

    changed: list[str]
    unchanged: int
    clipped: dict[str, int]


def put_weights(
    model: Any,
    arrays: Mapping[str, NDArray[Any]],
    *,
    axes: Axes | None = None,
    complete: bool = True,
    advance: Callable[[int], object] = lambda _: None,
) -> PutReport:
    """Replaces the constants of a model by arrays with the keys of ``read_weights``.

    An array has the tensor's own type, or is float32 and holds real values: those are quantized with the tensor's own
    scale and zero point (``requantize``), or stored in the tensor's float type. Nothing is changed unless everything
    fits. Tensors that shared a buffer and get different values get buffers of their own.

    Args:
        model: A model, a path or bytes.
        arrays: Key -> array; each is asked for once its shape is known to be right, so that they may be read lazily.
        axes: The order of the arrays' axes, as for ``read_weights``.
        complete: Every constant has to be there; else those that are not stay as they are.
        advance: Told the bytes of each constant that was looked at.

    Raises:
        InvalidValueError: keys are missing, unknown, or of the wrong shape (all are listed); or a value does not fit.
        InvalidTypeError: an array is of another type.
    """
    constants = keyed_constants(open_model(model))
    _check_keys(constants, arrays, axes, complete)
    clipped: dict[str, int] = {}
    new: dict[str, NDArray[np.generic]] = {}
    trim = arrays.trim if isinstance(arrays, LazyArrays) else lambda: None
    for key, tensor, _ in in_turn((constants[key] for key in arrays), trim):
        order = axes(tensor) if axes is not None else None
        prepared = prepare(tensor, arrays[key] if order is None else arrays[key].transpose(_inverse(order)))
        advance(tensor.nbytes)
        if prepared is not None:
            new[key], outside = prepared
            if outside:
                clipped[key] = outside
    changed = list(new)
    _assign(constants.values(), new)
    return PutReport(changed, len(constants) - len(changed), clipped)


def _inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(order.index(axis) for axis in range(len(order)))


def _check_keys(
    constants: dict[str, Constant], arrays: Mapping[str, NDArray[Any]], axes: Axes | None, complete: bool
) -> None:
    unknown = [key for key in arrays if key not in constants]
    missing = [key for key in constants if key not in arrays and constants[key].tensor.dtype not in HELD_NOWHERE]
    missing = missing if complete else []
    wrong: list[str] = []
    turned = False
    for key, constant in constants.items():
        if key not in arrays:
            continue
        order = axes(constant.tensor) if axes is not None else None
        wanted = constant.tensor.shape if order is None else tuple(constant.tensor.shape[axis] for axis in order)
        found = arrays.shape_of(key) if isinstance(arrays, LazyArrays) else arrays[key].shape
        if found != wanted:
            wrong.append(f"{key!r} is {list(found)}, not {list(wanted)}")
            turned |= sorted(found) == sorted(wanted)
    if not (unknown or missing or wrong):
        return
    parts = ((unknown, "unknown to the model"), (missing, "missing"), (wrong, "of another shape"))
    lines = [f"{len(keys)} {what}: {_listed(keys)}" for keys, what in parts if keys]
    raise InvalidValueError(
        "the weights do not fit the model: " + "; ".join(lines) + ".", hint=_mend(unknown, missing, turned)
    )


def _listed(keys: list[str], most: int = 10) -> str:
    more = f", and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(key if key.startswith(("'", '"')) else repr(key) for key in keys[:most]) + more


def _mend(unknown: list[str], missing: list[str], turned: bool) -> str:
    if turned and not unknown and not missing:
        return "The axes seem to be in another order: say which layout the arrays have."
    if unknown:
        from difflib import get_close_matches

        near = [f"{key!r} -> {match[0]!r}" for key in unknown[:10] if (match := get_close_matches(key, missing, 1))]
        if near:
            return f"Close: {', '.join(near)}."
    return "Nothing was changed. To replace single tensors, assign them: tensor.data = array, or 'unlite set'."


def prepare(tensor: Tensor, array: NDArray[Any]) -> tuple[NDArray[np.generic], int] | None:
    """What to store for an array, and how many values were clipped; None where the tensor holds just that.

    Args:
        tensor: A constant.
        array: In its shape; of its own type, or float32 with real values.

    Raises:
        InvalidTypeError: the array is of another type.
        InvalidValueError: a value does not fit.
    """
    import numpy as np

    array = np.asarray(array)
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    clipped = 0
    if array.dtype == tensor.numpy_dtype:
        if tensor.dtype != "STRING":
            check_values(tensor, array)
        values: NDArray[np.generic] = array
    elif array.dtype == np.dtype("f4") and has_real_values(tensor):
        if _same(array, tensor.dequantize()):
            return None
        values, clipped = stored_values(tensor, array)
    else:
        real = ", or float32 for real values" if has_real_values(tensor) else ""
        raise InvalidTypeError(
            f"{tensor.name!r} is {tensor.dtype}: {tensor.numpy_dtype} is wanted{real}, not {array.dtype}.",
            path=tensor.path,
        )
    if _same(values, tensor.numpy()):
        return None
    if tensor.is_sparse:
        limit = tensor.subgraph.model.memory_limit()
        sparsify(values, tensor._table["sparsity"], f"{tensor.path}.sparsity", limit)  # refuses before any change
    return values, clipped


def _same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether two arrays of one type hold the same bits."""
    import numpy as np

    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.dtype.hasobject:
        return bool((one == other).all())
    one, other = (np.ascontiguousarray(values).reshape(-1).view("u1") for values in (one, other))
    return np.array_equal(one, other)


def _assign(constants: Iterable[Constant], new: dict[str, NDArray[np.generic]]) -> None:
    """Stores arrays, so that no tensor changes but those that are meant."""
    sharing: dict[object, list[Constant]] = {}
    for constant in constants:
        sharing.setdefault(place_of(constant.tensor), []).append(constant)
    for group in sharing.values():
        changing = [constant for constant in group if constant.key in new]
        if len(changing) == len(group):
            # The buffer goes with the first, and with those that get the same.
            first, *others = changing
            values = new.pop(first.key)
            followers = [other for other in others if _alike(first.tensor, values, other.tensor, new[other.key])]
            changing = [other for other in others if other not in followers]
            _store(first, values, followers)
        for constant in changing:
            tensor = constant.tensor
            tensor._table.buffer = tensor.subgraph.model._append_buffer(bytes(tensor.data))
            tensor._table.external_buffer = 0
            _store(constant, new.pop(constant.key), [])


def _alike(tensor: Tensor, values: NDArray[Any], other: Tensor, theirs: NDArray[Any]) -> bool:
    """Whether two tensors store the same bytes for these values."""
    if tensor.is_sparse or other.is_sparse or tensor.dtype != other.dtype or values.size != theirs.size:
        return False
    return _same(values.reshape(-1), theirs.reshape(-1))


def _store(constant: Constant, values: NDArray[Any], followers: list[Constant]) -> None:
    """Stores an array; the tensors that are one with it follow where it moved to another buffer."""
    tensor = constant.tensor
    tensor.data = values
    aliases = [alias for follower in (constant, *followers) for alias in (follower.tensor, *follower.aliases)]
    for alias in aliases[1:]:
        for name in ("buffer", "external_buffer"):
            if alias._table[name] != tensor._table[name]:
                setattr(alias._table, name, tensor._table[name])
