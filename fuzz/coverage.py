"""The same search guided by coverage, with atheris (pip install atheris; Linux and macOS).

python fuzz/coverage.py [FOLDER OF FOUND INPUTS] [-max_total_time=600] [other options of libFuzzer]
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

try:
    import atheris
except ImportError:
    sys.exit("atheris is not installed: pip install atheris. 'make fuzz' searches without it.")

with atheris.instrument_imports(include=["unlite"]):
    from fuzz.run import limit_memory, visit


def one_input(data: bytes) -> None:
    """What the fuzzer calls; anything but an UnliteError is a fault."""
    visit(data)


if __name__ == "__main__":
    limit_memory()
    atheris.Setup([*sys.argv, "-max_len=12000"], one_input)
    atheris.Fuzz()
