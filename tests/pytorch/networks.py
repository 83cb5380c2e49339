"""Models of several operators and subgraphs, with memory, and LiteRT running them several times in a row."""

from __future__ import annotations

import atexit
import pickle
import subprocess
import sys
from functools import cache
from typing import Any

import numpy as np
import pytest
from tests.model.small import Builder
from tests.pytorch.litert import DTYPES, RefusedError, compare

from unlite.flatbuffers.write import build
from unlite.schema import load

WORKER = """
import pickle, sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
while True:
    data, runs, kernels = pickle.load(sys.stdin.buffer)
    try:
        runner = Interpreter(model_content=data, experimental_op_resolver_type=getattr(OpResolverType, kernels))
        runner.allocate_tensors()
        answer = []
        for inputs in runs:
            for detail, value in zip(runner.get_input_details(), inputs):
                runner.set_tensor(detail["index"], value)
            runner.invoke()
            answer.append([np.array(runner.get_tensor(d["index"])) for d in runner.get_output_details()])
    except (RuntimeError, ValueError) as error:
        answer = str(error)
    pickle.dump(answer, sys.stdout.buffer)
    sys.stdout.flush()
"""


class Network(Builder):
    """A builder that knows every operator's code, and takes options as (table, fields)."""

    def add(
        self,
        graph: dict[str, Any],
        name: str,
        inputs: list[int],
        outputs: list[int],
        options: tuple[str, dict[str, Any]] | None = None,
    ) -> None:
        fields: dict[str, Any] = {}
        if options is not None:
            newer = options[0] in load().enum_named("tflite.BuiltinOptions2").values
            place = "builtin_options_2" if newer else "builtin_options"
            fields = {f"{place}_type": options[0], place: options[1]}
        self.operator(graph, name, inputs, outputs, **fields)

    def array(self, graph: dict[str, Any], values: Any, name: str = "") -> int:
        """A constant."""
        array = np.asarray(values)
        return self.constant(graph, name or f"constant_{len(graph['tensors'])}", array, DTYPES[array.dtype.name])

    def made(self, graph: dict[str, Any], shape: tuple[int, ...], dtype: str = "FLOAT32", name: str = "") -> int:
        """A tensor without data."""
        return self.tensor(graph, name or f"tensor_{len(graph['tensors'])}", list(shape), dtype)

    def variable(self, graph: dict[str, Any], shape: tuple[int, ...]) -> int:
        """A variable tensor."""
        return self.tensor(graph, f"state_{len(graph['tensors'])}", list(shape), is_variable=True)

    def handle(self, graph: dict[str, Any], name: str) -> int:
        """A handle to a resource variable."""
        made = self.made(graph, (), "RESOURCE")
        self.add(graph, "VAR_HANDLE", [], [made], ("VarHandleOptions", {"container": "", "shared_name": name}))
        return made

    def data(self) -> bytes:
        values = load().enum_named("tflite.BuiltinOperator").values
        codes = [
            {"builtin_code": name, "deprecated_builtin_code": min(values[name], 127), "version": 1}
            for name in self.codes
        ]
        model = {"version": 3, "operator_codes": codes, "subgraphs": self.graphs, "buffers": self.buffers, **self.rest}
        return build(load().root, model, b"TFL3")


@cache
def _worker() -> subprocess.Popen[bytes]:
    pytest.importorskip("ai_edge_litert", reason="LiteRT is the judge here")
    made = subprocess.Popen(
        [sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    atexit.register(made.kill)
    return made


def litert_runs(data: bytes, runs: list[list[np.ndarray]], kernels: str = "BUILTIN_REF") -> list[list[np.ndarray]]:
    """LiteRT's outputs of each of several runs, one after the other. Raises RefusedError where it fails, or dies."""
    worker = _worker()
    assert worker.stdin is not None
    assert worker.stdout is not None
    try:
        pickle.dump((data, runs, kernels), worker.stdin)
        worker.stdin.flush()
        answer = pickle.load(worker.stdout)
    except (EOFError, BrokenPipeError):
        _worker.cache_clear()
        raise RefusedError("the interpreter died") from None
    if isinstance(answer, str):
        raise RefusedError(answer)
    return answer  # type: ignore[no-any-return]


def agree_in_runs(
    data: bytes, runs: list[list[np.ndarray]], allowed: float = 2e-6, kernels: str = "BUILTIN_REF"
) -> Any:
    """Asserts that the module gives what LiteRT gives in each run, and again after ``reset_state``. The module."""
    import torch

    import unlite

    module = unlite.to_torch(data)
    expected = litert_runs(data, runs, kernels)
    for _ in range(2):
        for inputs, wanted in zip(runs, expected, strict=True):
            with torch.no_grad():
                results = module(*(torch.from_numpy(value.copy()) for value in inputs))
            compare(wanted, list(results) if isinstance(results, tuple) else [results], allowed)
        module.reset_state()
    return module
