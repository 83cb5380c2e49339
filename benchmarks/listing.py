"""What it costs to list a model's tensors: processor time and memory, pages of the file, bytes over HTTP."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from measure import BARE, HERE, UNLITE, CommandError, Job, best, cached_bytes, drop, fresh_copy, peer, run
from table import Row, against, quantity, seconds, times, within

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SMALL = HERE.parent.parent / "shared" / "models" / "blazeface_front_fp16.tflite"
ROUNDS = 10
MIB = 1 << 20
MB = 1_000_000


def show(model: Path | str) -> tuple[str | Path, ...]:
    """The command whose cost is measured."""
    return (*UNLITE, "show", "--tensors", "--json", model)


def small(cache: Path) -> list[Row]:
    """The listing of a model of 230 KB."""
    if not SMALL.exists():
        raise CommandError(f"{SMALL} is missing.")
    return _listing("list 230 KB", SMALL, 250)


def large(cache: Path) -> list[Row]:
    """The listing of the model of 1.58 GB."""
    with fresh_copy(cache / "language.tflite") as path:
        return _listing("list 1.58 GB", path, sum(_facts(cache, "language")["tensors"]))


def many(cache: Path) -> list[Row]:
    """The listing of 10,000 tensors, and what each costs."""
    path = cache / "many.tflite"
    costs = best({"bare": Job(BARE), "ours": Job(show(path)), "object": Job(peer("object_list", path))}, 3)
    _check(costs["ours"].output, 10_000)
    ratio = times(costs["ours"].cpu / costs["bare"].cpu)
    today = f"{seconds(costs['object'].cpu)} (object API)"
    return [Row("list 10,000 tensors: CPU against bare Python", today, seconds(costs["ours"].cpu), ratio)]


def pages(cache: Path) -> list[Row]:
    """How much of the model of 1.58 GB is read from the disk to list it."""
    path = cache / "language.tflite"
    touched = {}
    for name, command in (("interpreter", peer("interpreter_list", path)), ("ours", show(path))):
        drop(path)
        run(Job(command))
        touched[name] = cached_bytes(path)
    today = f"{quantity(touched['interpreter'], 'MB')} (interpreter)"
    return [within("list 1.58 GB: pages of the file that are read", touched["ours"], MB, "MB", today=today)]


def remote(cache: Path) -> list[Row]:
    """Bytes and requests to list the model of 1.58 GB over HTTP."""
    counts: dict[str, int] = {}
    with server(cache, counts) as address:
        output = run(Job(show(f"{address}/language.tflite"))).output
    _check(output, sum(_facts(cache, "language")["tensors"]))
    return [
        within("list 1.58 GB over HTTP: bytes", counts["bytes"], MB, "MB", today="no tool"),
        within("list 1.58 GB over HTTP: requests", counts["requests"], 12, "requests", today="no tool"),
    ]


@contextlib.contextmanager
def server(folder: Path, counts: dict[str, int]) -> Iterator[str]:
    """A web server for a folder, as a process of its own; fills ``counts`` when it ends."""
    command = [sys.executable, str(HERE / "ranges.py"), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.stdin.close()
            counts.update(json.loads(process.stdout.read()))


def _listing(what: str, path: Path, tensors: int) -> list[Row]:
    jobs = {
        "bare": Job(BARE),
        "ours": Job(show(path)),
        "interpreter": Job(peer("interpreter_list", path)),
        "object": Job(peer("object_list", path)),
    }
    costs = best(jobs, ROUNDS)
    _check(costs["ours"].output, tensors)
    bare, ours = costs["bare"], costs["ours"]
    peers = [("interpreter", costs["interpreter"]), ("object API", costs["object"])]
    today = ", ".join(f"{times(cost.cpu / bare.cpu)} ({name})" for name, cost in peers)
    memory = ", ".join(f"{quantity(cost.resident, 'MiB')} ({name})" for name, cost in peers)
    return [
        against(f"{what}, {tensors} tensors: CPU against bare Python", ours.cpu, bare.cpu, 5, today=today),
        within(f"{what}: resident", ours.resident, 28 * MIB, "MiB", today=memory),
    ]


def _check(output: bytes, tensors: int) -> None:
    listed = sum(len(subgraph["tensors"]) for subgraph in json.loads(output)["subgraphs"])
    if listed != tensors:
        raise CommandError(f"show lists {listed} tensors, the model has {tensors}.")


def _facts(cache: Path, name: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((cache / f"{name}.json").read_text())
    return facts
