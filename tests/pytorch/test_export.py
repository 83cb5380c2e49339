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
NOT_IN_ONNX = {
    "BITCAST": "aten.view.dtype",  # ONNX reads the bits of a number as another from opset 26 on
    "LSH_PROJECTION": "aten.view.dtype",
    "TOPK_V2": "aten.sort.stable",  # TopK says it; unlite.to_onnx has that translation
}
"""Operators that PyTorch's own exporter to ONNX refuses: the ATen operation that it does not translate."""


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


def _for_onnx() -> list[Any]:
    """Some cases, and those that the exporter is known to refuse."""
    refused = [p for p in EACH if p.values[0] is not None and NOT_IN_ONNX.keys() & set(p.values[0]["ops"])]
    return [*EACH[::40], *(p for p in refused if p not in EACH[::40])]


@pytest.mark.parametrize("case", _for_onnx())
@pytest.mark.filterwarnings("ignore")  # the exporter's own
def test_onnx(case: dict[str, Any]) -> None:
    pytest.importorskip("onnxscript", reason="ONNX is not installed (extra 'onnx')")
    module, args = _module(case)
    lacking = {NOT_IN_ONNX[name] for name in case["ops"] if name in NOT_IN_ONNX}
    try:
        torch.onnx.export(module, args, dynamo=True, optimize=False, verbose=False)
    except torch.onnx.OnnxExporterError as error:
        assert any(f"torch.ops.{name}" in str(error) for name in lacking), str(error)[:2000]
    else:
        assert not lacking, f"PyTorch's exporter has learned {lacking}"


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
