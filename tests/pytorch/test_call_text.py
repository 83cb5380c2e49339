"""Calls as a person writes them: arguments that say nothing are left out, all others stay."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")

import torch

from unlite.pytorch.source.call_text import torch_name, without_last_defaults

X, W, B = "x", "w", "b"  # what stands for tensors


@pytest.mark.parametrize(
    ("name", "given", "written"),
    [
        ("F.conv2d", (X, W, B, (1, 256), 0, (1, 1), 1), (X, W, B, (1, 256))),
        ("F.conv2d", (X, W, None, (1, 1), (0, 0), (1, 1), 1), (X, W)),
        ("F.conv2d", (X, W, None, (1, 1), (0, 0), (1, 1), 2), (X, W, None, (1, 1), (0, 0), (1, 1), 2)),
        ("F.conv_transpose2d", (X, W, B, (2, 2), 0, (1, 0), 1, 1), (X, W, B, (2, 2), 0, (1, 0))),
        ("F.conv_transpose2d", (X, W, B, 1, 0, 0, 1, 1), (X, W, B)),
        ("F.linear", (X, W, None), (X, W)),
        ("F.linear", (X, W, B), (X, W, B)),
        ("F.pad", (X, [0, 0], "constant"), (X, [0, 0], "constant")),
    ],
)
def test_last_defaults(name: str, given: tuple[Any, ...], written: tuple[Any, ...]) -> None:
    assert without_last_defaults(name, given) == written


def test_public_names() -> None:
    """Some functions call themselves by a name that is PyTorch's own affair."""
    assert torch_name(torch.fft.rfft2) == "torch.fft.rfft2"
    assert torch_name(torch.cat) == "torch.cat"
    assert torch_name(torch.nn.functional.relu) == "F.relu"


def test_the_defaults_are_those_of_pytorch() -> None:
    x, w = torch.rand(1, 2, 6, 6), torch.rand(2, 2, 3, 3)
    for call, rest in ((torch.conv2d, (None, 1, 0, 1, 1)), (torch.conv_transpose2d, (None, 1, 0, 0, 1, 1))):
        assert torch.equal(call(x, w), call(x, w, *rest))
