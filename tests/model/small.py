"""Small models, built from plain values, for tests that need no real ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from unlite.flatbuffers.write import build
from unlite.schema import load

CODES = {
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 4,
    "DENSIFY": 124,
    "DEQUANTIZE": 6,
    "FULLY_CONNECTED": 9,
    "TRANSPOSE_CONV": 67,
    "CONV_3D": 132,
    "CONV_3D_TRANSPOSE": 141,
    "ADD": 0,
}


class Builder:
    """Collects buffers, operator codes and subgraphs; ``data()`` is the file."""

    def __init__(self) -> None:
        self.buffers: list[dict[str, Any]] = [{}]
        self.codes: list[str] = []
        self.graphs: list[dict[str, Any]] = []
        self.rest: dict[str, Any] = {}

    def buffer(self, data: bytes | np.ndarray) -> int:
        self.buffers.append({"data": data if isinstance(data, bytes) else data.tobytes()})
        return len(self.buffers) - 1

    def graph(self, name: str = "main") -> dict[str, Any]:
        graph: dict[str, Any] = {"name": name, "tensors": [], "operators": [], "inputs": [], "outputs": []}
        self.graphs.append(graph)
        return graph

    def tensor(
        self, graph: dict[str, Any], name: str, shape: list[int], dtype: str = "FLOAT32", buffer: int = 0, **fields: Any
    ) -> int:
        graph["tensors"].append({"name": name, "shape": shape, "type": dtype, "buffer": buffer, **fields})
        return len(graph["tensors"]) - 1

    def constant(self, graph: dict[str, Any], name: str, values: Any, dtype: str = "FLOAT32", **fields: Any) -> int:
        array = np.asarray(values)
        return self.tensor(graph, name, list(array.shape), dtype, self.buffer(array), **fields)

    def operator(self, graph: dict[str, Any], name: str, inputs: list[int], outputs: list[int], **fields: Any) -> None:
        if name not in self.codes:
            self.codes.append(name)
        graph["operators"].append(
            {"opcode_index": self.codes.index(name), "inputs": inputs, "outputs": outputs, **fields}
        )

    def data(self) -> bytes:
        codes = [
            {"builtin_code": name, "deprecated_builtin_code": min(CODES[name], 127), "version": 1}
            for name in self.codes
        ]
        model = {"version": 3, "operator_codes": codes, "subgraphs": self.graphs, "buffers": self.buffers, **self.rest}
        return build(load().root, model, b"TFL3")


def dense_layer() -> bytes:
    """One FULLY_CONNECTED: x [1, 2], weights [3, 2], bias [3] -> y [1, 3]; all FLOAT32."""
    made = Builder()
    main = made.graph()
    x = made.tensor(main, "x", [1, 2])
    weights = made.constant(main, "weights", np.arange(6, dtype="<f4").reshape(3, 2))
    bias = made.constant(main, "bias", np.array([1, 2, 3], "<f4"))
    y = made.tensor(main, "y", [1, 3])
    made.operator(
        main,
        "FULLY_CONNECTED",
        [x, weights, bias],
        [y],
        builtin_options_type="FullyConnectedOptions",
        builtin_options={"fused_activation_function": "NONE"},
    )
    main["inputs"], main["outputs"] = [x], [y]
    made.rest["description"] = "small"
    return made.data()


def quantized(values: list[int], dtype: str = "INT8", scale: float = 0.5, zero_point: int = 3) -> bytes:
    """One constant ``q`` with a scale, added to itself so that LiteRT has something to run."""
    kinds = {"INT8": "i1", "UINT8": "u1", "INT16": "<i2", "INT32": "<i4"}
    made = Builder()
    main = made.graph()
    quantization = {"scale": [scale], "zero_point": [zero_point]}
    q = made.constant(main, "q", np.array(values, kinds[dtype]), dtype, quantization=quantization)
    y = made.tensor(main, "y", [len(values)], dtype, quantization=quantization)
    made.operator(main, "ADD", [q, q], [y], builtin_options_type="AddOptions", builtin_options={})
    main["inputs"], main["outputs"] = [], [y]
    return made.data()
