"""Inputs of a run: what the caller gives, checked against the model; or seeded random values in the model's range."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from unlite.comparison.metadata import value_range as metadata_range
from unlite.errors import InvalidTypeError, InvalidValueError, NotFoundError, UnliteError, UnsupportedFormatError
from unlite.model.formats.weight_files import open_weights, write_file
from unlite.model.values.constants import check_shape
from unlite.model.values.dtypes import elements, value_range

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from unlite.model.model import Model
    from unlite.model.objects.subgraph import Subgraph
    from unlite.model.objects.tensor import Tensor

    Array = NDArray[Any]

MOST_ELEMENTS = 1 << 28  # of one random input
_INDEXED = {"GATHER": (1, 0), "GATHER_ND": (1, 0), "EMBEDDING_LOOKUP": (0, 1), "EMBEDDING_LOOKUP_SPARSE": (0, 4)}
"""Operators that look up entries: which input holds the indices, and which one is looked up in."""
_PASSED_ON = ("CAST", "RESHAPE", "EXPAND_DIMS", "SQUEEZE")
_WORDS = (b"the", b"quick", b"brown", b"fox", b"jumps", b"over", b"a", b"lazy", b"dog")


def graph_of(model: Model, signature: str | None) -> Subgraph:
    """The subgraph that a signature calls; the first one where none is named."""
    if signature is None:
        return model.main
    called: Subgraph = model.signatures[signature].subgraph
    return called


def make_inputs(model: Model, inputs: Any = None, *, seed: int = 0, signature: str | None = None) -> list[Array]:
    """One array for each input of a model, in the file's order.

    Args:
        model: The model.
        inputs: None for random values; a dict by tensor name (or argument name of the signature), a sequence in the
            file's order, one array where there is one input, or the path of an ``.npz`` with such names (``.npy`` for
            one input).
        seed: Of the random values.
        signature: Key of the signature that is run.

    Raises:
        InvalidValueError: a name, shape or type is not what the model wants; the message says what it wants.
    """
    graph = graph_of(model, signature)
    if inputs is None:
        chance = np.random.default_rng(seed)
        return [random_values(model, tensor, chance) for tensor in graph.inputs]
    if isinstance(inputs, (str, os.PathLike)):
        inputs = read_inputs(os.fspath(inputs))
    if isinstance(inputs, Mapping):
        values = _by_name(model, graph, inputs, signature)
    else:
        values = list(inputs) if isinstance(inputs, Sequence) else [inputs]
        if len(graph.inputs) == 1 and (len(values) != 1 or np.ndim(values[0]) < len(graph.inputs[0].shape)):
            values = [inputs]  # one input, given as it is or as nested lists
        if len(values) != len(graph.inputs):
            raise InvalidValueError(
                f"{len(values)} inputs are given, {len(graph.inputs)} are wanted: {_wanted(graph)}.",
                file=model.file.name,
            )
    return [_fitting(tensor, value) for tensor, value in zip(graph.inputs, values, strict=True)]


def read_inputs(path: str) -> Any:
    """The arrays of an ``.npz`` or ``.safetensors`` by name, or the one of an ``.npy``. Nothing in it is unpickled."""
    if not path.endswith(".npy"):
        stored = open_weights(path)
        return {name: stored[name] for name in stored}
    try:
        with open(path, "rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        raise UnliteError(f"cannot be read: {error.strerror or error}.", file=path) from error
    except (ValueError, EOFError, MemoryError) as error:
        raise UnsupportedFormatError(f"is no .npy: {error}", file=path) from error


def save_inputs(model: Model, values: Sequence[Array], path: str, signature: str | None = None) -> None:
    """Writes inputs as an ``.npz`` that ``make_inputs`` reads."""
    names = _names(graph_of(model, signature))
    arrays = {name: _storable(value) for name, value in zip(names, values, strict=True)}
    write_file(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]  # no name is allow_pickle


def _storable(value: Array) -> Array:
    return np.array(value.tolist(), dtype="S").reshape(value.shape) if value.dtype.kind == "O" else value


def _names(graph: Subgraph) -> list[str]:
    """A name for each input: its own, or its place where it has none that is alone and fits a file."""
    names = [tensor.name for tensor in graph.inputs]
    plain = [name if name and name.isprintable() and names.count(name) == 1 else "" for name in names]
    return [name or f"input_{i}" for i, name in enumerate(plain)]


def _by_name(model: Model, graph: Subgraph, inputs: Mapping[Any, Any], signature: str | None) -> list[Any]:
    known = {name: i for i, name in enumerate(_names(graph))}
    order = {tensor.index: i for i, tensor in enumerate(graph.inputs)}
    for stored in model.signatures:
        if stored.key == signature or (signature is None and stored.subgraph is graph):
            for name, tensor in stored.inputs.items():
                if tensor.index in order:
                    known.setdefault(name, order[tensor.index])
    values: dict[int, Any] = {}
    for name, value in inputs.items():
        if name not in known:
            raise InvalidValueError(f"no input is called {name!r}; wanted: {_wanted(graph)}.", file=model.file.name)
        values[known[name]] = value
    missing = [name for i, name in enumerate(_names(graph)) if i not in values]
    if missing:
        raise InvalidValueError(f"no values for {', '.join(missing)}; wanted: {_wanted(graph)}.", file=model.file.name)
    return [values[i] for i in range(len(graph.inputs))]


def _wanted(graph: Subgraph) -> str:
    ends = (f"{name} {describe(tensor)}" for name, tensor in zip(_names(graph), graph.inputs, strict=True))
    return "; ".join(ends) or "none"


def describe(tensor: Tensor) -> str:
    """Type and shape of a tensor: ``FLOAT32 [1, ?, 3]``."""
    return f"{tensor.dtype} [{', '.join('?' if size < 0 else str(size) for size in tensor.shape_signature)}]"


def _fitting(tensor: Tensor, value: Any) -> Array:
    """A value as the array that a tensor wants; free dimensions take any size."""
    array = np.asarray(value)
    wanted = describe(tensor)
    free = tensor.shape_signature
    fits = len(array.shape) == len(free) and all(
        want < 0 or want == size for want, size in zip(free, array.shape, strict=True)
    )
    if not fits and (free or tensor.has_rank):
        raise InvalidValueError(
            f"input {tensor.name!r} wants {wanted}, not shape {list(array.shape)}.", path=tensor.path
        )
    if tensor.dtype == "STRING":
        if array.dtype.kind not in "SUO":
            raise InvalidTypeError(f"input {tensor.name!r} wants {wanted}, not {array.dtype}.", path=tensor.path)
        texts = [text.encode() if isinstance(text, str) else bytes(text) for text in array.ravel().tolist()]
        return np.array(texts, dtype=object).reshape(array.shape)
    dtype = tensor.numpy_dtype
    if array.dtype != dtype:
        # Plain Python numbers come as float64 and int64; wider floats are rounded, integers must fit as they are.
        with np.errstate(invalid="ignore", over="ignore"):
            cast = array.astype(dtype) if array.dtype.kind in "fiub" and dtype.kind in "fiub" else None
        same_kind = cast is not None and (dtype.kind == "f" or np.array_equal(cast, array))
        if cast is None or not same_kind or (array.dtype.kind == "f" and dtype.kind != "f"):
            raise InvalidTypeError(f"input {tensor.name!r} wants {wanted}, not {array.dtype}.", path=tensor.path)
        array = cast
    return np.ascontiguousarray(array).reshape(array.shape)


def random_values(model: Model, tensor: Tensor, chance: np.random.Generator) -> Array:
    """Seeded values for an input.

    Floats in -1..1 or in the range that the model's metadata states, indices that are in range, quantized integers
    over their whole range. Free dimensions take the size that the file holds, at least 1.
    """
    free = tensor.shape_signature
    shape = tuple(max(size, 1) if i < len(free) and free[i] < 0 else size for i, size in enumerate(tensor.shape))
    if elements(shape) > MOST_ELEMENTS or min(shape, default=0) < 0:
        raise InvalidValueError(f"input {tensor.name!r} is too large for random values.", path=tensor.path)
    check_shape(shape, tensor.path)
    width = 64 if tensor.dtype == "STRING" else 8  # an object each, or a number in double precision
    model.memory_limit().check(width * elements(shape), f"random values for input {tensor.name!r:.60}", tensor.path)
    if tensor.dtype == "STRING":
        words = chance.integers(0, len(_WORDS), shape)
        return np.array([_WORDS[i] for i in words.ravel()], dtype=object).reshape(shape)
    dtype = tensor.numpy_dtype
    if dtype.kind in "fcV":
        low, high = metadata_range(model, tensor) or (-1.0, 1.0)
        values = chance.uniform(low, high, shape)
        return (values + 1j * chance.uniform(low, high, shape) if dtype.kind == "c" else values).astype(dtype)
    if dtype.kind == "b":
        return chance.integers(0, 2, shape).astype(dtype)
    quantization = tensor.quantization
    if dtype.itemsize == 1 or (quantization is not None and quantization.scale and dtype.itemsize == 2):
        limits = np.iinfo(dtype)  # type: ignore[type-var]  # an integer type
        narrow = value_range(tensor.dtype) or (int(limits.min), int(limits.max))
        return chance.integers(narrow[0], narrow[1], shape, endpoint=True).astype(dtype)
    return chance.integers(0, _entries(tensor), shape).astype(dtype)


def _entries(tensor: Tensor) -> int:
    """How many different indices an input may hold: as many as the smallest table that it looks up in; else 2."""
    bounds: list[int] = []
    seen, waiting = {tensor.index}, [tensor]
    while waiting:
        current = waiting.pop()
        for operator in current.consumers:
            inputs = operator.inputs
            if operator.name in _INDEXED:
                which, where = (inputs[i] if i < len(inputs) else None for i in _INDEXED[operator.name])
                if which is current and where is not None and where.shape:
                    axis = operator.options.axis if operator.name == "GATHER" else 0
                    inside = axis if -len(where.shape) <= axis < len(where.shape) else 0
                    bounds.append(where.shape[inside])
            elif operator.name in _PASSED_ON and inputs and inputs[0] is current:
                following = [made for made in operator.outputs if made is not None and made.index not in seen]
                seen.update(made.index for made in following)
                waiting += following
    return max(min(bounds, default=2), 1)


def check_known(names: Sequence[Any], graph: Subgraph) -> list[Tensor]:
    """Tensors by name or index. Raises NotFoundError (AmbiguousNameError) for others."""
    found: list[Tensor] = []
    for name in names:
        if not isinstance(name, (int, str)) or isinstance(name, bool):
            raise NotFoundError(f"a tensor is asked for by name or index, not by {name!r:.60}.", path=graph.path)
        found.append(graph.tensors[name])
    return found
