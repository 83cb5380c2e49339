"""What it costs to save: one weight changed, in place, and everything written anew; the yardstick is a plain copy."""

from __future__ import annotations

import functools
import json
import os
from typing import TYPE_CHECKING

from measure import UNLITE, CommandError, Cost, Job, best, check_same_content, fresh_copy, ours, peer, run
from table import Row, against, quantity, seconds, times, within

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 3
MIB = 1 << 20
CHANGED_BYTES = 256 * 1536


def change(cache: Path) -> list[Row]:
    """One tensor of the model of 1.58 GB changed with the library, and the model saved to another file."""
    tensor = _changed(cache)
    with fresh_copy(cache / "language.tflite") as path:
        out = path.with_name("out.tflite")
        costs = _saves({"copy": ("cp", path, out), "ours": ours("change", path, out, tensor)}, out)
        _check_how(costs["ours"], "patched")
        _check_change(path, out)
        today = run(Job(peer("object_change", path, out, tensor)))
    return _rows("change a weight of 1.58 GB, model.save()", costs["ours"], costs["copy"], 1.3, 64 * MIB, today)


def set_weights(cache: Path) -> list[Row]:
    """The same from the command line."""
    with fresh_copy(cache / "language.tflite") as path:
        out, weights = path.with_name("out.tflite"), path.with_name("weights.npy")
        _save_weights(weights)
        command = (*UNLITE, "set", path, f"subgraphs[0].tensors[{_changed(cache)}].data=@{weights}", "-o", out)
        costs = _saves({"copy": ("cp", path, out), "ours": command}, out)
        _check_change(path, out)
    return _rows("change a weight of 1.58 GB, unlite set", costs["ours"], costs["copy"], 1.3, 64 * MIB, None)


def in_place(cache: Path) -> list[Row]:
    """One tensor of the model of 1.58 GB changed in the file itself."""
    original = cache / "language.tflite"
    with fresh_copy(original) as path:
        weights = path.with_name("weights.npy")
        change = f"subgraphs[0].tensors[{_changed(cache)}].data=@{weights}"
        job = Job((*UNLITE, "set", path, change, "--in-place"), functools.partial(_save_weights, weights))
        cost = best({"ours": job}, ROUNDS)["ours"]
        _check_change(original, path)
    return [
        within("change a weight of 1.58 GB, unlite set --in-place: wall time", cost.wall, 0.3, "s", today="no tool")
    ]


def rewrite(cache: Path) -> list[Row]:
    """The model of 1.58 GB written anew. The object API saves no other way: its figure is that of a change."""
    with fresh_copy(cache / "language.tflite") as path:
        object_api = run(Job(peer("object_change", path, path.with_name("out.tflite"), _changed(cache))))
        return _rewrite(path, "rewrite 1.58 GB", object_api)


def rewrite_outside(cache: Path) -> list[Row]:
    """The model of 2.7 GB, whose weights lie behind the FlatBuffer, written anew."""
    with fresh_copy(cache / "outside.tflite") as path:
        return _rewrite(path, "rewrite 2.7 GB, weights by offset and size", None)


def _rewrite(path: Path, what: str, today: Cost | None) -> list[Row]:
    out = path.with_name("out.tflite")
    costs = _saves({"copy": ("cp", path, out), "ours": ours("rewrite", path, out)}, out)
    _check_how(costs["ours"], "rewritten")
    check_same_content(path, out)
    return _rows(what, costs["ours"], costs["copy"], 2, 128 * MIB, today)


def _saves(commands: dict[str, tuple[str | Path, ...]], out: Path) -> dict[str, Cost]:
    """Measures commands that write ``out``, which is not there when they start."""
    before = functools.partial(out.unlink, missing_ok=True)
    return best({name: Job(command, before) for name, command in commands.items()}, ROUNDS, warm=False)


def _rows(what: str, ours: Cost, copy: Cost, limit: float, memory: int, today: Cost | None) -> list[Row]:
    known = "no tool" if today is None else f"{times(today.cpu / copy.cpu)} (object API)"
    resident = "no tool" if today is None else f"{quantity(today.resident, 'MiB')} (object API)"
    named = f"{what}: CPU against cp ({seconds(copy.cpu)})"
    return [
        against(named, ours.cpu, copy.cpu, limit, today=known),
        within(f"{what}: resident", ours.resident, memory, "MiB", today=resident),
    ]


def _changed(cache: Path) -> str:
    facts = json.loads((cache / "language.json").read_text())
    return str(facts["changed"])


def _save_weights(path: Path) -> None:
    """Writes other weights for the tensor, INT8 [256, 1536], as .npy: a value that was not there before."""
    header = "{'descr': '|i1', 'fortran_order': False, 'shape': (256, 1536), }"
    header = header.ljust(128 - 10 - 1) + "\n"
    values = os.urandom(CHANGED_BYTES)
    path.write_bytes(b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode() + values)


def _check_change(before: Path, after: Path) -> None:
    """Raises CommandError unless the files differ in bytes of one tensor alone."""
    differing = 0
    with open(before, "rb", buffering=0) as old, open(after, "rb", buffering=0) as new:
        while piece := old.read(MIB):
            other = new.read(MIB)
            if piece != other:
                differing += sum(a != b for a, b in zip(piece, other, strict=True))
    if not 0.9 * CHANGED_BYTES < differing <= CHANGED_BYTES:
        raise CommandError(f"{differing} bytes changed, not the {CHANGED_BYTES} of the tensor.")


def _check_how(cost: Cost, how: str) -> None:
    if cost.output.decode().strip() != how:
        raise CommandError(f"the model was {cost.output.decode().strip()}, not {how}.")
