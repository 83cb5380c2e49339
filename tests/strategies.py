"""Hypothesis strategies for models and for damage, and what reads everything that the interface has to offer."""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import strategies as st

from unlite.errors import UnliteError
from unlite.flatbuffers import view as v
from unlite.flatbuffers.write import build
from unlite.model.model import Model
from unlite.model.saving.rewrite import Rewrite
from unlite.model.values.dtypes import BITS
from unlite.schema import load
from unlite.schema.sniff import IDENTIFIER
from unlite.storage.sink import MemorySink

SMALL = 1 << 16
MOST_BYTES = 1 << 26


class Bounded(MemorySink):
    """Memory, but not more of it than a rewrite of a small file has any reason to take."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert self.position + len(data) < MOST_BYTES, "a rewrite unfolds without bounds"
        super().write(data)


def rewritten(model: Model, *, drop_unknown: bool = False) -> bytes:
    """The bytes that ``save(rewrite=True)`` writes."""
    sink = Bounded()
    Rewrite(model, drop_unknown=drop_unknown).write(sink)
    return sink.value()


# -- everything that can be asked ------------------------------------------------------------------


class Visit:
    """One look at all of a model. Every UnliteError is kept: it must have a place and a text; no other may come."""

    def __init__(self) -> None:
        self.errors: list[UnliteError] = []

    def ask(self, question: Any, *arguments: Any) -> Any:
        try:
            return question(*arguments)
        except UnliteError as error:
            assert str(error)
            assert error.path, f"no path: {error!r}"
            self.errors.append(error)
            return None

    def fields(self, thing: object, *names: str) -> None:
        for name in names:
            self.ask(getattr, thing, name)

    def items(self, sequence: Any) -> list[Any]:
        """The items that can be read, not more than some; those that fail do not hide the rest."""
        count = self.ask(len, sequence) if sequence is not None else 0
        found = [self.ask(sequence.__getitem__, index) for index in range(min(count or 0, 300))]
        return [item for item in found if item is not None]


def visit_everything(model: Model) -> list[UnliteError]:
    """Asks for all that the public interface has to offer; the errors that came, each with path and text."""
    visit = Visit()
    visit.fields(model, "description", "operator_codes", "metadata", "is_changed", "path")
    for code in visit.items(visit.ask(lambda: model.operator_codes)):
        visit.fields(code, "name", "custom", "version", "builtin_code", "custom_code")
    for buffer in visit.items(visit.ask(lambda: model.buffers)):
        visit.fields(buffer, "data", "nbytes")
        visit.ask(repr, buffer)
    for graph in visit.items(visit.ask(lambda: model.subgraphs)):
        _visit_graph(visit, graph)
    for signature in visit.items(visit.ask(lambda: model.signatures)):
        visit.fields(signature, "key", "subgraph", "inputs", "outputs")
        visit.ask(repr, signature)
    _visit_metadata(visit, model)
    visit.ask(lambda: [model.associated_files[name] for name in model.associated_files])
    visit.ask(str, model.root)
    visit.ask(rewritten, model)
    return visit.errors


def _visit_graph(visit: Visit, graph: Any) -> None:
    visit.fields(graph, "name", "inputs", "outputs")
    for tensor in visit.items(graph.tensors):
        visit.fields(tensor, "name", "shape", "shape_signature", "dtype", "nbytes", "buffer", "has_rank")
        visit.fields(tensor, "is_constant", "is_variable", "is_sparse", "producer", "consumers", "quantization")
        visit.ask(repr, tensor)
        visit.ask(lambda tensor=tensor: repr(tensor.quantization))
        if (visit.ask(getattr, tensor, "nbytes") or 0) < SMALL:
            visit.ask(_values, tensor)
    for operator in visit.items(graph.operators):
        visit.fields(operator, "name", "custom", "version", "inputs", "outputs", "intermediates", "label")
        visit.fields(operator, "custom_options", "options")
        visit.ask(lambda operator=operator: str(operator.options))
    visit.ask(repr, graph)


def _values(tensor: Any) -> None:
    if tensor.is_constant:
        tensor.numpy()
        if tensor.quantization is not None:
            tensor.dequantize()


def _visit_metadata(visit: Visit, model: Model) -> None:
    for name in visit.ask(lambda: list(model.metadata)) or []:
        visit.ask(lambda name=name: model.metadata[name])
        visit.ask(lambda name=name: str(model.metadata.decoded(name)))


# -- a model as plain values, for comparisons ------------------------------------------------------


def tree(value: Any, *, without: tuple[str, ...] = ()) -> Any:
    """A view as plain values: tables as dicts of what is present, vectors as lists or bytes."""
    if isinstance(value, (v.Table, v.Struct)):
        fields = v.present(value) if isinstance(value, v.Table) else value._object.fields
        return {field.name: tree(value[field.name], without=without) for field in fields if field.name not in without}
    if isinstance(value, v.ScalarVector):
        return bytes(value.memoryview())
    if isinstance(value, v.Vector):
        return [tree(entry, without=without) for entry in value]
    return value


def tables(root: v.Table) -> list[v.Table]:
    """Every table of a small file, each once, however many paths lead to it."""
    found: dict[tuple[int, int], v.Table] = {}
    stack: list[Any] = [root]
    while stack:
        at = stack.pop()
        if isinstance(at, (v.TableVector, v.UnionVector)):
            stack += list(at)
        elif isinstance(at, v.Table) and (at._position, at._object.index) not in found:
            found[at._position, at._object.index] = at
            stack += [at[field.name] for field in v.present(at)]
    return list(found.values())


# -- models that we can build ----------------------------------------------------------------------

NAMES = st.text(st.characters(codec="utf-8"), max_size=12)
DTYPES = [name for name in BITS if not name.startswith(("BFLOAT16", "FLOAT8"))]
OPTIONS: list[tuple[str, dict[str, st.SearchStrategy[Any]]]] = [
    ("Conv2DOptions", {"stride_w": st.integers(-5, 9), "padding": st.sampled_from(["SAME", "VALID"])}),
    ("ReshapeOptions", {"new_shape": st.lists(st.integers(-1, 9), max_size=4)}),
    ("LeakyReluOptions", {"alpha": st.floats(width=32, allow_nan=False)}),
    ("SoftmaxOptions", {}),
]


@st.composite
def quantizations(draw: st.DrawFn) -> dict[str, Any]:
    """Of a tensor: one scale, or several, or a range alone."""
    count = draw(st.integers(0, 3))
    table: dict[str, Any] = {"quantized_dimension": draw(st.integers(0, 2))}
    if count:
        table["scale"] = draw(st.lists(st.floats(2**-9, 4.0, width=32), min_size=count, max_size=count))
        table["zero_point"] = draw(st.lists(st.integers(-128, 127), min_size=count, max_size=count))
    if draw(st.booleans()):
        table["min"], table["max"] = [-1.0], [1.5]
    return table


@st.composite
def models(draw: st.DrawFn) -> dict[str, Any]:
    """A model as plain values: a few tensors, constants of many types, operators, metadata, a signature."""
    buffers: list[dict[str, Any]] = [{}]
    tensors = [draw(tensors_of(buffers)) for _ in range(draw(st.integers(1, 5)))]
    indices = st.integers(0, len(tensors) - 1)
    operators = []
    for _ in range(draw(st.integers(0, 3))):
        kind, fields = draw(st.sampled_from(OPTIONS))
        operator: dict[str, Any] = {
            "opcode_index": draw(st.integers(0, 1)),
            "inputs": draw(st.lists(st.integers(-1, len(tensors) - 1), max_size=3)),
            "outputs": draw(st.lists(indices, min_size=1, max_size=2)),
        }
        if draw(st.booleans()):
            operator["builtin_options_type"] = kind
            operator["builtin_options"] = {name: draw(values) for name, values in fields.items()}
        operators.append(operator)
    ends = st.lists(indices, max_size=2)
    model: dict[str, Any] = {
        "version": 3,
        "operator_codes": [
            {"builtin_code": "CONV_2D", "deprecated_builtin_code": 3, "version": draw(st.integers(1, 5))},
            {"builtin_code": "CUSTOM", "deprecated_builtin_code": 32, "custom_code": draw(NAMES)},
        ],
        "subgraphs": [
            {"tensors": tensors, "inputs": draw(ends), "outputs": draw(ends), "operators": operators, "name": "main"}
        ],
        "description": draw(NAMES),
        "buffers": buffers,
    }
    if draw(st.booleans()):
        buffers.append({"data": draw(st.binary(max_size=20))})
        model["metadata"] = [{"name": draw(NAMES), "buffer": len(buffers) - 1}]
    if draw(st.booleans()):
        ends_of = [{"name": draw(NAMES), "tensor_index": draw(indices)}]
        model["signature_defs"] = [{"signature_key": "serving_default", "inputs": ends_of, "subgraph_index": 0}]
    return model


@st.composite
def tensors_of(draw: st.DrawFn, buffers: list[dict[str, Any]]) -> dict[str, Any]:
    """A tensor; a constant one adds a buffer."""
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    dtype = draw(st.sampled_from(DTYPES))
    table: dict[str, Any] = {"shape": shape, "type": dtype, "name": draw(NAMES)}
    if draw(st.booleans()):
        table["quantization"] = draw(quantizations())
    if draw(st.booleans()):
        count = 1
        for size in shape:
            count *= size
        length = (count * BITS[dtype] + 7) // 8
        table["buffer"] = len(buffers)
        pattern = draw(st.binary(min_size=1, max_size=8))
        data = (pattern * (length // len(pattern) + 1))[:length]
        buffers.append({"data": bytes(byte & 1 for byte in data) if dtype == "BOOL" else data})
    return table


def model_bytes(values: dict[str, Any]) -> bytes:
    """The file of a model that is given as plain values."""
    return build(load().root, values, IDENTIFIER)


# -- damage ----------------------------------------------------------------------------------------

U32 = st.one_of(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1, 2, 4, 8, 2**16 - 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 4]),
    st.integers(0, 4096),
)


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes with some flipped, some words overwritten, and the end cut off."""
    broken = bytearray(data)
    for position, value in draw(st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), max_size=6)):
        broken[position] = value
    for position, word in draw(st.lists(st.tuples(st.integers(0, len(data) // 4 - 1), U32), max_size=4)):
        struct.pack_into("<I", broken, 4 * position, word)
    if draw(st.integers(0, 4)) == 0:
        del broken[draw(st.integers(0, len(broken))) :]
    return bytes(broken)
