"""``unlite doctor``: which extras are installed, and which commands they serve."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from unlite._version import __version__
from unlite.cli.output import new_parser, print_facts, print_json, print_table

if TYPE_CHECKING:
    import argparse

EXAMPLES = """\
  unlite doctor
  unlite doctor --json"""


class Part(NamedTuple):
    """A library beside Python's own.

    Attributes:
        extra: The extra that brings it; "" for those that come with the package.
        library: Its name where packages are installed from.
        serves: What it is for.
    """

    extra: str
    library: str
    serves: str


PARTS = (
    Part("", "numpy", "values of tensors; weights, set"),
    Part("", "orjson", "json, build"),
    Part("", "rich", "tables and progress on a terminal"),
    Part("", "safetensors", "weights: .safetensors"),
    Part("torch", "torch", "convert, compare, dump; weights: .pth"),
    Part("litert", "ai-edge-litert", "compare; the verdict of convert; dump --runtime litert"),
    Part("onnx", "onnx", "convert --to onnx; compare with .onnx"),
    Part("onnx", "onnxscript", "convert --to onnx"),
    Part("onnx", "onnxruntime", "compare with .onnx; the verdict of convert --to onnx"),
    Part("coreml", "coremltools", "convert --to coreml; compare with .mlpackage"),
    Part("images", "Pillow", "pictures: dump, compare"),
    Part("lowbit", "ml_dtypes", "values of BFLOAT16 and FLOAT8 tensors; weights, set"),
    Part("remote", "fsspec", "models at s3:, gs: and hf: addresses"),
    Part("fbs", "flatc", "flatbuffer --schema FILE.fbs"),
)


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = new_parser("doctor", "Shows which libraries are installed, and which commands they serve.", EXAMPLES)
    made.add_argument("--json", action="store_true", help="for programs")
    return made


def run(arguments: argparse.Namespace) -> int:
    """Shows; returns 0, or 1 where a library is missing that comes with the package."""
    parts = [part._asdict() | {"version": version(part.library)} for part in PARTS]
    facts: dict[str, Any] = {
        "unlite": __version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "executable": sys.executable,
        "platform": platform.platform(),
    }
    if arguments.json:
        print_json(facts | {"libraries": parts})
    else:
        print_facts(facts.items())
        print()
        print_table("libraries", ("library", "version", "serves", "how to get it"), map(_row, parts))
    return 1 if any(not part["extra"] and part["version"] is None for part in parts) else 0


def version(library: str) -> str | None:
    """The installed version of a library; None where it is not installed."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed(library)
    except PackageNotFoundError:
        return None


def _row(part: dict[str, Any]) -> tuple[object, ...]:
    missing = part["version"] is None
    extra = f"[{part['extra']}]" if part["extra"] else ""
    hint = f"pip install 'unlite{extra}'" if missing else ""
    return part["library"], "not installed" if missing else part["version"], part["serves"], hint
