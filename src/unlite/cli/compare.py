"""``unlite compare``: a model against its conversion or another model, tensor by tensor."""

from __future__ import annotations

from math import inf, isfinite
from typing import TYPE_CHECKING

from unlite.cli.output import add_limit, new_parser, print_json, print_table, printable
from unlite.cli.progress import progress
from unlite.cli.streams import MODEL, STANDARD, open_input

if TYPE_CHECKING:
    import argparse

    from unlite.comparison.result import Comparison, TensorDistance

EXAMPLES = """\
  unlite compare face.tflite                             its PyTorch conversion against LiteRT
  unlite compare face.tflite face/                       the folder that convert wrote, as it is now
  unlite compare face.tflite face.onnx                   in ONNX Runtime; .mlpackage in the Core ML evaluator
  unlite compare face.tflite changed.tflite              two files, tensors matched by name
  unlite compare labeler.tflite --quantized exact        integers, element by element
  unlite compare face.tflite --inputs faces.npz --isolated
  unlite compare face.tflite --html report.html --json"""

CODES = {"same": 0, "different": 1, "not comparable": 2}
SHOWN = 15
COLUMNS = ("operator", "tensor", "max_abs", "of range", "floor", "differing", "steps", "")


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = new_parser(
        "compare",
        "Runs a model in LiteRT and its conversion beside it, and tells which operator is the first that differs.\n"
        "Exit code 0: same; 1: different; 2: not comparable, or trouble. A folder is a program: its model.py is run.",
        EXAMPLES,
    )
    made.add_argument("model", metavar="MODEL", help=f"the reference: {MODEL}")
    made.add_argument(
        "other",
        metavar="OTHER",
        nargs="?",
        help="folder from convert, .onnx, .mlpackage, or another model; left out: MODEL converted to PyTorch",
    )
    made.add_argument("--inputs", metavar="F", help="inputs by name as .npz, or a picture; left out: random values")
    made.add_argument("--seed", type=int, default=0, metavar="N", help="of the random values (0)")
    made.add_argument("--save-inputs", metavar="F.npz", help="write the inputs that were used")
    made.add_argument("--isolated", action="store_true", help="give each operator the reference's own inputs")
    made.add_argument(
        "--kernels", choices=("reference", "default"), default="reference", help="which of LiteRT's kernels judge"
    )
    made.add_argument(
        "--quantized",
        choices=("float", "exact"),
        default="float",
        help="without OTHER: whether the conversion computes with real numbers, or the kernels' integers",
    )
    made.add_argument("--signature", metavar="KEY", help="the signature to run")
    add_limit(made)
    made.add_argument("--json", action="store_true", help="for programs")
    made.add_argument("--html", metavar="F", help="write a page with the error of each layer")
    return made


def run(arguments: argparse.Namespace) -> int:
    """Compares; returns 0, 1 or 2."""
    from unlite.comparison.compare import compare
    from unlite.comparison.dump import dump_inputs
    from unlite.comparison.inputs import save_inputs

    with open_input(arguments.model, limit=arguments.limit) as model:
        inputs = dump_inputs(model, arguments.inputs, seed=arguments.seed, signature=arguments.signature)
        if arguments.save_inputs:
            save_inputs(model, inputs, arguments.save_inputs, arguments.signature)
        with progress("comparing", 100) as advance:
            comparison = compare(
                model,
                open_input(arguments.other) if arguments.other == STANDARD else arguments.other,
                inputs,
                mode="isolated" if arguments.isolated else "accumulated",
                kernels=arguments.kernels,
                signature=arguments.signature,
                quantized=arguments.quantized,
                progress=advance,
            )
    if arguments.html:
        comparison.save_html(arguments.html)
    if arguments.json:
        print_json(comparison.to_json())
    else:
        _show(comparison)
    return CODES[comparison.verdict]


def _show(comparison: Comparison) -> None:
    print(f"{comparison.verdict}: {printable(comparison.reason)}")
    if comparison.judge:
        print(f"reference: {comparison.judge}")
    divergence = comparison.first_divergence
    if divergence is not None and divergence.source_line is not None:
        print(f"source: model.py, line {divergence.source_line}")
    if comparison.tensors:
        worst = sorted(comparison.tensors, key=_badness, reverse=True)[:SHOWN]
        print()
        print_table(f"the {len(worst)} worst of {len(comparison.tensors)} tensors", COLUMNS, map(_row, worst))


def _badness(tensor: TensorDistance) -> tuple[bool, float]:
    part = tensor.max_abs / tensor.floor if tensor.floor else inf if tensor.max_abs else 0.0
    return not tensor.ok, part


def _row(tensor: TensorDistance) -> tuple[object, ...]:
    steps = tensor.steps
    return (
        "" if tensor.operator is None else f"{tensor.operator} {tensor.operator_name}",
        f"{tensor.index} {tensor.name}",
        f"{tensor.max_abs:.3g}",
        f"{tensor.max_rel:.3g}",
        f"{tensor.floor:.3g}",
        tensor.differing,
        f"{steps:.3g}" if steps is not None and isfinite(steps) else "",
        tensor.state,
    )
