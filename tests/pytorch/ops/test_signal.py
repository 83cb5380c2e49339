"""TFLite-Micro's audio front end. Expected values come from TFLite-Micro's own interpreter (PyPI: tflite-micro)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.pytorch.litert import Made, one_operator

import unlite
from unlite.errors import InvalidValueError
from unlite.flatbuffers.flexbuffers_write import encode

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")

N = np.arange(480)
# fmt: off
FRAMES: list[tuple[Any, list[int]]] = [  # one after the other: the noise estimate lives on
    ((N * 7919 + 13) % 4001 - 2000, [
        101, 91, 123, 104, 123, 92, 104, 101, 124, 100, 105, 100, 123, 98, 117, 101, 118, 100, 121, 95,
        121, 98, 121, 98, 120, 98, 119, 99, 118, 98, 118, 98, 118, 98, 118, 98, 118, 98, 118, 98]),
    (np.where(N // 20 % 2, 32767, -32768), [
        105, 94, 105, 104, 127, 108, 117, 37, -8, -50, 62, -128, 30, 105, 127, 101, 71, -128, -128, 101,
        127, 105, 41, -128, 125, 105, 111, -128, 126, 104, 32, 103, 126, 79, 126, 102, 126, 103, 126, 103]),
    (N * 0, [-128] * 40),
    (N % 11 - 5, [-128] * 40),
    (N * N % 65536 - 32768, [
        127, 105, 124, 74, 62, 59, 125, 104, 121, 103, 126, 103, 123, 68, 73, 80, 124, 102, 122, 94,
        76, 69, 123, 102, 94, 51, 119, 101, 87, 62, 122, 64, 88, 100, 84, 80, 90, 70, 91, 71]),
]
# fmt: on


def test_whole_front_end(shared: Path) -> None:
    module = unlite.to_torch(shared / "models/audio_preprocessor_signal_ops.tflite")
    for _ in range(2):
        for frame, expected in FRAMES:
            result = module(torch.from_numpy(frame.astype("i2").reshape(1, 480)))
            assert result.dtype == torch.int8
            assert result.tolist() == expected
        module.reset_state()


def converted(name: str, x: np.ndarray, outputs: list[Made], **options: int) -> Any:
    data = one_operator(name, [x], outputs, custom=True, custom_options=encode(options))
    return unlite.to_torch(data)(torch.from_numpy(x))


SQUARES = np.arange(16) ** 2 * 7919


@pytest.mark.parametrize(
    ("dtype", "peak", "length", "expected"),
    [
        ("int16", 15000, 16, [-1298, 0, -3356, 1047, 504, 2234, -1049, 10, -1056, 1475, -2018,
            -2311, 1971, -714, -276, 326, -3140, 0]),
        ("int16", 15000, 8, [-3922, 0, -246, 4043, -1256, 1674, -1430, 693, -5214, 0]),
        ("int32", 900000000, 16, [-899386277, 0, 40679, 318491, -36315, 152945, -50524, 94812,
            -55433, 63352, -57624, 42330, -58713, 26241, -59236, 12601, -59393, 0]),
        ("int32", 900000000, 8, [-899861417, 0, -4639, 76472, -23757, 31676, -27037, 13120, -27717, 0]),
    ],
)  # fmt: skip
def test_fixed_point_spectrum(dtype: str, peak: int, length: int, expected: list[int]) -> None:
    x = (SQUARES[:length] % (2 * peak + 1) - peak).astype(dtype)
    outputs = [Made(dtype.upper(), (length + 2,))]
    kinds = {"int16": 7, "int32": 2}
    assert converted("SignalRfft", x, outputs, T=kinds[dtype], fft_length=length).tolist() == expected


def test_float_spectrum_is_padded_with_zeros() -> None:
    x = np.sin(np.arange(12, dtype="f4")).reshape(2, 6)
    result = converted("SignalRfft", x, [Made("FLOAT32", (2, 10))], T=0, fft_length=8)
    wanted = np.fft.rfft(x, 8)
    assert np.allclose(result.numpy()[:, ::2], wanted.real, atol=1e-5)
    assert np.allclose(result.numpy()[:, 1::2], wanted.imag, atol=1e-5)


def test_other_lengths_than_powers_of_two_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="fft_length is 12"):
        converted("SignalRfft", np.zeros(12, "i2"), [Made("INT16", (14,))], T=7, fft_length=12)


@pytest.mark.parametrize(
    ("x", "bits"),
    [
        ([3, -200, 17], 7),  # 200 has 8 digits: 15 - 8
        ([1, 0, -1], 14),
        ([0, 0, 0], 0),
        ([5, -32768, 2], 13),  # TFLite-Micro's search starts anew after -32768, which has no magnitude in 16 bits
        ([5, 2, -32768], 0),
        ([-32768, -5, 0], 0),  # after it -5 counts as it is, so 0 is the largest
    ],
)
def test_auto_scale(x: list[int], bits: int) -> None:
    outputs = [Made("INT16", (3,)), Made("INT32", ())]
    scaled, by = converted("SignalFftAutoScale", np.array(x, "i2"), outputs)
    assert by.item() == bits
    assert scaled.tolist() == [(value * 2**bits + 32768) % 65536 - 32768 for value in x]


def test_square_root_of_every_size() -> None:
    from math import isqrt

    from unlite.pytorch.ops.signal import rounded_square_root

    numbers = [0, 1, 2, 3, 6, 7, 2**32 - 1, 2**32, 2**52 + 1, 2**63 - 1, 2**63, 2**64 - 1]
    numbers += [k * k + d for k in (3, 1000, 65535, 65536, 2**31 + 7, 2**32 - 1) for d in (-1, 0, k, k + 1)]
    numbers = [n for n in numbers if n < 2**64]
    expected = []
    for n in numbers:
        root = isqrt(n)
        limit = 0xFFFF if n < 2**32 else 0xFFFFFFFF
        expected.append(root + (n - root * root > root and root != limit))  # nearer to the next one: rounded up
    assert rounded_square_root(torch.tensor(np.array(numbers, "u8"))).tolist() == expected


def test_logarithm() -> None:
    from unlite.pytorch.ops.signal import fixed_point_log

    x = np.array([0, 1, 2, 3, 10, 1000, 65535, 65536, 123456789, 2**32 - 1], "u4")
    result = fixed_point_log(torch.from_numpy(x), 0, 1000)
    assert result.tolist()[:2] == [0, 0]
    assert np.abs(result.numpy()[2:] - 1000 * np.log(x[2:].astype("f8"))).max() < 2  # 128 chords, rounded three times
    assert fixed_point_log(torch.from_numpy(x), 3, 5000)[5].item() == 32767  # 5000 * log(8000) = 44936
