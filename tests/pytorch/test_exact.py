"""``quantized="exact"`` on whole models: many steps, layouts, export, source; and quantization that makes no sense.

Each tensor of each real model is compared in ``tests/comparison/test_real_models.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")

from tests.pytorch.litert import litert, run  # noqa: E402
from tests.pytorch.networks import litert_runs  # noqa: E402
from tests.pytorch.quantized_models import (  # noqa: E402
    Tensor,
    constant,
    output,
    quantized_operator,
    random_integers,
)
from tests.pytorch.suite import SUITE, as_tensor, cases  # noqa: E402

import unlite  # noqa: E402
from unlite.errors import CorruptFileError  # noqa: E402
from unlite.pytorch.source.folder import load_folder  # noqa: E402
from unlite.pytorch.source.write import write_source  # noqa: E402


def model(shared: Path, name: str) -> Path:
    return shared / f"models/{name}.tflite"


def inputs_of(path: Path, seed: int = 0) -> list[np.ndarray]:
    """Integers of each input's whole range, real numbers about 0."""
    rng = np.random.default_rng(seed)
    return [
        rng.normal(size=tensor.shape).astype("f4")
        if tensor.dtype == "FLOAT32"
        else random_integers(rng, tensor.dtype, tensor.shape)
        for tensor in unlite.open(path).main.inputs
    ]


def assert_equal(results: list[Any], expected: list[Any]) -> None:
    assert len(results) == len(expected)
    for result, wanted in zip(results, expected, strict=True):
        np.testing.assert_array_equal(np.asarray(result), np.asarray(wanted))


def with_inner_outputs(path: Path, folder: Path) -> bytes:
    """A model whose outputs are what its operators give, as far as it is quantized."""
    opened = unlite.open(path)
    operators = opened.main.operators
    given = [tensor for operator in operators for tensor in operator.outputs if tensor is not None]
    chosen = [tensor.index for tensor in given if tensor.dtype in ("INT8", "UINT8", "INT16")]
    opened.main._table.outputs = chosen
    opened.save(folder / "inner.tflite")
    return (folder / "inner.tflite").read_bytes()


# -- many steps --------------------------------------------------------------------------------------------------------

STREAMING = (
    *("microwakeword_hey_jarvis_int8", "microwakeword_okay_nabu_int8"),
    *("keyword_scrambled_svdf", "dtln_lstm_int8"),
)


@pytest.mark.parametrize("name", STREAMING)
def test_memory_is_litert_s_over_many_steps(shared: Path, tmp_path: Path, name: str) -> None:
    path = model(shared, name)
    data = with_inner_outputs(path, tmp_path)  # noise is no word: the last tensor alone would always be the same
    runs = [inputs_of(path, seed) for seed in range(20)]
    module = unlite.to_torch(data, quantized="exact")
    expected = litert_runs(data, runs)
    changing = [len({one.tobytes() for one in each}) > 1 for each in zip(*expected, strict=True)]
    assert sum(changing) > len(changing) // 2
    for given, wanted in zip(runs, expected, strict=True):
        assert_equal(run(module, *given), wanted)
    module.reset_state()
    assert_equal(run(module, *runs[0]), expected[0])


def test_a_transposed_convolution_whose_size_is_an_input(shared: Path) -> None:
    """LiteRT runs this model where the size is the one that follows from input, window and stride, and no other."""
    path = model(shared, "seanet_transpose_conv_int16x8")
    given = [
        np.array([1, 3, 12, 64], "i4") if tensor.dtype == "INT32" else values
        for tensor, values in zip(unlite.open(path).main.inputs, inputs_of(path), strict=True)
    ]
    assert_equal(run(unlite.to_torch(path, quantized="exact"), *given), litert(path.read_bytes(), *given))


# -- layouts -----------------------------------------------------------------------------------------------------------

LEFT = {  # permutes left in all, as in the float modules
    "automl_labeler_uint8": 0,
    "microwakeword_hey_jarvis_int8": 2,
    "mnist_conv_fc_int8": 1,
    "mobilenet_v1_025_uint8": 0,
    "mobilenet_v2_nchw_int8": 0,
    "person_detect_int8": 0,
    "seanet_conv_int16x8": 0,
    "yamnet_int8": 0,
}


def permutes(module: Any) -> int:
    return sum(node.op == "call_method" and node.target == "permute" for node in module.graph.nodes)


def check_layouts(plain: Any, moved: Any, given: list[Any]) -> None:
    """Asserts that both modules give the same integers."""

    def as_nchw(values: list[Any], kind: str) -> list[Any]:
        facts = [fact for fact in moved.meta["unlite.io"] if fact["kind"] == kind]
        return [
            value.permute(0, 3, 1, 2) if fact["layout"] == "NCHW" else value
            for value, fact in zip(values, facts, strict=True)
        ]

    with torch.no_grad():
        expected, found = plain(*given), moved(*as_nchw(given, "input"))
    expected, found = ([one] if isinstance(one, torch.Tensor) else list(one) for one in (expected, found))
    for wanted, result in zip(as_nchw(expected, "output"), found, strict=True):
        assert result.dtype == wanted.dtype
        assert torch.equal(result, wanted) or torch.allclose(result, wanted, rtol=0, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("name", LEFT)
def test_channels_first_gives_the_same_integers(shared: Path, name: str) -> None:
    path = model(shared, name)
    plain = unlite.to_torch(path, quantized="exact")
    moved = unlite.to_torch(path, quantized="exact", layout="nchw")
    assert permutes(moved) == LEFT[name]
    check_layouts(plain, moved, [torch.from_numpy(value) for value in inputs_of(path)])


PICTURES = (
    *("DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "AVERAGE_POOL_2D", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"),
    *("DEPTH_TO_SPACE", "PRELU", "SOFTMAX"),
)


@pytest.mark.parametrize("case", cases(*PICTURES, kinds=("int8_io", "uint8_io", "int16x8_io")))
def test_channels_first_in_the_suite(case: dict[str, Any]) -> None:
    plain, moved = (unlite.to_torch(SUITE / case["model"], quantized="exact", layout=at) for at in ("nhwc", "nchw"))
    assert permutes(moved) <= permutes(plain)
    arrays = np.load(SUITE / case["io"], allow_pickle=False)
    check_layouts(plain, moved, [as_tensor(arrays[entry["key"]], entry["dtype"]) for entry in case["inputs"]])


# -- export ------------------------------------------------------------------------------------------------------------

SAMPLE = (
    *("mobilenet_v1_025_uint8", "mnist_conv_fc_int8", "mnist_lstm_int8", "keyword_scrambled_svdf"),
    *("seanet_conv_int16x8", "microwakeword_hey_jarvis_int8", "mnist_weight_dequant"),
)


@pytest.mark.parametrize(("name", "layout"), [*((name, "nhwc") for name in SAMPLE), ("mobilenet_v1_025_uint8", "nchw")])
def test_export_gives_the_same_integers(shared: Path, name: str, layout: str) -> None:
    module = unlite.to_torch(model(shared, name), quantized="exact", layout=layout)
    facts = [fact for fact in module.meta["unlite.io"] if fact["kind"] == "input"]
    given = [
        torch.from_numpy(value).permute(0, 3, 1, 2) if fact["layout"] == "NCHW" else torch.from_numpy(value)
        for value, fact in zip(inputs_of(model(shared, name)), facts, strict=True)
    ]
    exported = torch.export.export(module, tuple(given)).module()
    with torch.no_grad():
        expected = module(*given)
        getattr(module, "reset_state", dict)()  # the exported module has the same buffers
        found = exported(*given)
    assert_equal(
        [found] if isinstance(found, torch.Tensor) else list(found),
        [expected] if isinstance(expected, torch.Tensor) else list(expected),
    )


# -- source ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*SAMPLE, "mobilenet_v2_nchw_int8"])
def test_written_source_gives_the_same_integers(shared: Path, tmp_path: Path, name: str) -> None:
    path = model(shared, name)
    module = unlite.to_torch(path, quantized="exact")
    source = write_source(module, unlite.open(path).main, tmp_path)
    given = inputs_of(path)
    written = load_folder(tmp_path)
    for seed in range(2):
        given = inputs_of(path, seed)
        assert_equal(run(written, *given), run(module, *given))
    assert "unlite" not in source.text.split('"""', 1)[1]


# -- bad quantization --------------------------------------------------------------------------------------------------


def convolution(**changed: Any) -> bytes:
    """INT8 CONV_2D of one cell, two channels to three; a tensor's facts may be changed."""
    x = Tensor(np.zeros((1, 1, 1, 2), "i1"), 0.5, 3)
    weight = constant(np.ones((3, 1, 1, 2), "i1"), [0.25, 0.5, 1.0], 0)
    bias = constant(np.zeros(3, "i4"), [0.125, 0.25, 0.5], 0)
    y = output("INT8", (1, 1, 1, 3), 0.5, -1)
    tensors = {"x": x, "weight": weight, "bias": bias, "y": y}
    for name, value in changed.items():
        tensor, fact = name.split("_", 1)
        setattr(tensors[tensor], fact, value)
    steps = {"padding": "VALID", "stride_w": 1, "stride_h": 1}
    return quantized_operator("CONV_2D", [x, weight, bias], [y], ("Conv2DOptions", steps))


def test_the_convolution_itself_is_fine() -> None:
    (result,) = run(unlite.to_torch(convolution(), quantized="exact"), np.zeros((1, 1, 1, 2), "i1"))
    # (0 - 3) * 1 + (0 - 3) * 1 = -6; scaled by 0.5 * scale / 0.5: -1.5, -3, -6; halves go down from 0; -1 is added.
    assert result.reshape(-1).tolist() == [-3, -4, -7]


@pytest.mark.parametrize(
    ("changed", "path", "value"),
    [
        ({"x_scale": 0.0}, "tensors[0].quantization.scale[0]", "scale of 0"),
        ({"x_scale": -0.5}, "tensors[0].quantization.scale[0]", "scale of -0.5"),
        ({"y_scale": float("nan")}, "tensors[3].quantization.scale[0]", "scale of nan"),
        ({"weight_scale": [1.0, float("inf"), 1.0]}, "tensors[1].quantization.scale[1]", "scale of inf"),
        ({"weight_scale": [1.0, 1.0, 0.0]}, "tensors[1].quantization.scale[2]", "scale of 0"),
        ({"x_zero_point": 128}, "tensors[0].quantization.zero_point[0]", "zero point of 128"),
        ({"y_zero_point": -129}, "tensors[3].quantization.zero_point[0]", "zero point of -129"),
        ({"y_zero_point": 2**40}, "tensors[3].quantization.zero_point[0]", f"zero point of {2**40}"),
        ({"bias_zero_point": 1}, "tensors[2].quantization.zero_point[0]", "must be 0 for INT32"),
        ({"weight_scale": [1.0, 1.0]}, "tensors[1].quantization.scale", "2 scales along axis 0"),
        ({"weight_axis": 4}, "tensors[1].quantization.scale", "3 scales along axis 4"),
        ({"weight_axis": -1}, "tensors[1].quantization.scale", "3 scales along axis -1"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_quantization_that_makes_no_sense_is_refused(changed: dict[str, Any], path: str, value: str) -> None:
    with pytest.raises(CorruptFileError, match=r"must be|goes from|scales along") as caught:
        unlite.to_torch(convolution(**changed), quantized="exact")
    assert (caught.value.path or "").endswith(path)
    assert value in str(caught.value)
