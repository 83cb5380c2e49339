"""Makes the models that the benchmarks read, the same bytes on every machine with the same NumPy.

    python benchmarks/models.py [NAME ...] [--cache FOLDER]

| name | what | size |
|---|---|---|
| language | a decoder of 26 layers, two signatures that share int8 weights, weights inside | 1.58 GB |
| outside | the same, wider, weights behind the FlatBuffer by Buffer.offset and size | 2.7 GB |
| vision | a convolutional network, half float32, half int8 with a scale for each channel | 15 MB |
| many | 10,000 small tensors in one subgraph | 1.5 MB |

Beside each NAME.tflite stands NAME.json: what it holds, and the source it was made from. A model whose source has
changed is made anew. Made as a process of its own, so that no measurement pays for the memory it takes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from graph import Graph, Parts

CACHE = Path(__file__).parent / ".cache"
CHANGED = "transformer/layer_12/attention/key/kernel"
"""The tensor of ``language`` and ``outside`` whose weights the benchmarks change."""


class Decoder(NamedTuple):
    """Sizes of a language model with one key and value head, as Gemma 3 1B has it."""

    layers: int = 26
    width: int = 1536
    head: int = 256
    heads: int = 6
    hidden: int = 8960
    vocabulary: int = 236_544
    context: int = 1280
    prefill: int = 128


def language_model(size: Decoder) -> Parts:
    """A decoder with the signatures ``prefill`` and ``decode`` over the same weights."""
    from graph import Graph, Parts

    parts = Parts("MLIR Converted.")
    for name, tokens in (("prefill", size.prefill), ("decode", 1)):
        _decoder(Graph(parts, name), size, tokens)
    return parts


def _decoder(graph: Graph, size: Decoder, tokens: int) -> None:
    import numpy as np
    from ai_edge_litert import schema_py_generated as tfl

    head, integers = size.head, tfl.TensorType.INT32
    ids = graph.input("tokens", [tokens], integers)
    position = graph.input("input_pos", [3], integers)
    mask = graph.input("mask", [1, tokens * size.heads, size.context])
    caches = [
        (
            graph.input(f"kv_cache_k_{i}", [1, size.context, head]),
            graph.input(f"kv_cache_v_{i}", [1, size.context, head]),
        )
        for i in range(size.layers)
    ]
    weights = _Weights(graph)

    def add(
        name: str, inputs: list[int], shape: list[int], label: str, options: object = None, version: int = 1
    ) -> int:
        made = graph.tensor(f"{graph.subgraph.name}/transformer/{label};", shape)
        return graph.operator(name, inputs, made, options, version=version)

    def dense(x: int, columns: int, depth: int, label: str) -> int:
        options = tfl.FullyConnectedOptionsT(keepNumDims=True, asymmetricQuantizeInputs=True)
        kernel = weights.int8(f"transformer/{label}/kernel", [columns, depth])
        return add("FULLY_CONNECTED", [x, kernel, -1], [1, tokens, columns], f"{label}/dot_general", options, 9)

    def norm(x: int, label: str) -> int:
        unit = add("L2_NORMALIZATION", [x], [1, tokens, size.width], f"{label}/l2_normalization", tfl.L2NormOptionsT())
        scale = weights.float32(f"transformer/{label}/scale", [size.width])
        return add("MUL", [unit, scale], [1, tokens, size.width], f"{label}/mul", tfl.MulOptionsT())

    def reshape(x: int, shape: list[int], label: str) -> int:
        target = graph.constant(f"transformer/shape_{'x'.join(map(str, shape))}", np.array(shape, np.int32))
        return add("RESHAPE", [x, target], shape, label, tfl.ReshapeOptionsT(newShape=np.array(shape, np.int32)))

    table = weights.int8("transformer/embedder/input_embedding", [size.vocabulary, size.width])
    x = add("EMBEDDING_LOOKUP", [ids, table], [tokens, size.width], "embedder/lookup", version=3)
    x = reshape(x, [1, tokens, size.width], "embedder/rows")
    updated: list[int] = []
    for i, (keys, values) in enumerate(caches):
        at, wide = f"layer_{i}", tokens * size.heads
        y = norm(x, f"{at}/pre_attention_norm")
        query = reshape(
            dense(y, size.heads * head, size.width, f"{at}/attention/query"), [1, wide, head], f"{at}/query"
        )
        key = dense(y, head, size.width, f"{at}/attention/key")
        value = dense(y, head, size.width, f"{at}/attention/value")
        for cache, fresh, label in ((keys, key, "keys"), (values, value, "values")):
            inputs, options = [cache, fresh, position], tfl.DynamicUpdateSliceOptionsT()
            updated.append(add("DYNAMIC_UPDATE_SLICE", inputs, [1, size.context, head], f"{at}/{label}", options))
        scores, product = [1, wide, size.context], tfl.BatchMatMulOptionsT(adjY=True)
        y = add("BATCH_MATMUL", [query, updated[-2]], scores, f"{at}/attention/scores", product)
        y = add("ADD", [y, mask], scores, f"{at}/attention/masked", tfl.AddOptionsT())
        y = add("SOFTMAX", [y], scores, f"{at}/attention/softmax", tfl.SoftmaxOptionsT(beta=1.0))
        y = add("BATCH_MATMUL", [y, updated[-1]], [1, wide, head], f"{at}/attention/mix", tfl.BatchMatMulOptionsT())
        y = reshape(y, [1, tokens, size.heads * head], f"{at}/attention/join")
        y = dense(y, size.width, size.heads * head, f"{at}/attention/output")
        x = add("ADD", [x, y], [1, tokens, size.width], f"{at}/attention/add", tfl.AddOptionsT())
        y = norm(x, f"{at}/pre_ffw_norm")
        gate = dense(y, size.hidden, size.width, f"{at}/mlp/gate")
        gate = add("GELU", [gate], [1, tokens, size.hidden], f"{at}/mlp/gelu", tfl.GeluOptionsT(approximate=True))
        up = dense(y, size.hidden, size.width, f"{at}/mlp/up")
        y = add("MUL", [gate, up], [1, tokens, size.hidden], f"{at}/mlp/mul", tfl.MulOptionsT())
        y = dense(y, size.width, size.hidden, f"{at}/mlp/down")
        x = add("ADD", [x, y], [1, tokens, size.width], f"{at}/mlp/add", tfl.AddOptionsT())
    x = norm(x, "final_norm")
    options = tfl.FullyConnectedOptionsT(keepNumDims=True, asymmetricQuantizeInputs=True)
    logits = add("FULLY_CONNECTED", [x, table, -1], [1, tokens, size.vocabulary], "embedder/decode", options, 9)
    graph.finish([logits, *updated])


class _Weights:
    """Constants of a graph; the seed follows from the name, so both signatures ask for the same ones."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def int8(self, name: str, shape: list[int]) -> int:
        return self._of(name, shape, "INT8")

    def float32(self, name: str, shape: list[int]) -> int:
        return self._of(name, shape, "FLOAT32")

    def _of(self, name: str, shape: list[int], kind: str) -> int:
        from ai_edge_litert import schema_py_generated as tfl
        from graph import Weights

        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
        return self._graph.constant(name, Weights(shape, getattr(tfl.TensorType, kind), seed))


def vision_model() -> Parts:
    """Convolutions of 3 x 3 on 28 x 28, float32 ones first, then hybrid ones with int8 weights."""
    import numpy as np
    from ai_edge_litert import schema_py_generated as tfl
    from graph import Graph, Parts

    parts = Parts("MLIR Converted.")
    graph = Graph(parts, "serving_default")
    weights = _Weights(graph)
    x, depth = graph.input("image", [1, 28, 28, 3]), 3
    options = tfl.Conv2DOptionsT(strideW=1, strideH=1, fusedActivationFunction=tfl.ActivationFunctionType.RELU)
    for i, channels in enumerate([64, 128, 192, 256, 384, 448, 448, 448, 448, 448]):
        quantized = i >= 5
        make = weights.int8 if quantized else weights.float32
        kernel = make(f"model/conv2d_{i}/Conv2D", [channels, 3, 3, depth])
        if quantized:
            scales = np.random.default_rng(i).uniform(0.0005, 0.02, channels)
            graph.quantize(kernel, list(scales), [0] * channels)
        bias = weights.float32(f"model/conv2d_{i}/BiasAdd", [channels])
        made = graph.tensor(f"model/re_lu_{i}/Relu;model/conv2d_{i}/Conv2D", [1, 28, 28, channels])
        x, depth = graph.operator("CONV_2D", [x, kernel, bias], made, options, version=2 if quantized else 1), channels
    graph.finish([x])
    return parts


def many_tensors(tensors: int = 10_000) -> Parts:
    """A chain of fully connected layers, three tensors each, behind one input."""
    from ai_edge_litert import schema_py_generated as tfl
    from graph import Graph, Parts

    parts = Parts("MLIR Converted.")
    graph = Graph(parts, "serving_default")
    weights = _Weights(graph)
    x = graph.input("x", [1, 8])
    for i in range((tensors - 1) // 3):
        kernel = weights.int8(f"model/dense_{i}/MatMul", [8, 8])
        bias = weights.float32(f"model/dense_{i}/BiasAdd/ReadVariableOp", [8])
        made = graph.tensor(f"model/dense_{i}/MatMul;model/dense_{i}/BiasAdd", [1, 8])
        options = tfl.FullyConnectedOptionsT(asymmetricQuantizeInputs=True)
        x = graph.operator("FULLY_CONNECTED", [x, kernel, bias], made, options, version=9)
    graph.finish([x])
    return parts


MODELS: dict[str, Callable[[], Parts]] = {
    "language": lambda: language_model(Decoder()),
    "outside": lambda: language_model(Decoder(width=2048, heads=8, hidden=11_264, vocabulary=319_488)),
    "vision": vision_model,
    "many": many_tensors,
}


def source_digest() -> str:
    """Names the sources that models are made from."""
    files = (Path(__file__), Path(__file__).with_name("graph.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def is_made(name: str, cache: Path) -> bool:
    """Whether the model stands in the cache, made from these sources."""
    facts = cache / f"{name}.json"
    return facts.exists() and json.loads(facts.read_text())["made_from"] == source_digest()


def make(name: str, cache: Path) -> None:
    """Makes a model and its facts, unless they are there."""
    if is_made(name, cache):
        return
    cache.mkdir(parents=True, exist_ok=True)
    partial = cache / f"{name}.partial"
    parts = MODELS[name]()
    (parts.save_outside if name == "outside" else parts.save)(partial)
    graphs = parts.model.subgraphs
    facts = {
        "made_from": source_digest(),
        "bytes": partial.stat().st_size,
        "tensors": [len(graph.tensors) for graph in graphs],
        "operators": [len(graph.operators) for graph in graphs],
        "buffers": len(parts.model.buffers),
        "changed": next((i for i, tensor in enumerate(graphs[0].tensors) if tensor.name == CHANGED), None),
    }
    os.replace(partial, cache / f"{name}.tflite")
    (cache / f"{name}.json").write_text(json.dumps(facts, indent=2) + "\n")
    print(f"made {name}: {facts}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes the models that the benchmarks read.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(MODELS)} (default: all)")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where (default: benchmarks/.cache)")
    options = parser.parse_args()
    unknown = set(options.names) - set(MODELS)
    if unknown:
        parser.error(f"no such model: {', '.join(sorted(unknown))}")
    for name in options.names or MODELS:
        make(name, options.cache)


if __name__ == "__main__":
    main()
