"""The command line: one file per command, imported when it is called."""

from __future__ import annotations

import sys
from io import TextIOWrapper

from unlite.errors import UnliteError

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from collections.abc import Sequence

GROUPS = {
    "look": {
        "show": "what is in a model: tensors, operators, signatures, metadata",
        "verify": "everything that is wrong with a file, with path and byte offset",
        "metadata": "labels, metadata and associated files: show, extract, change",
        "flatbuffer": "look into any FlatBuffer through its schema",
    },
    "change": {
        "set": "change fields and tensors",
        "weights": "all constants to .npz, .safetensors or .pth, and back",
        "json": "a model as JSON, with flatc's keys",
        "c-array": "a model as a C array for microcontrollers",
        "build": "a model from JSON, from a C array or from a dump",
    },
    "convert and compare": {
        "convert": "a model to PyTorch, ONNX or Core ML, with a proof",
        "compare": "a model in LiteRT against its conversion, tensor by tensor",
        "dump": "every intermediate tensor of a run, with pictures and labels",
    },
    "other": {
        "doctor": "which extras are installed, and what they serve",
    },
}
COMMANDS = {name: text for group in GROUPS.values() for name, text in group.items()}
EXAMPLES = """\
examples:
  unlite face.tflite                                 what is in it: the same as 'unlite show face.tflite'
  unlite json face.tflite -o face.json               to JSON; edit it; and back:
  unlite build face.json -o face.tflite
  unlite set face.tflite description=mine -o mine.tflite
  unlite weights face.tflite -o face.npz
  unlite c-array face.tflite -o g_model.cc
  unlite convert face.tflite --to torch -o face      source that reads well, and weights

A model is a .tflite, JSON, a C array or a dump, by path or URL; a part of a bundle, such as x.litertlm#prefill_decode;
or - for standard input. With -o - the result goes to standard output, and all messages to standard error.
'unlite COMMAND --help' says more of each, with examples."""
FINE, DIFFERS, TROUBLE = 0, 1, 2


def usage() -> str:
    """The help of the program as a whole."""
    lines = ["usage: unlite COMMAND ...", "       unlite MODEL", ""]
    lines.append("Open, inspect, change and save TensorFlow Lite (LiteRT) models.")
    for group, commands in GROUPS.items():
        lines += ["", f"{group}:"]
        lines += [f"  {name:<12}{text}" for name, text in commands.items()]
    return "\n".join([*lines, "", EXAMPLES])


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
        if not _is_model(given[0]):
            return _unknown(given[0])
        given.insert(0, "show")
    if "-" in given:
        from unlite.cli.streams import forget_standard_input

        forget_standard_input()
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
    except OSError as error:
        # A full disk behind standard output; what is left to write has no place any more.
        import os

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"standard output cannot be written: {error.strerror or error}.", file=sys.stderr)
        return TROUBLE
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


def _is_model(name: str) -> bool:
    """Whether an argument in a command's place is a file, one with a part behind ``#``, a URL or standard input."""
    import os

    if name == "-" or "://" in name or os.path.exists(name):
        return True
    return "#" in name and any(os.path.exists(name[:at]) for at, mark in enumerate(name) if mark == "#")


def _unknown(command: str) -> int:
    from difflib import get_close_matches

    near = get_close_matches(command, COMMANDS, 1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    what = "command or file" if any(mark in command for mark in "./\\#") else "command"
    print(f"unlite: there is no {what} {command!r}.{hint} 'unlite' alone lists all.", file=sys.stderr)
    return TROUBLE
