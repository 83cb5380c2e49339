"""Re-trained weights back in the model: LiteRT runs the saved file, and has to give what the network gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.model.small import Builder
from tests.pytorch.litert import litert
from tests.pytorch.networks import Network
from tests.pytorch.suite import SUITE, all_cases
from torch import nn

import unlite
from unlite.errors import InvalidTypeError, InvalidValueError
from unlite.pytorch.source.folder import load_folder
from unlite.pytorch.source.write import write_source

WAYS = ("nhwc", "nchw", "folder")


def converted(model: Any, way: str, folder: Path) -> tuple[nn.Module, list[dict[str, Any]]]:
    """A model as a network, and what its ends are."""
    module = unlite.to_torch(model, layout="nhwc" if way == "nhwc" else "nchw")
    if way != "folder":
        return module, module.meta["unlite.io"]
    folder.mkdir(exist_ok=True)
    write_source(module, model.main, folder)
    return load_folder(folder), module.meta["unlite.io"]


def retrain(net: nn.Module, kind: str = "", amount: float = 0.2) -> None:
    """Changes every parameter at random; zeros stay, as a sparse tensor's pattern wants it.

    kind: a float type whose grid the new values are on, so that the file holds just these.
    """
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            change = amount * torch.randn_like(parameter)
            value = parameter * (1 + change) + change * parameter.std(correction=0) * (parameter != 0)
            parameter.copy_(value.half().float() if kind == "fp16" else value)


def inputs_of(model: Any) -> list[np.ndarray]:
    values = np.random.default_rng(1)
    made = []
    for tensor in model.main.inputs:
        if tensor.dtype == "FLOAT32":
            made.append(values.uniform(-1, 1, tensor.shape).astype("f4"))
        else:
            limits = np.iinfo(tensor.dtype.lower())
            made.append(values.integers(limits.min, limits.max + 1, tensor.shape).astype(tensor.dtype.lower()))
    return made


def real(values: np.ndarray, tensor: Any) -> np.ndarray:
    if values.dtype == np.float32:
        return values
    (scale,), (zero_point,) = tensor.quantization.scale, tensor.quantization.zero_point
    return ((values.astype("f8") - zero_point) * scale).astype("f4")


def outputs_of(net: nn.Module, ends: list[dict[str, Any]], model: Any, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """What a network gives for the file's inputs, in the file's order; real numbers."""
    given = []
    for value, tensor, end in zip(inputs, model.main.inputs, ends, strict=False):
        value = torch.from_numpy(real(value, tensor))  # noqa: PLW2901 - the same values
        given.append(value.permute(0, 3, 1, 2) if end["layout"] == "NCHW" else value)
    with torch.no_grad():
        found = net(*given)
    found = found if isinstance(found, tuple) else (found,)
    turned = [end["layout"] == "NCHW" for end in ends if end["kind"] == "output"]
    return [(value.permute(0, 2, 3, 1) if turn else value).numpy() for value, turn in zip(found, turned, strict=True)]


def distances(model: Any, saved: Path, net: nn.Module, ends: list[dict[str, Any]]) -> tuple[float, float]:
    """Largest difference between LiteRT on the saved file and the network, and between the saved file and the old one.

    In steps of quantized outputs; of float outputs, as a share of the largest value.
    """
    inputs = inputs_of(model)
    now = litert(saved.read_bytes(), *inputs)
    old = litert(model.file.name and Path(model.file.name).read_bytes(), *inputs)
    mine = outputs_of(net, ends, model, inputs)
    units = [
        tensor.quantization.scale[0] if tensor.dtype != "FLOAT32" else np.abs(value).max()
        for tensor, value in zip(model.main.outputs, now, strict=True)
    ]
    theirs = [real(value, tensor) for value, tensor in zip(now, model.main.outputs, strict=True)]
    before = [real(value, tensor) for value, tensor in zip(old, model.main.outputs, strict=True)]

    def largest(one: list[np.ndarray], other: list[np.ndarray]) -> float:
        return max(float(np.abs(a - b).max() / unit) for a, b, unit in zip(one, other, units, strict=True))

    return largest(theirs, mine), largest(theirs, before)


FLOAT = [
    ("mobilenet_v1_025_fp32", "", WAYS),
    ("mnist_lstm_fp32", "", WAYS),
    ("mnist_conv_fc_fp32", "", WAYS),
    ("hand_landmark_lite_fp16", "fp16", ("nchw",)),
    ("face_full_range_sparse_fp16", "fp16", ("nchw",)),
]


@pytest.mark.parametrize(("name", "kind", "way"), [(name, kind, way) for name, kind, ways in FLOAT for way in ways])
def test_float_models(name: str, kind: str, way: str, shared: Path, tmp_path: Path) -> None:
    model = unlite.open(shared / f"models/{name}.tflite")
    net, ends = converted(model, way, tmp_path / "net")
    retrain(net, kind, 0.05)
    before = {tensor.name: (tensor.dtype, tensor.shape, tensor.is_sparse) for tensor in model.main.tensors}
    report = unlite.store_weights(model, net)
    assert not report.saturated
    assert model.save(tmp_path / "new.tflite").how == "patched"
    saved = unlite.open(tmp_path / "new.tflite")
    assert {t.name: (t.dtype, t.shape, t.is_sparse) for t in saved.main.tensors} == before
    apart, changed = distances(unlite.open(shared / f"models/{name}.tflite"), tmp_path / "new.tflite", net, ends)
    assert apart < 1e-4
    assert changed > 0.01


def test_blazeface(face: Path, tmp_path: Path) -> None:
    for way in WAYS:
        model = unlite.open(face)
        net, ends = converted(model, way, tmp_path / "net")
        retrain(net, "fp16", 0.1)
        unlite.store_weights(model, net)
        model.save(tmp_path / "new.tflite")
        apart, changed = distances(unlite.open(face), tmp_path / "new.tflite", net, ends)
        assert apart < 1e-4
        assert changed > 0.05


SUITE_CASES = [
    "h_useq_lstm_cifg0_peep1_proj1_ln0",
    "h_bidi_lstm_merge0_cifg0_peep0",
    "h_useq_rnn_tm1",
    "q_net_lstm_stack_dense__fp16",
    "q_net_simple_rnn_unrolled__fp16",
    "transpose_conv__02_float",
    "dynamic_rnn__r02_float",
]


@pytest.mark.parametrize("way", ["nhwc", "folder"])
@pytest.mark.parametrize("name", SUITE_CASES)
def test_suite(name: str, way: str, tmp_path: Path) -> None:
    if name not in all_cases():
        pytest.skip("../shared/opsuite is not there")
    case = all_cases()[name]
    file = SUITE / case["model"]
    model = unlite.open(file)
    net, ends = converted(model, way, tmp_path / "net")
    retrain(net, case["kind"])
    report = unlite.store_weights(model, net)
    model.save(tmp_path / "new.tflite")
    arrays = np.load(SUITE / case["io"])
    inputs = [arrays[entry["key"]] for entry in case["inputs"]]
    expected = litert((tmp_path / "new.tflite").read_bytes(), *inputs)
    found = outputs_of(net, ends, model, inputs)
    for one, other, old in zip(expected, found, litert(file.read_bytes(), *inputs), strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-5 * max(1.0, np.abs(one).max()))
        assert not report.changed or np.abs(one - old).max() > 1e-3


# -- quantized ---------------------------------------------------------------------------------------------------------

QUANTIZED = ("mnist_conv_fc_int8", "mnist_lstm_int8", "tiny_cnn_int8", "mobilenet_v1_025_uint8")


@pytest.mark.parametrize("new_scales", [False, True])
@pytest.mark.parametrize("name", QUANTIZED)
def test_quantized_models(name: str, new_scales: bool, shared: Path, tmp_path: Path) -> None:
    """What is stored is the nearest to what was trained, and LiteRT runs it as the module does.

    A module computes with real numbers where LiteRT rounds each tensor, so that they differ by some steps of the
    output; re-trained they may not differ by many more than before.
    """
    file = shared / f"models/{name}.tflite"
    model = unlite.open(file)
    net, ends = converted(model, "nhwc", tmp_path / "net")
    usual, _ = distances(model, file, net, ends)
    retrain(net, amount=0.02)
    report = unlite.store_weights(model, net, new_scales=new_scales)
    assert report.changed
    assert bool(report.rescaled) == new_scales
    model.save(tmp_path / "new.tflite")
    saved = unlite.open(tmp_path / "new.tflite")
    stored = unlite.to_torch(saved)
    names = stored.meta["unlite.tensors"]
    for key, value in stored.state_dict().items():
        quantization = saved.main.tensors[names[key]].quantization if key in names else None
        if quantization is not None and names[key] not in report.saturated:
            off = (value - net.state_dict()[key]).abs().max()
            assert off <= 0.501 * max(quantization.scale)
    apart, _ = distances(unlite.open(file), tmp_path / "new.tflite", stored, ends)
    assert apart <= 1.5 * usual + 1


def test_a_quantized_folder(shared: Path, tmp_path: Path) -> None:
    """Weights three times as large: with new scales that is what LiteRT runs, with the old ones they saturate."""
    file = shared / "models/tiny_cnn_int8.tflite"
    for new_scales in (False, True):
        model = unlite.open(file)
        net, ends = converted(model, "folder", tmp_path / "net")
        with torch.no_grad():
            for value in net.parameters():
                value.mul_(3 if value.ndim == 4 else 1)
        report = unlite.store_weights(model, net, new_scales=new_scales)
        model.save(tmp_path / "new.tflite")
        apart, _ = distances(unlite.open(file), tmp_path / "new.tflite", net, ends)
        assert len(report.rescaled) == (4 if new_scales else 0)
        assert apart <= 6


def dense(weights: np.ndarray, bias: np.ndarray, scale: float | list[float] = 0.5, zero_point: int = 0) -> bytes:
    """INT8 x [1, n] (step 1/16) -> FULLY_CONNECTED -> INT8 y (step 1/2). Weights INT8, or UINT8 with a zero point."""
    scales = scale if isinstance(scale, list) else [scale]
    kind = "UINT8" if zero_point else "INT8"
    made = Builder()
    main = made.graph()
    outputs, inputs = weights.shape
    ends = {"zero_point": [128 if zero_point else 0]}
    x = made.tensor(main, "x", [1, inputs], kind, quantization={"scale": [1 / 16], **ends})
    held = {"scale": scales, "zero_point": [zero_point] * len(scales)}
    w = made.constant(main, "w", weights, kind, quantization=held)
    products = {"scale": [each / 16 for each in scales], "zero_point": [0] * len(scales)}
    b = made.constant(main, "b", bias.astype("<i4"), "INT32", quantization=products)
    y = made.tensor(main, "y", [1, outputs], kind, quantization={"scale": [0.5], **ends})
    options = {"builtin_options_type": "FullyConnectedOptions", "builtin_options": {}}
    made.operator(main, "FULLY_CONNECTED", [x, w, b], [y], **options)
    main["inputs"], main["outputs"] = [x], [y]
    return made.data()


def test_quantized_with_their_scales() -> None:
    """q = round(real / 0.5), halves away from zero: 1.3 -> 3, -0.75 -> -2; 70 does not fit 127 * 0.5 = 63.5."""
    model = unlite.open(dense(np.array([[1, 2, 3]], "i1"), np.array([16])))
    net = unlite.to_torch(model)
    with torch.no_grad():
        net.get_parameter("w").copy_(torch.tensor([[1.3, -0.75, 70.0]]))
        net.get_parameter("b").fill_(0.6)  # of 1/32: 19.2
    report = unlite.store_weights(model, net)
    assert model.main.tensors["w"].numpy().tolist() == [[3, -2, 127]]
    assert model.main.tensors["b"].numpy().tolist() == [19]
    assert report.saturated == {"w": 1}
    assert "saturated: w: 1 values" in str(report)


def test_the_smallest_integer_is_not_used() -> None:
    """Kernels count on weights in -127..127."""
    model = unlite.open(dense(np.array([[1, 2, 3]], "i1"), np.array([16])))
    net = unlite.to_torch(model)
    with torch.no_grad():
        net.get_parameter("w").copy_(torch.tensor([[-64.0, -63.5, 0.0]]))
    report = unlite.store_weights(model, net)
    assert model.main.tensors["w"].numpy().tolist() == [[-127, -127, 0]]
    assert report.saturated == {"w": 1}


def test_new_scales_follow_the_weights_and_the_biases_them(tmp_path: Path) -> None:
    """Largest weight 12.7 -> scale 0.1; bias scale 0.1 / 16, so that 0.5 is 80. LiteRT computes with them."""
    model = unlite.open(dense(np.array([[1, 2, 3]], "i1"), np.array([16])))
    net = unlite.to_torch(model)
    with torch.no_grad():
        net.get_parameter("w").copy_(torch.tensor([[12.7, -0.1, 5.0]]))
    report = unlite.store_weights(model, net, new_scales=True)
    w, b = model.main.tensors["w"], model.main.tensors["b"]
    assert w.quantization is not None
    assert b.quantization is not None
    assert w.quantization.scale == pytest.approx([0.1])
    assert b.quantization.scale == pytest.approx([0.1 / 16])
    assert (w.numpy().tolist(), b.numpy().tolist()) == ([[127, -1, 50]], [80])
    assert set(report.rescaled) == {"w", "b"}
    model.save(tmp_path / "new.tflite")
    # (16 * 12.7 - 16 * 0.1 + 16 * 5) / 16 + 0.5 = 18.1, in steps of 0.5: 36.2
    found = litert((tmp_path / "new.tflite").read_bytes(), np.full((1, 3), 16, "i1"))
    assert found[0].tolist() == [[36]]


def test_new_scales_for_each_channel() -> None:
    """[12.7, ..] and [25.4, ..] -> 0.1 and 0.2; a channel of zeros keeps its scale."""
    model = unlite.open(dense(np.array([[1, 2], [3, 4], [5, 6]], "i1"), np.array([0, 16, 16]), [0.5, 0.5, 0.25]))
    net = unlite.to_torch(model)
    with torch.no_grad():
        net.get_parameter("w").copy_(torch.tensor([[12.7, 1], [-25.4, 1], [0, 0]]))
    unlite.store_weights(model, net, new_scales=True)
    w, b = model.main.tensors["w"], model.main.tensors["b"]
    assert w.quantization is not None
    assert w.quantization.scale == pytest.approx([0.1, 0.2, 0.25])
    assert w.numpy().tolist() == [[127, 10], [-127, 5], [0, 0]]
    assert b.numpy().tolist() == [0, 40, 16]  # 16 * 0.5 / 16 = 0.5 = 40 * 0.2 / 16


def test_new_scales_around_a_zero_point() -> None:
    """-5..20.5 in 255 steps of 0.1: zero is 50."""
    model = unlite.open(dense(np.array([[130, 129, 127]], "u1"), np.array([16]), 0.5, 128))
    net = unlite.to_torch(model)
    with torch.no_grad():
        net.get_parameter("w").copy_(torch.tensor([[-5.0, 20.5, 0.0]]))
    unlite.store_weights(model, net, new_scales=True)
    w = model.main.tensors["w"]
    assert w.quantization is not None
    assert w.quantization.scale == pytest.approx([0.1])
    assert w.quantization.zero_point == (50,)
    assert w.numpy().tolist() == [[0, 255, 50]]


def test_scales_that_an_operator_ties_are_kept(shared: Path) -> None:
    model = unlite.open(shared / "models/mnist_lstm_int8.tflite")
    net = unlite.to_torch(model)
    retrain(net)
    report = unlite.store_weights(model, net, new_scales=True)
    assert report.kept_scales
    assert all("UNIDIRECTIONAL_SEQUENCE_LSTM" in why for why in report.kept_scales.values())


# -- what cannot go back -----------------------------------------------------------------------------------------------


def test_values_outside_a_sparse_pattern(shared: Path) -> None:
    file = shared / "models/face_full_range_sparse_fp16.tflite"
    model = unlite.open(file)
    net = unlite.to_torch(model)
    key = next(key for key, value in net.named_parameters() if (value == 0).float().mean() > 0.5)
    with torch.no_grad():
        net.get_parameter(key)[net.get_parameter(key) == 0] = 1e-12  # nothing, beside the others
    assert not unlite.store_weights(model, net).changed
    with torch.no_grad():
        net.get_parameter(key).add_(0.5)
    with pytest.raises(InvalidValueError, match=f"'{key}'.*not zero where the sparse tensor"):
        unlite.store_weights(model, net)
    assert not model.is_changed


def test_values_too_large_for_float16(face: Path) -> None:
    model = unlite.open(face)
    net = unlite.to_torch(model)
    first, second, *_ = dict(net.named_parameters())
    with torch.no_grad():
        net.get_parameter(first).fill_(1e5)
        net.get_parameter(second).fill_(float("inf"))  # float16 has infinity
    with pytest.raises(InvalidValueError, match=f"1 weight.*'{first}'.*too large for float16"):
        unlite.store_weights(model, net)
    assert not model.is_changed


def folded() -> bytes:
    """y = x + (a + b); the sum of the constants is all that the network keeps."""
    made = Network()
    main = made.graph()
    x, y = made.made(main, (3,), name="x"), made.made(main, (3,), name="y")
    both = made.made(main, (3,), name="both")
    constants = [made.array(main, np.arange(3, dtype="f4"), name) for name in "ab"]
    made.add(main, "ADD", constants, [both], ("AddOptions", {}))
    made.add(main, "ADD", [x, both], [y], ("AddOptions", {}))
    main["inputs"], main["outputs"] = [x], [y]
    return made.data()


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_constants_made_from_several(layout: str) -> None:
    model = unlite.open(folded())
    net = unlite.to_torch(model, layout=layout)
    assert not unlite.store_weights(model, net).changed
    with torch.no_grad():
        net.get_buffer("both").add_(1)
    with pytest.raises(InvalidValueError, match="'both' was made from several constants"):
        unlite.store_weights(model, net)
    assert not unlite.store_weights(model, net, {"both": None}).changed


def twice(unused: int = 0) -> bytes:
    """Two layers of one kernel, [2, 2], with a bias each. unused: number of tensors in front that nothing reads."""
    made = Network()
    main = made.graph()
    for number in range(unused):
        made.made(main, (1,), name=f"unused_{number}")
    x = first = made.made(main, (1, 2), name="x")
    kernel = made.array(main, np.eye(2, dtype="f4"), "kernel")
    for name in ("one", "two"):
        y = made.made(main, (1, 2), name=f"{name}/out")
        bias = made.array(main, np.ones(2, "f4"), f"{name}/bias")
        made.add(main, "FULLY_CONNECTED", [x, kernel, bias], [y], ("FullyConnectedOptions", {}))
        x = y
    main["inputs"], main["outputs"] = [first], [x]
    return made.data()


def test_one_tensor_that_became_two_parameters(tmp_path: Path) -> None:
    """Small weights are written into each of the layers that share them. Trained apart, they are no longer one."""
    model = unlite.open(twice())
    net, _ = converted(model, "folder", tmp_path / "net")
    kernels = [value for value in net.parameters() if value.ndim == 2]
    assert len(kernels) == 2
    with torch.no_grad():
        kernels[0].mul_(2)
    with pytest.raises(InvalidValueError, match="it is one tensor with"):
        unlite.store_weights(model, net)
    with torch.no_grad():
        kernels[1].mul_(2)
    assert unlite.store_weights(model, net).changed == ("kernel",)


def test_a_network_of_another_model(shared: Path, face: Path) -> None:
    net = unlite.to_torch(shared / "models/mnist_conv_fc_fp32.tflite")
    with pytest.raises(InvalidValueError, match="cannot go back"):
        unlite.store_weights(face, net)


def test_a_folder_whose_weights_were_written_over(face: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    net, _ = converted(unlite.open(face), "folder", tmp_path / "net")
    save_file(net.state_dict(), tmp_path / "net/model.safetensors")
    report = unlite.store_weights(face, net)
    assert (report.changed, report.unchanged) == ((), 85)


def test_arguments(face: Path) -> None:
    net = unlite.to_torch(face)
    with pytest.raises(InvalidTypeError):
        unlite.store_weights(face, {})  # type: ignore[arg-type]  # what is tested
    with pytest.raises(InvalidValueError, match="'no such'"):
        unlite.store_weights(face, net, {"no such": None})


# -- sharing, mapping, one's own network -------------------------------------------------------------------------------


def test_subgraphs_go_on_sharing(shared: Path, tmp_path: Path) -> None:
    model = unlite.open(shared / "models/weight_sharing_two_subgraphs.tflite")
    net = unlite.to_torch(model)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1)
    (name,) = unlite.store_weights(model, net).changed
    model.save(tmp_path / "new.tflite")
    saved = unlite.open(tmp_path / "new.tflite")
    holders = [t for graph in saved.subgraphs for t in graph.tensors if t.is_constant and t.name == name]
    assert len({tensor.buffer.index for tensor in holders}) == 1
    assert len(saved.buffers) == len(unlite.open(shared / "models/weight_sharing_two_subgraphs.tflite").buffers)
    old = unlite.open(shared / "models/weight_sharing_two_subgraphs.tflite").main.tensors[holders[0].index]
    np.testing.assert_array_equal(holders[0].numpy(), old.numpy() + 1)


def test_tensors_of_one_buffer_part_where_their_values_do() -> None:
    made = Network()
    main = made.graph()
    x, y, z = (made.made(main, (2,), name=name) for name in "xyz")
    a = made.array(main, np.zeros(2, "f4"), "a")
    b = made.tensor(main, "b", [2], buffer=main["tensors"][a]["buffer"])
    made.add(main, "MUL", [x, a], [y], ("MulOptions", {}))
    made.add(main, "ADD", [y, b], [z], ("AddOptions", {}))
    main["inputs"], main["outputs"] = [x], [z]
    model = unlite.open(made.data())
    net = unlite.to_torch(model)
    with torch.no_grad():
        net.get_parameter("a").fill_(1)
        net.get_parameter("b").fill_(2)
    unlite.store_weights(model, net)
    assert [model.main.tensors[name].numpy().tolist() for name in "ab"] == [[1, 1], [2, 2]]


def test_the_mapping_wins() -> None:
    model = unlite.open(twice())
    net = unlite.to_torch(model)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1)
    report = unlite.store_weights(model, net, {"kernel": None, "one_bias": "two/bias", "two_bias": None})
    assert report.changed == ("two/bias",)


def test_indices_that_moved() -> None:
    """A model with the same tensors in other places: they are found by name."""
    net = unlite.to_torch(twice())
    with torch.no_grad():
        net.get_parameter("kernel").add_(1)
    moved = unlite.open(twice(unused=3))
    assert unlite.store_weights(moved, net).changed == ("kernel",)
    assert moved.main.tensors["kernel"].numpy().tolist() == [[2, 1], [1, 2]]


class Digits(nn.Module):
    """Reads a picture row by row: an LSTM and a classifier."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, units, batch_first=True)
        self.head = nn.Linear(units, 10)


def test_ones_own_network(shared: Path, tmp_path: Path) -> None:
    file = shared / "models/mnist_lstm_fp32.tflite"
    model = unlite.open(file)
    operator = model.main.operators[0]
    units, inputs = operator.inputs[1].shape
    dense_inputs = model.main.operators[2].inputs[1].shape[1]
    net = Digits(inputs, units)
    net.head = nn.Linear(dense_inputs, 10)
    unlite.load_weights(net, model)
    assert not unlite.store_weights(model, net).changed
    retrain(net, amount=0.1)
    with torch.no_grad():
        net.lstm.bias_hh_l0.add_(0.1)  # the file has one bias, which is the sum
    report = unlite.store_weights(model, net)
    assert len(report.changed) == 14
    model.save(tmp_path / "new.tflite")
    x = np.random.default_rng(0).uniform(0, 1, model.main.inputs[0].shape).astype("f4")
    (expected,) = litert((tmp_path / "new.tflite").read_bytes(), x)
    with torch.no_grad():
        steps = net.lstm(torch.from_numpy(x))[0]
        found = net.head(steps.reshape(1, -1)).softmax(-1).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_a_bias_that_the_file_has_no_place_for(shared: Path) -> None:
    made = Network()
    main = made.graph()
    x, y = made.made(main, (1, 2), name="x"), made.made(main, (1, 2), name="y")
    kernel = made.array(main, np.eye(2, dtype="f4"), "kernel")
    made.add(main, "FULLY_CONNECTED", [x, kernel, -1], [y], ("FullyConnectedOptions", {}))
    main["inputs"], main["outputs"] = [x], [y]
    model, net = unlite.open(made.data()), nn.Linear(2, 2)
    unlite.load_weights(net, model)
    assert not unlite.store_weights(model, net).changed
    with torch.no_grad():
        net.bias.fill_(1)
    with pytest.raises(InvalidValueError, match="'bias' is not zero"):
        unlite.store_weights(model, net)
