"""Zero false alarms, and every seeded fault named: modules that are right, and modules that are wrong in one place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="conversions are run in PyTorch")
pytest.importorskip("ai_edge_litert", reason="LiteRT is the judge here")

import torch
from tests.comparison.faults import Fault, faults

import unlite
from unlite.comparison.compare import _facts, compare
from unlite.comparison.inputs import make_inputs
from unlite.comparison.litert import LiteRT, Run, computed
from unlite.comparison.measured import Measured
from unlite.comparison.torch_judge import TorchJudge
from unlite.comparison.torch_run import NodeError, Replay, as_array

MODELS = (
    "mnist_conv_fc_fp32",
    "mnist_weight_dequant",
    "blazeface_front_fp16",
    "hand_recrop_fp32",
    "toy_transformer_kv_cache",
    "selfie_segmentation_landscape_fp16",
    "face_landmark_fp32",
)
EXACT = ("hello_world_int8", "mnist_conv_fc_int8", "tiny_cnn_int8")
"""Models whose module computes with integers."""
LEAST = {"hello_world_int8": 6, "mnist_conv_fc_int8": 6, "tiny_cnn_int8": 6}
EACH = 1  # faults of a kind in one model
VISIBLE = 2e-3  # of the tensor's range: what is smaller may be noise


@cache
def prepared(path: Path) -> tuple[Any, Any, list[Any], Run, Run]:
    model = unlite.open(path)
    with LiteRT(model) as judge:
        values = make_inputs(model)
        for kernels in ("reference", "default"):
            judge.ask(values, computed(model.main), kernels=kernels)
        module = unlite.to_torch(model, quantized="exact" if path.stem in EXACT else "float")
        run, other = judge.answer(), judge.answer()
    assert isinstance(run, Run)
    assert isinstance(other, Run)
    return model, module, values, Run(run.kernels, _facts(model.main, run), run.unreadable), other


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tests run side by side; each with all the machine's threads would be slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def judged(path: Path, *, isolated: bool = False) -> TorchJudge:
    model, module, values, run, other = prepared(path)
    judge = TorchJudge(module, Measured(model.main, values, run.tensors, other.tensors))
    judge.found = judge.judge(isolated=isolated)  # type: ignore[attr-defined]
    return judge


def place(shared: Path, name: str) -> Path:
    return shared / "models" / f"{name}.tflite"


@pytest.mark.parametrize("isolated", [False, True], ids=["accumulated", "isolated"])
@pytest.mark.parametrize("name", [*MODELS, *EXACT])
def test_a_right_module_is_no_alarm(shared: Path, name: str, isolated: bool) -> None:
    judge = judged(place(shared, name), isolated=isolated)
    assert judge.divergence is None
    assert all(found.ok for found in judge.found)  # type: ignore[attr-defined]
    assert judge.found  # type: ignore[attr-defined]


def chosen(path: Path) -> list[Fault]:
    """Some faults of each kind, all of which change what their operator gives."""
    model, module, values, run, _ = prepared(path)
    given = {tensor.index: value for tensor, value in zip(model.main.inputs, values, strict=True)}
    replay = Replay(module, model.main, {**run.tensors, **given})
    by_kind: dict[str, list[Fault]] = defaultdict(list)
    for fault in faults(module.graph):
        by_kind[fault.kind].append(fault)
    picked = []
    for found in by_kind.values():
        some = [found[len(found) * (2 * i + 1) // (2 * EACH)] for i in range(EACH)]
        picked += [fault for fault in some if is_visible(replay, model, run, fault)]
    return picked


def is_visible(replay: Replay, model: Any, run: Run, fault: Fault) -> bool:
    (output, *_) = model.main.operators[fault.operator].outputs
    if output.index not in run.tensors or output.index not in set(replay.nodes()):
        return False
    expected = replay.value(output.index)
    right = as_array(expected).astype(float)
    with fault:
        try:
            value = replay.value(output.index)
        except NodeError:
            return True
    if value.dtype != expected.dtype or value.shape != expected.shape:
        return True
    apart = np.abs(as_array(value) - right)
    if not value.is_floating_point():
        return bool(apart.any())
    return bool(np.isnan(apart).any() or apart.max() > VISIBLE * np.ptp(right))


@pytest.mark.parametrize("name", [*MODELS, *EXACT])
def test_every_seeded_fault_is_named(shared: Path, name: str) -> None:
    path = place(shared, name)
    missed = []
    picked = chosen(path)
    for fault in picked:
        with fault:
            judge = judged(path)
        named = None if judge.divergence is None else judge.divergence.operator
        if named != fault.operator:
            missed.append(f"{fault}: {named} was named")
    assert not missed, f"of {len(picked)} faults:\n" + "\n".join(missed)
    assert len(picked) >= LEAST.get(name, 12)


def test_compare_says_it_in_words(shared: Path) -> None:
    path = place(shared, "hand_recrop_fp32")
    module = prepared(path)[1]
    fault = next(fault for fault in faults(module.graph) if fault.kind == "wrong stride")
    with fault:
        found = compare(path, module)
    assert found.verdict == "different"
    assert found.first_divergence is not None
    assert found.first_divergence.operator == fault.operator
    assert f"operators[{fault.operator}] CONV_2D" in found.reason
    assert "has shape" in found.reason
    assert found.to_json()["first_divergence"]["max_abs"] is None
    assert compare(path, module).verdict == "same"
