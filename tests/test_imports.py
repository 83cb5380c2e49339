"""Start-up is most of what a listing costs, so what it may load is a promise.

Each case runs in a fresh interpreter, because this one has long loaded everything.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SLOW = ("orjson", "importlib.metadata", "urllib.request", "urllib.parse", "zipfile", "numpy")
GUESTS = ("ai_edge_litert", "coremltools", "flatc", "fsspec", "ml_dtypes", "onnx", "PIL", "tensorflow", "torch")


def loaded(code: str, root: Path, *arguments: str) -> set[str]:
    """Names of all modules that ``code`` loads beyond what the interpreter itself does (site hooks included)."""
    report = "before = set(sys.modules)\n" + code + "\nprint(*sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(root / 'src')!r})\n{report}", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_import_unlite_loads_no_library(root: Path) -> None:
    modules = loaded("import unlite; unlite.__version__", root)
    assert "unlite._version" in modules
    assert not modules & {*SLOW, *GUESTS, "rich", "safetensors", "json", "dataclasses", "argparse"}


@pytest.mark.parametrize("what", ["tensors", "operators"])
def test_listing_loads_nothing_slow(root: Path, face: Path, what: str) -> None:
    code = f"""
import unlite
model = unlite.open(sys.argv[1])
for entry in model.main.{what}:
    entry.name
    if {what!r} == "tensors":
        entry.shape, entry.dtype, entry.nbytes, entry.quantization
    else:
        entry.options, [tensor.name for tensor in entry.inputs if tensor]
"""
    modules = loaded(code, root, str(face))
    assert "unlite.model" in modules
    assert not modules & {*SLOW, *GUESTS, "rich", "safetensors"}


@pytest.mark.parametrize("options", [[], ["--tensors"], ["--operators"], ["--json"]], ids=" ".join)
def test_show_loads_nothing_slow(root: Path, face: Path, options: list[str]) -> None:
    code = f"from unlite.cli import main; assert main(['show', sys.argv[1], *{options!r}]) == 0"
    modules = loaded(code, root, str(face))
    assert "unlite.cli.show" in modules
    assert not modules & {*SLOW, *GUESTS, "safetensors"}


def test_values_load_numpy_and_nothing_else_slow(root: Path, face: Path) -> None:
    """The counter-test: a case that must load NumPy is seen to load it."""
    code = "import unlite; next(t for t in unlite.open(sys.argv[1]).main.tensors if t.is_constant).numpy()"
    modules = loaded(code, root, str(face))
    assert "numpy" in modules
    assert not modules & {"orjson", *GUESTS}
