"""Models of the versions before 3, brought up to the newest schema.

Operators were renamed and renumbered on the way (so they are mapped by name), weights moved out of the tensors into
buffers, and version 0 had no subgraphs. Everything else kept its field names and is carried over by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.errors import CorruptFileError
from unlite.flatbuffers import schema as s
from unlite.flatbuffers import view as v
from unlite.flatbuffers.write import build
from unlite.schema import load
from unlite.schema.sniff import IDENTIFIER

if TYPE_CHECKING:
    from unlite.flatbuffers.schema import Object

RENAMED_OPERATORS = {
    "CONVOLUTION": "CONV_2D",
    "DEPTHWISE_CONVOLUTION": "DEPTHWISE_CONV_2D",
    "AVERAGE_POOL": "AVERAGE_POOL_2D",
    "MAX_POOL": "MAX_POOL_2D",
    "L2_POOL": "L2_POOL_2D",
    "SIGMOID": "LOGISTIC",
    "BasicRNN": "RNN",
    "L2NORM": "L2_NORMALIZATION",
    "LOCAL_RESPONSE_NORM": "LOCAL_RESPONSE_NORMALIZATION",
}


def upgrade(root: v.Table) -> bytes:
    """The same model as a FlatBuffer of version 3. ``root``: a Model of version 0, 1 or 2."""
    newest = load()
    buffers: list[dict[str, Any]] = [{}]  # number 0 means: no data
    graphs = [root] if "tensors" in root._object.by_name else list(root["subgraphs"] or ())
    model: dict[str, Any] = {
        "version": 3,
        "operator_codes": [_operator_code(code) for code in root["operator_codes"] or ()],
        "subgraphs": [_subgraph(graph, buffers, newest.named("tflite.SubGraph")) for graph in graphs],
        "buffers": buffers,
    }
    if "description" in root._object.by_name and root["description"] is not None:
        model["description"] = root["description"]
    return build(newest.root, model, IDENTIFIER)


def _operator_code(code: v.Table) -> dict[str, Any]:
    name = code["builtin_code"]
    if isinstance(name, int):
        raise CorruptFileError(f"{name} is no operator of this schema version.", path=f"{v.path(code)}.builtin_code")
    name = RENAMED_OPERATORS.get(str(name), str(name))
    number = load().enum_named("BuiltinOperator").values[name]
    new: dict[str, Any] = {"builtin_code": name, "deprecated_builtin_code": number}
    if code["custom_code"] is not None:
        new["custom_code"] = code["custom_code"]
    return new


def _subgraph(graph: v.Table, buffers: list[dict[str, Any]], owner: Object) -> dict[str, Any]:
    new: dict[str, Any] = {name: graph[name] for name in ("inputs", "outputs", "name") if name in graph._object.by_name}
    new["tensors"] = [
        _tensor(tensor, buffers, owner.schema.named("tflite.Tensor")) for tensor in graph["tensors"] or ()
    ]
    new["operators"] = [
        _operator(operator, owner.schema.named("tflite.Operator")) for operator in graph["operators"] or ()
    ]
    return new


def _tensor(tensor: v.Table, buffers: list[dict[str, Any]], owner: Object) -> dict[str, Any]:
    data = tensor["data_buffer"]
    new = carried(tensor, owner, leave_out="data_buffer")
    if data is not None and len(data):
        new["buffer"] = len(buffers)
        buffers.append({"data": data})
    return new


def _operator(operator: v.Table, owner: Object) -> dict[str, Any]:
    new = carried(operator, owner, leave_out="builtin_options")
    options = operator["builtin_options"]
    if options is not None:
        # The members were renamed but kept their numbers.
        old = operator._object.by_name["builtin_options"].enum
        union = owner.by_name["builtin_options"].enum
        number = old.number(operator["builtin_options_type"]) if old is not None else None
        member = union.member(number) if union is not None and number is not None else None
        if union is None or number is None or member is None or not isinstance(options, v.Table):
            raise CorruptFileError("options of unknown type.", path=v.path(operator))
        new["builtin_options_type"] = union.label(number)
        new["builtin_options"] = carried(options, owner.schema.object(member.index))
    else:
        new.pop("builtin_options_type", None)
    return new


def carried(table: v.Table, owner: Object, leave_out: str = "") -> dict[str, Any]:
    """The fields of a table as values for the newer table of the same field names."""
    values: dict[str, Any] = {}
    for field in v.present(table):
        if field.name in (leave_out, f"{leave_out}_type"):
            continue
        value: Any = v.get(table, field)
        newer = owner.by_name[field.name]
        if isinstance(value, v.Table) and newer.object is not None:
            value = carried(value, newer.object)
        elif field.enum is not None and field.type.base in s.SCALARS:
            number: Any = value
            value = field.enum.number(number)  # names changed (RELU1), numbers did not
        values[field.name] = value
    return values
