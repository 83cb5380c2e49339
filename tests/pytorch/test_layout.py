"""``layout="nchw"``: the same results as the file's layout, which PyTorch computes, and no permutes on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")

import torch.nn.functional as F  # noqa: E402, N812
from tests.pytorch.suite import SUITE, as_tensor, cases  # noqa: E402
from torch import fx  # noqa: E402

from unlite.errors import InvalidValueError, UnliteError  # noqa: E402
from unlite.pytorch.layout.axis_orders import Link, one_to_one  # noqa: E402
from unlite.pytorch.layout.channels_first import to_channels_first  # noqa: E402
from unlite.pytorch.module import to_torch  # noqa: E402
from unlite.pytorch.ops.padding import pad_same  # noqa: E402
from unlite.pytorch.ops.pads import mirror  # noqa: E402
from unlite.pytorch.trace import Tracer  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TO_FIRST, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)
WINDOWS = (torch.conv2d, F.max_pool2d, F.avg_pool2d, F.interpolate, F.prelu, torch.conv_transpose2d)


def permutes(module: Any) -> list[Any]:
    return [node for node in module.graph.nodes if node.op == "call_method" and node.target == "permute"]


def interior(module: Any) -> list[Any]:
    """Permutes with a convolution, pooling or resizing both before and behind them."""
    nodes = list(module.graph.nodes)
    behind: set[Any] = set()
    before: set[Any] = set()
    for node in nodes:
        if node.target in WINDOWS or behind.intersection(node.all_input_nodes):
            behind.add(node)
    for node in reversed(nodes):
        if node.target in WINDOWS or before.intersection(node.users):
            before.add(node)
    return [node for node in permutes(module) if node in behind and node in before]


def layouts(module: Any, kind: str) -> list[str]:
    return [fact["layout"] for fact in module.meta["unlite.io"] if fact["kind"] == kind]


def check_same(plain: Any, moved: Any, inputs: list[Any], allowed: float = 1e-6) -> None:
    """Both modules' results, in double precision: what differs then is no rounding."""
    plain, moved = plain.double(), moved.double()
    inputs = [x.double() if x.dtype == torch.float32 else x for x in inputs]
    ends = zip(inputs, layouts(moved, "input"), strict=True)
    with torch.no_grad():
        expected = plain(*inputs)
        results = moved(*(x.permute(TO_FIRST) if layout == "NCHW" else x for x, layout in ends))
    pairs = [(expected, results)] if isinstance(expected, torch.Tensor) else zip(expected, results, strict=True)
    for (one, result), layout in zip(pairs, layouts(moved, "output"), strict=True):
        actual = result.permute(TO_LAST) if layout == "NCHW" else result
        assert (actual.shape, actual.dtype) == (one.shape, one.dtype)
        torch.testing.assert_close(actual, one, rtol=allowed, atol=allowed, equal_nan=True)


def random_inputs(module: Any, seed: int = 0) -> list[Any]:
    generator = torch.Generator().manual_seed(seed)
    values = [node.meta["val"] for node in module.graph.nodes if node.op == "placeholder"]
    return [torch.randn(tuple(value.shape), generator=generator).to(value.dtype) for value in values]


# -- single calls between two convolutions, traced as lowering does it -------------------------------------------------


def traced(function: Callable[..., Any], example: Any, constants: dict[str, Any]) -> Any:
    tracer, root = Tracer(), torch.nn.Module()
    x = tracer.create_proxy("placeholder", "x", (), {})
    x.node.meta["val"] = tracer.fake(example.shape, example.dtype)
    given = {}
    for name, value in constants.items():
        root.register_parameter(name, torch.nn.Parameter(value))
        given[name] = tracer.create_proxy("get_attr", name, (), {})
        given[name].node.meta["val"] = tracer.fake(value.shape, value.dtype)
    result = function(x, **given)
    tracer.graph.output(tuple(y.node for y in result) if isinstance(result, (tuple, list)) else result.node)
    module = fx.GraphModule(root, tracer.graph)
    count = len(result) if isinstance(result, (tuple, list)) else 1
    module.meta["unlite.state"] = {}
    module.meta["unlite.io"] = [
        {"kind": kind, "index": index, "layout": "file"}
        for kind, index in (("input", 0), *(("output", index) for index in range(count)))
    ]
    return module


def pool(x: Any, window: int = 2) -> Any:
    """A call in PyTorch's own order, as lowering writes it."""
    return F.max_pool2d(x.permute(TO_FIRST), window, 1).permute(TO_LAST)


def tokens(x: Any) -> Any:
    return x.reshape([2, 42, 8]).reshape([2, 6, 7, 8])


CALLS: dict[str, Callable[..., Any]] = {
    "relu": F.relu,
    "add a number": lambda x: x + 1.5,
    "a residual": lambda x: x + pool(F.pad(x, [0, 0, 0, 1, 0, 1])),
    "softmax over channels": lambda x: F.softmax(x, dim=-1),
    "softmax over rows": lambda x: F.softmax(x, dim=1),
    "normalize": lambda x: F.normalize(x, dim=-1, eps=1e-6),
    "pad rows": lambda x: F.pad(x, [0, 0, 0, 0, 1, 2]),
    "pad channels": lambda x: F.pad(x, [3, 1], value=2.0),
    "mirror": lambda x: mirror(x, 2, 1, 2, False),
    "cat channels": lambda x: torch.cat([x, F.relu(x)], 3),
    "cat columns": lambda x: torch.cat([x, x], dim=2),
    "chunk": lambda x: torch.cat([x.chunk(2, 3)[1], x.chunk(2, 3)[0]], 3),
    "split": lambda x: x.split([3, 5], 3)[1],
    "mean, kept": lambda x: x * torch.sigmoid(x.mean([1, 2], True)),
    "mean, and back by reshape": lambda x: x * x.mean([1, 2], False).reshape([-1, 1, 1, 8]),
    "largest of channels": lambda x: x - x.amax([3], True),
    "slices": lambda x: x[:, 1:, ::2, :5],
    "ellipsis": lambda x: x[..., 2:4],
    "a row out and in": lambda x: x[:, 2].unsqueeze(1) * x,
    "a new axis": lambda x: x[:, None, 3, :, :6],
    "squeeze": lambda x: x.sum([1], True).squeeze((1,)).unsqueeze(1),
    "stack": lambda x: torch.stack([x[:, :, :, 0], x[:, :, :, 3]], 3),
    "unbind": lambda x: torch.stack([x.unbind(3)[2], x.unbind(3)[5]], 3),
    "flip": lambda x: x.flip(3),
    "narrow": lambda x: x.narrow(3, 2, 4),
    "expand": lambda x: x[:, :, :, :1].expand([-1, -1, -1, 6]),
    "repeat": lambda x: x.repeat([1, 2, 1, 3]),
    "transpose there and back": lambda x: torch.tanh(x.permute(3, 1, 0, 2)).permute([2, 1, 3, 0]),
    "rows by size": lambda x: x * x.size(3) + x.size(1),
    "where": lambda x: torch.where(torch.gt(x, 0), x, x * 0.5),
    "to and fro": lambda x: x.to(torch.float64).to(x.dtype),
    "unflatten": lambda x: x.unflatten(3, (2, 4)).flatten(3, 4),
}


@pytest.mark.parametrize("name", CALLS)
def test_permutes_pass_a_call(name: str) -> None:
    def network(x: Any) -> Any:
        return pool(CALLS[name](pool(x)), window=1)

    example = torch.randn(2, 7, 8, 8, generator=torch.Generator().manual_seed(1))
    plain, moved = traced(network, example, {}), traced(network, example, {})
    assert len(permutes(plain)) >= 4
    to_channels_first(moved)
    assert not permutes(moved)
    assert layouts(moved, "input") == layouts(moved, "output") == ["NCHW"]
    check_same(plain, moved, [example])
    check_same(plain, moved, [torch.randn(3, 9, 8, 8)]) if name != "mean, and back by reshape" else None


@pytest.mark.parametrize("name", ["reshape", "matrix product", "flatten pictures"])
def test_what_needs_the_files_order_gets_it(name: str) -> None:
    calls: dict[str, Callable[[Any], Any]] = {
        "reshape": tokens,
        "matrix product": lambda x: torch.matmul(x, x.transpose(2, 3)),
        "flatten pictures": lambda x: x.flatten(1, 3).unflatten(1, (6, 7, 8)),
    }

    def network(x: Any) -> Any:
        return pool(calls[name](pool(x)))

    example = torch.randn(2, 7, 8, 8, generator=torch.Generator().manual_seed(1))
    plain, moved = traced(network, example, {}), traced(network, example, {})
    to_channels_first(moved)
    assert len(permutes(moved)) == 2  # out of PyTorch's order and back in
    check_same(plain, moved, [example])


SHAPES = [(8,), (1,), (), (1, 8), (1, 1, 1, 8), (6, 7, 8), (1, 6, 1, 1), (7, 1), (2, 6, 7, 8)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_constants_broadcast_as_before(shape: tuple[int, ...]) -> None:
    def network(x: Any, scale: Any) -> Any:
        return pool(pool(x) * scale)

    example = torch.randn(2, 7, 8, 8, generator=torch.Generator().manual_seed(1))
    values = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    plain, moved = (traced(network, example, {"scale": values.clone()}) for _ in range(2))
    to_channels_first(moved)
    assert not permutes(moved)
    assert list(moved.state_dict()) == ["scale"]
    check_same(plain, moved, [example])
    order = moved.meta["unlite.axes"].get("scale")
    if order is not None:  # says how to get the file's values: axes in front, then the order undone
        lengthened = values.reshape((1,) * (len(order) - values.ndim) + shape)
        assert torch.equal(moved.scale.detach(), lengthened.permute(order).double())
    assert isinstance(moved.scale, torch.nn.Parameter)


def test_a_constant_wanted_in_two_orders_stays() -> None:
    def network(x: Any, scale: Any) -> Any:
        return pool(pool(x) * scale), scale * 2

    example = torch.randn(1, 4, 5, 3)
    plain, moved = (
        traced(network, example, {"scale": torch.arange(60.0).reshape(1, 3, 4, 5)[:, :, :, :3]}) for _ in "ab"
    )
    to_channels_first(moved)
    assert moved.meta["unlite.axes"] == {}
    check_same(plain, moved, [example])


def test_only_sizes_that_are_1_for_certain_let_a_reshape_pass() -> None:
    # 2 x 2 pictures are pooled to one cell, 3 x 3 to four: the example says 1, the next input 2.
    example, larger = torch.randn(1, 2, 2, 5), torch.randn(1, 3, 3, 5)

    def network(x: Any) -> Any:
        return pool(x).reshape([-1, 20])

    plain, moved = (traced(network, larger, {}) for _ in range(2))
    to_channels_first(moved)
    check_same(plain, moved, [larger])

    def rows(x: Any) -> Any:
        return pool(x).reshape([-1, 5])

    plain, moved = (traced(rows, example, {}) for _ in range(2))
    to_channels_first(moved)
    check_same(plain, moved, [example])
    check_same(plain, moved, [larger])
    assert len(permutes(moved)) == 1


def test_an_input_that_gains_nothing_keeps_the_files_shape() -> None:
    def network(x: Any) -> Any:
        return tokens(x), pool(x)

    example = torch.randn(2, 6, 7, 8)
    plain, moved = (traced(network, example, {}) for _ in range(2))
    to_channels_first(moved)
    assert layouts(moved, "input") == ["file"]
    assert layouts(moved, "output") == ["file", "NCHW"]
    check_same(plain, moved, [example])


def test_nodes_say_their_order_and_keep_what_they_knew() -> None:
    def network(x: Any) -> Any:
        y = pool(x)
        y.node.meta.update(tensor=7, tensors=[(0, 7)])
        y = F.relu(y)
        y.node.meta.update(tensor=9, tensors=[(0, 9)], tflite=(0, 3))
        return pool(y)

    module = traced(network, torch.randn(1, 5, 5, 2), {})
    to_channels_first(module)
    by_tensor = {node.meta["tensor"]: node for node in module.graph.nodes if "tensor" in node.meta}
    assert by_tensor[7].target is F.max_pool2d
    assert by_tensor[7].meta["axes"] == by_tensor[9].meta["axes"] == TO_FIRST
    assert by_tensor[9].meta["tflite"] == (0, 3)
    assert tuple(by_tensor[9].meta["val"].shape) == (1, 2, 4, 4)


def test_helpers_in_pytorchs_order_stay_inside() -> None:
    def network(x: Any) -> Any:
        return F.max_pool2d(pad_same(x.permute(TO_FIRST), (3, 3), (2, 2), (1, 1)), 3, 2).permute(TO_LAST)

    example = torch.randn(1, 5, 6, 3)
    plain, moved = (traced(network, example, {}) for _ in range(2))
    to_channels_first(moved)
    assert not permutes(moved)
    check_same(plain, moved, [example])


# -- orders ------------------------------------------------------------------------------------------------------------


def test_orders_go_through_links() -> None:
    # [N, H, W, C] -> [N, H * W, C]: H and W stay side by side
    joined = Link(4, 3, [((0,), (0,)), ((1, 2), (1,)), ((3,), (2,))])
    assert joined.push(TO_FIRST) == (0, 2, 1)
    assert joined.pull((0, 2, 1)) == TO_FIRST
    assert joined.push((0, 1, 3, 2)) is None
    # x.permute(0, 2, 3, 1) stored as (0, 3, 1, 2) is x itself
    assert one_to_one(TO_LAST).pull(TO_FIRST) == (0, 1, 2, 3)
    # [N, H, W, C] -> [N, C]: H and W vanish, wherever they stood
    mean = Link(4, 2, [((0,), (0,)), ((3,), (1,))])
    assert all(mean.agrees(order, (0, 1)) for order in ((0, 1, 2, 3), TO_FIRST, (2, 0, 1, 3)))
    assert not mean.agrees((3, 0, 1, 2), (0, 1))


# -- models ------------------------------------------------------------------------------------------------------------

LEFT = {  # permutes left in all: those before reshapes, where the file's order decides
    "automl_labeler_uint8": 0,
    "blazeface_front_fp16": 4,
    "face_landmark_fp32": 0,
    "hand_landmark_lite_fp16": 0,
    "hand_recrop_fp32": 0,
    "microwakeword_hey_jarvis_int8": 2,
    "mnist_conv_fc_fp32": 1,
    "mobilenet_v1_025_fp32": 0,
    "palm_detection_lite_fp16": 4,
    "selfie_segmentation_landscape_fp16": 0,
    "ssd_mobilenet_v1_uint8": 10,
    "yamnet_int8": 0,
}


@pytest.mark.parametrize("name", LEFT)
def test_models(models: list[Path], name: str) -> None:
    (path,) = (path for path in models if path.stem == name)
    plain, moved = to_torch(path), to_torch(path, layout="nchw")
    assert len(permutes(plain)) > 2 + LEFT[name]
    assert not interior(moved)
    assert len(permutes(moved)) == LEFT[name]
    assert list(moved.state_dict()) == list(plain.state_dict())
    known = [{node.meta["tensor"] for node in m.graph.nodes if "tensor" in node.meta} for m in (plain, moved)]
    assert known[0] == known[1]
    check_same(plain, moved, random_inputs(plain))


@pytest.mark.parametrize("name", ["basic_pitch_fp32", "mobilenet_v2_nchw_int8"])
def test_the_models_own_transposes(models: list[Path], name: str) -> None:
    # basic_pitch turns frequencies from channels to columns, half way: one TRANSPOSE of the file stays. mobilenet_v2
    # turns its NCHW input, which is then not needed.
    (path,) = (path for path in models if path.stem == name)
    plain, moved = to_torch(path), to_torch(path, layout="nchw")
    assert len(permutes(moved)) == (1 if name == "basic_pitch_fp32" else 0)
    assert layouts(moved, "input") == ["file"]
    check_same(plain, moved, random_inputs(plain))


def test_another_size_and_batch(models: list[Path]) -> None:
    (path,) = (path for path in models if path.stem == "hand_landmark_lite_fp16")
    plain, moved = to_torch(path), to_torch(path, layout="nchw")
    check_same(plain, moved, [torch.rand(2, 256, 192, 3)])


@pytest.mark.parametrize("name", ["selfie_segmentation_landscape_fp16", "microwakeword_hey_jarvis_int8"])
def test_export_accepts_it(models: list[Path], name: str) -> None:
    (path,) = (path for path in models if path.stem == name)
    module = to_torch(path, layout="nchw")
    inputs = tuple(random_inputs(module))
    exported = torch.export.export(module, inputs).module()
    with torch.no_grad():
        module.reset_state()  # the exported module has the same buffers
        expected = module(*inputs)
        module.reset_state()
        torch.testing.assert_close(exported(*inputs), expected)


def test_state_is_remembered_in_the_new_order(models: list[Path]) -> None:
    (path,) = (path for path in models if path.stem == "microwakeword_hey_jarvis_int8")
    plain, moved = to_torch(path).double(), to_torch(path, layout="nchw").double()
    assert set(moved.meta["unlite.axes"]) & set(moved.meta["unlite.state"])
    for seed in range(3):
        check_same(plain, moved, random_inputs(plain, seed))
    moved.reset_state()
    assert all(not moved.get_buffer(key).any() for key in moved.meta["unlite.state"])


def test_ends_are_recorded(models: list[Path]) -> None:
    (path,) = (path for path in models if path.stem == "blazeface_front_fp16")
    facts = to_torch(path).meta["unlite.io"]
    assert facts[0] == {
        "name": "input",
        "kind": "input",
        "index": 0,
        "layout": "file",
        "dtype": "FLOAT32",
        "scale": None,
    }
    assert [(fact["kind"], fact["index"]) for fact in facts[1:]] == [("output", 0), ("output", 1)]
    assert [fact["layout"] for fact in to_torch(path, layout="nchw").meta["unlite.io"]] == ["NCHW", "file", "file"]


def test_an_unknown_layout_is_refused(models: list[Path]) -> None:
    with pytest.raises(InvalidValueError, match="nhwc"):
        to_torch(models[0], layout="NCHW")


FAMILIES = (
    *("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "CONV_3D", "AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"),
    *("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "PRELU", "TRANSPOSE"),
    *("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "UNIDIRECTIONAL_SEQUENCE_RNN", "WHILE", "IF"),
)


@pytest.mark.parametrize("case", cases(*FAMILIES))
def test_suite(case: dict[str, Any]) -> None:
    import numpy as np

    try:
        plain = to_torch(SUITE / case["model"])
    except UnliteError as error:
        pytest.skip(str(error))
    moved = to_torch(SUITE / case["model"], layout="nchw")
    assert len(permutes(moved)) <= len(permutes(plain))
    arrays = np.load(SUITE / case["io"], allow_pickle=False)
    inputs = [as_tensor(arrays[entry["key"]], entry["dtype"]) for entry in case["inputs"]]
    torch.manual_seed(0)
    check_same(plain, moved, inputs)
