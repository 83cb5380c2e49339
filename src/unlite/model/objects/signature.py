"""Signatures: named ways to call a model."""

from __future__ import annotations

from unlite.errors import CorruptFileError

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from unlite.flatbuffers.view import Table, Vector
    from unlite.model.model import Model
    from unlite.model.objects.subgraph import Subgraph
    from unlite.model.objects.tensor import Tensor


class Signature:
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
        """Its name, such as ``serving_default``."""
        # Files of the first schema with signatures kept the key where the deprecated tag is now.
        return self._table["signature_key"] or self._table["deprecated_tag"] or ""

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
    def inputs(self) -> dict[str, Tensor]:
        """Argument name -> tensor, as stored."""
        return self._ends(self._table["inputs"], "inputs")

    @property
    def outputs(self) -> dict[str, Tensor]:
        """Result name -> tensor, as stored."""
        return self._ends(self._table["outputs"], "outputs")

    def _ends(self, maps: Vector | None, name: str) -> dict[str, Tensor]:
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
