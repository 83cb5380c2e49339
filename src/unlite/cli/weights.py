"""``unlite weights``: all constants into a file, and back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from unlite.cli.output import add_limit, new_parser, print_facts, print_json, printable
from unlite.cli.progress import progress
from unlite.cli.streams import MODEL, STANDARD, open_input, output_path, shown
from unlite.errors import InvalidValueError
from unlite.pytorch.weights.axes import torch_axes

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from unlite.model.formats.weights import Axes
    from unlite.model.model import Model
    from unlite.model.objects.tensor import Tensor

EXAMPLES = """\
  unlite weights face.tflite -o face.npz
  unlite weights face.tflite -o face.safetensors --dequantize --layout torch
  unlite weights face.npz --into face.tflite -o changed.tflite
  unlite weights face.npz --into face.tflite               replaces face.tflite
  unlite weights face/model.safetensors --into face.tflite -o tuned.tflite
  unlite weights tuned.pth --into face.tflite -o tuned.tflite
                                    the state of what 'unlite convert --to torch' wrote, re-trained; saved by
                                    torch.save or safetensors, into a file of its own or over the folder's"""

AXES: dict[str, Axes | None] = {"tflite": None, "torch": torch_axes}
STREAMED = ".npz"  # what -o - writes
WEIGHT_FILES = (".npz", ".safetensors", ".pth", ".pt")


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = new_parser(
        "weights",
        "Takes all constants of a model out, by name, or puts them back. Arrays that are put back have the tensor's\n"
        "own type, or are float32: those are quantized with the scale that the model has. The state of a converted\n"
        "network can be put back, too.",
        EXAMPLES,
    )
    made.add_argument("file", metavar="FILE", help=f"{MODEL}; with --into a .npz, .safetensors or .pth")
    made.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="a .npz, .safetensors or .pth; with --into the new model; or - (a .npz)",
    )
    made.add_argument("--into", metavar="MODEL", help="put the weights into this model, and save it (to -o, if given)")
    made.add_argument(
        "--new-scales",
        action="store_true",
        help="with --into: quantized weights get scales that fit their new values, and their biases what follows",
    )
    made.add_argument("--dequantize", action="store_true", help="real values as float32 instead of stored integers")
    made.add_argument(
        "--layout",
        choices=tuple(AXES),
        help="order of the axes of convolution weights: the file's own (tflite), or PyTorch's (torch)",
    )
    add_limit(made)
    made.add_argument("--json", action="store_true", help="say what was done as JSON")
    return made


def run(arguments: argparse.Namespace) -> int:
    """Takes out or puts back; returns 0."""
    if arguments.into is not None:
        if arguments.dequantize:
            raise InvalidValueError("--dequantize is for taking out: real values are told by their type, float32.")
    elif arguments.new_scales:
        raise InvalidValueError("--new-scales is for putting back: --into MODEL.")
    if arguments.into == STANDARD and arguments.output is None:
        raise InvalidValueError("where to save is not said.", hint="Give -o FILE, or -o - for standard output.")
    with output_path(arguments.output, "" if arguments.into is not None else STREAMED) as output:
        facts = _put(arguments, output) if arguments.into is not None else _take(arguments, output)
        if arguments.output == STANDARD:
            facts["file"] = shown(STANDARD)
        if arguments.json:
            print_json(facts)
        else:
            print_facts((name, _text(value)) for name, value in facts.items() if value not in ({}, []))
    return 0


def _text(value: Any) -> object:
    if isinstance(value, dict):
        return _some([f"{key} ({what})" for key, what in value.items()])
    return _some(value) if isinstance(value, list) else value


def _some(entries: list[str], most: int = 20) -> str:
    return ", ".join(entries[:most]) + (f", and {len(entries) - most} more" if len(entries) > most else "")


def _take(arguments: argparse.Namespace, output: str | None) -> dict[str, Any]:
    from unlite.model.formats.weight_files import write_weights
    from unlite.model.formats.weights import read_weights

    if arguments.file.endswith(WEIGHT_FILES):
        raise InvalidValueError("is a file of weights.", file=arguments.file, hint="Say where they go: --into MODEL.")
    if output is None:
        raise InvalidValueError("where to write is not said.", hint="Such as: -o weights.npz")
    layout = arguments.layout or "tflite"
    axes = AXES[layout]
    with open_input(arguments.file, limit=arguments.limit) as model, progress("writing", model.file.size) as advance:
        if output.endswith((".pth", ".pt")):
            from unlite.pytorch.weights.files import write_pth

            weights = read_weights(model, dequantize=arguments.dequantize, axes=axes)
            report = write_pth(_told(weights, advance), output)
        else:
            report = write_weights(
                model,
                output,
                dequantize=arguments.dequantize,
                axes=axes,
                layout=layout,
                advance=advance,
            )
    if report.skipped:
        names = _some([printable(key) for key in report.skipped])
        print(f"{len(report.skipped)} left out, because such a file cannot hold them: {names}", file=sys.stderr)
    return {
        "file": report.path,
        "arrays": report.arrays,
        "bytes": report.size,
        "layout": layout,
        "skipped": report.skipped,
        "as float32": report.widened,
    }


def _told(
    weights: Iterator[tuple[str, Tensor, NDArray[Any]]], advance: Callable[[int], None]
) -> Iterator[tuple[str, Tensor, NDArray[Any]]]:
    """Hands weights on and says how far they are."""
    for key, tensor, values in weights:
        yield key, tensor, values
        advance(tensor.nbytes)


def _put(arguments: argparse.Namespace, output: str | None) -> dict[str, Any]:
    from unlite.model.formats.weight_files import open_weights
    from unlite.model.formats.weights import keyed_constants, put_weights

    layout = arguments.layout
    metadata: dict[str, str] = {}
    if arguments.file.endswith((".pth", ".pt")):
        from unlite.pytorch.weights.files import read_pth

        arrays: Any = read_pth(arguments.file, limit=arguments.limit)
    else:
        arrays = open_weights(arguments.file, limit=arguments.limit)
        metadata = arrays.metadata
        if arrays.layout in AXES:
            if layout not in (None, arrays.layout):
                raise InvalidValueError(f"was written with --layout {arrays.layout}.", file=arguments.file)
            layout = arrays.layout
    axes = AXES[layout or "tflite"]
    with open_input(arguments.into, limit=arguments.limit) as model:
        constants = keyed_constants(model)
        own = all(key in constants for key in arrays)
        if own and not arguments.new_scales:
            with progress("reading", model.file.size) as advance:
                report = put_weights(model, arrays, axes=axes, advance=advance)
            facts = {"changed": report.changed, "unchanged": report.unchanged, "clipped": report.clipped}
        else:
            facts = _put_state(model, arrays, metadata, axes, arguments)
        saved = model.save(output)
    return {"file": saved.path, "how": saved.how, "bytes": saved.size, **facts}


def _put_state(
    model: Model, arrays: Any, metadata: dict[str, str], axes: Axes | None, arguments: argparse.Namespace
) -> dict[str, Any]:
    """The state of a converted network; or arrays of constants, where scales are to follow them."""
    from unlite.pytorch.weights.state_origins import state_origins
    from unlite.pytorch.weights.store import store_arrays, widened

    origins = state_origins(model, arrays, metadata, arguments.file, axes)
    known = {key: origin for key, origin in origins.items() if origin is not None}
    left = tuple(key for key in arrays if key not in known)
    report = store_arrays(model, {key: widened(arrays[key]) for key in known}, known, arguments.new_scales, left)
    return {
        "changed": list(report.changed),
        "unchanged": report.unchanged,
        "clipped": report.saturated,
        "new scales": list(report.rescaled),
        "scales kept": report.kept_scales or {},
        "left out": list(report.left),
    }
