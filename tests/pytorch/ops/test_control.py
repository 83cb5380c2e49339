"""Conditions, loops, composites, and what cannot be lowered at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.pytorch.networks import Network, agree_in_runs
from tests.pytorch.suite import SUITE, all_cases, has_no_values

import unlite
from unlite.errors import CorruptFileError, UnsupportedOperatorError
from unlite.flatbuffers.flexbuffers_write import encode

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")

X = np.array([[1, -2, 3]], "f4")
YES, NO = np.array(True), np.array(False)
REFUSED = [name for name, case in all_cases().items() if case["score"] and has_no_values(case)]


@pytest.mark.parametrize("name", REFUSED)
def test_strings_and_hash_tables_are_refused(name: str) -> None:
    """All of them at once, by name."""
    case = all_cases()[name]
    model = unlite.open(SUITE / case["model"])
    with pytest.raises(UnsupportedOperatorError, match=r"no values for|no hash tables") as caught:
        unlite.to_torch(model)
    wanted = {"HASHTABLE", "HASHTABLE_FIND", "HASHTABLE_IMPORT", "HASHTABLE_SIZE", "SKIP_GRAM"} & set(case["ops"])
    assert wanted <= {label.split()[1] for label in caught.value.operators}


def unary(net: Network, graph: dict[str, Any], name: str, x: int, shape: tuple[int, ...] = (1, 3)) -> int:
    made = net.made(graph, shape)
    net.add(graph, name, [x], [made])
    return made


def sum_of(net: Network, graph: dict[str, Any], a: int, b: int, shape: tuple[int, ...] = (1, 3)) -> int:
    made = net.made(graph, shape, "FLOAT32" if shape else "INT32")
    net.add(graph, "ADD", [a, b], [made], ("AddOptions", {}))
    return made


def branch(net: Network, *names: str) -> int:
    """A subgraph of operators one after the other. Its index."""
    graph = net.graph("branch")
    x = value = net.made(graph, (1, 3), name="x")
    for name in names:
        value = unary(net, graph, name, value)
    graph["inputs"], graph["outputs"] = [x], [value]
    return len(net.graphs) - 1


def if_(net: Network, graph: dict[str, Any], condition: int, x: int, then: int, otherwise: int) -> int:
    made = net.made(graph, (1, 3))
    fields = {"then_subgraph_index": then, "else_subgraph_index": otherwise}
    net.add(graph, "IF", [condition, x], [made], ("IfOptions", fields))
    return made


def test_a_branch_that_returns_its_input() -> None:
    net = Network()
    graph = net.graph()
    condition, x = net.made(graph, (1,), "BOOL", "condition"), net.made(graph, (1, 3), name="x")
    graph["inputs"] = [condition, x]
    graph["outputs"] = [if_(net, graph, condition, x, branch(net), branch(net, "ABS", "NEG"))]
    module = agree_in_runs(net.data(), [[YES.reshape(1), X], [NO.reshape(1), X]])
    exported = torch.export.export(module, (torch.tensor([True]), torch.from_numpy(X))).module()
    assert exported(torch.tensor([False]), torch.from_numpy(X)).tolist() == [[-1, -2, -3]]


def test_a_condition_inside_a_branch_and_weights_in_both() -> None:
    net = Network()
    graph = net.graph()
    condition, x = net.made(graph, (), "BOOL", "condition"), net.made(graph, (1, 3), name="x")
    inner = net.graph("then")
    y = net.made(inner, (1, 3), name="y")
    less = net.made(inner, (1, 3), "BOOL")
    net.add(inner, "LESS", [y, net.array(inner, np.float32([2, 2, 2]))], [less])
    every = net.made(inner, (), "BOOL")
    net.add(inner, "REDUCE_ALL", [less, net.array(inner, np.int32([0, 1]))], [every], ("ReducerOptions", {}))
    weighted = sum_of(net, inner, y, net.array(inner, np.float32([[10, 20, 30]])))
    inner["inputs"] = [y]
    inner["outputs"] = [if_(net, inner, every, weighted, branch(net, "NEG"), branch(net, "SQUARE"))]
    graph["inputs"], graph["outputs"] = [condition, x], [if_(net, graph, condition, x, 1, branch(net, "ABS"))]
    module = agree_in_runs(net.data(), [[YES, X], [YES, -np.abs(X)], [NO, X]])
    assert any(tuple(value.shape) == (1, 3) for value in module.state_dict().values())  # all weights at the top
    module(torch.tensor(True), torch.from_numpy(X)).sum().backward()
    gradients = {tuple(parameter.shape): parameter.grad for parameter in module.parameters()}
    assert gradients[1, 3].tolist() == [[22, 36, 66]]  # d (x + w)^2 / dw = 2 (x + w): 2 * 11, 2 * 18, 2 * 33


def test_a_known_condition_leaves_its_branch_alone() -> None:
    net = Network()
    graph = net.graph()
    x = net.made(graph, (1, 3), name="x")
    graph["inputs"] = [x]
    graph["outputs"] = [if_(net, graph, net.array(graph, YES), x, branch(net, "ABS"), branch(net, "NEG"))]
    module = agree_in_runs(net.data(), [[X]])
    assert [node.op for node in module.graph.nodes] == ["placeholder", "call_function", "output"]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_cases(count: int) -> None:
    net = Network()
    graph = net.graph()
    index, x = net.made(graph, (), "INT32", "index"), net.made(graph, (1, 3), name="x")
    indices = [branch(net, *names) for names in (["ABS"], ["NEG"], ["SQUARE"], ["NEG", "ABS"])[:count]]
    y = net.made(graph, (1, 3))
    options = ("StablehloCaseOptions", {"branch_subgraph_indices": indices})
    net.add(graph, "STABLEHLO_CASE", [index, x], [y], options)
    graph["inputs"], graph["outputs"] = [index, x], [y]
    runs = [[np.array(i, "i4"), X] for i in (-1, 0, 1, 2, 3, 4, 100)]
    agree_in_runs(net.data(), runs, kernels="BUILTIN_WITHOUT_DEFAULT_DELEGATES")


def looped(net: Network, graph: dict[str, Any], rounds: Any, x: int, body: dict[str, Any], shape: Any = (1, 3)) -> int:
    """Adds a loop: body(i, x) while i < rounds. The index of x after it."""
    test = net.graph("condition")
    i, value = net.made(test, (), "INT32", "i"), net.made(test, shape, name="value")
    less = net.made(test, (), "BOOL")
    net.add(test, "LESS", [i, net.array(test, np.array(rounds, "i4"))], [less])
    test["inputs"], test["outputs"] = [i, value], [less]
    fields = {"cond_subgraph_index": net.graphs.index(test), "body_subgraph_index": net.graphs.index(body)}
    made = [net.made(graph, (), "INT32"), net.made(graph, shape)]
    net.add(graph, "WHILE", [net.array(graph, np.array(0, "i4")), x], made, ("WhileOptions", fields))
    return made[1]


def counting(net: Network, shape: tuple[int, ...] = (1, 3)) -> tuple[dict[str, Any], int]:
    """A body that counts, and its value."""
    body = net.graph("body")
    i, value = net.made(body, (), "INT32", "i"), net.made(body, shape, name="value")
    more = sum_of(net, body, i, net.array(body, np.array(1, "i4")), ())
    body["inputs"], body["outputs"] = [i, value], [more]
    return body, value


@pytest.mark.parametrize("rounds", [0, 1, 5])
def test_loops_train_and_export(rounds: int) -> None:
    """x becomes x + w in each round: the gradient of w is the number of rounds."""
    net = Network()
    graph = net.graph()
    x = net.made(graph, (1, 3), name="x")
    body, value = counting(net)
    body["outputs"].append(sum_of(net, body, value, net.array(body, np.float32([[1, 2, 3]]), "w")))
    graph["inputs"], graph["outputs"] = [x], [looped(net, graph, rounds, x, body)]
    module = agree_in_runs(net.data(), [[X]])
    if rounds:
        module(torch.from_numpy(X)).sum().backward()
        assert module.w.grad.tolist() == [[rounds] * 3]
    exported = torch.export.export(module, (torch.from_numpy(X),)).module()
    assert exported(torch.from_numpy(X)).tolist() == (X + rounds * np.float32([1, 2, 3])).tolist()


def test_a_loop_in_a_loop() -> None:
    net = Network()
    graph = net.graph()
    x = net.made(graph, (1, 3), name="x")
    inner, value = counting(net)
    inner["outputs"].append(sum_of(net, inner, value, net.array(inner, np.float32([[1, 2, 3]]))))
    outer, value = counting(net)
    outer["outputs"].append(unary(net, outer, "ABS", looped(net, outer, 2, value, inner)))
    graph["inputs"], graph["outputs"] = [x], [looped(net, graph, 3, x, outer)]
    agree_in_runs(net.data(), [[X], [X * -9]])


def test_a_loop_whose_tensor_grows() -> None:
    net = Network()
    graph = net.graph()
    x = net.made(graph, (1, 3), name="x")
    body, value = counting(net)
    joined = net.made(body, (2, 3))
    net.add(body, "CONCATENATION", [value, value], [joined], ("ConcatenationOptions", {"axis": 0}))
    body["outputs"].append(joined)
    graph["inputs"], graph["outputs"] = [x], [looped(net, graph, 3, x, body)]
    module = agree_in_runs(net.data(), [[X], [X + 1]])
    assert tuple(module(torch.from_numpy(X)).shape) == (8, 3)


def test_a_composite_twice_and_one_inside_another() -> None:
    net = Network()
    graph = net.graph()
    x = net.made(graph, (1, 3), name="x")

    def composite(graph: dict[str, Any], x: int, index: int) -> int:
        made = net.made(graph, (1, 3))
        fields = {"name": "own", "decomposition_subgraph_index": index, "composite_attributes": encode({})}
        net.add(graph, "STABLEHLO_COMPOSITE", [x], [made], ("StableHLOCompositeOptions", fields))
        return made

    inner = net.graph("inner")
    y = net.made(inner, (1, 3), name="y")
    weights = net.array(inner, np.float32([[1, 2, 3]]), "w")
    inner["inputs"], inner["outputs"] = [y], [sum_of(net, inner, y, weights)]
    outer = net.graph("outer")
    y = net.made(outer, (1, 3), name="y")
    outer["inputs"], outer["outputs"] = [y], [unary(net, outer, "NEG", composite(outer, y, 1))]
    graph["inputs"], graph["outputs"] = [x], [composite(graph, composite(graph, x, 2), 1)]
    module = agree_in_runs(net.data(), [[X]])
    assert list(module.state_dict()) == ["w"]  # one weight, however often it is read
    last = [node for node in module.graph.nodes if node.op == "call_function"][-1]
    assert last.meta["tensors"] == [(1, inner["outputs"][0]), (0, graph["outputs"][0])]


def test_a_subgraph_that_runs_itself_is_refused() -> None:
    net = Network()
    graph = net.graph()
    condition, x = net.made(graph, (), "BOOL", "condition"), net.made(graph, (1, 3), name="x")
    graph["inputs"], graph["outputs"] = [condition, x], [if_(net, graph, condition, x, 0, 0)]
    with pytest.raises(CorruptFileError, match="runs itself"):
        unlite.to_torch(net.data())


def test_subgraphs_that_would_grow_without_end_are_refused() -> None:
    """Each of 40 composites calls the next one twice: 2 to the power of 40 operators."""
    net = Network()
    for i in range(40):
        graph = net.graph()
        x = value = net.made(graph, (1, 3), name="x")
        for _ in range(2):
            made = net.made(graph, (1, 3))
            options = ("StableHLOCompositeOptions", {"name": "own", "decomposition_subgraph_index": i + 1})
            net.add(graph, "STABLEHLO_COMPOSITE", [value], [made], options)
            value = made
        graph["inputs"], graph["outputs"] = [x], [value]
    branch(net, "ABS")
    with pytest.raises(CorruptFileError, match="more than 262144"):
        unlite.to_torch(net.data())


@pytest.mark.parametrize("index", [7, -1])
def test_a_subgraph_that_is_not_there_is_refused(index: int) -> None:
    net = Network()
    graph = net.graph()
    condition, x = net.made(graph, (), "BOOL", "condition"), net.made(graph, (1, 3), name="x")
    graph["inputs"], graph["outputs"] = [condition, x], [if_(net, graph, condition, x, index, 0)]
    with pytest.raises(CorruptFileError, match=f"no subgraph {index}") as caught:
        unlite.to_torch(net.data())
    assert caught.value.path == "subgraphs[0].operators[0]"


def test_branches_that_do_not_fit_are_refused() -> None:
    net = Network()
    graph = net.graph()
    condition, x = net.made(graph, (), "BOOL", "condition"), net.made(graph, (1, 3), name="x")
    other = branch(net, "ABS")
    net.graphs[other]["outputs"] *= 2
    graph["inputs"], graph["outputs"] = [condition, x], [if_(net, graph, condition, x, branch(net, "NEG"), other)]
    with pytest.raises(CorruptFileError, match="different numbers of outputs"):
        unlite.to_torch(net.data())


def test_names_that_mean_something_to_python() -> None:
    """Names out of a file become arguments and attributes, and no more than that."""
    net = Network()
    graph = net.graph()
    x = net.made(graph, (1, 3), name="self")
    weights = [net.array(graph, X + i, name) for i, name in enumerate(("class", "torch", "graph", "slice", "training"))]
    value = x
    for weight in weights:
        value = sum_of(net, graph, value, weight)
    graph["inputs"], graph["outputs"] = [x], [value]
    module = agree_in_runs(net.data(), [[X]])
    assert list(module.meta["unlite.tensors"].values()) == ["class", "torch", "graph", "slice", "training"]


@pytest.mark.parametrize("name", ["precise_vad_while_drq", "sdpa_composite"])
def test_real_models(shared: Path, name: str) -> None:
    model = unlite.open(shared / f"models/{name}.tflite")
    generator = np.random.default_rng(0)
    runs = [[generator.standard_normal(tensor.shape).astype("f4") for tensor in model.main.inputs] for _ in range(2)]
    # LiteRT quantizes the first one's activations on the way (dynamic range): good to a few of 127 steps there.
    agree_in_runs((shared / f"models/{name}.tflite").read_bytes(), runs, 0.1 if name.endswith("drq") else 2e-6)
