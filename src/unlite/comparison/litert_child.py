"""LiteRT's interpreter in a process of its own, because it may abort. Run as a file, by ``litert.py``.

    python litert_child.py

Each line on standard input is a request (JSON); answers go to standard output, one line each. Arrays travel through
files: inputs as ``.npz``, results as raw bytes whose places are in the answer. Nothing is pickled.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from typing import Any

KERNELS = {"reference": "BUILTIN_REF", "optimized": "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "default": "AUTO"}
ALIGNMENT = 64


def main() -> None:
    """Answers requests until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # the runtime prints as it likes
    warnings.simplefilter("ignore")
    from importlib import import_module

    import numpy as np

    litert: Any = import_module("ai_edge_litert.interpreter")

    for line in sys.stdin:
        request = json.loads(line)
        refusals: list[str] = []
        answer: dict[str, Any] | None = None
        for kernels in request["kernels"]:
            print(json.dumps({"trying": kernels}), file=answers, flush=True)
            try:
                answer = {**_run(litert, np, request, KERNELS[kernels]), "kernels": kernels}
                break
            except (RuntimeError, ValueError, TypeError, MemoryError, OverflowError) as error:
                refusals.append(str(error) or type(error).__name__)
        print(json.dumps(answer or {"refused": refusals}), file=answers, flush=True)


def _run(litert: Any, np: Any, request: dict[str, Any], kernels: str) -> dict[str, Any]:
    runner = litert.Interpreter(
        request["model"],
        experimental_op_resolver_type=litert.OpResolverType[kernels],
        experimental_preserve_all_tensors=True,
        num_threads=1,
    )
    with np.load(request["inputs"], allow_pickle=False) as stored:
        inputs = {int(key): stored[key] for key in stored}
    if request["signature"] is not None:
        names = request["names"]
        runner.get_signature_runner(request["signature"])(**{names[str(i)]: value for i, value in inputs.items()})
    else:
        details = {detail["index"]: detail for detail in runner.get_input_details()}
        for index, value in inputs.items():
            if tuple(details[index]["shape"]) != value.shape:
                runner.resize_tensor_input(index, value.shape)
        runner.allocate_tensors()
        for index, value in inputs.items():
            runner.set_tensor(index, value)
        runner.invoke()
    return _write(np, runner, request)


def _write(np: Any, runner: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Writes the tensors that were asked for; their types, shapes and places."""
    places: dict[str, Any] = {}
    unreadable: dict[str, str] = {}
    with open(request["output"], "wb") as file:
        for index in request["tensors"]:
            try:
                values = np.asarray(runner.get_tensor(index, request["subgraph"]))
            except (ValueError, RuntimeError, TypeError) as error:
                unreadable[str(index)] = str(error)
                continue
            if values.dtype.kind == "O":
                values = np.array(values.tolist(), dtype="S").reshape(values.shape)
            file.write(bytes(-file.tell() % ALIGNMENT))
            dtype = values.dtype.name if values.dtype.kind == "V" else values.dtype.str
            places[str(index)] = [dtype, list(values.shape), file.tell()]
            file.write(np.ascontiguousarray(values).tobytes())
    return {"tensors": places, "unreadable": unreadable}


if __name__ == "__main__":
    del sys.path[0]  # this folder: what lies here must not stand in for a library
    main()
