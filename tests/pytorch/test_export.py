"""The module in the hands of PyTorch's exporters and compiler: one case of each operator, and some real models.

What they cannot take are modules that read numbers out of tensors while they run: sizes and axes that are inputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")

from tests.pytorch.suite import SUITE, all_cases, as_tensor, cases, judge, tolerance  # noqa: E402

from unlite.comparison.inputs import make_inputs  # noqa: E402
from unlite.comparison.torch_run import module_inputs  # noqa: E402
from unlite.model.model import open_model  # noqa: E402
from unlite.pytorch.module import to_torch  # noqa: E402
from unlite.pytorch.ops.bits import same_bytes  # noqa: E402
from unlite.pytorch.ops.reducing import top_k  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

READ_VALUES = {
    *("dynamic_rnn__r02_float", "dynamic_rnn__r03_float", "expand_dims__00_float", "mean__01_float", "sum__00_float"),
    *("reduce_all__00_float", "reduce_any__06_float", "reduce_max__01_float", "reduce_min__01_float"),
    *("reduce_prod__01_float", "reduce_prod__06_float", "slice__02_float", "strided_slice__03_float"),
    *(f"strided_slice_1d_exhaustive__0{i}_float" for i in range(6)),
    *("tensor_list_dynamic_shape__01_float", "tensor_list_dynamic_shape__05_float"),
}
"""Cases whose axes, begins, sizes or lengths are inputs: the shape of what they compute depends on values."""


def _one_of_each() -> list[Any]:
    found: dict[str, Any] = {}
    for parameter in cases(*{name for case in all_cases().values() for name in case["ops"]}):
        case = parameter.values[0]
        if case is not None and case["id"] not in READ_VALUES:
            for name in (*case["ops"], *case["custom_ops"]):
                found.setdefault(name, parameter)
    return list({id(parameter): parameter for parameter in found.values()}.values()) or cases()


EACH = _one_of_each()
WRITTEN_FOR_ONNX = {"EMBEDDING_LOOKUP_SPARSE", "LSH_PROJECTION", "TOPK_V2"}
"""Operators whose plain calls PyTorch's exporter to ONNX would refuse, or write as a graph that is not valid."""


def _module(case: dict[str, Any]) -> tuple[Any, tuple[Any, ...]]:
    arrays = np.load(SUITE / case["io"], allow_pickle=False)
    args = tuple(as_tensor(arrays[entry["key"]], entry["dtype"]) for entry in case["inputs"])
    return to_torch(SUITE / case["model"]), args


def _judge(case: dict[str, Any], results: Any) -> None:
    arrays = np.load(SUITE / case["io"], allow_pickle=False)
    results = results if isinstance(results, (tuple, list)) else (results,)
    for entry, result in zip(case["outputs"], results, strict=True):
        judge(arrays[entry["key"]], result, tolerance(case), entry["name"])


@pytest.mark.parametrize("case", EACH)
def test_export(case: dict[str, Any]) -> None:
    module, args = _module(case)
    with torch.no_grad():
        _judge(case, torch.export.export(module, args).module()(*args))


@pytest.mark.parametrize("case", EACH[::12])
def test_compile(case: dict[str, Any]) -> None:
    module, args = _module(case)
    torch._dynamo.reset()
    with torch.no_grad():
        _judge(case, torch.compile(module, backend="aot_eager", fullgraph=True)(*args))


def _run_in_onnx(module: torch.nn.Module, *args: torch.Tensor) -> list[torch.Tensor]:
    """What ONNX Runtime gives for what PyTorch's own exporter makes of a module."""
    pytest.importorskip("onnxscript", reason="ONNX is not installed (extra 'onnx')")
    from tests.onnx.running import session

    made: Any = torch.onnx.export(module, args, dynamo=True, verbose=False)
    runner = session(made.model_proto.SerializeToString())
    given = {end.name: value.numpy() for end, value in zip(runner.get_inputs(), args, strict=True)}
    return [torch.from_numpy(value) for value in runner.run(None, given)]


@pytest.mark.parametrize("case", [p for p in EACH if p.values[0] and WRITTEN_FOR_ONNX & set(p.values[0]["ops"])])
@pytest.mark.filterwarnings("ignore")  # the exporter's own
def test_onnx(case: dict[str, Any]) -> None:
    module, args = _module(case)
    _judge(case, _run_in_onnx(module, *args))


class Calls(torch.nn.Module):
    """One call after another on the same inputs."""

    def __init__(self, *calls: Any) -> None:
        super().__init__()
        self.calls = calls

    def forward(self, *args: torch.Tensor) -> list[torch.Tensor]:
        return [value for call in self.calls for value in call(*args)]


@pytest.mark.filterwarnings("ignore")  # the exporter's own
def test_bits_in_onnx() -> None:
    generator = np.random.default_rng(1)
    real = generator.integers(-(2**31), 2**31, 20_000).astype("i4").view("f4")
    powers = np.ldexp(np.float32(1), np.arange(-149, 128)).astype("f4")
    special = np.array([0, -0.0, np.inf, -np.inf, np.finfo("f4").max, np.finfo("f4").tiny], "f4")
    real = np.concatenate([real[~np.isnan(real)], powers, -np.nextafter(powers, 0), np.nextafter(powers, 9), special])
    halves = np.arange(2**16).astype("u2").view("f2")
    halves = halves[~np.isnan(halves)]
    module = Calls(
        lambda x, y, i, j: [same_bytes(x, torch.int32), same_bytes(x, torch.uint8), same_bytes(y, torch.int16)],
        lambda x, y, i, j: [same_bytes(i, torch.float32), same_bytes(j, torch.float16), same_bytes(j, torch.int8)],
        lambda x, y, i, j: [same_bytes(j.reshape(-1, 2), torch.int32)],
    )
    i, j = real.view("i4"), halves.view("i2")
    found = _run_in_onnx(module, *(torch.from_numpy(each) for each in (real, halves, i, j)))
    wanted = [i, real.view("u1").reshape(-1, 4), j, real, halves, j.view("i1").reshape(-1, 2), j.view("i4")]
    for result, expected in zip(found, wanted, strict=True):
        assert result.numpy().dtype == expected.dtype
        assert result.numpy().tobytes() == expected.tobytes()  # the sign of 0 too


@pytest.mark.filterwarnings("ignore")  # the exporter's own
def test_order_of_equals_in_onnx() -> None:
    values = np.random.default_rng(1).integers(-5, 5, (3, 50))  # many equals
    calls = [lambda x, kind=kind: top_k(x.to(kind), 20) for kind in (torch.float32, torch.int32, torch.int64)]
    found = _run_in_onnx(Calls(*calls), torch.from_numpy(values))
    order = np.argsort(-values, axis=-1, kind="stable")[:, :20]
    for result, places in zip(found[::2], found[1::2], strict=True):
        assert np.array_equal(places.numpy(), order)
        assert np.array_equal(result.numpy(), np.take_along_axis(values, order, -1))


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize(
    "name", ["mobilenet_v1_025_fp32", "mnist_lstm_fp32", "precise_vad_while_drq", "microwakeword_hey_jarvis_int8"]
)
def test_real_models(shared: Path, name: str, layout: str) -> None:
    model = open_model(shared / "models" / f"{name}.tflite")
    module = to_torch(model, layout=layout)
    args = module_inputs(to_torch(model), model.main, make_inputs(model))
    ends = [end["layout"] for end in module.meta["unlite.io"] if end["kind"] == "input"]
    turned = [x.permute(0, 3, 1, 2) if end == "NCHW" else x for x, end in zip(args, ends, strict=True)]
    with torch.no_grad():
        expected = module(*turned)
        if module.meta["unlite.state"]:
            module.reset_state()
        found = torch.export.export(module, tuple(turned)).module()(*turned)
    assert torch.equal(*(x[0] if isinstance(x, (tuple, list)) else x for x in (expected, found)))
