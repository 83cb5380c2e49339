"""Random numbers, from PyTorch's generator.

Shape, type, range and distribution are those of LiteRT; the numbers are not. LiteRT draws from its own generator,
seeded by the file or, without seeds there, by the machine. Here ``torch.manual_seed`` decides, as is usual in PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from unlite.pytorch.trace import Value, ints

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from unlite.pytorch.options import Options


def random_uniform(shape: Any, **_: Options) -> Any:
    """Numbers from 0 up to, not including, 1, FLOAT32. shape: [rank], the sizes of the result.

    Source: LiteRT tflite/kernels/random_ops.cc, GenerateRandomUniformNumbers.
    """
    return _drawn(torch.rand, shape)


def random_standard_normal(shape: Any, **_: Options) -> Any:
    """Numbers of mean 0 and variance 1, FLOAT32. shape: [rank], the sizes of the result.

    Source: LiteRT tflite/kernels/random_ops.cc, GenerateRandomStandardNormalNumbers.
    """
    return _drawn(torch.randn, shape)


def multinomial(logits: Tensor, count: Any, *, options: Options) -> Tensor:
    """``count`` classes for each row, drawn with e^logits as their odds. logits: [N, classes] -> [N, count].

    The result is INT32 or INT64, as the file says.
    Source: LiteRT tflite/kernels/random_ops.cc, GenerateMultinomialNumbers.
    """
    drawn = torch.multinomial(torch.softmax(logits, dim=-1), ints(count)[0], replacement=True)
    return drawn if options.output.dtype == torch.int64 else drawn.to(options.output.dtype)


def _drawn(function: Callable[..., Tensor], shape: Any) -> Any:
    """A call without any tensor: it must be recorded by hand, and not made once and for all."""
    if isinstance(shape, Value):
        return shape.tracer.create_proxy("call_function", function, (ints(shape),), {})
    return function(ints(shape))


OPERATORS = {
    "RANDOM_UNIFORM": random_uniform,
    "RANDOM_STANDARD_NORMAL": random_standard_normal,
    "MULTINOMIAL": multinomial,
}
