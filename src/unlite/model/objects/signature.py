"""Signatures: named ways to call a model."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from collections.abc import Mapping as MappingABC

from unlite.errors import CorruptFileError, InvalidTypeError, NoSuchKeyError
from unlite.model.objects.entity import Entity

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from unlite.flatbuffers.view import Table, Vector
    from unlite.model.model import Model
    from unlite.model.objects.subgraph import Subgraph
    from unlite.model.objects.tensor import Tensor


class Signature(Entity):
    """One signature: argument names for the ends of a subgraph.

    Attributes:
        index: Its place in ``model.signatures``.
    """

    __slots__ = ("_model", "_table", "index")

    def __init__(self, model: Model, index: int, table: Table) -> None:
        self._model = model
        self.index = index
        self._table = table

    @property
    def key(self) -> str:
        """Its name, such as ``serving_default``. Assignable."""
        # Files of the first schema with signatures kept the key where the deprecated tag is now.
        return self._table["signature_key"] or self._table["deprecated_tag"] or ""

    @key.setter
    def key(self, value: str) -> None:
        self._table.signature_key = value

    @property
    def subgraph(self) -> Subgraph:
        """The subgraph that it calls."""
        index = self._table["subgraph_index"]
        if index >= len(self._model.subgraphs):
            raise CorruptFileError(
                f"there is no subgraph {index}, only {len(self._model.subgraphs)}.",
                path=f"signature_defs[{self.index}]",
            )
        called: Subgraph = self._model.subgraphs[index]
        return called

    @property
    def inputs(self) -> TensorMap:
        """Argument name -> tensor, as stored. Assignable, by key as well: a tensor, its index or its name."""
        return TensorMap(self, "inputs").checked()

    @inputs.setter
    def inputs(self, value: Mapping[str, Tensor | int | str]) -> None:
        self._table.inputs = tensor_maps(self.subgraph, value, f"signature_defs[{self.index}].inputs")

    @property
    def outputs(self) -> TensorMap:
        """Result name -> tensor, as stored. Assignable as ``inputs``."""
        return TensorMap(self, "outputs").checked()

    @outputs.setter
    def outputs(self, value: Mapping[str, Tensor | int | str]) -> None:
        self._table.outputs = tensor_maps(self.subgraph, value, f"signature_defs[{self.index}].outputs")

    def _ends(self, name: str) -> dict[str, Tensor]:
        maps: Vector | None = self._table[name]
        tensors = self.subgraph.tensors
        ends: dict[str, Tensor] = {}
        for i, entry in enumerate(maps or ()):
            if entry["tensor_index"] >= len(tensors):
                raise CorruptFileError(
                    f"there is no tensor {entry['tensor_index']}, only {len(tensors)}.",
                    path=f"signature_defs[{self.index}].{name}[{i}]",
                )
            ends[entry["name"] or ""] = tensors[entry["tensor_index"]]
        return ends

    def __repr__(self) -> str:
        return f"<Signature {self.key!r}: {', '.join(self.inputs)} -> {', '.join(self.outputs)}>"


class TensorMap(MutableMapping[str, "Tensor"]):
    """The names of a signature's inputs or outputs, with their tensors as they are now. Assignable by key."""

    __slots__ = ("_found", "_name", "_seen", "_signature")

    def __init__(self, signature: Signature, name: str) -> None:
        self._signature = signature
        self._name = name
        self._found: dict[str, Tensor] = {}
        self._seen = -1

    def checked(self) -> TensorMap:
        """Itself. Raises CorruptFileError where a tensor is not there."""
        self._now()
        return self

    def _now(self) -> dict[str, Tensor]:
        revision = self._signature._table._edits.revision
        if self._seen != revision:
            self._found, self._seen = self._signature._ends(self._name), revision
        return self._found

    def __getitem__(self, key: str) -> Tensor:
        found = self._now()
        if key not in found:
            raise NoSuchKeyError(
                f"there is nothing called {key!r}.",
                path=f"signature_defs[{self._signature.index}].{self._name}",
                hint=f"There is: {', '.join(found)}.",
            )
        return found[key]

    def __setitem__(self, key: str, value: Tensor | int | str) -> None:
        setattr(self._signature, self._name, {**self, key: value})

    def __delitem__(self, key: str) -> None:
        self[key]  # raises where there is none
        setattr(self._signature, self._name, {name: tensor for name, tensor in self.items() if name != key})

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())

    def __repr__(self) -> str:
        return repr(dict(self))


def tensor_maps(graph: Subgraph, tensors: Mapping[str, Tensor | int | str], path: str) -> list[dict[str, Any]]:
    """What is stored for names and their tensors."""
    if not isinstance(tensors, MappingABC):
        raise InvalidTypeError(f"a dict of names and tensors is wanted, not {tensors!r:.60}.", path=path)
    indices = graph._indices_of(tensors.values(), path)
    return [{"name": name, "tensor_index": index} for name, index in zip(tensors, indices, strict=True)]


def signature_table(model: Model, value: Any, path: str) -> Any:
    """What is stored for an entry of ``model.signatures``: a signature, or a dict that says what it is.

    Args:
        model: Whose it will be.
        value: A Signature of the model, or a dict with ``key``, ``inputs`` and ``outputs`` (name -> tensor), and
            ``subgraph`` (an index, a name or a Subgraph; the main one when left out).
        path: Its place.
    """
    if isinstance(value, Signature):
        return value._table
    if not isinstance(value, MappingABC) or not {"key", "inputs", "outputs"} <= set(value) <= _KEYS:
        raise InvalidTypeError(
            f"a signature or a dict with key, inputs and outputs is wanted, not {value!r:.60}.", path=path
        )
    wanted: Any = value.get("subgraph", 0)
    graph = model.subgraphs[wanted if isinstance(wanted, (int, str)) else wanted.index]
    return {
        "signature_key": value["key"],
        "subgraph_index": graph.index,
        "inputs": tensor_maps(graph, value["inputs"], f"{path}.inputs"),
        "outputs": tensor_maps(graph, value["outputs"], f"{path}.outputs"),
    }


_KEYS = {"key", "inputs", "outputs", "subgraph"}
