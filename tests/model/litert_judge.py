"""LiteRT, the judge of models: loads them and allocates tensors, each in a process of its own, because it may crash."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

BUILD, ALLOCATE, INVOKE = "building", "allocating", "invoking"


def answers(folder: Path, files: list[bytes], *, run: bool = False, delegates: bool = False) -> list[str]:
    """For each file ``ok``, or the stage at which it was refused and why, such as ``building: No subgraph ...``.

    With ``run`` the models run as well, on what their inputs hold then; with ``delegates`` XNNPACK takes the operators
    that it knows, as it does by default.
    """
    if importlib.util.find_spec("ai_edge_litert") is None:
        pytest.skip("ai-edge-litert, the judge, is not installed")
    if not hasattr(os, "fork"):
        pytest.skip("the judge works in forked processes")
    for index, data in enumerate(files):
        (folder / f"{index}.judged").write_bytes(data)
    done = subprocess.run(
        [
            sys.executable,
            __file__,
            str(folder),
            str(len(files)),
            "run" if run else "load",
            "all" if delegates else "own",
        ],
        capture_output=True,
        check=True,
        timeout=300,
    )
    found = json.loads(done.stdout)
    assert isinstance(found, list)
    return [str(answer) for answer in found]


def _ask(data: bytes, run: bool, delegates: bool) -> str:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        signal.alarm(20)
        try:
            _load(data, writing, run, delegates)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        lines = pipe.read().decode("utf-8", "replace").splitlines()
    _, status = os.waitpid(child, 0)
    return f"{lines[-1]}: crash {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else lines[-1]


def _load(data: bytes, writing: int, run: bool, delegates: bool) -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    def say(text: str) -> None:
        os.write(writing, text.replace("\n", " ").encode("utf-8", "replace") + b"\n")

    stage = BUILD
    try:
        say(stage)
        kernels = OpResolverType.BUILTIN if delegates else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        interpreter = Interpreter(model_content=data, experimental_op_resolver_type=kernels)
        stage = ALLOCATE
        say(stage)
        interpreter.allocate_tensors()
        if run:
            stage = INVOKE
            say(stage)
            interpreter.invoke()
        say("ok")
    except Exception as error:  # noqa: BLE001 - whatever it says is the answer
        say(f"{stage}: {error}")


if __name__ == "__main__":
    import ai_edge_litert.interpreter  # noqa: F401 - once, not in each child

    inputs = [Path(sys.argv[1], f"{index}.judged").read_bytes() for index in range(int(sys.argv[2]))]
    sys.stdout.write(json.dumps([_ask(data, sys.argv[3] == "run", sys.argv[4] == "all") for data in inputs]))
