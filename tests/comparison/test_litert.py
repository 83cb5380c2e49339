"""LiteRT in its child process: values, refusals, crashes, time limits; and what happens where it is not installed."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.model.small import dense_layer

import unlite
from unlite.comparison import litert
from unlite.comparison.litert import LiteRT, NotRunnable, Run, run_litert

pytestmark = pytest.mark.skipif(
    not litert.find_spec("ai_edge_litert"), reason="ai-edge-litert is not installed for this platform"
)
X = np.array([[1.0, 2.0]], np.float32)


@pytest.mark.parametrize("kernels", ["reference", "default"])
def test_values(kernels: str) -> None:
    answer = run_litert(dense_layer(), [X], kernels=kernels)
    assert isinstance(answer, Run)
    assert answer.kernels == kernels
    # weights 0..5 in rows of two, bias 1, 2, 3: 0*1+1*2+1, 2*1+3*2+2, 4*1+5*2+3
    assert answer.tensors[3].tolist() == [[3.0, 10.0, 17.0]]


def test_changes_count() -> None:
    model = unlite.open(dense_layer())
    model.main.tensors["bias"].data = np.zeros(3, np.float32)
    answer = run_litert(model, [X], tensors=["y"])
    assert isinstance(answer, Run)
    assert answer.tensors[3].tolist() == [[2.0, 8.0, 14.0]]


def test_two_runs_of_one_child() -> None:
    with LiteRT(unlite.open(dense_layer())) as runner:
        for factor in (1, 2):
            runner.ask([factor * X], [3])
        first, second = runner.answer(), runner.answer()
    assert isinstance(first, Run)
    assert isinstance(second, Run)
    # the values stay readable after the child and its files are gone
    assert (first.tensors[3][0, 0], second.tensors[3][0, 0]) == (3.0, 5.0)


def test_free_dimensions_follow_the_input(shared: Path) -> None:
    path = shared / "models/mnist_conv_fc_fp32.tflite"
    model = unlite.open(path)
    answer = run_litert(model, [np.zeros((3, 28, 28, 1), np.float32)], tensors="outputs")
    assert isinstance(answer, Run)
    assert answer.tensors[model.main.outputs[0].index].shape == (3, 10)


def test_a_second_signature(shared: Path) -> None:
    model = unlite.open(shared / "models/weight_sharing_two_subgraphs.tflite")
    key = next(s.key for s in model.signatures if s.subgraph.index == 1)
    graph = model.signatures[key].subgraph
    values = [np.ones(tensor.shape, tensor.numpy_dtype) for tensor in graph.inputs]
    answer = run_litert(model, values, signature=key)
    assert isinstance(answer, Run)
    assert answer.tensors[graph.outputs[0].index].shape == graph.outputs[0].shape


def test_refused_in_its_own_words(shared: Path) -> None:
    path = shared / "models/person_detect_int8.tflite"
    answer = run_litert(path, [np.zeros((1, 96, 96, 1), np.int8)])
    assert isinstance(answer, NotRunnable)
    assert answer.kind == "refused"
    assert "quantized_dimension" in answer.reason


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the place of the child."""
    path = tmp_path / "child.py"
    monkeypatch.setattr(litert, "_CHILD", path)
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="signals end processes elsewhere")
def test_a_crash_is_an_answer_and_other_kernels_are_tried(child: Path) -> None:
    child.write_text(
        "import json, os, signal, sys\n"
        "for line in sys.stdin:\n"
        "    kernels = json.loads(line)['kernels'][0]\n"
        "    print(json.dumps({'trying': kernels}), flush=True)\n"
        "    print('last words', kernels, file=sys.stderr, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGSEGV)\n"
    )
    with LiteRT(unlite.open(dense_layer())) as runner:
        runner.ask([X], [3])
        runner.ask([X], [3], kernels="default")
        answers = runner.answer(), runner.answer()
    for answer in answers:
        assert isinstance(answer, NotRunnable)
        assert answer.kind == "killed"
        assert "SIGSEGV" in answer.reason
        assert "last words" in answer.reason


def test_a_time_limit(child: Path) -> None:
    child.write_text("import time\ntime.sleep(600)\n")
    with LiteRT(unlite.open(dense_layer()), time_limit=0.2) as runner:
        runner.ask([X], [3])
        answer = runner.answer()
    assert isinstance(answer, NotRunnable)
    assert answer.kind == "timeout"


def test_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litert, "find_spec", lambda _: None)
    answer = run_litert(dense_layer(), [X])
    assert isinstance(answer, NotRunnable)
    assert answer.kind == "absent"
    assert "pip install 'unlite[litert]'" in answer.reason


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with LiteRT(unlite.open(dense_layer())) as runner:
        runner.ask([X], [3])
        runner.answer()
        child = runner._child
    assert child is not None
    assert child.poll() in (-signal.SIGKILL, 0, 1)
    assert os.listdir(tmp_path) == []
