"""Weights of a model in one's own network. LiteRT runs the model; the network has to give the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.pytorch.litert import Constant, Made, litert, one_operator
from tests.pytorch.networks import Network, litert_runs
from tests.pytorch.suite import SUITE, all_cases
from torch import nn

import unlite
from unlite.errors import AmbiguousNameError, InvalidTypeError, InvalidValueError, NoDataError, NotFoundError

RANDOM = np.random.default_rng(0)
CONV = {"padding": "VALID", "stride_w": 1, "stride_h": 1}


def random(*shape: int) -> np.ndarray:
    return RANDOM.uniform(-1, 1, shape).astype("f4")


def run(net: nn.Module, value: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """A network's output in the file's order, for an input in the file's order."""
    with torch.no_grad():
        found = net(torch.from_numpy(value).permute(order))
    found = found[0] if isinstance(found, tuple) else found
    return found.permute(*np.argsort(order)).numpy()


FIRST = {2: (0, 1), 4: (0, 3, 1, 2), 5: (0, 4, 1, 2, 3)}  # channels first, by rank

# What each of PyTorch's layers is as an operator: name, inputs, shape of the output, options.
LAYERS: dict[str, tuple[nn.Module, str, list[Any], tuple[int, ...], tuple[str, dict[str, Any]]]] = {
    "Conv2d": (
        nn.Conv2d(3, 4, (2, 1)),
        "CONV_2D",
        [random(1, 5, 4, 3), Constant(random(4, 2, 1, 3)), Constant(random(4))],
        (1, 4, 4, 4),
        ("Conv2DOptions", CONV),
    ),
    "Conv2d with groups": (
        nn.Conv2d(4, 6, 1, groups=2),
        "CONV_2D",
        [random(1, 3, 3, 4), Constant(random(6, 1, 1, 2)), Constant(random(6))],
        (1, 3, 3, 6),
        ("Conv2DOptions", CONV),
    ),
    "depthwise, two for each channel": (
        nn.Conv2d(3, 6, 3, groups=3),
        "DEPTHWISE_CONV_2D",
        [random(1, 5, 5, 3), Constant(random(1, 3, 3, 6)), Constant(random(6))],
        (1, 3, 3, 6),
        ("DepthwiseConv2DOptions", {**CONV, "depth_multiplier": 2}),
    ),
    "1x1 as Linear's brother": (
        nn.Conv2d(3, 4, 1),
        "CONV_2D",
        [random(1, 2, 2, 3), Constant(random(4, 1, 1, 3)), Constant(random(4))],
        (1, 2, 2, 4),
        ("Conv2DOptions", CONV),
    ),
    "Linear": (
        nn.Linear(3, 4),
        "FULLY_CONNECTED",
        [random(2, 3), Constant(random(4, 3)), Constant(random(4))],
        (2, 4),
        ("FullyConnectedOptions", {}),
    ),
    "Linear without a bias in the file": (
        nn.Linear(3, 4),
        "FULLY_CONNECTED",
        [random(2, 3), Constant(random(4, 3)), None],
        (2, 4),
        ("FullyConnectedOptions", {}),
    ),
    "PReLU": (
        nn.PReLU(3),
        "PRELU",
        [random(1, 2, 2, 3), Constant(random(1, 1, 3))],
        (1, 2, 2, 3),
        ("NONE", {}),
    ),
    "ConvTranspose2d": (
        nn.ConvTranspose2d(3, 2, 3, stride=2),
        "TRANSPOSE_CONV",
        [
            Constant(np.array([1, 9, 9, 2], "i4")),
            Constant(random(2, 3, 3, 3)),
            random(1, 4, 4, 3),
            Constant(random(2)),
        ],
        (1, 9, 9, 2),
        ("TransposeConvOptions", {"padding": "VALID", "stride_w": 2, "stride_h": 2}),
    ),
    "Conv3d": (
        nn.Conv3d(2, 3, 2),
        "CONV_3D",
        [random(1, 3, 4, 5, 2), Constant(random(2, 2, 2, 2, 3)), Constant(random(3))],
        (1, 2, 3, 4, 3),
        ("Conv3DOptions", {"padding": "VALID", "stride_d": 1, "stride_w": 1, "stride_h": 1}),
    ),
    "ConvTranspose3d": (
        nn.ConvTranspose3d(2, 3, 2),
        "CONV_3D_TRANSPOSE",
        [
            Constant(np.array([1, 3, 4, 5, 3], "i4")),
            Constant(random(2, 2, 2, 3, 2)),
            random(1, 2, 3, 4, 2),
            Constant(random(3)),
        ],
        (1, 3, 4, 5, 3),
        ("Conv3DOptions", {"padding": "VALID", "stride_d": 1, "stride_w": 1, "stride_h": 1}),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    net, operator, inputs, shape, options = LAYERS[name]
    version = 5 if operator == "DEPTHWISE_CONV_2D" else 3 if operator == "TRANSPOSE_CONV" else 1
    table = None if options[0] == "NONE" else options
    data = one_operator(operator, inputs, [Made("FLOAT32", shape)], table, version=version)
    given = next(value for value in inputs if isinstance(value, np.ndarray))
    report = unlite.load_weights(net, data)
    assert len(report.matches) == len(net.state_dict())
    assert not report.left_in_net
    assert not report.left_in_model
    (expected,) = litert(data, given)
    np.testing.assert_allclose(run(net, given, FIRST[given.ndim]), expected, rtol=0, atol=1e-5)


def test_embedding() -> None:
    table = random(5, 3)
    ids = np.array([4, 0, 2], "i4")
    data = one_operator("EMBEDDING_LOOKUP", [ids, Constant(table)], [Made("FLOAT32", (3, 3))])
    net = nn.Embedding(5, 3)
    unlite.load_weights(net, data)
    np.testing.assert_array_equal(net(torch.from_numpy(ids)).detach().numpy(), litert(data, ids)[0])


class Stack(nn.Module):
    """Two LSTMs, and a classifier of the last step."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.first = nn.LSTM(sizes[0], sizes[1], batch_first=True)
        self.second = nn.LSTM(sizes[1], sizes[2], batch_first=True)
        self.head = nn.Linear(sizes[2], sizes[3])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.second(self.first(x)[0])[0][:, -1]).softmax(-1)


def suite_case(name: str) -> tuple[bytes, list[np.ndarray], list[np.ndarray], Any]:
    """A model of the suite, its inputs, the expected outputs, and the model opened."""
    if name not in all_cases():
        pytest.skip("../shared/opsuite is not there")
    case = all_cases()[name]
    arrays = np.load(SUITE / case["io"])
    data = (SUITE / case["model"]).read_bytes()
    ends = [[arrays[entry["key"]] for entry in case[end]] for end in ("inputs", "outputs")]
    return data, ends[0], ends[1], unlite.open(data)


def lstm_sizes(model: Any) -> list[tuple[int, int]]:
    """[units, inputs] of each LSTM."""
    return [op.inputs[1].shape for op in model.main.operators if op.name == "UNIDIRECTIONAL_SEQUENCE_LSTM"]


@pytest.mark.parametrize("name", ["q_net_lstm_stack_dense__float", "q_net_lstm_stack_dense__fp16"])
def test_lstms_in_a_row(name: str) -> None:
    data, (x,), (expected,), model = suite_case(name)
    (a, b), (c, _) = lstm_sizes(model)
    net = Stack((b, a, c, expected.shape[-1]))
    report = unlite.load_weights(net, data)
    assert [match.key for match in report.matches if match.note.startswith("zeros")] == [
        "first.bias_hh_l0",
        "second.bias_hh_l0",
    ]
    np.testing.assert_allclose(_plain(net, x), expected, rtol=0, atol=1e-5)


def _plain(net: nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        found = net(torch.from_numpy(x))
    return (found[0] if isinstance(found, tuple) else found).numpy()


def test_lstm_in_both_directions() -> None:
    """Keras runs the second direction first, behind REVERSE_V2; both have the same shape."""
    data, (x,), (expected,), model = suite_case("q_net_bilstm__float")
    (units, inputs), _ = lstm_sizes(model)
    net = nn.LSTM(inputs, units, batch_first=True, bidirectional=True)
    unlite.load_weights(net, data)
    np.testing.assert_allclose(_plain(net, x), expected, rtol=0, atol=1e-5)


def test_two_lstms_side_by_side_are_unclear() -> None:
    data, _, _, model = suite_case("q_net_bilstm__float")
    (units, inputs), _ = lstm_sizes(model)
    with pytest.raises(InvalidValueError, match="side by side"):
        unlite.load_weights(layers(*((name, nn.LSTM(inputs, units)) for name in ("left", "right"))), data)


@pytest.mark.parametrize(("name", "kind"), [("h_bidi_lstm_merge0_cifg0_peep0", nn.LSTM), ("h_bidi_rnn_merge1", nn.RNN)])
def test_both_directions_in_one_operator(name: str, kind: Any) -> None:
    data, (x, *_), outputs, model = suite_case(name)
    operator = model.main.operators[0]
    units, inputs = operator.inputs[1].shape
    options = {"nonlinearity": "relu"} if operator.options.fused_activation_function == "RELU" else {}
    net = kind(inputs, units, batch_first=not operator.options.time_major, bidirectional=True, **options)
    unlite.load_weights(net, data)
    expected = outputs[0] if len(outputs) == 1 else np.concatenate(outputs[:2], -1)
    np.testing.assert_allclose(_plain(net, x), expected, rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")  # PyTorch tells that it is slow
@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("h_useq_lstm_cifg0_peep0_proj0_ln0", nn.LSTM, {}),
        ("h_useq_lstm_cifg0_peep0_proj1_ln0", nn.LSTM, {"proj_size": 2}),
        ("h_useq_rnn_tm1", nn.RNN, {}),
    ],
)
def test_recurrent_kernels(name: str, kind: Any, options: dict[str, int]) -> None:
    data, (x, *_), (expected, *_), model = suite_case(name)
    operator = model.main.operators[0]
    units, inputs = operator.inputs[1].shape
    time_major = bool(operator.options.time_major)
    if options:
        options = {"proj_size": operator.inputs[16].shape[0]}
    net = kind(inputs, units, batch_first=not time_major, **options)
    if kind is nn.RNN and operator.options.fused_activation_function == "RELU":
        net = kind(inputs, units, batch_first=not time_major, nonlinearity="relu")
    report = unlite.load_weights(net, data)
    # An LSTM that clips its cell, which PyTorch's does not: the first two steps do not reach that.
    clips = getattr(operator.options, "cell_clip", 0) > 0
    steps = slice(0, 2 if clips else None)
    assert ("clips the cell" in report.matches[0].note) == clips
    np.testing.assert_allclose(_plain(net, x)[:, steps], expected[:, steps], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["h_lstm_full_cifg0_peep1_proj0_ln0", "h_lstm_full_cifg0_peep0_proj0_ln1"])
def test_an_lstm_that_pytorch_does_not_have(name: str) -> None:
    data, _, _, model = suite_case(name)
    units, inputs = model.main.operators[0].inputs[1].shape
    with pytest.raises(InvalidValueError, match="nothing for 4 parameter"):
        unlite.load_weights(nn.LSTMCell(inputs, units), data)


# -- which is which ----------------------------------------------------------------------------------------------------


def chain(names: list[str], sizes: list[int], seed: int = 0) -> bytes:
    """FULLY_CONNECTED layers in a row: ``sizes`` of all values; each layer's weights are called ``name/kernel``."""
    made = Network()
    main = made.graph()
    values = np.random.default_rng(seed)
    x = first = made.made(main, (1, sizes[0]), name="x")
    for name, inputs, outputs in zip(names, sizes[:-1], sizes[1:], strict=True):
        kernel = made.array(main, values.uniform(-1, 1, (outputs, inputs)).astype("f4"), f"{name}/kernel")
        bias = made.array(main, values.uniform(-1, 1, outputs).astype("f4"), f"{name}/bias")
        y = made.made(main, (1, outputs), name=f"{name}/out")
        made.add(main, "FULLY_CONNECTED", [x, kernel, bias], [y], ("FullyConnectedOptions", {}))
        x = y
    main["inputs"], main["outputs"] = [first], [x]
    return made.data()


def layers(*pairs: tuple[str, nn.Module]) -> nn.Module:
    net = nn.Module()
    for name, module in pairs:
        net.add_module(name, module)
    return net


def kernels(data: bytes) -> dict[str, np.ndarray]:
    return {tensor.name: tensor.numpy() for tensor in unlite.open(data).main.tensors if tensor.is_constant}


def test_by_shape_then_by_order() -> None:
    data = chain(["a", "b", "c"], [3, 4, 4, 4])
    net = layers(("one", nn.Linear(3, 4)), ("two", nn.Linear(4, 4)), ("three", nn.Linear(4, 4)))
    report = unlite.load_weights(net, data)
    assert [match.how for match in report.matches] == ["shape", "shape", "order", "order", "order", "order"]
    assert [match.tensors for match in report.matches][::2] == [("a/kernel",), ("b/kernel",), ("c/kernel",)]
    np.testing.assert_array_equal(net.get_parameter("three.weight").detach(), kernels(data)["c/kernel"])


def test_names_come_before_order() -> None:
    data = chain(["net/c", "net/b", "net/a"], [4, 4, 4, 4])
    net = layers(("a", nn.Linear(4, 4)), ("b", nn.Linear(4, 4)), ("c", nn.Linear(4, 4)))
    report = unlite.load_weights(net, data)
    assert {match.how for match in report.matches} == {"name"}
    for name in "abc":
        np.testing.assert_array_equal(net.get_parameter(f"{name}.weight").detach(), kernels(data)[f"net/{name}/kernel"])


def test_order_against_names_is_unclear() -> None:
    """b and a are told by name to cross; that the two others come in order can no longer be believed."""
    data = chain(["p", "b", "a", "q"], [4, 4, 4, 4, 4])
    net = layers(*((name, nn.Linear(4, 4)) for name in ("one", "a", "b", "two")))
    with pytest.raises(InvalidValueError, match=r"'one', 'two' could be 'p/kernel'.*'q/kernel'"):
        unlite.load_weights(net, data)


def test_counts_that_differ_are_unclear() -> None:
    data = chain(["a", "b", "c"], [4, 4, 4, 4])
    net = layers(("one", nn.Linear(4, 4)), ("two", nn.Linear(4, 4)))
    before = net.get_parameter("one.weight").detach().clone()
    with pytest.raises(InvalidValueError, match=r"'one', 'two' could be 'a/kernel'.*'b/kernel'.*'c/kernel'") as caught:
        unlite.load_weights(net, data)
    assert "mapping=" in str(caught.value)
    assert torch.equal(net.get_parameter("one.weight"), before)


def test_layers_made_in_another_order_are_unclear() -> None:
    data = chain(["a", "b", "c", "d"], [3, 4, 3, 4, 3])  # [4, 3] and [3, 4] in turn
    turns = [(3, 4), (4, 3), (3, 4), (4, 3)]
    unlite.load_weights(layers(*((f"x{i}", nn.Linear(*size)) for i, size in enumerate(turns))), data)
    net = layers(*((f"x{i}", nn.Linear(*size)) for i, size in enumerate(sorted(turns))))
    with pytest.raises(InvalidValueError, match="come in another order"):
        unlite.load_weights(net, data)


def test_the_mapping_wins_and_takes_the_bias_along() -> None:
    data = chain(["a", "b", "c"], [4, 4, 4, 4])
    net = layers(("one", nn.Linear(4, 4)), ("two", nn.Linear(4, 4)))
    report = unlite.load_weights(net, data, {"one.weight": "c/kernel", "two.weight": 1})  # tensor 1 is a/kernel
    assert [match.tensors for match in report.matches] == [("c/kernel",), ("c/bias",), ("a/kernel",), ("a/bias",)]
    assert list(report.left_in_model) == ["b/kernel", "b/bias"]
    np.testing.assert_array_equal(net.get_parameter("one.bias").detach(), kernels(data)["c/bias"])


def test_a_mapping_settles_what_is_unclear() -> None:
    mixed = chain(["a", "b", "c"], [4, 4, 4, 4])
    net = layers(*((name, nn.Linear(4, 4)) for name in ("head", "one", "two")))
    report = unlite.load_weights(net, mixed, {"head.weight": "c/kernel"})
    assert [match.tensors[0] for match in report.matches[::2]] == ["c/kernel", "a/kernel", "b/kernel"]


def test_a_mapping_of_single_parameters() -> None:
    data = chain(["a", "b"], [3, 4, 3])
    net = layers(("one", nn.Linear(3, 4)), ("two", nn.Linear(4, 3)))
    net.register_parameter("both", nn.Parameter(torch.zeros(7)))
    report = unlite.load_weights(net, data, {"two.bias": None, "both": None})
    assert report.left_in_net == {"two.bias": "the mapping says so", "both": "the mapping says so"}
    np.testing.assert_array_equal(net.get_parameter("one.bias").detach(), kernels(data)["a/bias"])


def test_several_tensors_are_joined() -> None:
    data = chain(["a", "b"], [4, 4, 4])
    net = nn.Linear(4, 8)
    unlite.load_weights(net, data, {"weight": ["b/kernel", "a/kernel"], "bias": ["b/bias", "a/bias"]})
    held = kernels(data)
    np.testing.assert_array_equal(net.weight.detach(), np.concatenate([held["b/kernel"], held["a/kernel"]]))
    np.testing.assert_array_equal(net.bias.detach(), np.concatenate([held["b/bias"], held["a/bias"]]))


@pytest.mark.parametrize(
    ("mapping", "error", "words"),
    [
        ({"wieght": "a/kernel"}, InvalidValueError, "'wieght'"),
        ({"weight": "a/kernl"}, NotFoundError, "a/kernel"),
        ({"weight": "x"}, NoDataError, "holds no real"),
        ({"weight": "a/bias"}, InvalidValueError, r"\[4, 4\].*\[4\]"),
        ({"weight": ["a/bias", "a/kernel"]}, InvalidValueError, "several shapes"),
        ({"weight": [2.5]}, InvalidTypeError, "name or index"),
    ],
)
def test_mappings_that_do_not_fit(mapping: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        unlite.load_weights(nn.Linear(4, 4), chain(["a"], [4, 4]), mapping)


def test_a_name_borne_twice() -> None:
    with pytest.raises(AmbiguousNameError):
        unlite.load_weights(nn.Linear(4, 4), chain(["a", "a"], [4, 4, 4]), {"weight": "a/kernel"})


# -- leftovers ---------------------------------------------------------------------------------------------------------


def test_parameters_without_weights_are_an_error() -> None:
    net = layers(("one", nn.Linear(3, 4)), ("head", nn.Linear(4, 7)))
    with pytest.raises(InvalidValueError, match=r"2 parameter.*head.weight 7x4; head.bias 7") as caught:
        unlite.load_weights(net, chain(["a"], [3, 4]))
    assert "mapping={key: None}" in str(caught.value)
    report = unlite.load_weights(net, chain(["a"], [3, 4]), {"head.weight": None, "head.bias": None})
    assert [match.key for match in report.matches] == ["one.weight", "one.bias"]


def test_batch_normalization_is_left() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, (2, 1)), nn.BatchNorm2d(4))
    _, operator, inputs, shape, options = LAYERS["Conv2d"]
    report = unlite.load_weights(net, one_operator(operator, inputs, [Made("FLOAT32", shape)], options))
    assert list(report.left_in_net) == [f"1.{name}" for name in net[1].state_dict()]
    assert all("fold" in why for why in report.left_in_net.values())


def test_what_the_network_does_not_take_is_told() -> None:
    net = nn.Linear(3, 4, bias=False)
    report = unlite.load_weights(net, chain(["a"], [3, 4]))
    assert report.left_in_model == {"a/bias": (4,)}


def test_parameters_beside_layers() -> None:
    """A parameter of its own meets the one constant of its shape."""
    made = Network()
    main = made.graph()
    x = made.made(main, (1, 3, 4), name="x")
    y = made.made(main, (1, 3, 4), name="y")
    places = random(1, 3, 4)
    made.add(main, "ADD", [x, made.array(main, places, "positions")], [y], ("AddOptions", {}))
    main["inputs"], main["outputs"] = [x], [y]
    net = nn.Module()
    net.register_parameter("embedding", nn.Parameter(torch.zeros(3, 4)))
    report = unlite.load_weights(net, made.data())
    assert report.matches[0].tensors == ("positions",)
    np.testing.assert_array_equal(net.get_parameter("embedding").detach(), places[0])


def test_a_flattened_picture_is_told() -> None:
    made = Network()
    main = made.graph()
    x = made.made(main, (1, 2, 2, 3), name="x")
    flat = made.made(main, (1, 12), name="flat")
    y = made.made(main, (1, 2), name="y")
    made.add(main, "RESHAPE", [x, made.array(main, np.array([1, 12], "i4"))], [flat], ("ReshapeOptions", {}))
    made.add(
        main, "FULLY_CONNECTED", [flat, made.array(main, random(2, 12), "w"), -1], [y], ("FullyConnectedOptions", {})
    )
    main["inputs"], main["outputs"] = [x], [y]
    net = nn.Linear(12, 2)
    report = unlite.load_weights(net, made.data())
    assert "permute(0, 2, 3, 1)" in report.matches[0].note
    value = random(1, 2, 2, 3)
    (expected,) = litert_runs(made.data(), [[value]])[0]
    picture = torch.from_numpy(value).permute(0, 3, 1, 2)  # as PyTorch has it
    actual = net(picture.permute(0, 2, 3, 1).flatten(1)).detach().numpy()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-6)


def test_weights_that_several_operators_share_are_one_layer() -> None:
    """An unrolled RNN of four steps calls two layers again and again."""
    data, _, _, model = suite_case("q_net_simple_rnn_unrolled__fp16")
    shapes = {op.inputs[1].producer.inputs[0].shape for op in model.main.operators if op.name == "FULLY_CONNECTED"}
    net = layers(*((f"layer{i}", nn.Linear(b, a)) for i, (a, b) in enumerate(sorted(shapes))))
    report = unlite.load_weights(net, data)
    assert {match.how for match in report.matches if match.tensors} == {"shape"}


@pytest.mark.parametrize("name", ["mnist_conv_fc_int8", "mnist_weight_dequant", "mnist_conv_fc_fp32"])
def test_quantized_weights_become_real(name: str, shared: Path) -> None:
    model = unlite.open(shared / f"models/{name}.tflite")
    convolution = next(op for op in model.main.operators if op.name == "CONV_2D")
    weight = convolution.inputs[1]
    out, height, width, channels = weight.shape
    net = nn.Conv2d(channels, out, (height, width))
    unlite.load_weights(net, model)
    stored = weight if weight.is_constant else weight.producer.inputs[0]
    values = stored.numpy().astype("f8")
    if stored.quantization is not None and stored.quantization.scale:
        scale = np.array(stored.quantization.scale).reshape(-1, 1, 1, 1)
        values = (values - np.array(stored.quantization.zero_point).reshape(-1, 1, 1, 1)) * scale
    np.testing.assert_allclose(net.weight.detach().permute(0, 2, 3, 1), values, rtol=1e-6)


# -- the report --------------------------------------------------------------------------------------------------------


def test_the_report_reads_as_a_table() -> None:
    net = nn.Sequential(nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4, affine=False, track_running_stats=True))
    report = unlite.load_weights(net, chain(["<b>"], [3, 4]))
    lines = str(report).splitlines()
    assert lines[0].split() == ["network", "shape", "how", "model"]
    assert lines[1].split() == ["0.weight", "4x3", "shape", "<b>/kernel"]
    assert lines[-1] == "1 matched, 3 left in the network, 1 left in the model"
    assert "<b>" not in report._repr_html_()
    assert "&lt;b&gt;/kernel" in report._repr_html_()


def test_no_module() -> None:
    with pytest.raises(InvalidTypeError):
        unlite.load_weights({}, chain(["a"], [3, 4]))  # type: ignore[arg-type]  # what is tested
