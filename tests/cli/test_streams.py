"""``-`` for standard input and output, and what may stand for a model, for every command."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import unlite
from unlite.cli import COMMANDS, GROUPS, main

SOURCE = Path(unlite.__file__).parents[1]


@pytest.fixture
def hello(shared: Path) -> Path:
    return shared / "models/hello_world_int8.tflite"


def piped(arguments: list[str], given: bytes = b"") -> tuple[int, bytes, str]:
    """Exit code, standard output and standard error of a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "unlite", *arguments],
        input=given,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    return done.returncode, done.stdout, done.stderr.decode()


def give(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))


READERS = {
    "show": ["show", "-", "--json"],
    "verify": ["verify", "-", "--json"],
    "json": ["json", "-"],
    "c-array": ["c-array", "-"],
    "metadata": ["metadata", "-", "--json"],
    "alone": ["-"],
}


@pytest.mark.parametrize("form", ["tflite", "json", "cc", "hexdump"])
@pytest.mark.parametrize("command", READERS)
def test_standard_input(
    hello: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, form: str
) -> None:
    data = hello.read_bytes()
    model = unlite.open(data)
    text = unlite.to_json(model)
    assert text is not None
    rows = [f"{at:08x}: {data[at : at + 16].hex()}" for at in range(0, len(data), 16)]
    given = {"tflite": data, "json": text.encode(), "cc": unlite.to_c_array(model).encode(),
             "hexdump": "\n".join(rows).encode()}[form]  # fmt: skip
    give(monkeypatch, given)
    assert main(READERS[command]) == 0
    out = capsys.readouterr().out
    if command == "json":
        assert out == text
    elif command == "show":
        assert [t["name"] for t in json.loads(out)["subgraphs"][0]["tensors"]] == [t.name for t in model.main.tensors]
    elif command == "verify":
        assert not [f for f in json.loads(out)["findings"] if f["severity"] == "error"]
    elif command == "alone":
        assert "FULLY_CONNECTED" in out


def test_set_writes_the_model_alone_to_standard_output(hello: Path) -> None:
    code, out, said = piped(["set", "-", "description=in a pipe", "-o", "-"], hello.read_bytes())
    assert (code, unlite.open(out).description) == (0, "in a pipe")
    assert "standard output" in said
    code, again, _ = piped(["set", "-", "description=in a pipe", "-o", "-", "--json"], out)
    assert (code, unlite.open(again).description) == (0, "in a pipe")


def test_build_and_c_array_to_standard_output(hello: Path) -> None:
    code, text, said = piped(["c-array", str(hello), "-o", "-"])
    assert (code, said) == (0, "")
    code, data, said = piped(["build", "-", "-o", "-"], text)
    assert (code, data) == (0, hello.read_bytes())
    assert "standard output" in said


def test_weights_through_pipes(hello: Path, tmp_path: Path) -> None:
    code, out, _ = piped(["weights", "-", "-o", "-"], hello.read_bytes())
    assert code == 0
    arrays = np.load(io.BytesIO(out))
    model = unlite.open(hello)
    constants = [t for t in model.main.tensors if t.is_constant]
    assert len(arrays.files) == len(constants)
    (tmp_path / "w.npz").write_bytes(out)
    code, back, _ = piped(["weights", str(tmp_path / "w.npz"), "--into", "-", "-o", "-"], hello.read_bytes())
    assert (code, back) == (0, hello.read_bytes())
    code, _, said = piped(["weights", str(tmp_path / "w.npz"), "--into", "-"], hello.read_bytes())
    assert code == 2
    assert "-o -" in said


def test_nothing_is_written_after_a_mistake(hello: Path) -> None:
    code, out, said = piped(["set", "-", "descripton=x", "-o", "-"], hello.read_bytes())
    assert (code, out) == (2, b"")
    assert "description" in said
    code, out, said = piped(["set", "-", "description=x", "--in-place"], hello.read_bytes())
    assert (code, out) == (2, b"")
    assert "in place" in said


@pytest.mark.parametrize("arguments", [["dump", "MODEL", "-o", "-"], ["convert", "MODEL", "--to", "torch", "-o", "-"]])
def test_folders_cannot_go_to_standard_output(
    hello: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert main([str(hello) if word == "MODEL" else word for word in arguments]) == 2
    assert "folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["hand_landmark_lite_fp16", "dilated_conv", "mobilenet_v1_025_uint8"])
def test_json_through_a_pipe_keeps_the_tail(shared: Path, name: str) -> None:
    path = shared / f"models/{name}.tflite"
    code, text, said = piped(["json", str(path)])
    assert (code, said) == (0, "")
    document = json.loads(text, parse_constant=pytest.fail)
    assert [entry["name"] for entry in document["metadata"]][-1] == "unlite_tail"
    code, data, _ = piped(["build", "-", "-o", "-"], text)
    assert code == 0
    model = unlite.open(data)
    assert dict(model.associated_files) == dict(unlite.open(path).associated_files)
    assert "unlite_tail" not in model.metadata
    assert model.associated_files.tail is not None


def test_accelerator_bytecode_through_a_pipe(shared: Path) -> None:
    path = shared / "bundles/npu/simple_add_op.sm8750.tflite"
    text = unlite.to_json(path)
    model = unlite.from_json(text)
    old = unlite.open(path).main.operators[0].custom_options
    new = model.main.operators[0].custom_options
    assert new["bytecode_size"] == old["bytecode_size"]
    data, begin = bytes(model.file.view(0, model.file.size)), new["bytecode_offset"]
    code = path.read_bytes()[old["bytecode_offset"] :][: old["bytecode_size"]]
    assert data[begin : begin + len(code)] == code


def test_an_empty_zip_needs_no_tail_file(shared: Path, tmp_path: Path) -> None:
    path = shared / "models/dilated_conv.tflite"
    assert main(["json", str(path), "-o", str(tmp_path / "m.json")]) == 0
    assert not (tmp_path / "m.json.tail").exists()
    assert main(["build", str(tmp_path / "m.json"), "-o", str(tmp_path / "m.tflite")]) == 0
    for file in (path, tmp_path / "m.tflite"):  # but for where it begins, an offset
        assert file.read_bytes()[-22:-6] == b"PK\5\6" + bytes(12)
    assert main(["build", str(tmp_path / "m.json"), "-o", str(tmp_path / "m.tflite"), "--no-tail"]) == 0
    assert unlite.open(tmp_path / "m.tflite").associated_files.tail is None


def test_a_path_alone_is_shown(
    hello: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", str(hello), "--tensors"]) == 0
    shown = capsys.readouterr().out
    assert main([str(hello), "--tensors"]) == 0
    assert capsys.readouterr().out == shown
    monkeypatch.chdir(tmp_path)
    Path("verify").write_bytes(hello.read_bytes())  # a command has the name
    assert main(["verify"]) == 2
    assert "usage: unlite verify" in capsys.readouterr().out
    assert main(["./verify"]) == 0
    assert "FULLY_CONNECTED" in capsys.readouterr().out
    assert main(["nowhere.tflite"]) == 2
    assert "no command or file 'nowhere.tflite'" in capsys.readouterr().err


def test_help_in_groups(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    said = capsys.readouterr().out
    places = [said.index(f"\n{group}:\n") for group in GROUPS]
    assert places == sorted(places)
    assert all(f"\n  {name} " in said for name in COMMANDS)
    assert sorted(COMMANDS) == sorted(name for commands in GROUPS.values() for name in commands)


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "doctor"])
def test_help_of_each_command_names_standard_input(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert "- for standard input" in " ".join(capsys.readouterr().out.split())


# -- strict JSON ---------------------------------------------------------------------------------------------------


def test_json_is_strict(shared: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Python's json, told to refuse NaN, and orjson, which refuses NaN and halves of characters."""
    import orjson

    from unlite.flatbuffers.compile import flatc

    path = shared / "reports/nan_scale.tflite"
    assert main(["show", "--json", str(path)]) == 0
    text = capsys.readouterr().out
    assert orjson.loads(text) == json.loads(text, parse_constant=pytest.fail)
    assert json.loads(text)["subgraphs"][0]["tensors"][0]["quantization"]["scale"] == [None]
    assert main(["json", str(path), "-o", str(tmp_path / "n.json")]) == 0
    document = orjson.loads((tmp_path / "n.json").read_bytes())
    assert document["subgraphs"][0]["tensors"][0]["quantization"]["scale"] == ["NaN"]
    subprocess.run(
        [flatc(), "-b", "--strict-json", "-o", tmp_path, shared / "schemas/schema.fbs", tmp_path / "n.json"], check=True
    )
    scale = unlite.open(tmp_path / "n.tflite").main.tensors[0].quantization.scale  # as flatc read it
    assert np.isnan(scale).tolist() == [True]


def test_bytes_and_broken_text_in_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import orjson

    from unlite.flatbuffers.flexbuffers import RawString, encode

    options = encode({"raw": RawString(b"\xff\xfe"), "blob": b"\0\1", "long": RawString(b"\xff" * 5000), "s": "é"})
    document = {
        "version": 3,
        "description": "a\udcff\\ud83d",
        "operator_codes": [{"builtin_code": "CUSTOM", "deprecated_builtin_code": 32, "custom_code": "mine"}],
        "buffers": [{}],
        "subgraphs": [
            {
                "tensors": [{"name": "x\udce9\U0001f600", "shape": [1]}],
                "inputs": [0],
                "outputs": [0],
                "operators": [{"inputs": [0], "outputs": [0], "custom_options": list(options)}],
            }
        ],
    }
    model = unlite.from_json(document)
    model.save(tmp_path / "m.tflite")
    assert main(["show", "--json", str(tmp_path / "m.tflite")]) == 0
    shown = orjson.loads(capsys.readouterr().out)
    assert shown["description"] == "a\\xff\\ud83d"
    assert shown["subgraphs"][0]["tensors"][0]["name"] == "x\\xe9\U0001f600"
    assert shown["subgraphs"][0]["operators"][0]["options"]["value"] == {
        "raw": {"base64": "//4="},  # by hand: 11111111 11111110 in groups of six bits
        "blob": {"base64": "AAE="},
        "long": {"length": 5000},
        "s": "é",
    }


def test_a_compiled_program_is_bytes(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = shared / "reports/edgetpu_small.tflite"
    package = unlite.open(path).main.operators[0].custom_options["4"]
    assert isinstance(package, bytes)
    assert (package[4:8], path.read_bytes().count(package)) == (b"DWN1", 1)
    assert main(["show", "--json", str(path)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["subgraphs"][0]["operators"][0]["options"]["value"]["4"] == {"length": len(package)}


def test_drop_unknown_and_older_schemas(shared: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = shared / "reports/unknown_union_torch.tflite"
    assert main(["json", str(path)]) == 2
    assert "--drop-unknown" in capsys.readouterr().err
    assert main(["json", str(path), "--drop-unknown"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["subgraphs"][0]["operators"][0]["builtin_options_type"] == 255
    assert "builtin_options" not in document["subgraphs"][0]["operators"][0]
    assert document["subgraphs"][0]["operators"][1]["builtin_options"]["shared_name"] == "Variable"
    hello = shared / "models/hello_world_int8.tflite"
    assert main(["json", str(hello), "--schema", "v3"]) == 0
    old = json.loads(capsys.readouterr().out)
    assert "signature_defs" not in old  # a field that came later
    new = json.loads(unlite.to_json(hello) or "")
    for before, after in zip(old["subgraphs"][0]["tensors"], new["subgraphs"][0]["tensors"], strict=True):
        assert all(after[key] == before[key] for key in ("name", "shape", "buffer"))
        assert before["type"] == {"INT8": 9}.get(after["type"], after["type"])  # a name that came later, too
        assert all(after["quantization"][key] == value for key, value in before["quantization"].items())
    assert main(["json", str(hello), "--schema", "v1"]) == 2
    assert "version 3" in capsys.readouterr().err


def test_infinity_in_a_tail_record(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out.tflite")
    assert main(["build", str(shared / "reports/tail_inf.json"), "-o", out]) == 2
    assert "CorruptFileError" in capsys.readouterr().err
    tail = str(shared / "reports/tailfile_inf.tail")
    assert main(["build", str(shared / "reports/plain.json"), "-o", out, "--tail", tail]) == 2
    assert "is no tail file, or a damaged one" in capsys.readouterr().err
    (tmp_path / "deep.tail").write_bytes(b"UNLITETL" + (200_000).to_bytes(4, "little") + b"[" * 200_000)
    assert main(["build", str(shared / "reports/plain.json"), "-o", out, "--tail", str(tmp_path / "deep.tail")]) == 2
    assert "damaged" in capsys.readouterr().err
    assert not Path(out).exists()


def test_a_dict_that_holds_itself() -> None:
    document: dict[str, object] = {"version": 3}
    document["subgraphs"] = [document]
    with pytest.raises(unlite.UnliteError, match="no JSON document"):
        unlite.from_json(document)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "utf-8-sig"])
def test_encodings_of_json(tmp_path: Path, encoding: str) -> None:
    text = '{"version": 3, "description": "é\U0001f600", "buffers": [{}], "operator_codes": [{}]}'
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    (tmp_path / "m.json").write_bytes((mark + text).encode(encoding))
    assert unlite.open(tmp_path / "m.json").description == "é\U0001f600"
    (tmp_path / "m.json").write_bytes((mark + text.replace("é", "\n\n!")).encode(encoding)[:-2])
    with pytest.raises(unlite.UnliteError):
        unlite.from_json(tmp_path / "m.json")
