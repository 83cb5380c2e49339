"""Subgraphs: tensors and operators, by index or name."""

from __future__ import annotations

from collections.abc import Iterable as IterableABC
from collections.abc import Mapping

from unlite.errors import CorruptFileError, InvalidTypeError, InvalidValueError
from unlite.model.objects.names import Named, NamedSequence
from unlite.model.objects.operator import Operator
from unlite.model.objects.tensor import Tensor

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import ClassVar, TypeVar

    from unlite.flatbuffers.view import Table, Vector
    from unlite.model.model import Model

    T = TypeVar("T")


def operator_name(operator: Operator) -> str:
    """What an operator is called when it is asked for by name: its first output."""
    names = [tensor.name for tensor in operator.outputs if tensor is not None]
    return names[0] if names else ""


class Subgraph(Named):
    """One graph of a model: its tensors, and the operators in the order in which they run.

    Attributes:
        model: Whose it is.
        index: Its place in ``model.subgraphs``.
        tensors: By index or name.
        operators: By index, or by the name of the first output.
    """

    FORMS: ClassVar[dict[str, str]] = {
        "tensors": "Entries are changed one by one, or the whole list in model.root.subgraphs[N].tensors = [...].",
        "operators": "Entries are changed one by one, or the whole list in model.root.subgraphs[N].operators = [...].",
    }
    __slots__ = ("_linked_at", "_links", "model", "operators", "tensors")

    def __init__(self, model: Model, index: int, table: Table) -> None:
        self.model = model
        self.index = index
        self._table = table
        self.tensors: NamedSequence[Tensor] = NamedSequence(
            table, "tensors", lambda i, entry: Tensor(self, i, entry), lambda item: item.name, f"{self.path}.tensors"
        )
        self.operators: NamedSequence[Operator] = NamedSequence(
            table, "operators", lambda i, entry: Operator(self, i, entry), operator_name, f"{self.path}.operators"
        )
        self._links: tuple[dict[int, Operator], dict[int, list[Operator]]] | None = None
        self._linked_at = -1

    @property
    def path(self) -> str:
        """Its place in the file, such as ``subgraphs[0]``."""
        return f"subgraphs[{self.index}]"

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors that go in, in the file's order. Assignable: tensors of this subgraph, their indices or names."""
        return self._present(self._tensors_of(self._table["inputs"], f"{self.path}.inputs"), "inputs")

    @inputs.setter
    def inputs(self, value: Iterable[Tensor | int | str]) -> None:
        self._table.inputs = self._indices_of(value, f"{self.path}.inputs")

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The tensors that come out, in the file's order. Assignable as ``inputs``."""
        return self._present(self._tensors_of(self._table["outputs"], f"{self.path}.outputs"), "outputs")

    @outputs.setter
    def outputs(self, value: Iterable[Tensor | int | str]) -> None:
        self._table.outputs = self._indices_of(value, f"{self.path}.outputs")

    def _present(self, tensors: tuple[Tensor | None, ...], name: str) -> tuple[Tensor, ...]:
        if None in tensors:
            raise CorruptFileError("an absent tensor (-1) is no end of a graph.", path=f"{self.path}.{name}")
        return tuple(tensor for tensor in tensors if tensor is not None)

    def _tensors_of(self, indices: Vector | None, path: str) -> tuple[Tensor | None, ...]:
        if indices is None:
            return ()
        found: list[Tensor | None] = []
        count = len(self.tensors)
        for i, index in enumerate(indices):
            if not -1 <= index < count:
                raise CorruptFileError(
                    f"there is no tensor {index}, only {count}.", file=self.model.source.name, path=f"{path}[{i}]"
                )
            found.append(None if index < 0 else self.tensors[index])
        return tuple(found)

    def _indices_of(
        self, tensors: Iterable[Tensor | int | str | None], path: str, *, absent: bool = False
    ) -> list[int]:
        """Indices of tensors that are to be stored; -1 for None, where one may be absent."""
        if isinstance(tensors, (str, bytes, bytearray, Mapping)) or not isinstance(tensors, IterableABC):
            raise InvalidTypeError(f"a list of tensors is wanted, not {tensors!r:.60}.", path=path)
        found: list[int] = []
        for i, entry in enumerate(tensors):
            place = f"{path}[{i}]"
            if isinstance(entry, Tensor):
                if entry.subgraph is not self:
                    raise InvalidValueError(f"{entry.name!r} is a tensor of {entry.subgraph.path}.", path=place)
                found.append(entry.index)
            elif entry is None or (isinstance(entry, int) and entry == -1):
                if not absent:
                    raise InvalidValueError("an input or output of a graph cannot be absent.", path=place)
                found.append(-1)
            else:
                found.append(self.tensors[entry].index)
        return found

    def _linked(self) -> tuple[dict[int, Operator], dict[int, list[Operator]]]:
        revision = self._table._edits.revision
        if self._links is None or self._linked_at != revision:
            producers: dict[int, Operator] = {}
            consumers: dict[int, list[Operator]] = {}
            left = 4 * self.model.source.size
            for operator in self.operators:
                left -= 4 * (len(operator._table["inputs"] or ()) + len(operator._table["outputs"] or ()))
                if left < 0:
                    raise CorruptFileError("more inputs and outputs than the file holds.", path=operator.path)
                for tensor in operator.outputs:
                    if tensor is not None:
                        producers.setdefault(tensor.index, operator)
                for tensor in dict.fromkeys(operator.inputs):
                    if tensor is not None:
                        consumers.setdefault(tensor.index, []).append(operator)
            self._links = producers, consumers
            self._linked_at = revision
        return self._links

    def _producers(self) -> dict[int, Operator]:
        return self._linked()[0]

    def _consumers(self) -> dict[int, list[Operator]]:
        return self._linked()[1]

    def __repr__(self) -> str:
        return f"<Subgraph {self.index} {self.name!r}: {len(self.operators)} operators, {len(self.tensors)} tensors>"

    def _repr_html_(self) -> str:
        from unlite.model.facts.html import subgraph_html

        return subgraph_html(self)
