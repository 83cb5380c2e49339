"""``run``: a model on given inputs, and any tensor on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.comparison.inputs import check_known, graph_of, make_inputs
from unlite.comparison.litert import NotRunnable, computed, run_litert
from unlite.errors import InvalidValueError, MissingExtraError, UnliteError
from unlite.model.model import open_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from unlite.model.model import Model
    from unlite.model.objects.subgraph import Subgraph
    from unlite.model.objects.tensor import Tensor

    Array = NDArray[Any]


def run(
    model: Any,
    inputs: Any = None,
    *,
    runtime: str = "torch",
    tensors: str | Sequence[int | str] | None = None,
    signature: str | None = None,
    seed: int = 0,
) -> dict[int | str, Array]:
    """Runs a model once.

    Args:
        model: A Model, a path, or bytes.
        inputs: Dict by name, sequence in the file's order, path of an ``.npz``; None for random values.
        runtime: ``torch``: the converted model; real numbers where the file is quantized. ``litert``: LiteRT's
            reference kernels, in a process of its own; integers as stored.
        tensors: Names or indices of what to return, intermediate tensors too; ``"all"`` for every tensor that an
            operator computes; None for the outputs.
        signature: Key of the signature to run.
        seed: Of the random values.

    Returns:
        Arrays by what was asked for; outputs by name, or by index where a name is empty or borne twice.

    Raises:
        UnliteError: LiteRT does not run the model; the message says why.
        UnsupportedOperatorError: the model cannot be converted.
        InvalidValueError: the inputs are not what the model wants, or a tensor is not computed.
    """
    opened = open_model(model)
    graph = graph_of(opened, signature)
    wanted = _wanted(graph, tensors)
    values = make_inputs(opened, inputs, seed=seed, signature=signature)
    given = {tensor.index: array for tensor, array in zip(graph.inputs, values, strict=True)}
    indices = list(dict.fromkeys(tensor.index for tensor in wanted.values()))
    if runtime == "litert":
        found = _in_litert(opened, values, indices, signature)
    elif runtime == "torch":
        found = _in_torch(opened, graph, values, indices, signature)
    else:
        raise InvalidValueError(f"runtime={runtime!r} is neither 'torch' nor 'litert'.")
    for key, tensor in wanted.items():
        if tensor.index not in found and tensor.index in given:
            found[tensor.index] = given[tensor.index]
        elif tensor.index not in found and tensor.is_constant:
            found[tensor.index] = tensor.numpy()
        elif tensor.index not in found and tensors != "all":
            raise InvalidValueError(f"{key!r} is not computed in {runtime}.", path=tensor.path)
    return {key: found[tensor.index] for key, tensor in wanted.items() if tensor.index in found}


def _wanted(graph: Subgraph, tensors: str | Sequence[int | str] | None) -> dict[int | str, Tensor]:
    if tensors == "all":
        return {index: graph.tensors[index] for index in computed(graph)}
    if isinstance(tensors, str):
        return {tensors: check_known([tensors], graph)[0]}
    if tensors is not None:
        return dict(zip(tensors, check_known(tensors, graph), strict=True))
    names = [tensor.name for tensor in graph.outputs]
    return {t.name if t.name and names.count(t.name) == 1 else t.index: t for t in graph.outputs}


def _in_litert(
    model: Model, inputs: Sequence[Array], indices: Sequence[int], signature: str | None
) -> dict[int, Array]:
    answer = run_litert(model, inputs, tensors=indices, signature=signature)
    if isinstance(answer, NotRunnable):
        raise UnliteError(answer.reason, file=model.file.name)
    return dict(answer.tensors)


def _in_torch(
    model: Model, graph: Subgraph, inputs: Sequence[Array], indices: Sequence[int], signature: str | None
) -> dict[int, Array]:
    try:
        import torch
    except ImportError:
        raise MissingExtraError("torch", extra="torch", purpose="running a converted model") from None
    from unlite.comparison.torch_run import NodeError, Walk, as_array, module_inputs
    from unlite.pytorch.module import to_torch

    module = to_torch(model, signature=signature)
    found: dict[int, Array] = {}
    asked = set(indices)

    def keep(index: int, value: torch.Tensor) -> None:
        if index in asked:
            found[index] = as_array(value)

    try:
        with torch.no_grad():
            results = Walk(module, graph, keep).run(*module_inputs(module, graph, inputs))
    except NodeError as error:
        raise UnliteError(f"cannot be run: {error}", file=model.file.name) from error
    outputs = results if isinstance(results, (tuple, list)) else (results,)
    for tensor, value in zip(graph.outputs, outputs, strict=True):
        if isinstance(value, torch.Tensor):
            found.setdefault(tensor.index, as_array(value))
    return found
