"""Subgraphs: tensors and operators, by index or name."""

from __future__ import annotations

from unlite.errors import CorruptFileError
from unlite.model.objects.names import Named, NamedSequence
from unlite.model.objects.operator import Operator
from unlite.model.objects.tensor import Tensor

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from typing import TypeVar

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

    __slots__ = ("_links", "model", "operators", "tensors")

    def __init__(self, model: Model, index: int, table: Table) -> None:
        self.model = model
        self.index = index
        self._table = table
        self.tensors: NamedSequence[Tensor] = NamedSequence(
            table["tensors"], lambda i, entry: Tensor(self, i, entry), lambda item: item.name, f"{self.path}.tensors"
        )
        self.operators: NamedSequence[Operator] = NamedSequence(
            table["operators"], lambda i, entry: Operator(self, i, entry), operator_name, f"{self.path}.operators"
        )
        self._links: tuple[dict[int, Operator], dict[int, list[Operator]]] | None = None

    @property
    def path(self) -> str:
        """Its place in the file, such as ``subgraphs[0]``."""
        return f"subgraphs[{self.index}]"

    def _renamed(self) -> None:
        self.model.subgraphs.forget_names()

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors that go in, in the file's order."""
        return self._present(self._tensors_of(self._table["inputs"], f"{self.path}.inputs"), "inputs")

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The tensors that come out, in the file's order."""
        return self._present(self._tensors_of(self._table["outputs"], f"{self.path}.outputs"), "outputs")

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

    def _linked(self) -> tuple[dict[int, Operator], dict[int, list[Operator]]]:
        if self._links is None:
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
        return self._links

    def _producers(self) -> dict[int, Operator]:
        return self._linked()[0]

    def _consumers(self) -> dict[int, list[Operator]]:
        return self._linked()[1]

    def _names_changed(self) -> None:
        self.tensors.forget_names()
        self.operators.forget_names()

    def __repr__(self) -> str:
        return f"<Subgraph {self.index} {self.name!r}: {len(self.operators)} operators, {len(self.tensors)} tensors>"

    def _repr_html_(self) -> str:
        from unlite.model.facts.html import subgraph_html

        return subgraph_html(self)
