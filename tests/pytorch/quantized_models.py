"""Models of one quantized operator, for judging ``quantized="exact"`` by LiteRT's reference kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from tests.pytorch.litert import DTYPES, compare, litert, run
from tests.pytorch.networks import litert_runs

import unlite
from unlite.flatbuffers.write import build
from unlite.schema import load


class Tensor:
    """A tensor of the model: input with values, constant, or output.

    Attributes:
        values: Of an input or constant; None of an output, and of variables.
        scale: One number, or one for each entry of ``axis``; none where the tensor is not quantized.
        zero_point: As scale.
        constant: Whether the file holds the values.
        variable: Whether it is a state of the model.
    """

    def __init__(
        self,
        values: Any,
        scale: Any = None,
        zero_point: Any = 0,
        *,
        axis: int = 0,
        dtype: str = "",
        shape: tuple[int, ...] = (),
        constant: bool = False,
        variable: bool = False,
    ) -> None:
        self.values = None if values is None else np.asarray(values)
        self.shape = shape if self.values is None else self.values.shape
        self.dtype = dtype or DTYPES[np.asarray(values).dtype.name]
        self.scale, self.zero_point, self.axis = scale, zero_point, axis
        self.constant, self.variable = constant, variable

    def fields(self, name: str, buffer: int) -> dict[str, Any]:
        """Its fields in the schema."""
        fields: dict[str, Any] = {"name": name, "shape": list(self.shape), "type": self.dtype, "buffer": buffer}
        if self.scale is not None:
            scales = np.atleast_1d(np.asarray(self.scale, dtype=np.float32))
            points = np.broadcast_to(np.asarray(self.zero_point, dtype=np.int64), scales.shape)
            fields["quantization"] = {
                "scale": scales.tolist(),
                "zero_point": points.tolist(),
                "quantized_dimension": self.axis,
            }
        return fields | ({"is_variable": True} if self.variable else {})

    def stored(self) -> bytes:
        """A constant's bytes; of INT4 two values in each."""
        assert self.values is not None
        if self.dtype != "INT4":
            return self.values.tobytes()
        nibbles = np.append(self.values.reshape(-1), np.zeros(self.values.size % 2, np.int8)).astype(np.uint8) & 15
        return (nibbles[0::2] | nibbles[1::2] << 4).astype(np.uint8).tobytes()


def constant(values: Any, scale: Any = None, zero_point: Any = 0, *, axis: int = 0, dtype: str = "") -> Tensor:
    """A tensor whose values the file holds."""
    return Tensor(values, scale, zero_point, axis=axis, dtype=dtype, constant=True)


def output(dtype: str, shape: tuple[int, ...], scale: Any = None, zero_point: Any = 0, *, axis: int = 0) -> Tensor:
    """A tensor that the operator gives. dtype: the schema's name."""
    return Tensor(None, scale, zero_point, dtype=dtype, shape=shape, axis=axis)


def quantized_operator(
    name: str,
    inputs: list[Tensor | None],
    outputs: list[Tensor],
    options: tuple[str, dict[str, Any]] | None = None,
    *,
    custom_options: bytes | None = None,
    version: int = 1,
    intermediates: list[Tensor] | None = None,
) -> bytes:
    """A model of one operator. inputs: None is one that is left out. A name that is no builtin's is a custom one."""
    codes = load().enum_named("tflite.BuiltinOperator").values
    tensors: list[dict[str, Any]] = []
    buffers: list[dict[str, Any]] = [{}]
    indices, given = [], []
    for tensor in inputs:
        indices.append(-1 if tensor is None else len(tensors))
        if tensor is None:
            continue
        if tensor.constant:
            buffers.append({"data": tensor.stored()})
        elif not tensor.variable:
            given.append(len(tensors))
        tensors.append(tensor.fields(f"input_{len(tensors)}", len(buffers) - 1 if tensor.constant else 0))
    made = list(range(len(tensors), len(tensors) + len(outputs)))
    tensors += [tensor.fields(f"output_{i}", 0) for i, tensor in enumerate(outputs)]
    operator: dict[str, Any] = {"opcode_index": 0, "inputs": indices, "outputs": made}
    if intermediates is not None:
        operator["intermediates"] = list(range(len(tensors), len(tensors) + len(intermediates)))
        tensors += [tensor.fields(f"intermediate_{i}", 0) for i, tensor in enumerate(intermediates)]
    if options is not None:
        newer = options[0] in load().enum_named("tflite.BuiltinOptions2").values
        place = "builtin_options_2" if newer else "builtin_options"
        operator |= {f"{place}_type": options[0], place: options[1]}
    if custom_options is not None:
        operator["custom_options"] = custom_options
    code: dict[str, Any] = {"builtin_code": name, "version": version}
    if name in codes:
        code["deprecated_builtin_code"] = min(codes[name], 127)
    else:
        code |= {"builtin_code": "CUSTOM", "deprecated_builtin_code": 32, "custom_code": name}
    graph = {"name": "main", "tensors": tensors, "inputs": given, "outputs": made, "operators": [operator]}
    return build(
        load().root, {"version": 3, "operator_codes": [code], "subgraphs": [graph], "buffers": buffers}, b"TFL3"
    )


def differing(
    name: str,
    inputs: list[Tensor | None],
    outputs: Tensor | list[Tensor],
    options: tuple[str, dict[str, Any]] | None = None,
    *,
    resized: list[np.ndarray] | None = None,
    kernels: str = "BUILTIN_REF",
    **rest: Any,
) -> list[tuple[int, int, float]]:
    """How the module differs from LiteRT: for each output (differing elements, all elements, largest difference).

    resized: inputs of other shapes, which LiteRT is resized to. kernels: the judge, of LiteRT's OpResolverType.
    Shapes and types are asserted to be the same.
    """
    data = quantized_operator(name, inputs, outputs if isinstance(outputs, list) else [outputs], options, **rest)
    given = [t.values for t in inputs if t is not None and t.values is not None and not t.constant]
    module = unlite.to_torch(data, quantized="exact")
    found = _differing(litert(data, *given, kernels=kernels), run(module, *given))
    if resized is not None:
        found += _differing(litert(data, *resized, resize=True, kernels=kernels), run(module, *resized))
    return found


def _differing(wanted: list[np.ndarray], results: list[Any]) -> list[tuple[int, int, float]]:
    found = []
    for expected, result in zip(wanted, results, strict=True):
        actual = result.detach().numpy()
        assert actual.dtype == expected.dtype, f"{actual.dtype}, expected {expected.dtype}"
        assert actual.shape == expected.shape, f"{actual.shape}, expected {expected.shape}"
        unequal = (actual != expected) & ~((actual != actual) & (expected != expected))
        step = np.abs(actual[unequal].astype(np.float64) - expected[unequal].astype(np.float64))
        found.append((int(unequal.sum()), int(unequal.size), float(step.max(initial=0))))
    return found


def agree_exactly(
    name: str,
    inputs: list[Tensor | None],
    outputs: Tensor | list[Tensor],
    options: tuple[str, dict[str, Any]] | None = None,
    **rest: Any,
) -> None:
    """Asserts that every element of every output is LiteRT's. See ``differing``."""
    found = differing(name, inputs, outputs, options, **rest)
    assert not any(count for count, _, _ in found), f"(differing elements, of, largest step): {found}"


def agree_in_exact_runs(
    name: str,
    inputs: list[Tensor | None],
    outputs: Tensor | list[Tensor],
    options: tuple[str, dict[str, Any]] | None,
    runs: list[list[np.ndarray]],
    *,
    allowed: float = 1e-6,
    **rest: Any,
) -> None:
    """Asserts that a model with memory gives what LiteRT gives, in each of several runs, and again after a reset.

    Integers are to be equal; allowed: difference of real numbers, as a part of their range.
    """
    data = quantized_operator(name, inputs, outputs if isinstance(outputs, list) else [outputs], options, **rest)
    module = unlite.to_torch(data, quantized="exact")
    expected = litert_runs(data, runs)
    for _ in range(2):
        for given, wanted in zip(runs, expected, strict=True):
            compare(wanted, run(module, *given), allowed)
        module.reset_state()


RANGES = {"INT8": (-128, 127), "UINT8": (0, 255), "INT16": (-32768, 32767), "INT32": (-(2**31), 2**31 - 1)}


def random_integers(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Integers of a type's whole range, both ends among them."""
    low, high = RANGES[dtype]
    values = rng.integers(low, high + 1, shape)
    if values.size > 1:
        values.reshape(-1)[:2] = low, high
    return values.astype(dtype.lower())


def random_zero_point(rng: np.random.Generator, dtype: str) -> int:
    """A zero point of a type; 0 where it has to be symmetric."""
    return int(rng.integers(*RANGES[dtype], endpoint=True)) if dtype in ("INT8", "UINT8") else 0


def random_scale(rng: np.random.Generator, low: float = 0.02, high: float = 1.0) -> float:
    """A scale as a file can hold it, in float32."""
    return float(np.float32(np.exp(rng.uniform(np.log(low), np.log(high)))))
