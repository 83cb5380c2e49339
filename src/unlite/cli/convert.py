"""``unlite convert``: a model as source and weights for another framework, with a proof that it is the same."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from unlite.cli.output import new_parser, print_json, printable
from unlite.errors import MissingExtraError, UnsupportedOperatorError
from unlite.model.model import open_model

if TYPE_CHECKING:
    import argparse

    from unlite.comparison.result import Comparison
    from unlite.model.model import Model

EXAMPLES = """\
  unlite convert face.tflite --to torch -o face           face/model.py and face/model.safetensors
  unlite convert face.tflite --to torch -o face --json    the verdict for programs
  unlite convert model.tflite --to torch -o out --signature serving_default"""

FINE, DIFFERENT, TROUBLE = 0, 1, 2
NOT_COMPARED = "not compared"


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = new_parser(
        "convert",
        "Converts a model, and compares the result with LiteRT, tensor by tensor. Exit code 0: the same, or not\n"
        "comparable (LiteRT does not run it, the reason is printed); 1: different, nothing is written without --keep;\n"
        "2: it cannot be converted, all operators that stand in the way are listed.",
        EXAMPLES,
    )
    made.add_argument("model", metavar="MODEL", help="path or URL of a .tflite")
    made.add_argument("--to", choices=("torch",), required=True, help="torch: a folder with source and weights")
    made.add_argument("-o", "--output", metavar="DIR", required=True, help="the folder; replaced if convert wrote it")
    made.add_argument("--no-compare", action="store_true", help="only check that the result loads")
    made.add_argument("--keep", action="store_true", help="write the result also where it is different")
    made.add_argument("--signature", metavar="KEY", help="the signature to convert")
    made.add_argument("--json", action="store_true", help="for programs")
    return made


def run(arguments: argparse.Namespace) -> int:
    """Converts; returns 0, 1 or 2."""
    _check_torch()
    with open_model(arguments.model) as model:
        try:
            verdict = _to_torch(model, arguments)
        except UnsupportedOperatorError as error:
            for operator in error.operators:
                print(f"not supported: {printable(operator)}", file=sys.stderr)
            raise
    if arguments.json:
        print_json(verdict)
    else:
        print(f"{verdict['verdict']}: {printable(verdict['reason'])}")
        if verdict["output"] is None:
            print("nothing was written; --keep writes it all the same")
        else:
            print(f"written: {printable(os.path.join(verdict['output'], ''))}")
    return DIFFERENT if verdict["verdict"] == "different" else FINE


def _check_torch() -> None:
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise MissingExtraError("torch", extra="torch", purpose="converting to PyTorch")


def _to_torch(model: Model, arguments: argparse.Namespace) -> dict[str, Any]:
    """Writes the folder; what ``--json`` prints."""
    from unlite.pytorch.folder import NewFolder, load_folder
    from unlite.pytorch.module import to_torch
    from unlite.pytorch.source import write_source

    key = arguments.signature
    graph = model.main if key is None else model.signatures[key].subgraph
    with NewFolder(arguments.output) as folder:
        module = to_torch(model, signature=key)
        source = write_source(module, graph, folder.temporary)
        network = load_folder(folder.temporary)
        if arguments.no_compare:
            folder.keep()
            return _verdict(arguments.output, NOT_COMPARED, "--no-compare was given; it loads.", None)
        comparison = _compare(model, module, network, key)
        divergence = comparison.first_divergence
        if divergence is not None and divergence.operator is not None:
            line = source.lines.get((divergence.subgraph, divergence.operator))
            divergence = replace(divergence, source_line=line)
        is_kept = comparison.verdict != "different" or arguments.keep
        if is_kept:
            folder.keep()
        return _verdict(
            arguments.output if is_kept else None,
            comparison.verdict,
            comparison.reason,
            None if divergence is None else divergence.to_json(),
        )


def _compare(model: Model, module: Any, network: Any, signature: str | None) -> Comparison:
    """Compares what was written with the graph that it was written of, and that graph with LiteRT."""
    from unlite.comparison.compare import compare
    from unlite.comparison.inputs import graph_of, make_inputs
    from unlite.comparison.torch_run import module_inputs
    from unlite.pytorch.folder import check_equal

    values = make_inputs(model, signature=signature)
    check_equal(module, network, module_inputs(module, graph_of(model, signature), values))
    return compare(model, module, values, signature=signature)


def _verdict(output: str | None, verdict: str, reason: str, divergence: dict[str, Any] | None) -> dict[str, Any]:
    return {"output": output, "verdict": verdict, "reason": reason, "first_divergence": divergence}
