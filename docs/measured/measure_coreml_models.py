"""Which real models reach Core ML: ``python docs/measured/measure_coreml_models.py [NAME ...]`` writes
``coreml_models.json`` here.

The models of ``../shared/models`` beside the checkout that LiteRT runs are converted, computed in float32, saved, and
the saved programs evaluated: a model passes when each of its outputs is within its floor
(``tests/coreml/running.py``). About five minutes on one core.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch
from tests.coreml.running import judged

from unlite.errors import UnliteError

MODELS = Path(__file__).parents[3] / "shared" / "models"
RESULT = Path(__file__).with_name("coreml_models.json")


def measured(path: Path) -> dict[str, Any]:
    """Whether a model passes, why not, and sizes in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            reasons = judged(path, Path(folder))
        except UnliteError as error:
            reasons = [error.message]
        size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    return {"passes": not reasons, "why": "; ".join(reasons), "package": size, "tflite": path.stat().st_size}


def main() -> None:
    """Measures, and writes the result."""
    torch.set_num_threads(1)
    wanted = set(sys.argv[1:])
    rows = json.loads((MODELS / "MANIFEST.json").read_text(encoding="utf-8"))["models"]
    table: dict[str, dict[str, Any]] = {}
    for row in rows:
        path = MODELS / Path(row["file"]).name
        if row["runs_in_litert_2_3_0"] and (not wanted or path.stem in wanted):
            table[path.stem] = facts = measured(path)
            print(f"{path.stem}: {facts}", flush=True)
    passing = sum(facts["passes"] for facts in table.values())
    print(f"{passing} of {len(table)} models pass")
    if not wanted:
        text = json.dumps({"models": table, "passing": passing, "of": len(table)}, indent=1)
        RESULT.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
