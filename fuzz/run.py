"""Throws damaged models at the readers: every byte string must be read or refused with an UnliteError.

    python fuzz/run.py [--runs N] [--seconds S] [--seed K] [--keep FOLDER]

Damages small models at random, the same way for the same seed, and asks each for all that the interface has to offer.
A damaged file that brings another exception, takes longer than a minute or more than 2 GiB of memory is a fault: its
bytes go to the folder, its traceback is printed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import faulthandler
import random
import struct
import sys
import time
import traceback
import warnings
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tests.strategies import visit_everything  # noqa: E402 - found on the path made above

from unlite.errors import UnliteError  # noqa: E402
from unlite.model.model import open_model  # noqa: E402

LARGEST = 12_000
PATIENCE = 60
MEMORY = 2 << 30
WORDS = (0, 1, 2, 3, 4, 8, 16, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


def seeds() -> list[bytes]:
    """Small sound models: real ones where they are beside the project, and one of our own."""
    from tests.model.test_properties import GOOD

    shared = ROOT.parent / "shared"
    folders = ("models", "opsuite/models", "external_buffer", "golden_int16/conv", "malformed")
    paths = sorted(path for name in folders for path in (shared / name).glob("*.tflite"))
    return [GOOD, *(path.read_bytes() for path in paths if path.stat().st_size <= LARGEST)]


def damage(data: bytes, chance: random.Random, other: bytes) -> bytes:
    """A few changes: bits, bytes, words, stretches moved, taken out, or taken from another file."""
    broken = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        if len(broken) < 8:
            break
        at = chance.randrange(len(broken) - 4)
        kind = chance.randrange(8)
        if kind == 0:
            broken[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            broken[at] = chance.randrange(256)
        elif kind == 2:
            struct.pack_into("<I", broken, at & ~3, chance.choice(WORDS))
        elif kind == 3:
            struct.pack_into("<H", broken, at & ~1, chance.choice(WORDS) & 0xFFFF)
        elif kind == 4:  # another offset or count of the same file
            start = chance.randrange(len(broken) - 4) & ~3
            broken[at & ~3 : (at & ~3) + 4] = broken[start : start + 4]
        elif kind == 5:
            (word,) = struct.unpack_from("<I", broken, at & ~3)
            struct.pack_into("<I", broken, at & ~3, (word + chance.choice((-4, -1, 1, 4, 1000))) & 0xFFFFFFFF)
        elif kind == 6:
            length = chance.randrange(1, 64)
            start = chance.randrange(len(other))
            broken[at : at + length] = other[start : start + length]
        elif chance.randrange(4) == 0:
            del broken[at:]
    return bytes(broken)


def visit(data: bytes) -> None:
    """Reads or refuses, or raises what nobody may raise."""
    try:
        model = open_model(data)
    except UnliteError as error:
        assert str(error)
        assert error.path, f"no path: {error!r}"
        return
    visit_everything(model)
    for finding in model.verify():
        assert str(finding)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5000, help="damaged files to try (5000)")
    parser.add_argument("--seconds", type=float, default=300, help="stop after so long, if it comes first (300)")
    parser.add_argument("--seed", type=int, default=0, help="which damage (0)")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-faults"), help="folder for files that show a fault")
    chosen = parser.parse_args(arguments)
    limit_memory()
    warnings.simplefilter("error")
    found, runs, end = 0, 0, time.monotonic() + chosen.seconds
    good = seeds()
    while runs < chosen.runs and time.monotonic() < end:
        chance = random.Random(f"{chosen.seed}/{runs}")
        data = damage(chance.choice(good), chance, chance.choice(good))
        runs += 1
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        try:
            visit(data)
        except Exception:  # noqa: BLE001 - whatever comes is what this program looks for
            found += 1
            chosen.keep.mkdir(exist_ok=True)
            place = chosen.keep / f"{chosen.seed}-{runs}.tflite"
            place.write_bytes(data)
            print(f"{place}:\n{traceback.format_exc()}")
        faulthandler.cancel_dump_traceback_later()
    print(f"{runs} damaged files, {found} faults (seed {chosen.seed}).")
    return 1 if found else 0


def limit_memory() -> None:
    """So that a file which wants too much brings an exception, and not down the machine."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))


if __name__ == "__main__":
    sys.exit(main())
