"""What is asked of a damaged file: everything that reads such a file, each a function that may raise UnliteErrors."""

from __future__ import annotations

import contextlib
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tests.strategies import visit_everything  # noqa: E402 - found on the path made above

from unlite.cli import main as command_line  # noqa: E402
from unlite.errors import UnliteError  # noqa: E402
from unlite.model.model import open_model  # noqa: E402

Probe = Callable[[], object]


def visit(data: bytes) -> None:
    """Reads or refuses, or raises what nobody may raise."""
    try:
        model = open_model(data)
    except UnliteError as error:
        assert str(error)
        assert error.path, f"no path: {error!r}"
        return
    visit_everything(model)
    for finding in model.verify():
        assert str(finding)


def command(*arguments: str) -> Probe:
    """A command in this process. Its exit code is 0, 1 or 2, and it says nothing bare."""

    def probe() -> None:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            code = command_line(list(arguments))
        assert code in (0, 1, 2), f"exit code {code}"

    probe.__name__ = " ".join(arguments)
    return probe


def lowering(path: str, chance: random.Random) -> Probe:
    """The conversion to PyTorch, in one of its modes."""
    quantized = chance.choice(("float", "float", "exact"))
    layout = chance.choice(("nhwc", "nchw"))
    more = chance.choice(({}, {"requantize": "round"}, {"integer_io": True})) if quantized == "float" else {}

    def probe() -> None:
        from unlite.pytorch.module import to_torch

        to_torch(path, quantized=quantized, layout=layout, **more)

    probe.__name__ = f"to_torch quantized={quantized} layout={layout} {more}"
    return probe


def model_probes(path: str, out: str, chance: random.Random, everything: bool) -> list[Probe]:
    """Of a model: the readers always, and some of the rest; all of it for a replay."""
    views = [
        command("show", path),
        command("show", path, "--tensors"),
        command("show", path, "--operators"),
        command("show", path, "--json"),
        command("verify", path),
        command("verify", path, "--json"),
        command("json", path, "-o", f"{out}/x.json"),
        command("c-array", path, "-o", f"{out}/x.cc"),
        command("weights", path, "-o", f"{out}/x.npz"),
        command("weights", path, "-o", f"{out}/x.npz", "--dequantize"),
        command("weights", path, "-o", f"{out}/x.safetensors", "--layout", "torch"),
        command("metadata", path),
        command("metadata", path, "--json"),
        command("metadata", path, "--extract", f"{out}/files", "--force"),
        command("set", path, "description=x", "-o", f"{out}/x.tflite"),
        command("set", path, "tensors[*].data=round(x, 0.02)", "-o", f"{out}/x.tflite"),
        command("set", path, "operators[0].version=2", "tensors[0].name=x", "-o", f"{out}/x.tflite", "--drop-unknown"),
        command("flatbuffer", path, "--schema", "tflite"),
        command("flatbuffer", path, "--schema", "tflite", "subgraphs[0]", "--json"),
    ]
    if everything:
        modes = [lowering(path, random.Random(seed)) for seed in range(24)]
        return [lambda: visit(Path(path).read_bytes()), *views, *modes]
    probes = [lambda: visit(Path(path).read_bytes()), *chance.sample(views, 2)]
    return [*probes, lowering(path, chance)] if chance.randrange(3) == 0 else probes


def weight_probes(path: str, out: str, model: str) -> list[Probe]:
    """Of a file of weights, taken out of ``model``."""

    def arrays() -> None:
        if path.endswith(".pth"):
            from unlite.pytorch.weights.files import read_pth

            read_pth(path)
            return
        from unlite.model.formats.weight_files import open_weights

        opened = open_weights(path)
        for key in opened:
            with contextlib.suppress(UnliteError):
                opened.shape_of(key)
            with contextlib.suppress(UnliteError):
                opened[key]

    return [arrays, command("weights", path, "--into", model, "-o", f"{out}/x.tflite")]


def text_probes(path: str, out: str) -> list[Probe]:
    """Of a JSON document with a tail beside it."""
    return [command("build", path, "-o", f"{out}/x.tflite")]


def schema_probes(path: str, out: str, model: str) -> list[Probe]:
    """Of a compiled schema, and of a model that is read through it."""
    return [
        command("flatbuffer", model, "--schema", path),
        command("flatbuffer", model, "--schema", path, "--json"),
        command("flatbuffer", model, "--schema", path, "--root", "tflite.Model"),
        command("flatbuffer", path, "--schema", "reflection"),
    ]
