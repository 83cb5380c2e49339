"""``unlite json`` and ``unlite build``: out, edited, and back."""

from __future__ import annotations

import io
import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

import unlite
from unlite.cli import main


def reflection(root: Any) -> Any:
    """A view as plain values, absent defaults left out: what two files must have in common."""
    from unlite.flatbuffers import schema as s
    from unlite.flatbuffers import view as v

    if isinstance(root, v.Table):
        return {
            f.name: reflection(v.get(root, f))
            for f in v.present(root)
            if f.type.base not in s.SCALARS or not _default(root, f)
        }
    if isinstance(root, v.ScalarVector):
        return bytes(root.memoryview())
    return [reflection(entry) for entry in root] if isinstance(root, v.Vector) else root


def _default(table: Any, field: Any) -> bool:
    from unlite.flatbuffers import view as v

    default = field.default if field.enum is None or field.default is None else field.enum.label(int(field.default))
    return bool(v.get(table, field) == default)


def test_every_model_comes_back(shared: Path, tmp_path: Path) -> None:
    for path in sorted((shared / "models").glob("*.tflite")):
        if path.stat().st_size > 600_000:
            continue
        text, back, again = tmp_path / "m.json", tmp_path / "m.tflite", tmp_path / "n.json"
        assert main(["json", str(path), "-o", str(text)]) == 0
        assert main(["build", str(text), "-o", str(back)]) == 0
        old, new = unlite.open(path), unlite.open(back)
        assert reflection(old.root) == reflection(new.root), path.name
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as a, zipfile.ZipFile(back) as b:
                assert {n: a.read(n) for n in a.namelist()} == {n: b.read(n) for n in b.namelist()}
        assert main(["json", str(back), "-o", str(again)]) == 0
        assert text.read_text() == again.read_text(), path.name
        for file in tmp_path.iterdir():
            file.unlink()


def test_flatc_reads_what_we_write(shared: Path, tmp_path: Path) -> None:
    from unlite.flatbuffers.compile import flatc

    schema = shared / "schemas/schema.fbs"
    for name in ("hand_landmark_lite_fp16", "yamnet_int8", "mnist_conv_fc_int8", "precise_vad_while_drq"):
        path = shared / "models" / f"{name}.tflite"
        assert main(["json", str(path), "-o", str(tmp_path / "m.json")]) == 0
        subprocess.run([flatc(), "-b", "--strict-json", "-o", tmp_path, schema, tmp_path / "m.json"], check=True)
        theirs = unlite.open(tmp_path / "m.tflite")
        assert "unlite_tail" in theirs.metadata or name in ("mnist_conv_fc_int8", "precise_vad_while_drq")
        ours = unlite.open(path)
        for a, b in zip(ours.main.tensors, theirs.main.tensors, strict=True):
            assert a.name == b.name
            assert a.quantization == b.quantization
            if a.is_constant:
                assert bytes(a.data) == bytes(b.data)


def test_weights_behind_the_model_are_inlined(shared: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    path = shared / "external_buffer/offset_fc_float.tflite"
    assert main(["json", str(path)]) == 0
    document = json.loads(capsysbinary.readouterr().out)
    model = unlite.open(path)
    for shown, buffer in zip(document["buffers"], model.buffers, strict=True):
        assert (shown["offset"], shown["size"]) == (0, 0)
        assert bytes(shown.get("data", [])) == bytes(buffer.data or b"")


def test_the_tail_is_not_forgotten(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = shared / "models/hand_landmark_lite_fp16.tflite"
    text, out = tmp_path / "h.json", tmp_path / "h.tflite"
    assert main(["json", str(path), "-o", str(text)]) == 0
    (tmp_path / "h.json.tail").rename(tmp_path / "elsewhere")
    assert main(["build", str(text), "-o", str(out)]) == 2
    assert "--no-tail" in capsys.readouterr().err
    assert not out.exists()
    assert main(["build", str(text), "-o", str(out), "--no-tail"]) == 0
    assert dict(unlite.open(out).associated_files) == {}
    assert "unlite_tail" not in unlite.open(out).metadata
    assert main(["build", str(text), "-o", str(out), "--tail", str(tmp_path / "elsewhere")]) == 0
    assert dict(unlite.open(out).associated_files) == dict(unlite.open(path).associated_files)
    damaged = bytearray((tmp_path / "elsewhere").read_bytes())
    damaged[-30] ^= 1
    (tmp_path / "elsewhere").write_bytes(damaged)
    assert main(["build", str(text), "-o", str(out), "--tail", str(tmp_path / "elsewhere")]) == 2
    assert "not the tail" in capsys.readouterr().err


def test_a_mistake_in_edited_text(face: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = unlite.to_json(face)
    assert text is not None
    (tmp_path / "f.json").write_text(text.replace('"FLOAT16"', '"FLOAT61"', 1))
    assert main(["build", str(tmp_path / "f.json"), "-o", str(tmp_path / "f.tflite")]) == 2
    said = capsys.readouterr().err
    line = text[: text.index('"FLOAT16"')].count("\n") + 1
    assert f"line {line}, column" in said
    assert ".type" in said
    assert not (tmp_path / "f.tflite").exists()


def test_from_standard_input(face: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = unlite.to_json(face)
    assert text is not None
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert main(["build", "-", "-o", str(tmp_path / "f.tflite")]) == 0
    assert len(unlite.open(tmp_path / "f.tflite").main.tensors) == 250


def test_from_a_c_array(face: Path, tmp_path: Path) -> None:
    data = face.read_bytes()
    rows = ", ".join(f"0x{byte:02x}" for byte in data)
    (tmp_path / "g_model.cc").write_text(
        f"const unsigned char g_model[] = {{ {rows} }};\nunsigned int g_model_len = {len(data)};\n"
    )
    assert main(["build", str(tmp_path / "g_model.cc"), "-o", str(tmp_path / "m.tflite")]) == 0
    assert (tmp_path / "m.tflite").read_bytes() == data


def test_old_versions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = {
        "version": 1,
        "operator_codes": [{"builtin_code": "RELU"}],
        "subgraphs": [
            {
                "tensors": [{"shape": [2], "name": "in"}, {"shape": [2], "name": "out", "data_buffer": []}],
                "inputs": [0],
                "outputs": [1],
                "operators": [{"opcode_index": 0, "inputs": [0], "outputs": [1]}],
            }
        ],
    }
    (tmp_path / "old.json").write_text(json.dumps(old))
    assert main(["build", str(tmp_path / "old.json"), "--schema", "v1", "-o", str(tmp_path / "old.tflite")]) == 0
    model = unlite.open(tmp_path / "old.tflite")
    assert (model.schema_version, model.main.operators[0].name) == (1, "RELU")
    capsys.readouterr()
    assert main(["json", str(tmp_path / "old.tflite"), "--schema", "v1"]) == 0
    assert json.loads(capsys.readouterr().out)["operator_codes"][0]["builtin_code"] == "RELU"
    assert model.save(tmp_path / "same.tflite").how == "copied"
    assert model.save(tmp_path / "new.tflite", rewrite=True).how == "rewritten"
    assert unlite.open(tmp_path / "new.tflite").schema_version == 3
