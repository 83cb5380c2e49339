"""``unlite dump``: every intermediate tensor of a run, in a folder."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from unlite.cli.output import add_limit, new_parser, print_json, print_table, printable
from unlite.cli.progress import progress
from unlite.cli.streams import MODEL, STANDARD, open_input
from unlite.errors import InvalidValueError

if TYPE_CHECKING:
    import argparse

EXAMPLES = """\
  unlite dump face.tflite --input photo.png -o tensors/
  unlite dump labeler.tflite --input cat.jpg --labels labels.txt -o tensors/
  unlite dump face.tflite --input inputs.npz --runtime litert -o tensors/"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = new_parser(
        "dump",
        "Runs a model and writes what every operator gave: tensors.npz, pictures of what looks like one, index.json\n"
        "and index.html. With labels, the best classes of a classifier are shown.",
        EXAMPLES,
    )
    made.add_argument("model", metavar="MODEL", help=MODEL)
    made.add_argument("--input", metavar="FILE", help="a picture, .npz or .npy; left out: random values")
    made.add_argument("--labels", metavar="FILE", help="one label a line; left out: those that the model carries")
    made.add_argument(
        "--encoding", metavar="NAME", help="how FILE is encoded, where it is not UTF-8: latin-1, cp1252, ..."
    )
    made.add_argument(
        "--runtime", choices=("torch", "litert"), default="torch", help="the conversion (torch), or LiteRT itself"
    )
    made.add_argument("-o", "--output", metavar="DIR", help="the folder", required=True)
    made.add_argument(
        "--mean", metavar="M[,M,M]", help="of (pixel - mean) / std, for pictures; else what the model says"
    )
    made.add_argument("--std", metavar="S[,S,S]", help="likewise")
    made.add_argument("--seed", type=int, default=0, metavar="N", help="of the random values (0)")
    made.add_argument("--signature", metavar="KEY", help="the signature to run")
    add_limit(made)
    made.add_argument("--json", action="store_true", help="print what index.json holds")
    return made


def run(arguments: argparse.Namespace) -> int:
    """Runs and writes; returns 0."""
    from unlite.comparison.dump import dump, dump_inputs, labels_of

    if arguments.output == STANDARD:
        raise InvalidValueError("a dump is a folder and cannot go to standard output.", hint="Name one: -o DIR")
    labels = labels_of(arguments.labels, arguments.encoding) if arguments.labels else None
    with open_input(arguments.model, limit=arguments.limit) as model:
        inputs = dump_inputs(
            model,
            arguments.input,
            seed=arguments.seed,
            signature=arguments.signature,
            mean=_numbers(arguments.mean, "--mean"),
            std=_numbers(arguments.std, "--std"),
        )
        with progress("running", 100) as advance:
            facts = dump(
                model,
                arguments.output,
                inputs,
                labels=labels,
                runtime=arguments.runtime,
                signature=arguments.signature,
                progress=advance,
            )
    for note in facts["notes"]:
        print("\n".join(map(printable, note.split("\n"))), file=sys.stderr)
    if arguments.json:
        print_json(facts)
        return 0
    images = sum(row["image"] is not None for row in facts["tensors"])
    print(f"{printable(arguments.output)}: {len(facts['tensors'])} tensors, {images} pictures")
    for output in facts["labels"]:
        rows = [(entry["label"], "" if entry["score"] is None else f"{entry['score']:.4g}") for entry in output["top"]]
        print()
        print_table(output["name"], ("label", "score"), rows)
    return 0


def _numbers(text: str | None, option: str) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InvalidValueError(f"{option} is one number, or one for each channel, such as 127.5.") from None
