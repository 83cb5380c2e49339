"""What LiteRT says about models: a program of its own, because the runtime may abort.

    python litert_digests.py details|outputs FOLDER < list.json

Reads jobs (JSON) from standard input, writes one answer for each into FOLDER. The name of a job goes to standard output
before it is begun, so that whoever waits knows which one brought the end.

details: {"name", "path"} -> every tensor that LiteRT has, with the digest of each constant.
outputs: {"name", "paths", "inputs" (npz) or null} -> digests of the outputs of each path, on the same inputs.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def ask(question: str, jobs: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Answers by name; None for a job at which LiteRT died. Called by the tests."""
    answers: dict[str, Any] = {}
    left = list(jobs)
    while left:
        done = subprocess.run(
            [sys.executable, __file__, question, str(folder)],
            input=json.dumps(left),
            capture_output=True,
            text=True,
            check=False,
        )
        begun = done.stdout.split()
        if not begun:
            raise AssertionError(done.stderr)
        for name in begun:
            place = folder / f"{name}.json"
            answers[name] = json.loads(place.read_text()) if place.exists() else None
        left = [job for job in left if job["name"] not in answers]
    return answers


def digest(array: Any) -> str:
    """Of the bytes; of strings, of their list."""
    import numpy as np

    if array.dtype.kind in "OSU":
        data = repr([bytes(text) for text in array.ravel().tolist()]).encode()
    else:
        data = np.ascontiguousarray(array).tobytes()
    return hashlib.sha256(data).hexdigest()


def interpreter(path: str) -> Any:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    return Interpreter(
        path, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, num_threads=1
    )


def details(job: dict[str, Any]) -> Any:
    try:
        judge = interpreter(job["path"])
    except ValueError as error:
        return {"error": str(error)}
    return {"tensors": [_details(judge, graph) for graph in range(job["subgraphs"])]}


def _details(judge: Any, graph: int) -> dict[str, Any]:
    answers = {}
    for tensor in judge.get_tensor_details(graph):
        quantization = tensor["quantization_parameters"]
        answer = {
            "name": tensor["name"],
            "shape": tensor["shape"].tolist(),
            "signature": tensor["shape_signature"].tolist(),
            "dtype": getattr(tensor["dtype"], "__name__", str(tensor["dtype"])),
            "scales": quantization["scales"].tolist(),
            "zero_points": quantization["zero_points"].tolist(),
            "dimension": quantization["quantized_dimension"],
            "sparse": bool(tensor["sparsity_parameters"]),
        }
        try:
            answer["digest"] = digest(judge.get_tensor(tensor["index"], graph))
        except ValueError as error:
            answer["none"] = str(error)
        answers[str(tensor["index"])] = answer
    return answers


def outputs(job: dict[str, Any]) -> Any:
    try:
        return [_outputs(path, job["inputs"]) for path in job["paths"]]
    except (ValueError, RuntimeError) as error:
        return {"error": str(error)}


def _outputs(path: str, inputs: str | None) -> list[str]:
    import numpy as np

    judge = interpreter(path)
    ends = judge.get_input_details()
    values: list[Any] = []
    if inputs is not None:
        with np.load(inputs) as stored:
            values = [stored[f"in{i}"] for i in range(len(ends))]
        for end, value in zip(ends, values, strict=True):
            if tuple(end["shape"]) != value.shape:
                judge.resize_tensor_input(end["index"], value.shape)
    judge.allocate_tensors()
    chance = np.random.default_rng(0)
    for position, end in enumerate(judge.get_input_details()):
        if values:
            value = values[position]
        elif end["dtype"] in (np.float32, np.float16):
            value = chance.random(end["shape"]).astype(end["dtype"])
        else:
            value = chance.integers(0, 2, end["shape"]).astype(end["dtype"])
        if value.dtype.kind != "S":
            judge.set_tensor(end["index"], value)
    judge.invoke()
    return [digest(judge.get_tensor(end["index"])) for end in judge.get_output_details()]


if __name__ == "__main__":
    answer = {"details": details, "outputs": outputs}[sys.argv[1]]
    for each in json.load(sys.stdin):
        print(each["name"], flush=True)
        (Path(sys.argv[2]) / f"{each['name']}.json").write_text(json.dumps(answer(each)))
