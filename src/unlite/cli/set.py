"""``unlite set``: change fields and tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.cli.output import add_limit, new_parser, print_facts, print_json
from unlite.cli.progress import progress
from unlite.cli.streams import MODEL, STANDARD, open_input, output_path, shown
from unlite.errors import InvalidValueError
from unlite.model.setting.paths import assign_path

if TYPE_CHECKING:
    import argparse

    from unlite.model.setting.paths import Change

EXAMPLES = """\
  unlite set face.tflite description='my model' -o mine.tflite
  unlite set face.tflite 'tensors[conv2d/Kernel].data=@kernel.npy' -o mine.tflite
  unlite set face.tflite 'tensors[*].data=round(x, 0.02)' -o mine.tflite
  unlite set face.tflite 'operators[3].options.padding=SAME' 'operators[3].version=2' -o mine.tflite
  unlite set ssd.tflite 'operators[63].custom_options.nms_iou_threshold=0.45' -o mine.tflite
  unlite set face.tflite 'tensors[conv2d/Bias].data[0]=0.5' -o mine.tflite
  unlite set face.tflite 'metadata[licence]=@LICENSE' -o mine.tflite
  unlite set mine.tflite 'tensors[0].name=image_in' --in-place

paths have the schema's names, as 'unlite json' shows them. tensors and operators alone are those of the main
subgraph; entries are told by index, by name, or by * for all; a tensor has data, an operator options and version, a
custom operator keys of its custom_options. data[0][1] is one element.

values are JSON; words without quotes for text and enums; null takes a field out. For data:
  @FILE.npy            an array of the tensor's type, or float32 with real values
  @FILE                bytes, as they are stored
  round(x, 0.02)       multiples of a step           clip(x, -1, 1)    nothing outside
  scale(x, 2)          times a factor                add(x, 0.5)       plus a value
  prune(x, 0.01)       small magnitudes to 0         zero(x)           zeros
  float16(x)           what half precision holds
With tensors[*] a function changes all float constants; on one quantized tensor it sees real values."""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = new_parser("set", "Changes fields and tensors of a model. Everything else stays as it is.", EXAMPLES)
    made.add_argument("model", metavar="MODEL", help=MODEL)
    made.add_argument("changes", metavar="PATH=VALUE", nargs="+", help="what to change; done in this order")
    made.add_argument("-o", "--output", metavar="FILE", help="the new model; - for standard output")
    made.add_argument(
        "--in-place", action="store_true", help="write the changed bytes into MODEL; they keep their sizes"
    )
    made.add_argument("--drop-unknown", action="store_true", help="let a rewrite drop fields that no known schema has")
    add_limit(made)
    made.add_argument("--json", action="store_true", help="say what was done as JSON")
    made.parse_args = made.parse_intermixed_args  # type: ignore[method-assign]  # changes may stand behind options
    return made


def run(arguments: argparse.Namespace) -> int:
    """Changes and saves; returns 0. Nothing is written unless every change could be made."""
    if (arguments.output is None) == (not arguments.in_place):
        raise InvalidValueError("where to save is not clear.", hint="Give one of -o FILE and --in-place.")
    if arguments.in_place and arguments.model == STANDARD:
        raise InvalidValueError("standard input cannot be changed in place.", hint="Give -o FILE.")
    with open_input(arguments.model, limit=arguments.limit) as model, output_path(arguments.output) as output:
        changes = [assign_path(model, change) for change in arguments.changes]
        with progress("saving", model.file.size) as advance:
            saved = model.save(
                output,
                in_place=arguments.in_place,
                drop_unknown=arguments.drop_unknown,
                progress=advance,
            )
        name = saved.path if arguments.output is None else shown(arguments.output)
        facts: dict[str, Any] = {"file": name, "how": saved.how, "bytes": saved.size, "changed bytes": saved.changed}
        if arguments.json:
            print_json(facts | {"changes": [change._asdict() for change in changes]})
        else:
            print_facts([*((change.path, _text(change)) for change in changes), ("saved", _saved(facts))])
    return 0


def _text(change: Change) -> str:
    said = "1 place" if change.places == 1 else f"{change.places} places"
    if change.skipped:
        said += f", {change.skipped} tensors skipped that hold no float constant"
    if change.clipped:
        said += f", {change.clipped} values clipped"
    return said


def _saved(facts: dict[str, Any]) -> str:
    what = f" {facts['changed bytes']} bytes of" if facts["how"] == "patched" else ""
    return f"{facts['how']}{what} {facts['file']}, {facts['bytes']} bytes"
