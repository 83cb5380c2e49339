"""Parts of complex numbers are taken before they are moved."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")

from torch import fx  # noqa: E402

from unlite.pytorch.complex_parts import take_parts_first  # noqa: E402


def traced(function: Any, x: Any) -> fx.GraphModule:
    """A function as a module whose nodes know their values."""
    module = fx.symbolic_trace(function)

    class Noting(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            n.meta["val"] = super().run_node(n)
            return n.meta["val"]

    Noting(module).run(x)
    return module


def spectrum(x: Any) -> Any:
    y = torch.fft.rfft2(x).permute(0, 2, 1).unsqueeze(1).reshape(2, -1)
    return torch.real(y) + torch.abs(y), torch.imag(y)


def test_moves_are_of_real_numbers() -> None:
    x = torch.randn(2, 3, 8)
    module = traced(spectrum, x)
    expected = module(x)
    take_parts_first(module)
    for found, wanted in zip(module(x), expected, strict=True):
        assert torch.equal(found, wanted)
    moved = [node for node in module.graph.nodes if node.target in ("permute", "unsqueeze", "reshape")]
    assert len(moved) == 9
    for node in moved:
        assert not node.meta["val"].dtype.is_complex
        assert not node.args[0].meta["val"].dtype.is_complex


def test_complex_numbers_that_go_on_are_left_alone() -> None:
    x = torch.randn(2, 3, 8)
    module = traced(lambda x: torch.fft.irfft2(torch.fft.rfft2(x).unsqueeze(0)), x)
    before = str(module.graph)
    take_parts_first(module)
    assert str(module.graph) == before
