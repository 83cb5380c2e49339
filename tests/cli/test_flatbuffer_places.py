"""FlatBuffers that do not begin at byte 0: by offset, and at known places of other files."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

import unlite
from unlite.cli import main
from unlite.flatbuffers.flexbuffers import RawString, encode
from unlite.flatbuffers.write import build
from unlite.schema import load

# The fields of an Arrow message that the test asks for, by id.
ARROW = """\
include "field.fbs";
table Schema { endianness:short; fields:[Field]; }
union Header { Schema }
table Message { version:short; header:Header; bodyLength:long; }
root_type Message;
"""
FIELD = "table Field { name:string; nullable:bool; }\n"


def test_included_schemas_and_an_offset(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "include").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "include/field.fbs").write_text(FIELD)
    (tmp_path / "message.fbs").write_text(ARROW)
    command = ["flatbuffer", str(shared / "reports/t.arrow"), "--schema", str(tmp_path / "message.fbs")]
    includes = ["-I", str(tmp_path / "other"), "-I", str(tmp_path / "include")]
    # By hand: ARROW1, two zeros, ffffffff, the length 0xa8, and from byte 16 on the message of version V5, number 4.
    for offset in ("16", "0x10"):
        assert main([*command, "version", *includes, "--offset", offset]) == 0
        assert capsys.readouterr().out == "4\n"
    assert main([*command, "header.fields[*].name", *includes, "--offset", "16"]) == 0
    assert capsys.readouterr().out == "a\nb\n"
    assert main([*command, "version", "--offset", "16"]) == 2
    assert "field.fbs" in capsys.readouterr().err
    assert main([*command, "version", "-I", str(tmp_path / "nowhere")]) == 2
    assert "no folder" in capsys.readouterr().err
    for wrong in ("x", "-1", "100000"):
        assert main([*command, "version", *includes, f"--offset={wrong}"]) == 2
        assert "offset" in capsys.readouterr().err
    root = unlite.flatbuffers.open(
        shared / "reports/t.arrow", tmp_path / "message.fbs", offset=16, include=[tmp_path / "include"]
    )
    assert [field.name for field in root.header.fields] == ["a", "b"]


def test_an_onnx_runtime_file(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["flatbuffer", str(shared / "reports/m.ort"), "--schema", str(shared / "reports/ort.fbs")]
    assert main([*command, "model.graph.nodes[*].op_type"]) == 0
    # By eye, from the file's strings: LiteRT has no part in it; ONNX Runtime fused MatMul, Add and Relu.
    assert capsys.readouterr().out == "FusedGemm\n"
    assert main(command[:2]) == 2
    assert "the schema of this file is not known" in capsys.readouterr().err


@pytest.mark.parametrize("prefix", [b"", struct.pack("<I", 0)])
@pytest.mark.parametrize("behind", [b"", bytes(99)])
def test_an_offset_and_a_size_prefix(prefix: bytes, behind: bytes) -> None:
    data = build(load().root, {"version": 3, "description": "inside"}, b"TFL3")
    if prefix:
        prefix = struct.pack("<I", len(data))
    file = b"\xff" * 37 + prefix + data + behind
    assert unlite.flatbuffers.open(file, "tflite", offset=37).description == "inside"
    if prefix:
        assert unlite.flatbuffers.open(file, "tflite", offset=41, size_prefixed=False).description == "inside"
    with pytest.raises(unlite.UnliteError) as caught:
        unlite.flatbuffers.open(file, "tflite", offset=38)
    assert caught.value.offset is None or caught.value.offset >= 38


def test_places_in_models(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(shared / "models/mobilenet_v1_025_uint8.tflite")
    assert main(["flatbuffer", f"{model}#metadata", "name"]) == 0
    named = unlite.open(model).metadata.decoded("TFLITE_METADATA")
    assert capsys.readouterr().out == f"{named.name}\n"
    assert main(["flatbuffer", f"{model}#TFLITE_METADATA", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == named.name
    assert main(["flatbuffer", f"{model}#nothing"]) == 2
    assert "There is: TFLITE_METADATA" in capsys.readouterr().err
    assert main(["flatbuffer", model, "version"]) == 0  # the schema is told from the identifier
    assert capsys.readouterr().out == "3\n"


def test_an_edge_tpu_package(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = shared / "reports/edgetpu_small.tflite"
    assert main(["flatbuffer", f"{path}#edgetpu", "min_runtime_version"]) == 0
    assert capsys.readouterr().out == "13\n"
    assert main(["flatbuffer", f"{path}#edgetpu", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    # The compiler's text stands in the file.
    assert document["compiler_version"].encode() in path.read_bytes()
    assert main(["flatbuffer", f"{path}#edgetpu:2"]) == 2
    assert "the model has 1" in capsys.readouterr().err
    assert main(["flatbuffer", f"{shared / 'models/hello_world_int8.tflite'}#edgetpu"]) == 2
    assert "the model has 0" in capsys.readouterr().err


def test_further_edge_tpu_packages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema = load("edgetpu_executable")
    one, two = (build(schema.root, {"min_runtime_version": n, "signature": [255]}, b"DWN1") for n in (10, 12))
    options = encode({"1": 0, "4": RawString(one), "6": [1, 2], "7": [RawString(two)]})
    document = {
        "version": 3,
        "operator_codes": [
            {"builtin_code": "CUSTOM", "deprecated_builtin_code": 32, "custom_code": "edgetpu-custom-op"}
        ],
        "subgraphs": [{"operators": [{"custom_options": list(options)}]}],
    }
    unlite.from_json(document).save(tmp_path / "m.tflite")
    for part, version in (("edgetpu", 10), ("edgetpu:1", 10), ("edgetpu:2", 12)):
        assert main(["flatbuffer", f"{tmp_path / 'm.tflite'}#{part}", "min_runtime_version"]) == 0
        assert capsys.readouterr().out == f"{version}\n"


def test_the_header_of_a_bundle(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = shared / "reports/x.litertlm"
    assert main(["flatbuffer", f"{path}#header", "section_metadata.objects[0].begin_offset"]) == 0
    assert capsys.readouterr().out == "16384\n"
    assert main(["flatbuffer", f"{path}#prefill_decode", "description"]) == 0
    assert capsys.readouterr().out == "mk\n"


def test_the_header_of_an_old_bundle(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Version 1.0 has structs where later ones have tables."""
    path = shared / "bundles/litertlm/test_hf_tokenizer_v1_1_mirror.litertlm"
    begin, end = 16384, 16384 + 592904  # by hand, from the header's bytes
    assert main(["flatbuffer", f"{path}#header", "section_metadata", "--json"]) == 0
    (section,) = json.loads(capsys.readouterr().out)["objects"]
    assert (section["begin_offset"], section["end_offset"]) == (begin, end)


def test_show_lists_the_parts(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = shared / "reports/x.litertlm"
    assert main([str(path)]) == 0
    out = capsys.readouterr()
    assert "0\tprefill_decode\tTFLiteModel\t16384\t512\ttf_lite_prefill_decode" in out.out
    assert f"unlite show '{path}#prefill_decode'" in out.err
    assert main(["show", "--json", str(path)]) == 0
    (part,) = json.loads(capsys.readouterr().out)["parts"]
    model = part.pop("model")
    assert part == {
        "name": "prefill_decode",
        "type": "TFLiteModel",
        "offset": 16384,
        "nbytes": 512,
        "model_type": "tf_lite_prefill_decode",
    }
    assert main(["show", "--json", f"{path}#prefill_decode"]) == 0
    assert json.loads(capsys.readouterr().out) == model
    assert main(["verify", str(path)]) == 1
    assert "#prefill_decode" in capsys.readouterr().out


def test_show_lists_what_is_no_model_as_well(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "--json", str(shared / "bundles/litertlm/built_0.19.0.dev20261026.litertlm")]) == 0
    parts = json.loads(capsys.readouterr().out)["parts"]
    assert [part["type"] for part in parts] == [
        "LlmMetadataProto", "SP_Tokenizer", "TFLiteModel", "TFLiteWeights", "GenericBinaryData",
    ]  # fmt: skip
    assert [part["model"] is not None for part in parts] == [False, False, True, False, False]
