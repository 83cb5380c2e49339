"""Models of one operator, and LiteRT's interpreter as a judge: in a process of its own, because it can crash."""

from __future__ import annotations

import atexit
import pickle
import subprocess
import sys
from functools import cache
from typing import Any

import numpy as np
import pytest

from unlite.flatbuffers.write import build
from unlite.schema import load

DTYPES = {
    "float32": "FLOAT32",
    "float16": "FLOAT16",
    "float64": "FLOAT64",
    "bool": "BOOL",
    "complex64": "COMPLEX64",
    **{f"{sign}int{bits}": f"{sign}int{bits}".upper() for sign in ("", "u") for bits in (8, 16, 32, 64)},
}

WORKER = """
import pickle, sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
while True:
    data, inputs, resize, kernels = pickle.load(stdin)
    kernels = OpResolverType[kernels]
    try:
        try:
            runner = Interpreter(model_content=data, experimental_op_resolver_type=kernels)
        except ValueError:  # CEIL, ELU, ROUND and some others are not among the reference kernels
            kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            runner = Interpreter(model_content=data, experimental_op_resolver_type=kernels)
        details = runner.get_input_details()
        for detail, value in zip(details, inputs):
            if resize:
                runner.resize_tensor_input(detail["index"], value.shape)
        runner.allocate_tensors()
        for detail, value in zip(details, inputs):
            runner.set_tensor(detail["index"], value)
        runner.invoke()
        answer = [np.array(runner.get_tensor(d["index"])) for d in runner.get_output_details()]
    except (RuntimeError, ValueError) as error:
        answer = str(error)
    pickle.dump(answer, stdout)
    stdout.flush()
"""


class RefusedError(Exception):
    """LiteRT does not run the model."""


@cache
def _worker() -> subprocess.Popen[bytes]:
    pytest.importorskip("ai_edge_litert", reason="LiteRT is the judge here")
    made = subprocess.Popen(
        [sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    atexit.register(made.kill)
    return made


def litert(data: bytes, *inputs: np.ndarray, resize: bool = False, kernels: str = "BUILTIN_REF") -> list[np.ndarray]:
    """The outputs of LiteRT's reference kernels. Raises RefusedError where it answers with an error, or dies.

    kernels: a name of its OpResolverType, where others are asked.
    """
    worker = _worker()
    assert worker.stdin is not None
    assert worker.stdout is not None
    try:
        pickle.dump((data, inputs, resize, kernels), worker.stdin)
        worker.stdin.flush()
        answer = pickle.load(worker.stdout)
    except (EOFError, BrokenPipeError):
        _worker.cache_clear()
        raise RefusedError("the interpreter died") from None
    if isinstance(answer, str):
        raise RefusedError(answer)
    return answer  # type: ignore[no-any-return]


class Made:
    """What ``one_operator`` takes for a tensor that is neither an input with values nor a constant."""

    def __init__(self, dtype: str, shape: tuple[int, ...]) -> None:
        self.dtype, self.shape = dtype, shape


class Constant:
    """An operator's input that the file holds."""

    def __init__(self, values: Any, dtype: str = "") -> None:
        self.values = np.asarray(values)
        self.dtype = dtype or DTYPES[self.values.dtype.name]


def one_operator(
    name: str,
    inputs: list[Any],
    outputs: list[Made],
    options: tuple[str, dict[str, Any]] | None = None,
    *,
    custom: bool = False,
    custom_options: bytes | None = None,
    subgraphs: list[tuple[str, str]] | None = None,
    version: int = 1,
) -> bytes:
    """A model of one operator.

    inputs: arrays (inputs of the model of that type and shape), Constants (in the file), None (left out). options: the
    options table's name and fields. version: of the operator. subgraphs: further subgraphs of one operator each on two
    scalars: its name ("" for none), and their type.
    """
    codes = load().enum_named("tflite.BuiltinOperator")
    tensors: list[dict[str, Any]] = []
    buffers: list[dict[str, Any]] = [{}]
    indices: list[int] = []
    given: list[int] = []
    for value in inputs:
        if value is None:
            indices.append(-1)
            continue
        indices.append(len(tensors))
        fields: dict[str, Any] = {"name": f"input_{len(tensors)}", "buffer": 0}
        if isinstance(value, Constant):
            fields |= {"shape": list(value.values.shape), "type": value.dtype, "buffer": len(buffers)}
            buffers.append({"data": value.values.tobytes()})
        else:
            dtype = value.dtype if isinstance(value, Made) else DTYPES[value.dtype.name]
            fields |= {"shape": list(value.shape), "type": dtype}
            given.append(len(tensors))
        tensors.append(fields)
    made = range(len(tensors), len(tensors) + len(outputs))
    tensors += [
        {"name": f"output_{i}", "buffer": 0, "shape": list(output.shape), "type": output.dtype}
        for i, output in enumerate(outputs)
    ]
    operator: dict[str, Any] = {"opcode_index": 0, "inputs": indices, "outputs": list(made)}
    if options is not None:
        newer = options[0] in load().enum_named("tflite.BuiltinOptions2").values
        place = "builtin_options_2" if newer else "builtin_options"
        operator |= {f"{place}_type": options[0], place: options[1]}
    if custom_options is not None:
        operator["custom_options"] = custom_options
    code_list = [_code(codes, name, custom) | {"version": version}]
    graphs: list[dict[str, Any]] = [
        {"name": "main", "tensors": tensors, "inputs": given, "outputs": list(made), "operators": [operator]}
    ]
    for index, (inner, dtype) in enumerate(subgraphs or []):
        graph: dict[str, Any] = {
            "name": f"body_{index}",
            "tensors": [{"name": n, "shape": [], "type": dtype, "buffer": 0} for n in "abc"],
            "inputs": [0, 1],
            "outputs": [2] if inner else [1],
            "operators": [],
        }
        if inner:
            graph["operators"] = [{"opcode_index": len(code_list), "inputs": [0, 1], "outputs": [2]}]
            code_list.append(_code(codes, inner, False))
        graphs.append(graph)
    return build(
        load().root,
        {"version": 3, "operator_codes": code_list, "subgraphs": graphs, "buffers": buffers},
        b"TFL3",
    )


def _code(codes: Any, name: str, custom: bool) -> dict[str, Any]:
    if custom:
        return {"builtin_code": "CUSTOM", "deprecated_builtin_code": 32, "custom_code": name, "version": 1}
    value = codes.values[name]
    return {"builtin_code": name, "deprecated_builtin_code": min(value, 127), "version": 1}


def convert(data: bytes) -> Any:
    """The model as a PyTorch module."""
    import unlite

    return unlite.to_torch(data)


def run(module: Any, *inputs: np.ndarray) -> list[Any]:
    """The outputs of a module."""
    import torch

    with torch.no_grad():
        results = module(*(torch.from_numpy(value.copy()) for value in inputs))
    return list(results) if isinstance(results, tuple) else [results]


def agree(
    name: str,
    inputs: list[Any],
    outputs: Made | list[Made],
    options: tuple[str, dict[str, Any]] | None = None,
    *,
    resized: list[np.ndarray] | None = None,
    export: bool = False,
    allowed: float = 1e-6,
    **rest: Any,
) -> None:
    """Asserts that the module gives what LiteRT gives: shape, type and values; floats within ``allowed`` x range.

    resized: further inputs of other shapes, which LiteRT is resized to. export: torch.export has to take the module.
    """
    import torch

    outputs = outputs if isinstance(outputs, list) else [outputs]
    data = one_operator(name, inputs, outputs, options, **rest)
    given = [value for value in inputs if isinstance(value, np.ndarray)]
    module = convert(data)
    compare(litert(data, *given), run(module, *given), allowed)
    if resized is not None:
        compare(litert(data, *resized, resize=True), run(module, *resized), allowed)
    if export:
        examples = tuple(torch.from_numpy(value.copy()) for value in given)
        compare(litert(data, *given), run(torch.export.export(module, examples).module(), *given), allowed)


def compare(expected: list[np.ndarray], results: list[Any], allowed: float) -> None:
    """Asserts that results are as expected."""
    assert len(expected) == len(results)
    for wanted, result in zip(expected, results, strict=True):
        actual = result.detach().resolve_conj().numpy()
        assert actual.dtype == wanted.dtype, f"{actual.dtype}, expected {wanted.dtype}"
        assert actual.shape == wanted.shape, f"{actual.shape}, expected {wanted.shape}"
        if wanted.dtype.kind in "fc":
            finite = np.abs(wanted[np.isfinite(wanted)])
            scale = max(float(finite.max()) if finite.size else 0.0, 1e-3)
            np.testing.assert_allclose(actual, wanted, rtol=0, atol=allowed * scale)
        else:
            np.testing.assert_array_equal(actual, wanted)
