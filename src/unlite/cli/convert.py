"""``unlite convert``: a model for another framework, with a proof that it is the same.

What the targets share: arguments, outcome, exit codes. What a target does of its own is in ``convert_torch.py`` and its
like, one file per row of ``TARGETS``.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from unlite.cli.light_work import work_lightly
from unlite.cli.output import add_limit, new_parser, print_json, printable
from unlite.cli.streams import MODEL, STANDARD, open_input, output_path, shown
from unlite.errors import InvalidValueError, MissingExtraError, UnsupportedOperatorError
from unlite.storage.new_output import NewOutput

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from unlite.comparison.compare import Reference
    from unlite.comparison.result import Comparison
    from unlite.model.model import Model

EXAMPLES = """\
  unlite convert face.tflite --to torch -o face           face/model.py and face/model.safetensors
  unlite convert face.tflite --to torch -o face --json    the verdict for programs
  unlite convert model.tflite --to torch -o out --signature serving_default
  unlite convert face.tflite --to onnx -o face.onnx
  unlite convert face.tflite --to coreml -o face.mlpackage --image-input input"""

TARGETS = {"torch": "a folder with source and weights", "onnx": "an .onnx", "coreml": "an .mlpackage, an ML program"}
"""What ``--to`` names: what is written. ``unlite.cli.convert_NAME`` writes it, see ``Target``."""

OPTIONS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "--layout": (
        ("torch", "onnx"),
        {"choices": ("nchw", "nhwc"), "help": "channels first, as PyTorch has them (nchw), or as in the file (nhwc)"},
    ),
    "--quantized": (
        ("torch", "onnx"),
        {
            "choices": ("float", "exact", "qdq"),
            "help": "quantized tensors as real numbers (float), as integers (exact), or, with onnx, between "
            "QuantizeLinear and DequantizeLinear (qdq); left out: float with torch, qdq with onnx, but exact for "
            "dynamic range models",
        },
    ),
    "--real-io": (("onnx",), {"action": "store_true", "help": "quantized ends become float32"}),
    "--integer-io": (("torch",), {"action": "store_true", "help": "with float: quantized ends stay integers"}),
    "--requantize": (
        ("torch", "coreml"),
        {
            "choices": ("none", "round"),
            "help": "with float: leave values real (none, the default of torch), or on the file's grid (round, that of "
            "coreml where activations are quantized)",
        },
    ),
    "--image-input": (
        ("coreml",),
        {"action": "append", "metavar": "NAME", "help": "an input that takes pictures; several times"},
    ),
    "--image-color": (("coreml",), {"choices": ("RGB", "BGR", "GRAYSCALE"), "help": "their colours"}),
    "--image-scale": (
        ("coreml",),
        {"nargs": "+", "type": float, "metavar": "X", "help": "pixel * scale + bias, one or per channel"},
    ),
    "--image-bias": (("coreml",), {"nargs": "+", "type": float, "metavar": "X", "help": "see --image-scale"}),
    "--labels": (
        ("coreml",),
        {"nargs": "?", "const": True, "metavar": "FILE", "help": "a classifier, with these labels or the model's own"},
    ),
    "--precision": (("coreml",), {"choices": ("float16", "float32"), "help": "what is computed in (float16)"}),
    "--minimum-deployment-target": (
        ("coreml",),
        {"choices": ("iOS16", "iOS17", "iOS18"), "help": "the oldest system that it runs on"},
    ),
    "--io-layout": (("coreml",), {"choices": ("auto", "file"), "help": "file: ends have the file's shapes"}),
    "--mac-script": (
        ("coreml",),
        {"metavar": "FILE.py", "help": "also write a script that replays the comparison on a Mac"},
    ),
}
"""Options that not every target has: which targets have it, and what argparse is told. Left out, it is None (False)."""

FINE, DIFFERENT, TROUBLE = 0, 1, 2
NOT_COMPARED = "not compared"


class Target(Protocol):
    """What ``convert_NAME.py`` has, as its own functions and constants."""

    EXTRA: str
    """The extra that brings what it needs."""
    LIBRARIES: tuple[str, ...]
    """Modules that must be installed."""

    def is_own(self, path: str) -> bool:
        """Whether what is at ``path`` may be replaced."""
        ...

    def write(self, model: Model, arguments: argparse.Namespace, path: str) -> Callable[[Reference], Comparison]:
        """Writes the result to ``path``, a free name with the ending of ``-o``, and checks that it loads.

        Returns what compares it with LiteRT, which is called before ``path`` is renamed.
        """
        ...


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = new_parser(
        "convert",
        "Converts a model, and compares the result with LiteRT, tensor by tensor. Exit code 0: the same, or not\n"
        "comparable (LiteRT does not run it, the reason is printed); 1: different, nothing is written without --keep;\n"
        "2: it cannot be converted, all operators that stand in the way are listed.",
        EXAMPLES,
    )
    results = "; ".join(f"{name}: {text}" for name, text in TARGETS.items())
    made.add_argument("model", metavar="MODEL", help=MODEL)
    made.add_argument("--to", choices=TARGETS, required=True, help=results)
    made.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        required=True,
        help="replaced if convert wrote it; - for standard output, --to onnx only",
    )
    made.add_argument("--no-compare", action="store_true", help="only check that the result loads")
    made.add_argument("--keep", action="store_true", help="write the result also where it is different")
    made.add_argument("--signature", metavar="KEY", help="the signature to convert")
    add_limit(made)
    made.add_argument("--json", action="store_true", help="for programs")
    for flag, (targets, facts) in OPTIONS.items():
        told: dict[str, Any] = facts | {"help": f"--to {', '.join(targets)}: {facts['help']}"}
        made.add_argument(flag, **told)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Converts; returns 0, 1 or 2."""
    for flag, (targets, _) in OPTIONS.items():
        if getattr(arguments, flag.lstrip("-").replace("-", "_")) and arguments.to not in targets:
            raise InvalidValueError(f"{flag} is an option of --to {' and '.join(targets)}, not of {arguments.to}.")
    if arguments.is_alone:
        work_lightly()
    target: Any = import_module(f"unlite.cli.convert_{arguments.to}")
    _check_libraries(target)
    name, is_stream = arguments.output, arguments.output == STANDARD
    if is_stream and arguments.to != "onnx":
        raise InvalidValueError(
            f"what --to {arguments.to} writes is a folder and cannot go to standard output.", hint="Name it: -o OUT"
        )
    with open_input(arguments.model, limit=arguments.limit) as model, output_path(name, ".onnx") as arguments.output:
        try:
            verdict = _convert(model, target, arguments)
        except UnsupportedOperatorError as error:
            for operator in error.operators:
                print(f"not supported: {printable(operator)}", file=sys.stderr)
            raise
        if is_stream and verdict["output"] is not None:
            verdict["output"] = shown(name)
        _say(verdict, as_json=arguments.json)
    return DIFFERENT if verdict["verdict"] == "different" else FINE


def _say(verdict: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(verdict)
    else:
        print(f"{verdict['verdict']}: {printable(verdict['reason'])}")
        if verdict["output"] is None:
            print("nothing was written; --keep writes it all the same")
        else:
            is_folder = os.path.isdir(verdict["output"])
            print(f"written: {printable(os.path.join(verdict['output'], '') if is_folder else verdict['output'])}")


def _check_libraries(target: Target) -> None:
    for library in target.LIBRARIES:
        if find_spec(library) is None:
            raise MissingExtraError(library, extra=target.EXTRA, purpose="this conversion")


def _convert(model: Model, target: Target, arguments: argparse.Namespace) -> dict[str, Any]:
    """Writes the result; what ``--json`` prints."""
    with ExitStack() as stack:
        new = stack.enter_context(NewOutput(arguments.output, target.is_own))
        reference = None
        if not arguments.no_compare:
            from unlite.comparison.compare import Reference

            # LiteRT runs beside us from here on, while PyTorch is loaded and the model is converted.
            reference = stack.enter_context(Reference(model, signature=arguments.signature))
        compare = target.write(model, arguments, new.temporary)
        if reference is None:
            new.keep()
            return _verdict(arguments.output, NOT_COMPARED, "--no-compare was given; it loads.", None)
        comparison = compare(reference)
        divergence = comparison.first_divergence
        is_kept = comparison.verdict != "different" or arguments.keep
        if is_kept:
            new.keep()
    return _verdict(
        arguments.output if is_kept else None,
        comparison.verdict,
        comparison.reason,
        None if divergence is None else divergence.to_json(),
    )


def _verdict(output: str | None, verdict: str, reason: str, divergence: dict[str, Any] | None) -> dict[str, Any]:
    return {"output": output, "verdict": verdict, "reason": reason, "first_divergence": divergence}
