"""Resource variables: read, assigned, shared by subgraphs, kept from run to run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.pytorch.networks import Network, agree_in_runs

import unlite
from unlite.errors import CorruptFileError, UnsupportedOperatorError

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")

X = np.array([1, 2, 3], "f4")


def start(net: Network, values: dict[str, Any]) -> None:
    """Adds the subgraph that gives variables their first values, and the call of it."""
    net.add(net.graphs[0], "CALL_ONCE", [], [], ("CallOnceOptions", {"init_subgraph_index": len(net.graphs)}))
    first = net.graph("first")
    for name, value in values.items():
        net.add(first, "ASSIGN_VARIABLE", [net.handle(first, name), net.array(first, value)], [])


def read(net: Network, graph: dict[str, Any], handle: int) -> int:
    made = net.made(graph, (3,))
    net.add(graph, "READ_VARIABLE", [handle], [made])
    return made


def added(net: Network, graph: dict[str, Any], a: int, b: int) -> int:
    made = net.made(graph, (3,))
    net.add(graph, "ADD", [a, b], [made], ("AddOptions", {}))
    return made


def test_reads_are_of_their_time() -> None:
    """Two variables change places in each run; what was read before an assignment stays as it was."""
    net = Network()
    graph = net.graph()
    start(net, {"a": X, "b": X * 10})
    x = net.made(graph, (3,), name="x")
    a, b = net.handle(graph, "a"), net.handle(graph, "b")
    old_a, old_b = read(net, graph, a), read(net, graph, b)
    net.add(graph, "ASSIGN_VARIABLE", [a, old_b], [])
    net.add(graph, "ASSIGN_VARIABLE", [b, added(net, graph, old_a, x)], [])
    graph["inputs"], graph["outputs"] = [x], [old_a, old_b, read(net, graph, a)]
    module = agree_in_runs(net.data(), [[X], [X + 1], [X]])
    assert sorted(module.state_dict()) == ["a", "b"]


def test_a_handle_given_twice_is_the_same_variable() -> None:
    net = Network()
    graph = net.graph()
    start(net, {"a": X})
    x = net.made(graph, (3,), name="x")
    net.add(
        graph,
        "ASSIGN_VARIABLE",
        [net.handle(graph, "a"), added(net, graph, read(net, graph, net.handle(graph, "a")), x)],
        [],
    )
    graph["inputs"], graph["outputs"] = [x], [read(net, graph, net.handle(graph, "a"))]
    agree_in_runs(net.data(), [[X], [X]])


def test_first_values_may_be_computed() -> None:
    net = Network()
    graph = net.graph()
    net.add(graph, "CALL_ONCE", [], [], ("CallOnceOptions", {"init_subgraph_index": 1}))
    first = net.graph("first")
    value = added(net, first, net.array(first, X), net.array(first, X * 2))
    net.add(first, "ASSIGN_VARIABLE", [net.handle(first, "a"), value], [])
    x = net.made(graph, (3,), name="x")
    graph["inputs"], graph["outputs"] = [x], [added(net, graph, x, read(net, graph, net.handle(graph, "a")))]
    agree_in_runs(net.data(), [[X], [X]])


def test_branches_and_loops_assign() -> None:
    """A run adds x where the condition holds, then a loop doubles what there is, twice."""
    net = Network()
    graph = net.graph()
    start(net, {"a": X})
    condition, x = net.made(graph, (), "BOOL", "condition"), net.made(graph, (3,), name="x")
    a = net.handle(graph, "a")
    result = net.made(graph, (3,))
    net.add(graph, "IF", [condition, x], [result], ("IfOptions", {"then_subgraph_index": 2, "else_subgraph_index": 3}))
    count = net.array(graph, np.array(0, "i4"))
    after = net.made(graph, (), "INT32")
    net.add(graph, "WHILE", [count], [after], ("WhileOptions", {"cond_subgraph_index": 4, "body_subgraph_index": 5}))
    graph["inputs"], graph["outputs"] = [condition, x], [result, read(net, graph, a)]

    for name in ("then", "else"):
        branch = net.graph(name)
        x = net.made(branch, (3,), name="x")
        value = read(net, branch, net.handle(branch, "a"))
        if name == "then":
            net.add(branch, "ASSIGN_VARIABLE", [net.handle(branch, "a"), added(net, branch, value, x)], [])
        branch["inputs"], branch["outputs"] = [x], [value]
    test = net.graph("condition")
    i, less = net.made(test, (), "INT32"), net.made(test, (), "BOOL")
    net.add(test, "LESS", [i, net.array(test, np.array(2, "i4"))], [less])
    test["inputs"], test["outputs"] = [i], [less]
    body = net.graph("body")
    i, more = net.made(body, (), "INT32"), net.made(body, (), "INT32")
    net.add(body, "ADD", [i, net.array(body, np.array(1, "i4"))], [more], ("AddOptions", {}))
    value = read(net, body, net.handle(body, "a"))
    net.add(body, "ASSIGN_VARIABLE", [net.handle(body, "a"), added(net, body, value, value)], [])
    body["inputs"], body["outputs"] = [i], [more]
    yes, no = np.array(True), np.array(False)
    module = agree_in_runs(net.data(), [[yes, X], [no, X], [yes, X * 5]])
    exported = torch.export.export(module, (torch.tensor(True), torch.from_numpy(X))).module()
    with torch.no_grad():
        results = [exported(torch.tensor(True), torch.from_numpy(X))[1].tolist() for _ in range(2)]
    assert results == [[8, 16, 24], [36, 72, 108]]  # ((1 + 1) * 2) * 2, then ((8 + 1) * 2) * 2


def test_a_change_of_shape_is_refused() -> None:
    net = Network()
    graph = net.graph()
    start(net, {"a": X})
    x = net.made(graph, (4,), name="x")
    net.add(graph, "ASSIGN_VARIABLE", [net.handle(graph, "a"), x], [])
    graph["inputs"], graph["outputs"] = [x], [x]
    with pytest.raises(UnsupportedOperatorError, match=r"the variable 'a'.*a buffer cannot change"):
        unlite.to_torch(net.data())


def test_a_handle_from_nowhere_is_refused() -> None:
    net = Network()
    graph = net.graph()
    x = net.array(graph, X)
    graph["outputs"] = [read(net, graph, x)]
    with pytest.raises(CorruptFileError, match="does not come from VAR_HANDLE"):
        unlite.to_torch(net.data())


@pytest.mark.parametrize("name", ["microwakeword_hey_jarvis_int8", "microwakeword_okay_nabu_int8"])
def test_streaming_models(shared: Path, name: str) -> None:
    """Every variable changes in a run, and goes back; none of them is a parameter."""
    module = unlite.to_torch(shared / f"models/{name}.tflite")
    keys = list(module.meta["unlite.state"])
    assert len(keys) == 6
    shape = unlite.open(shared / f"models/{name}.tflite").main.inputs[0].shape
    before = {key: module.get_buffer(key).clone() for key in keys}
    with torch.no_grad():
        outputs = [module(torch.full(shape, 10.0)) for _ in range(3)]
        assert all(not torch.equal(before[key], module.get_buffer(key)) for key in keys)
        module.reset_state()
        assert all(torch.equal(before[key], module.get_buffer(key)) for key in keys)
        assert torch.equal(module(torch.full(shape, 10.0)), outputs[0])
