"""Tensors: name, shape, type, quantization, and the constant that some of them hold."""

from __future__ import annotations

from unlite.errors import CorruptFileError, InvalidTypeError, InvalidValueError, NoDataError
from unlite.model.objects.names import Named
from unlite.model.values.dtypes import elements, numpy_dtype, stored_bytes

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, ClassVar

    import numpy as np
    from numpy.typing import NDArray

    from unlite.flatbuffers.view import Table
    from unlite.model.objects.buffer import Buffer
    from unlite.model.objects.operator import Operator
    from unlite.model.objects.quantization import Quantization
    from unlite.model.objects.subgraph import Subgraph
    from unlite.storage.source import Span

_QUANTIZED = ("INT8", "UINT8", "INT16", "UINT16", "INT32", "INT64", "INT4", "UINT4", "INT2")


_SET = object.__setattr__  # what Entity does more is for people


class Tensor(Named):
    """A tensor of a subgraph. ``name`` and ``shape`` and their like cost nothing; ``numpy()`` reads the constant.

    Attributes:
        subgraph: Whose it is.
        index: Its place in ``subgraph.tensors``.
    """

    FORMS: ClassVar[dict[str, str]] = {
        "buffer": "Assign data; or the number in model.root.subgraphs[N].tensors[N].buffer.",
        "is_variable": "It stands in model.root.subgraphs[N].tensors[N].is_variable.",
        "has_rank": "It stands in model.root.subgraphs[N].tensors[N].has_rank.",
    }
    __slots__ = ("subgraph",)
    subgraph: Subgraph

    def __init__(self, subgraph: Subgraph, index: int, table: Table) -> None:
        _SET(self, "subgraph", subgraph)
        _SET(self, "index", index)
        _SET(self, "_table", table)

    @property
    def path(self) -> str:
        """Its place in the file, such as ``subgraphs[0].tensors[3]``."""
        return f"subgraphs[{self.subgraph.index}].tensors[{self.index}]"

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape; () for a scalar, and for a tensor of unknown rank (see ``has_rank``).

        Assignable; a constant keeps its number of elements.
        """
        shape = self._table["shape"]
        return () if shape is None else tuple(shape.tolist())

    @shape.setter
    def shape(self, value: Sequence[int]) -> None:
        sizes = _sizes(value, 0, f"{self.path}.shape")
        if self.is_constant and elements(tuple(sizes)) != elements(self.shape):
            raise InvalidValueError(
                f"its constant has {elements(self.shape)} elements, {sizes} are {elements(tuple(sizes))}.",
                path=f"{self.path}.shape",
                hint="Another constant is assigned with its shape: build the model anew, or point to another buffer.",
            )
        self._table.shape = sizes

    @property
    def shape_signature(self) -> tuple[int, ...]:
        """The shape with -1 where a dimension is free; the plain shape where the file has no signature. Assignable."""
        signature = self._table["shape_signature"]
        return self.shape if not signature else tuple(signature.tolist())

    @shape_signature.setter
    def shape_signature(self, value: Sequence[int] | None) -> None:
        path = f"{self.path}.shape_signature"
        sizes = None if value is None else _sizes(value, -1, path)
        if sizes is not None and len(sizes) != len(self.shape):
            raise InvalidValueError(f"{len(self.shape)} dimensions are wanted, not {len(sizes)}.", path=path)
        self._table.shape_signature = sizes

    @property
    def has_rank(self) -> bool:
        """Whether an empty shape is known to mean a scalar. Older files never say so."""
        return bool(self._table["has_rank"])

    @property
    def dtype(self) -> str:
        """Element type as in the schema, such as ``FLOAT32``; ``UNKNOWN_n`` for one that the schema does not know.

        Assignable where the tensor holds no constant.
        """
        kind = self._table["type"]
        return kind if isinstance(kind, str) else f"UNKNOWN_{kind}"

    @dtype.setter
    def dtype(self, value: str) -> None:
        if self.is_constant and value != self.dtype:
            raise InvalidValueError(
                f"its constant is stored as {self.dtype}.",
                path=f"{self.path}.dtype",
                hint="Only tensors without data take another type.",
            )
        self._table.type = value

    @property
    def numpy_dtype(self) -> np.dtype[np.generic]:
        """NumPy's type of what ``numpy()`` gives."""
        return numpy_dtype(self.dtype, self.path)

    @property
    def nbytes(self) -> int:
        """Bytes of all its elements as stored, not sparse; of a constant of strings, its stored length; else 0."""
        size = stored_bytes(self.dtype, elements(self.shape))
        if size is None and self.dtype == "STRING":
            span = self._span()
            return span.length if span else 0
        return size or 0

    @property
    def buffer(self) -> Buffer:
        """The entry of ``model.buffers`` that it names; number 0 means: no data."""
        buffer: Buffer = self.subgraph.model.buffers[self._table["buffer"]]
        return buffer

    @property
    def is_variable(self) -> bool:
        """Whether it keeps its value from one run to the next."""
        return bool(self._table["is_variable"])

    @property
    def is_constant(self) -> bool:
        """Whether the file holds its value."""
        return self._span() is not None

    @property
    def is_sparse(self) -> bool:
        """Whether only some of its values are stored."""
        return self._table["sparsity"] is not None

    @property
    def producer(self) -> Operator | None:
        """The operator that it comes out of, if any."""
        return self.subgraph._producers().get(self.index)

    @property
    def consumers(self) -> tuple[Operator, ...]:
        """The operators that it goes into."""
        return tuple(self.subgraph._consumers().get(self.index, ()))

    @property
    def quantization(self) -> Quantization | None:
        """Scales and zero points; None where the file says nothing. Assignable, as a whole and field by field."""
        from unlite.model.objects.quantization import TensorQuantization, has_quantization

        try:
            parameters = self._table["quantization"]
            return TensorQuantization(parameters) if has_quantization(parameters) else None
        except CorruptFileError as error:
            error.path = error.path or self.path
            raise

    @quantization.setter
    def quantization(self, value: Quantization | None) -> None:
        from unlite.model.objects.quantization import Quantization, write_quantization

        if value is not None and not isinstance(value, Quantization):
            raise InvalidTypeError(f"a Quantization or None is wanted, not {value!r:.60}.", path=self.path)
        write_quantization(self._table, value, self.path)

    def _span(self) -> Span | None:
        """Where the constant lies. Data of 0 bytes make a constant only of tensors without stored elements."""
        model = self.subgraph.model
        number = self._table["buffer"]
        if number:
            if number >= len(model.buffers):
                raise CorruptFileError(
                    f"there is no buffer {number}, only {len(model.buffers)}.", file=model.source.name, path=self.path
                )
            span: Span | None = model.buffers[number].span
            if span is not None and (span.length or self.is_sparse or elements(self.shape) == 0):
                return span
        external = self._table["external_buffer"]
        if not external:
            return None
        from unlite.model.objects.buffer import external_span

        return external_span(model, external, self.path)

    @property
    def data(self) -> memoryview:
        """The stored bytes. Assign an array (real shape and dtype) to replace the constant."""
        return self._constant().view()

    @data.setter
    def data(self, value: Any) -> None:
        from unlite.model.values.constants import store

        store(self, value)

    def _constant(self) -> Span:
        span = self._span()
        if span is None:
            raise NoDataError(
                f"{self.name!r} holds no constant.", path=self.path, hint="Its values exist only while the model runs."
            )
        return span

    def numpy(self) -> NDArray[np.generic]:
        """The stored values, in ``shape``.

        A read-only view of the file without a copy, at any alignment, for types that NumPy knows; a new array for
        INT4, UINT4, INT2 (int8, uint8), STRING (object, bytes) and sparse tensors (made dense).

        Raises:
            NoDataError: the tensor holds no constant.
            CorruptFileError: the bytes do not fit the shape.
        """
        from unlite.model.values.constants import load

        return load(self)

    def dequantize(self) -> NDArray[np.float32]:
        """Real values of the constant, ``scale * (q - zero_point)``; float types are only widened. float32, ``shape``.

        Raises:
            NoDataError: the tensor holds no constant.
            NotQuantizedError: it has no scale, and is not of a float type.

        Source: schema.fbs, table QuantizationParameters.
        """
        from unlite.model.values.constants import dequantized

        return dequantized(self)

    def __repr__(self) -> str:
        return f"<Tensor {self.index} {self.name!r} {self.dtype} {list(self.shape_signature)}>"

    def _repr_html_(self) -> str:
        from unlite.model.facts.html import tensor_html

        return tensor_html(self)


def _sizes(value: Sequence[int], least: int, path: str) -> list[int]:
    """A shape that is to be stored."""
    try:
        sizes = [size.__index__() for size in value]
    except (AttributeError, TypeError):
        raise InvalidTypeError(f"a list of sizes is wanted, not {value!r:.60}.", path=path) from None
    if any(size < least for size in sizes):
        raise InvalidValueError(f"a size of {min(sizes)} is impossible.", path=path)
    return sizes
