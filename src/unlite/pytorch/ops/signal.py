"""Audio front end of TFLite-Micro: window, spectrum, energies, filter bank, noise and gain, in integers exactly.

LiteRT does not have these custom operators. Unsigned numbers of 32 and 64 bits are computed with as int64.
"""
# ruff: noqa: ARG001 - every operator's function takes the options

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from unlite.errors import InvalidValueError
from unlite.pytorch.ops.fixed_fft import fixed_point_rfft
from unlite.pytorch.trace import constant_ints, helper

if TYPE_CHECKING:
    from torch import Tensor

    from unlite.pytorch.options import Options

FLOAT32 = 0  # the schema's number of the type, as the option T states it


def signal_window(x: Tensor, weights: Tensor, *, options: Options) -> Tensor:
    """(x * weights) >> shift, kept within int16. x: [..., n], weights: [n] -> as x.

    Source: tflite-micro signal/src/window.cc, ApplyWindow.
    """
    product = (x.to(torch.int32) * weights) >> int(options.custom["shift"])
    return product.clamp(-32768, 32767).to(torch.int16)


@helper
def bit_length(x: Tensor) -> Tensor:
    """How many binary digits each number has; 0 for 0. x: not negative."""
    return (x.unsqueeze(-1) >= 2 ** torch.arange(63)).sum(-1)


@helper
def largest_magnitude(x: Tensor) -> Tensor:
    """The largest absolute value in x: int16. In 16 bits -32768 has none: it starts the search anew, from below all.

    Source: tflite-micro signal/src/max_abs.cc, MaxAbs16.
    """
    values = x.reshape(-1).to(torch.int64)
    places = torch.arange(values.shape[0])
    start = torch.where(values == -32768, places, -1).max()
    magnitudes = torch.where((places == start + 1) & (start >= 0), values, values.abs())
    found = torch.where(places > start, magnitudes, -32768).max()
    return torch.where(start < 0, found.clamp(min=0), found)


@helper
def auto_scale(x: Tensor) -> tuple[Tensor, Tensor]:
    """The samples shifted left as far as their largest magnitude allows, and by how many bits. x: int16.

    Source: tflite-micro signal/src/fft_auto_scale.cc, FftAutoScale.
    """
    largest = largest_magnitude(x)
    bits = torch.where(largest > 0, 15 - bit_length(largest.clamp(min=0)), 0)
    return torch.bitwise_left_shift(x.to(torch.int64), bits).to(torch.int16), bits.to(torch.int32)


def signal_fft_auto_scale(x: Any, *, options: Options) -> list[Any]:
    """The samples shifted left as far as it goes, and the number of bits, [] int32. x: int16."""
    made: Any = auto_scale(x)
    return [made[0], made[1]]


def signal_rfft(x: Any, *, options: Options) -> Tensor:
    """Spectrum of real samples, padded with zeros. x: [..., n] -> [..., fft_length + 2], real and imaginary in turn.

    In fixed point (int16, int32) every stage halves, as Kiss FFT does; in float32 nothing is scaled.
    Source: tflite-micro signal/micro/kernels/rfft.cc.
    """
    length = int(options.custom["fft_length"])
    if options.custom["T"] == FLOAT32:
        return torch.view_as_real(torch.fft.rfft(x, length)).flatten(-2)
    if length < 4 or length & (length - 1):
        raise InvalidValueError(f"fft_length is {length}; in fixed point it has to be a power of two, 4 or more.")
    return fixed_point_rfft(x, length)


def signal_energy(x: Any, *, options: Options) -> Tensor:
    """Re ** 2 + im ** 2 from start_index to end_index; zero elsewhere, where the kernel writes nothing.

    x: [2 * n] int16, real and imaginary in turn -> [n] uint32. Source: tflite-micro signal/src/energy.cc.
    """
    return energies(x, int(options.custom["start_index"]), int(options.custom["end_index"]))


@helper
def energies(x: Tensor, start: int, end: int) -> Tensor:
    """Re ** 2 + im ** 2 from ``start`` to ``end``, zero elsewhere. x: [..., 2 * n] -> [..., n] uint32."""
    energy = x.to(torch.int64).reshape(*x.shape[:-1], -1, 2).square().sum(-1)
    places = torch.arange(energy.shape[-1])
    return torch.where((places >= start) & (places < end), energy, 0).to(torch.uint32)


def signal_filter_bank(
    x: Tensor, weights: Tensor, unweights: Tensor, starts: Tensor, places: Tensor, widths: Tensor, *, options: Options
) -> Tensor:
    """Energy of each channel: its own weighted bins and the unweighted ones of the channel before. -> [C] uint64.

    x: [bins] uint32; weights, unweights: int16; starts, places, widths: [C + 1] int16, for each channel and one before
    the first: where its bins start in x and in the weights, and how many they are.
    Source: tflite-micro signal/src/filter_bank.cc, FilterbankAccumulateChannels.
    """
    facts = [constant_ints(entry, "a filter bank's layout") for entry in (starts, places, widths)]
    return filter_bank(x, weights, unweights, *facts)


@helper
def filter_bank(
    x: Tensor, weights: Tensor, unweights: Tensor, starts: list[int], places: list[int], widths: list[int]
) -> Tensor:
    """Sum of ``weights`` times bins for each channel, plus ``unweights`` times the bins of the one before it."""
    x = x.to(torch.int64)
    sums = []
    for start, place, width in zip(starts, places, widths, strict=True):
        bins = x[start : start + width]
        taken = slice(place, place + width)
        sums.append(torch.stack([(weights[taken] * bins).sum(), (unweights[taken] * bins).sum()]))
    both = torch.stack(sums)
    return (both[1:, 0] + both[:-1, 1]).to(torch.uint64)


def signal_filter_bank_square_root(x: Any, scale_bits: Any, *, options: Options) -> Tensor:
    """Rounded square root, shifted right by scale_bits. x: [C] uint64, scale_bits: [] int32 -> [C] uint32.

    Source: tflite-micro signal/src/square_root_64.cc, square_root_32.cc.
    """
    return torch.bitwise_right_shift(rounded_square_root(x), scale_bits).to(torch.uint32)


@helper
def rounded_square_root(x: Tensor) -> Tensor:
    """The square root, rounded, of uint64; where the upper half is empty it is at most 65535. -> int64."""
    number = x.to(torch.int64)  # the same 64 bits: sums and products below are right modulo 2 ** 64
    real = torch.where(number < 0, number.to(torch.float64) + 2.0**64, number.to(torch.float64))
    root = real.sqrt().clamp(max=0xFFFFFFFF).to(torch.int64)
    root = root - (number - root * root < 0).to(torch.int64)
    rest = number - root * root
    root = root + (rest > 2 * root).to(torch.int64)
    limit = torch.where((number >> 32) == 0, 0xFFFF, 0xFFFFFFFF)
    return root + ((number - root * root > root) & (root != limit)).to(torch.int64)


def signal_filter_bank_spectral_subtraction(x: Any, *, options: Options) -> list[Any]:
    """The signal without its noise, and the estimate of that noise, which lives on. x: [C] uint32 -> 2 x [C] uint32.

    Even channels follow ``smoothing``, odd ones ``alternate_smoothing``, in parts of 1 << spectral_subtraction_bits.
    Source: tflite-micro signal/src/filter_bank_spectral_subtraction.cc.
    """
    given = options.custom
    noise = options.memory("noise_estimate", (int(given["num_channels"]),), torch.int64)
    made: Any = subtract_noise(
        x,
        noise,
        [int(given["smoothing"]), int(given["alternate_smoothing"])],
        [int(given["one_minus_smoothing"]), int(given["alternate_one_minus_smoothing"])],
        int(given["min_signal_remaining"]),
        int(given["smoothing_bits"]),
        int(given["spectral_subtraction_bits"]),
        bool(given["clamping"]),
    )
    options.keep("noise_estimate", made[1])
    return [made[0].to(torch.uint32), made[1].to(torch.uint32)]


@helper
def subtract_noise(  # noqa: PLR0917 - as the operator's options
    x: Tensor,
    noise: Tensor,
    smoothing: list[int],
    one_minus_smoothing: list[int],
    min_signal_remaining: int,
    smoothing_bits: int,
    bits: int,
    clamping: bool,
) -> tuple[Tensor, Tensor]:
    """What is left of x, and the new estimate of the noise, both as int64 that hold unsigned 32 bit numbers."""
    x = x.to(torch.int64)
    odd = torch.arange(x.shape[-1]) % 2
    scaled = (x << smoothing_bits) & 0xFFFFFFFF
    noise = scaled * torch.tensor(smoothing)[odd] + noise * torch.tensor(one_minus_smoothing)[odd]
    noise = (noise >> bits) & 0xFFFFFFFF
    estimate = torch.minimum(noise, scaled)
    least = ((x * min_signal_remaining) >> bits) & 0xFFFFFFFF
    return torch.maximum((scaled - estimate) >> smoothing_bits, least), estimate if clamping else noise


def signal_pcan(x: Any, noise: Any, gains: Any, *, options: Options) -> Tensor:
    """Per channel gain against the noise. x, noise: [C] uint32; gains: [125] int16, polynomials -> [C] uint32.

    Source: tflite-micro signal/src/pcan_argc_fixed.cc, ApplyPcanAutoGainControlFixed.
    """
    return shrunk_ratio(x, gain_of(noise, gains), int(options.custom["snr_shift"]))


@helper
def shifted_left(x: Tensor, count: Tensor) -> Tensor:
    """X shifted left by so many bits, right where the count is negative."""
    left = torch.bitwise_left_shift(x, count.clamp(min=0))
    return torch.where(count > 0, left, torch.bitwise_right_shift(x, (-count).clamp(min=0)))


@helper
def gain_of(noise: Tensor, gains: Tensor) -> Tensor:
    """The gain for each noise: its polynomial, of the table's row for its number of bits. -> int64.

    Source: tflite-micro signal/src/pcan_argc_fixed.cc, WideDynamicFunction.
    """
    noise = noise.to(torch.int64)
    row = bit_length(noise)
    place = torch.where(noise > 2, 4 * row - 6, 0)
    part = shifted_left(noise, 11 - row) & 0x3FF
    first, second, third = (gains[place + i].to(torch.int32) for i in range(3))
    part = part.to(torch.int32)
    curve = ((((third * part) >> 5) + (second << 5)) * part + (1 << 14)) >> 15
    polynomial = (curve + first).to(torch.int16).to(torch.int64)
    return torch.where(noise > 2, polynomial, gains[torch.where(noise > 2, 2, noise)].to(torch.int64))


@helper
def shrunk_ratio(x: Tensor, gain: Tensor, snr_shift: int) -> Tensor:
    """R ** 2 / 4 below 2, else r - 1, for r = (x * gain) >> snr_shift with 12 fractional bits; 6 in the result, uint32.

    Source: tflite-micro signal/src/pcan_argc_fixed.cc, PcanShrink.
    """
    ratio = ((x.to(torch.int64) * gain) >> snr_shift) & 0xFFFFFFFF
    return torch.where(ratio < 2 << 12, (ratio * ratio) >> 20, (ratio >> 6) - 64).to(torch.uint32)


def signal_filter_bank_log(x: Any, *, options: Options) -> Tensor:
    """output_scale * log(x << input_correction_bits) in fixed point, at most 32767; 0 for 0 and 1. [C] -> [C] int16.

    Source: tflite-micro signal/src/filter_bank_log.cc.
    """
    return fixed_point_log(x, int(options.custom["input_correction_bits"]), int(options.custom["output_scale"]))


@helper
def fixed_point_log(x: Tensor, shift: int, scale: int) -> Tensor:
    """Scale * log(x << shift): log2 in 16 fractional bits from a table of 128 chords, times log(2). x: uint32 -> int16.

    Source: tflite-micro signal/src/log.cc, Log32.
    """
    x = (x.to(torch.int64) << shift) & 0xFFFFFFFF
    whole = (bit_length(x) - 1).clamp(min=0)
    part = shifted_left(x - 2**whole, 16 - whole)
    ends = torch.arange(129, dtype=torch.float64) / 128
    table = torch.floor(65536 * (torch.log2(1 + ends) - ends) + 0.5).to(torch.int64)
    chord = part.clamp(min=0) >> 9
    low = table[chord]
    log2 = (whole << 16) + part + low + (((table[chord + 1] - low) * (part - (chord << 9))) >> 16)
    natural = (45426 * log2 + 32768) >> 16
    scaled = (((scale * natural) & 0xFFFFFFFF) + 32768 & 0xFFFFFFFF) >> 16
    return torch.where(x > 1, scaled.clamp(max=32767), 0).to(torch.int16)


CUSTOM = {
    "SignalWindow": signal_window,
    "SignalFftAutoScale": signal_fft_auto_scale,
    "SignalRfft": signal_rfft,
    "SignalEnergy": signal_energy,
    "SignalFilterBank": signal_filter_bank,
    "SignalFilterBankSquareRoot": signal_filter_bank_square_root,
    "SignalFilterBankSpectralSubtraction": signal_filter_bank_spectral_subtraction,
    "SignalPCAN": signal_pcan,
    "SignalFilterBankLog": signal_filter_bank_log,
}
EXACT_CUSTOM = CUSTOM  # all of them on integers, as the file stores them
