"""The command line: one file per command, imported when it is called."""

from __future__ import annotations

import sys
from io import TextIOWrapper

from unlite.errors import UnliteError

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "show": "what is in a model: tensors, operators, signatures, metadata",
    "verify": "everything that is wrong with a file, with path and byte offset",
    "json": "a model as JSON, with flatc's keys",
    "build": "a model from JSON or from a C array",
    "c-array": "a model as a C array for microcontrollers",
    "weights": "all constants to .npz, .safetensors or .pth, and back",
    "set": "change fields and tensors",
    "metadata": "labels, metadata and associated files: show, extract, change",
    "convert": "a model to PyTorch: source and weights, with a proof",
    "compare": "a model in LiteRT against its conversion, tensor by tensor",
    "dump": "every intermediate tensor of a run, with pictures and labels",
    "flatbuffer": "look into any FlatBuffer through its schema",
    "doctor": "which extras are installed, and what they serve",
}
EXAMPLES = """\
examples:
  unlite show face.tflite                            what is in it
  unlite json face.tflite -o face.json               to JSON; edit it; and back:
  unlite build face.json -o face.tflite
  unlite set face.tflite description=mine -o mine.tflite
  unlite weights face.tflite -o face.npz
  unlite c-array face.tflite -o g_model.cc
  unlite convert face.tflite --to torch -o face      source that reads well, and weights

'unlite COMMAND --help' says more of each, with examples."""
FINE, DIFFERS, TROUBLE = 0, 1, 2


def usage() -> str:
    """The help of the program as a whole."""
    lines = [f"  {name:<12}{text}" for name, text in COMMANDS.items()]
    head = "usage: unlite COMMAND ...\n\nOpen, inspect, change and save TensorFlow Lite (LiteRT) models.\n\ncommands:"
    return "\n".join([head, *lines, "", EXAMPLES])


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program. Returns 0 for fine, 1 for differs or invalid, 2 for trouble."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # Names in a file may hold what the terminal's encoding does not.
            stream.reconfigure(errors="backslashreplace")
    if not given or given[0] in ("-h", "--help", "help"):
        print(usage())
        return FINE
    if given[0] in ("-V", "--version"):
        from unlite._version import __version__

        print(f"unlite {__version__}")
        return FINE
    if given[0] not in COMMANDS:
        return _unknown(given[0])
    try:
        code = _run(given[0], given[1:], is_alone=arguments is None)
        sys.stdout.flush()
        return code
    except UnliteError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return TROUBLE
    except BrokenPipeError:
        # The reader had enough, as in 'unlite show model.tflite | head'.
        import os

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
    except KeyboardInterrupt:
        print("interrupted; nothing was written.", file=sys.stderr)
        return 130


def _run(command: str, arguments: list[str], *, is_alone: bool) -> int:
    """Runs a command, which is told whether the process is there for it alone."""
    from argparse import Namespace
    from importlib import import_module

    module = import_module(f"unlite.cli.{command.replace('-', '_')}")
    parser = module.parser()
    if not arguments and command != "doctor":
        parser.print_help()
        return TROUBLE
    return int(module.run(parser.parse_args(arguments, Namespace(is_alone=is_alone))))


def _unknown(command: str) -> int:
    from difflib import get_close_matches

    near = get_close_matches(command, COMMANDS, 1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    print(f"unlite: there is no command {command!r}.{hint} 'unlite' alone lists all.", file=sys.stderr)
    return TROUBLE
