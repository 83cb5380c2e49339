"""``unlite show``: what is in a model."""

from __future__ import annotations

import sys
from itertools import islice
from json import dumps
from math import isfinite

from unlite.cli.output import new_parser, print_facts, print_table, printable, size, strict
from unlite.cli.streams import MODEL, open_input
from unlite.containers.zip_search import may_end_in_zip
from unlite.errors import CorruptFileError, UnliteError, UnsupportedFormatError
from unlite.flatbuffers import view as v
from unlite.flatbuffers.rows import rows
from unlite.flatbuffers.schema import U_TYPE
from unlite.model.values.dtypes import elements, stored_bytes

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import Any

    from unlite.flatbuffers.findings import Finding
    from unlite.flatbuffers.rows import Wanted
    from unlite.model.model import Model
    from unlite.model.objects.subgraph import Subgraph

EXAMPLES = """\
  unlite show face.tflite                     overview
  unlite show face.tflite --tensors           every tensor, a line each in a pipe
  unlite show face.tflite --operators --json  for programs
  unlite show bundle.litertlm                 the parts of a bundle
  unlite show 'bundle.litertlm#prefill_decode' one of them
  unlite show https://example.org/face.tflite reads only the parts it needs
  unlite set face.tflite description=mine -o - | unlite show -"""

ITEMS_A_LINE = 32
TENSOR_COLUMNS = ("#", "name", "dtype", "shape", "quantization", "buffer", "bytes")
OPERATOR_COLUMNS = ("#", "name", "inputs", "outputs", "options")


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = new_parser(
        "show", "Shows what is in a model. Without options an overview; weights are never loaded.", EXAMPLES
    )
    made.add_argument("model", metavar="MODEL", help=MODEL)
    made.add_argument(
        "--tensors", action="store_true", help="the tensors: index, name, dtype, shape, quantization, buffer"
    )
    made.add_argument("--operators", action="store_true", help="the operators: index, name, inputs, outputs, options")
    made.add_argument(
        "--json", action="store_true", help="everything for programs (with --tensors or --operators: only those)"
    )
    made.add_argument("--weights", metavar="FOLDER", help="folder of the model's weight files, where it has any")
    return made


def run(arguments: argparse.Namespace) -> int:
    """Shows; returns 1 where the file is damaged."""
    try:
        model = open_input(arguments.model, weights=arguments.weights)
    except UnsupportedFormatError:
        from unlite.cli.show_bundle import show_bundle

        try:
            code = show_bundle(arguments, _show_json)
        except CorruptFileError as error:
            return _unreadable(arguments, error)
        if code is None:
            raise
        return code
    except CorruptFileError as error:
        return _unreadable(arguments, error)
    damage: list[UnliteError] = []
    if arguments.json:
        _show_json(model, arguments, damage)
    else:
        _show_text(model, arguments, damage)
    return 1 if damage else 0


def _unreadable(arguments: argparse.Namespace, error: CorruptFileError) -> int:
    """A file whose root cannot be read has nothing to show but that."""
    finding = {"severity": "error", "path": error.path or "", "offset": error.offset, "message": error.message}
    if arguments.json:
        print(strict(dumps({"schema_version": 3, "description": "", "subgraphs": [], "findings": [finding]})))
    else:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    return 1


def findings_of(model: Model) -> list[dict[str, Any]]:
    """The verifier's findings, for JSON."""
    found: list[Finding] = model.verify()
    return [{"severity": f.severity, "path": f.path, "offset": f.offset, "message": f.message} for f in found]


class _Out:
    """JSON written piece by piece, so that a large listing is never held as a whole."""

    def __init__(self) -> None:
        self.write = sys.stdout.write

    def items(self, name: str, values: Iterator[Any]) -> None:
        """One key with a list, some entries a line: one call of the encoder for each would double the cost."""
        self.write(f'"{name}": [')
        before = "\n"
        while chunk := list(islice(values, ITEMS_A_LINE)):
            self.write(before + strict(dumps(chunk)[1:-1]))
            before = ",\n"
        self.write("]")


def _show_json(model: Model, arguments: argparse.Namespace, damage: list[UnliteError]) -> None:
    """Writes everything, or what was asked for, as JSON; what cannot be read is added to ``damage``."""
    out = _Out()
    everything = arguments.tensors == arguments.operators
    head = {"schema_version": model.schema_version, "description": read(damage, lambda: model.description, "")}
    out.write(strict(dumps(head)[:-1]) + ', "subgraphs": [')
    before = ""
    for graph in iterate(damage, lambda: model.subgraphs):
        facts = {
            "name": read(damage, lambda graph=graph: graph.name, ""),
            "inputs": read(damage, lambda graph=graph: list(graph._table["inputs"] or ()), []),
            "outputs": read(damage, lambda graph=graph: list(graph._table["outputs"] or ()), []),
        }
        out.write(before + "\n" + strict(dumps(facts)[:-1]))
        if everything or arguments.tensors:
            out.write(",\n")
            out.items("tensors", tensor_facts(graph, damage))
        if everything or arguments.operators:
            out.write(",\n")
            out.items("operators", operator_facts(graph, damage))
        out.write("}")
        before = ","
    out.write("],\n")
    out.items("signatures", signature_facts(model, damage))
    out.write(",\n")
    out.items("metadata", metadata_facts(model, damage))
    out.write(",\n")
    out.items("associated_files", iter(read(damage, lambda: _files(model), [])))
    if damage:
        out.write(",\n")
        out.items("findings", iter(findings_of(model)))
    out.write("}\n")


def read(damage: list[UnliteError], get: Any, instead: Any) -> Any:
    """What ``get`` gives; ``instead`` where the file is damaged there, which is noted."""
    try:
        return get()
    except UnliteError as error:
        damage.append(error)
        return instead


def iterate(damage: list[UnliteError], get: Any) -> Iterator[Any]:
    """The entries of a sequence that can be read."""
    sequence = read(damage, get, ())
    for i in range(len(sequence)):
        try:
            yield sequence[i]
        except UnliteError as error:
            damage.append(error)


QUANTIZATION: Wanted = dict.fromkeys(("scale", "zero_point", "quantized_dimension", "min", "max", "details"))
TENSOR: Wanted = {
    **dict.fromkeys(("name", "type", "shape", "shape_signature", "buffer", "is_variable")),
    "quantization": QUANTIZATION,
}


def tensor_facts(graph: Subgraph, damage: list[UnliteError]) -> Iterator[dict[str, Any]]:
    """One dict per tensor."""
    tables = graph._table["tensors"]
    for index, row in enumerate(rows(tables, TENSOR) if isinstance(tables, v.TableVector) else ()):
        try:
            if isinstance(row, CorruptFileError):
                raise row
            name, kind, shape, signature, buffer, is_variable, quantization = row
            shape = shape or []
            nbytes = stored_bytes(kind, elements(shape))
            yield {
                "index": index,
                "name": name or "",
                "dtype": kind if isinstance(kind, str) else f"UNKNOWN_{kind}",
                "shape": shape,
                "shape_signature": signature or shape,
                "buffer": buffer,
                "nbytes": graph.tensors[index].nbytes if nbytes is None else nbytes,
                "is_variable": is_variable,
                "quantization": None if quantization is None else _quantization(graph, index, quantization),
            }
        except UnliteError as error:
            damage.append(error)
            yield {"index": index, "name": None, "error": str(error)}


def _quantization(graph: Subgraph, index: int, row: list[Any]) -> dict[str, Any] | None:
    scale, zero_point, quantized_dimension, low, high, details = row
    if not scale and not low and not high and details is None:
        return None
    return {
        "scale": _floats(scale),
        "zero_point": zero_point or [],
        "quantized_dimension": quantized_dimension,
        "min": _floats(low),
        "max": _floats(high),
        "details": None if details is None else plain(graph.tensors._tables[index]["quantization"]["details"]),
    }


def _floats(numbers: list[float] | None) -> list[float] | list[float | None]:
    if not numbers:
        return []
    return numbers if isfinite(sum(numbers)) else [number if isfinite(number) else None for number in numbers]


def plain(value: Any, depth: int = 0) -> Any:
    """A view as JSON values; a table as a dict with its ``type``. Long vectors as their length."""
    if isinstance(value, v.Table):
        facts: dict[str, Any] = {"type": value._object.name.rpartition(".")[2]}
        for field in value._object.fields if depth < 8 else ():
            if field.type.base != U_TYPE:  # a union's type stands in its value
                facts["type_" if field.name == "type" else field.name] = plain(v.get(value, field), depth + 1)
        return facts
    if isinstance(value, v.ScalarVector):
        return [plain(entry) for entry in value.tolist()] if len(value) <= 1024 else {"length": len(value)}
    if isinstance(value, v.Vector):
        return [plain(entry, depth + 1) for entry in value] if depth < 8 else {"length": len(value)}
    if isinstance(value, v.View):
        return str(value)
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, (bytes, bytearray)):
        return {"base64": _base64(value)} if len(value) <= 1024 else {"length": len(value)}
    if isinstance(value, dict):
        return {str(key): plain(entry, depth + 1) for key, entry in value.items()}
    if isinstance(value, list):
        return [plain(entry, depth + 1) for entry in value]
    return value


def _base64(data: bytes | bytearray) -> str:
    from binascii import b2a_base64

    return b2a_base64(data, newline=False).decode("ascii")


def operator_facts(graph: Subgraph, damage: list[UnliteError]) -> Iterator[dict[str, Any]]:
    """One dict per operator."""
    for index in range(len(graph.operators)):
        try:
            operator = graph.operators[index]
            table = operator._table
            yield {
                "index": index,
                "name": operator.name,
                "custom": operator.custom,
                "version": operator.version,
                "inputs": list(table["inputs"] or ()),
                "input_names": list(operator.input_names),
                "outputs": list(table["outputs"] or ()),
                "options": _options(operator),
            }
        except UnliteError as error:
            damage.append(error)
            yield {"index": index, "name": None, "error": str(error)}


def _options(operator: Any) -> dict[str, Any] | None:
    if operator.options is not None:
        options = plain(operator.options)
        return options if isinstance(options, dict) else {"type": "unknown", "value": options}
    if not operator.custom:
        return None
    options = operator._decoded_options()
    if options is None:
        return None
    kind = "bytes" if isinstance(options, bytes) else "FlexBuffer"
    return {"type": kind, "value": plain(options)}


def signature_facts(model: Model, damage: list[UnliteError]) -> Iterator[dict[str, Any]]:
    """One dict per signature: key, subgraph, argument name -> tensor index."""
    for signature in iterate(damage, lambda: model.signatures):
        try:
            yield {
                "key": signature.key,
                "subgraph": signature.subgraph.index,
                "inputs": {name: tensor.index for name, tensor in signature.inputs.items()},
                "outputs": {name: tensor.index for name, tensor in signature.outputs.items()},
            }
        except UnliteError as error:
            damage.append(error)


def metadata_facts(model: Model, damage: list[UnliteError]) -> Iterator[dict[str, Any]]:
    """One dict per metadata entry: name and buffer index."""
    for entry in iterate(damage, lambda: model.root["metadata"] or ()):
        facts = read(damage, lambda entry=entry: {"name": entry["name"] or "", "buffer": entry["buffer"]}, None)
        if facts is not None:
            yield facts


def _files(model: Model) -> list[str]:
    """Names of the associated files. What reads archives is not loaded for a file that ends in none."""
    return list(model.associated_files) if model.is_changed or may_end_in_zip(model.file) else []


def _labels(model: Model) -> list[str]:
    if not model.root["metadata"] and not _files(model):
        return []  # nothing is loaded to look for labels in a model that cannot have any
    from unlite.model.metadata.labels import label_facts

    return label_facts(model)


def _show_text(model: Model, arguments: argparse.Namespace, damage: list[UnliteError]) -> None:
    if not arguments.tensors and not arguments.operators:
        _overview(model, damage)
    for graph in iterate(damage, lambda: model.subgraphs):
        title = f"{graph.path} {read(damage, lambda graph=graph: graph.name, '')!r}"
        if arguments.tensors:
            print_table(f"{title}: tensors", TENSOR_COLUMNS, map(_tensor_row, tensor_facts(graph, damage)))
        if arguments.operators:
            print_table(f"{title}: operators", OPERATOR_COLUMNS, map(_operator_row, operator_facts(graph, damage)))
    if damage:
        sys.stdout.flush()  # what could be read comes first where both streams end in one place
        print(f"{len(damage)} part(s) of {printable(model.file.name)} cannot be read:", file=sys.stderr)
        for finding in [f for f in findings_of(model) if f["severity"] == "error"][:10] or [
            {"path": d.path, "message": d.message} for d in damage
        ]:
            print(f"  {printable(finding['path'])}: {printable(finding['message'])}", file=sys.stderr)
        print("'unlite verify' lists everything.", file=sys.stderr)


def _tensor_row(facts: dict[str, Any]) -> tuple[object, ...]:
    if "error" in facts:
        return facts["index"], f"cannot be read: {facts['error']}", "", "", "", "", ""
    signature = facts["shape_signature"]
    return (
        facts["index"],
        facts["name"],
        facts["dtype"],
        "x".join("?" if size_ < 0 else str(size_) for size_ in signature) or "scalar",
        _quantization_text(facts["quantization"]),
        facts["buffer"],
        facts["nbytes"],
    )


def _quantization_text(facts: dict[str, Any] | None) -> str:
    if facts is None:
        return ""
    if facts["details"] is not None:
        details = facts["details"]  # text, where their type is one that the schema does not know
        return str(details["type"] if isinstance(details, dict) else details)
    scale, zero_point = facts["scale"], facts["zero_point"]
    if not scale:
        return "range only"
    if len(scale) == 1:
        number = "nan" if scale[0] is None else f"{scale[0]:.6g}"  # JSON has no number for it
        return f"{number} * (q - {zero_point[0] if zero_point else 0})"
    return f"{len(scale)} scales along {facts['quantized_dimension']}"


def _operator_row(facts: dict[str, Any]) -> tuple[object, ...]:
    if "error" in facts:
        return facts["index"], f"cannot be read: {facts['error']}", "", "", ""
    options = facts["options"] or {}
    shown = " ".join(f"{name}={value}" for name, value in options.items() if name != "type")
    version = f" v{facts['version']}" if facts["version"] > 1 else ""
    inputs = " ".join(f"{name}={index}" for name, index in zip(facts["input_names"], facts["inputs"], strict=True))
    outputs = " ".join(map(str, facts["outputs"]))
    return facts["index"], facts["name"] + version, inputs, outputs, shown if len(shown) <= 200 else shown[:200] + "..."


def _overview(model: Model, damage: list[UnliteError]) -> None:
    from unlite.model.facts.summary import summarize

    summary = summarize(model, damage)
    labels = read(damage, lambda: _labels(model), [])
    print_facts([*summary.facts(), *(("labels", fact) for fact in labels)])
    if summary.ends:
        print()
        print_table("inputs and outputs", ("end", "#", "name", "dtype", "shape"), summary.ends)
    if summary.histogram:
        print()
        print_table("operators", ("operator", "count"), summary.histogram.items())
    if summary.associated:
        print()
        print_table("associated files", ("file", "bytes"), [(name, size(n)) for name, n in summary.associated.items()])
