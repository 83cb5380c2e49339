"""What calls are said to give, against PyTorch's own fake tensors."""

from __future__ import annotations

import operator
import subprocess
import sys
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")

import torch.nn.functional as F  # noqa: E402, N812
from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: E402

from unlite.pytorch.examples import BATCHED, BROADCASTING, REDUCING, UNKNOWN, example, example_result  # noqa: E402


def x(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return example(shape, dtype)


I32, F64, BOOL = torch.int32, torch.float64, torch.bool
WEIGHT = (4, 3, 3, 3)
CALLS: list[Any] = [
    (operator.add, (x(2, 3), x(3)), {}),
    (operator.add, (x(2, 3), x(1, dtype=F64)), {}),
    (operator.add, (x(2, 3), x(dtype=F64)), {}),  # a number in float64 changes no type
    (operator.sub, (1.5, x(2, 3, dtype=I32)), {}),
    (operator.mul, (x(4, 1, dtype=I32), x(3, dtype=torch.int64)), {}),
    (operator.truediv, (x(2, dtype=I32), x(2, dtype=I32)), {}),
    (operator.neg, (x(2, 3),), {}),
    (torch.div, (x(2, 3, dtype=I32), 2), {"rounding_mode": "floor"}),
    (torch.maximum, (x(1, 3), x(2, 1)), {}),
    (torch.minimum, (x(0, 3), x(1, 3)), {}),
    *((call, (x(2, 3), x(3)), {}) for call in (torch.eq, torch.ne, torch.lt, torch.le, torch.gt, torch.ge)),
    (torch.where, (x(2, 1, dtype=BOOL), x(3), 0.0), {}),
    (torch.clamp, (x(2, 3, dtype=I32), 0, 6), {}),
    (torch.Tensor.clamp, (x(2, 3),), {"min": 0.0}),
    (F.softmax, (x(2, 3), -1), {}),
    *((call, (x(2, 3),), {}) for call in (F.relu, F.relu6, F.hardswish, F.elu, F.gelu, F.leaky_relu)),
    *((call, (x(2, 3, dtype=I32),), {}) for call in (torch.sigmoid, torch.tanh, torch.exp, torch.log, torch.square)),
    *((call, (x(),), {}) for call in (torch.sqrt, torch.rsqrt, torch.abs, torch.neg, torch.cos, torch.sin)),
    (F.conv2d, (x(2, 3, 8, 9), x(*WEIGHT), x(4), (2, 1), (1, 1)), {}),
    (F.conv2d, (x(3, 8, 9), x(*WEIGHT)), {}),  # without a batch
    (F.conv2d, (x(1, 6, 8, 9), x(*WEIGHT)), {"groups": 2}),
    (F.conv3d, (x(2, 3, 5, 6, 7), x(4, 3, 2, 2, 2)), {}),
    (F.conv_transpose2d, (x(2, 4, 8, 9), x(*WEIGHT)), {"stride": 2, "output_padding": 1}),
    (F.linear, (x(2, 3), x(4, 3), x(4)), {}),
    (F.linear, (x(3), x(4, 3)), {}),
    (F.linear, (x(2, 5, 3), x(4, 3)), {}),
    (F.max_pool2d, (x(2, 3, 8, 9), 2), {"padding": 1}),
    (F.avg_pool2d, (x(2, 3, 8, 9), (3, 2)), {"stride": 2, "ceil_mode": True}),
    (F.interpolate, (x(2, 3, 8, 9),), {"size": (4, 5), "mode": "bilinear", "align_corners": False}),
    (F.pixel_shuffle, (x(2, 8, 3, 3), 2), {}),
    (torch.prelu, (x(2, 3, 4), x(3)), {}),
    *((call, (x(2, 3, 4), (1, 2)), {"keepdim": True}) for call in sorted(REDUCING, key=str)),
    *((call, (x(2, 3, 4), (0, 2)), {}) for call in sorted(REDUCING, key=str)),
    (torch.Tensor.sum, (x(2, 3, dtype=I32), -1), {}),
    (torch.Tensor.sum, (x(2, 3),), {}),
    (torch.cat, ([x(2, 3), x(2, 5)], 1), {}),
    (torch.cat, ([x(2, 3), x(4, 3)], 0), {}),
    (torch.cat, ([x(2, 3), x(2, 3, dtype=F64)],), {"dim": -2}),
    (torch.cat, ([x(2), x(3)],), {}),
    (torch.cumsum, (x(2, 3), 1), {}),  # on the meta device
    (torch.topk, (x(2, 3), 2), {}),
]


def test_every_rule_is_in_the_list() -> None:
    assert {call for call, _, _ in CALLS} >= BROADCASTING | BATCHED | REDUCING | {torch.cat}


@pytest.mark.parametrize("case", CALLS, ids=lambda case: f"{getattr(case[0], '__name__', '')}")
def test_like_fake_tensors(case: Any) -> None:
    call, args, kwargs = case
    with FakeTensorMode() as mode:
        faked = torch.utils._pytree.tree_map_only(torch.Tensor, lambda v: torch.empty(v.shape, dtype=v.dtype), args)
        expected = call(*faked, **kwargs)
    assert mode is not None
    found = example_result(call, args, kwargs, guessed=False)
    single = isinstance(found, torch.Tensor)
    for mine, theirs in zip([found] if single else found, [expected] if single else expected, strict=True):
        assert mine.device.type == "meta"
        assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype)


@pytest.mark.parametrize(
    ("call", "args"),
    [
        (operator.add, (x(2, 3), x(4))),
        (operator.add, (x(2, 3), x(3, 3))),
        (F.conv2d, (x(1, 5, 8, 8), x(*WEIGHT))),
        (F.linear, (x(2, 5), x(4, 3))),
        (torch.cat, ([x(2, 3), x(4, 5)], 1)),
        (torch.matmul, (x(2, 3), x(2, 3))),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, args: Any) -> None:
    with pytest.raises(RuntimeError):
        example_result(call, args, {}, guessed=False)
    assert example_result(call, args, {}, guessed=True) is UNKNOWN


@pytest.mark.parametrize(
    ("call", "args"),
    [(torch.nonzero, (x(3),)), (torch.Tensor.item, (x(),)), (torch.unique, (x(3),))],
)
def test_what_depends_on_values_is_unknown(call: Any, args: Any) -> None:
    assert example_result(call, args, {}, guessed=False) is UNKNOWN


def test_what_the_meta_device_cannot_do_is_tried_on_fake_tensors() -> None:
    def on_cpu(value: torch.Tensor) -> torch.Tensor:
        if value.device.type == "meta":
            raise NotImplementedError("meta")
        return value.permute(1, 0)

    found = example_result(on_cpu, (x(2, 3),), {}, guessed=False)
    assert (found.device.type, found.shape) == ("meta", (3, 2))


def test_a_network_is_converted_without_the_compiler(shared: Any) -> None:
    program = (
        "import sys, unlite; unlite.to_torch(sys.argv[1]); "
        "print([name for name in ('sympy', 'torch._dynamo', 'torch._inductor') if name in sys.modules])"
    )
    model = shared / "models" / "hand_landmark_lite_fp16.tflite"
    done = subprocess.run([sys.executable, "-c", program, str(model)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
