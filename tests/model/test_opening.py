"""What holds a model is opened as one; what does not is called by what it is, with the way to a model."""

from __future__ import annotations

import base64
import gzip
import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

import unlite
from unlite.containers.litertlm import header_schema, read_bundle
from unlite.errors import AmbiguousNameError, NotFoundError, TextError, UnsupportedFormatError
from unlite.flatbuffers.write import build
from unlite.model import opening
from unlite.model.texts import text_kind
from unlite.schema import load
from unlite.storage.source import MappedFile, MemorySource

REPORTS_OF_ONE_MODEL = ("bare.txt", "hexdump_C.txt", "xxd_dump.txt", "xxd_i_stdin.txt", "std_byte.cc")
MODEL = {
    "version": 3,
    "operator_codes": [{"builtin_code": "RELU", "deprecated_builtin_code": 19}],
    "description": "a model",
    "buffers": [{}],
    "subgraphs": [
        {
            "tensors": [{"name": "x", "shape": [2]}, {"name": "y", "shape": [2]}],
            "inputs": [0],
            "outputs": [1],
            "operators": [{"inputs": [0], "outputs": [1]}],
        }
    ],
}


@pytest.fixture(scope="module")
def data() -> bytes:
    model = unlite.from_json(MODEL)
    return bytes(model.file.view(0, model.file.size))


def c_text(name: str, content: bytes) -> str:
    return f"const unsigned char {name}[] = {{{', '.join(map(hex, content))}}};\n"


@pytest.mark.parametrize("name", REPORTS_OF_ONE_MODEL)
def test_texts_of_one_model(shared: Path, name: str) -> None:
    model = unlite.open(shared / "reports" / name)
    # By hand, from the dump's second column: the description stands at 0x9C, and FULLY_CONNECTED is operator 9.
    assert (model.description, [operator.name for operator in model.main.operators]) == ("mk", ["FULLY_CONNECTED"])
    assert model.file.size == 512


@pytest.mark.parametrize("name", ["plain.json", "utf16.json"])
def test_json_of_a_model(shared: Path, name: str) -> None:
    path = shared / "reports" / name
    text = path.read_bytes()
    document = json.loads(text.decode("utf-16" if name == "utf16.json" else "utf-8"))
    model = unlite.open(path)
    assert [t.name for t in model.main.tensors] == [t["name"] for t in document["subgraphs"][0]["tensors"]]
    assert [bytes(buffer.data or b"") for buffer in model.buffers] == [
        bytes(buffer.get("data", ())) for buffer in document["buffers"]
    ]


def test_arrays_of_one_name(shared: Path) -> None:
    path = shared / "reports/two_arrays_same_name.c"
    assert unlite.open(path).file.size == 512  # the only one that is a model
    assert unlite.open(f"{path}#[0]").file.size == 512
    assert unlite.open(f"{path}#g_a:1").file.size == 512
    assert unlite.from_c_array(path.read_text(), 0).file.size == 512
    with pytest.raises(AmbiguousNameError) as caught:
        unlite.open(f"{path}#g_a")
    assert caught.value.indices == (0, 1)
    with pytest.raises(UnsupportedFormatError):  # {1, 2, 3}
        unlite.open(f"{path}#g_a:2")
    with pytest.raises(NotFoundError, match="only 2 arrays called 'g_a'"):
        unlite.open(f"{path}#g_a:3")


FORMS = {
    "m.json": lambda data: json.dumps(MODEL),
    "m.txt": lambda data: "// by hand\n" + json.dumps(MODEL),
    "bom.json": lambda data: "\ufeff" + json.dumps(MODEL),
    "m.cc": lambda data: "#include <cstdint>\n" + c_text("g_model", data),
    "m.h": lambda data: c_text("first", b"\1\2\3") + c_text("g_model", data),
    "sketch.ino": lambda data: c_text("g_model", data) + "void setup() {}\nvoid loop() {}\n",
    "m.inc": lambda data: ", ".join(map(str, data)),
    "m.hex": lambda data: data.hex(),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_by_path(tmp_path: Path, data: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_text(FORMS[name](data))
    assert unlite.open(path).description == "a model"
    assert unlite.to_json(str(path)) == unlite.to_json(data)
    assert unlite.open(path).path is None  # nothing to save back to
    with pytest.raises(UnsupportedFormatError):  # text in memory is no model
        unlite.open(path.read_bytes())


def test_a_name_with_a_number_sign(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a#b.tflite").write_bytes(data)
    assert unlite.open(tmp_path / "a#b.tflite").description == "a model"
    (tmp_path / "a").write_text(c_text("b.tflite", b"\1").replace("b.tflite", "b"))
    assert unlite.open(str(tmp_path / "a#b.tflite")).description == "a model"  # the file wins over a part of "a"
    (tmp_path / "a#b.h").write_text(c_text("c", data) + c_text("d", data))
    assert unlite.open(str(tmp_path / "a#b.h#d")).description == "a model"
    with pytest.raises(NotFoundError, match="2 arrays"):
        unlite.open(str(tmp_path / "a#b.h"))


def test_a_mistake_in_the_text(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text('{"version": 3,\n "subgraph": []}')
    with pytest.raises(TextError, match="Did you mean 'subgraphs'") as caught:
        unlite.open(tmp_path / "m.json")
    assert (caught.value.line, caught.value.file) == (2, str(tmp_path / "m.json"))


@pytest.mark.parametrize(("text", "kind"), [
    (b'{"a": 1}', "json"), (b"{version: 3}", "json"), (b"{ 'a': 3}", "json"), (b"/* x */ {}", "json"), (b"{", "json"),
    (b"{0x1c, 0x00}", "c"), (b"{'a', 'b'}", None), (b"28, 0, 0", "c"), (b"// x\nint a;", None),
    (b"static char x[] = {1};", "c"), (b"#ifndef A_H", "c"), (b"1c00000054464c33", "dump"), (b"hello there", None),
    (b"<html>char</html>", None), (b"version https://git-lfs.github.com/spec/v1", None), (b"", None), (b"\0\1", None),
])  # fmt: skip
def test_kinds_of_text(text: bytes, kind: str | None) -> None:
    assert text_kind(MemorySource(text)) == kind


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_DOT_", "."), content)
    return file.getvalue()


# First bytes as the formats' own documents have them; what the message or the hint must name.
KINDS = {
    "a.tflite.gz": (gzip.compress(b"x" * 99), "gzip", "gunzip"),
    "a.h5": (b"\x89HDF\r\n\x1a\n" + bytes(90), "HDF5", "from_keras_model"),
    "a.safetensors": (struct.pack("<Q", 2) + b"{}" + bytes(20), "safetensors", "--into MODEL"),
    "a.keras": (zipped(config_DOT_json=b"{}", metadata_DOT_json=b"{}"), "Keras archive", "from_keras_model"),
    "a.pt": (zipped(archive__data_DOT_pkl=b"x", archive__version=b"3"), "PyTorch", "litert-torch"),
    "a.task": (zipped(TF_LITE_PREFILL_DECODE=b"x"), ".task", "Unpack"),
    "a.npz": (zipped(a_DOT_npy=b"x"), ".npz", "--into MODEL"),
    "a.zip": (zipped(a_DOT_txt=b"x"), "ZIP archive without", ""),
    "a.onnx": (b"\x08\x08\x12\x07pytorch\x1a\x052.1.0" + bytes(90), "ONNX", "compare"),
    "a.mlmodel": (b"\x08\x04\x12\x10\x0a\x0e" + bytes(90), "Core ML", ""),
    "saved_model.pb": (b"\x08\x01\x12\x20\x0a\x1e" + b"serve" + bytes(90), "SavedModel", "from_saved_model"),
    "a.gguf": (b"GGUF" + bytes(90), "GGUF", ""),
    "a.ort": (struct.pack("<I", 24) + b"ORTM" + bytes(90), "ONNX Runtime", "unlite flatbuffer"),
    "a.pkl": (b"\x80\x02}q\x00." + bytes(90), "pickle", ""),
    "a.b64": (base64.encodebytes(b"\x1c\0\0\0TFL3" + bytes(90)), "base64", "base64 -d"),
    "empty.h": (b"#ifndef A_H\nextern const int a;\n#endif\n", "no C array", "looks like"),
    "page.tflite": (b"<!DOCTYPE html><html>404</html>", "web page", "fetch it again"),
    "error.tflite": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML", "fetch it again"),
    "lfs.tflite": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "Git LFS", "git lfs pull"),
    "text.tflite": ("\u001c\0\0\0\ufffdTFL3".encode() + bytes(90), "wrong place", "binary mode"),
    "xxd.txt": (b"00000000: 1c00 0000 5446 4c33  ....XXXX\n", "characters", "edited"),
}


@pytest.mark.parametrize("name", KINDS)
def test_other_kinds_are_named(tmp_path: Path, name: str) -> None:
    content, what, hint = KINDS[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(unlite.UnliteError) as caught:
        unlite.open(tmp_path / name)
    assert what in caught.value.message
    assert hint in (caught.value.hint or "")
    assert caught.value.file == str(tmp_path / name)
    assert name == "a.task" or ".task" not in str(caught.value)


def test_folders_are_named(tmp_path: Path) -> None:
    for file, what in (("saved_model.pb", "SavedModel"), ("face.tflite", "Name a file in it: face.tflite")):
        folder = tmp_path / f"folder_{file}"
        folder.mkdir()
        (folder / file).write_bytes(b"x")
        with pytest.raises(UnsupportedFormatError, match=what):
            unlite.open(folder)


def test_wrong_kinds_of_the_reports(shared: Path) -> None:
    for name, what in (("m.ort", "ONNX Runtime"), ("t.arrow", "Arrow"), ("npz_lzma_damaged.npz", "npz")):
        with pytest.raises(UnsupportedFormatError, match=what):
            unlite.open(shared / "reports" / name)


@pytest.mark.parametrize("name", ["bare.txt", "std_byte.cc", "x.litertlm#prefill_decode"])
def test_functions_take_them_as_well(shared: Path, name: str) -> None:
    pytest.importorskip("torch")
    from ai_edge_litert.interpreter import Interpreter

    path = f"{shared / 'reports' / name}"
    (shown,) = unlite.run(path, [np.ones((1, 4), np.float32)]).values()
    data = unlite.open(path).file
    judge = Interpreter(model_content=bytes(data.view(0, data.size)))
    judge.allocate_tensors()
    judge.set_tensor(judge.get_input_details()[0]["index"], np.ones((1, 4), np.float32))
    judge.invoke()
    assert np.array_equal(shown, judge.get_tensor(judge.get_output_details()[0]["index"]))
    assert unlite.compare(path, shared / "reports/hexdump_C.txt").verdict == "same"


def test_large_json_is_built_in_a_temporary_file(tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "LARGE", 10)
    (tmp_path / "m.json").write_text(json.dumps(MODEL))
    model = unlite.open(tmp_path / "m.json")
    assert bytes(model.file.view(0, model.file.size)) == data


# -- bundles -------------------------------------------------------------------------------------------------------


def bundle(sections: list[tuple[str, dict[str, str], bytes]], version: tuple[int, int, int] = (1, 9, 0)) -> bytes:
    """A .litertlm, laid out by hand."""
    schema = load(header_schema(version[1]))
    objects, body = [], b""
    for kind, items, content in sections:
        begin = 16384 + len(body)
        entries = [{"key": k, "value_type": "StringValue", "value": {"value": v}} for k, v in items.items()]
        objects.append({"items": entries, "begin_offset": begin, "end_offset": begin + len(content), "data_type": kind})
        body += content + bytes(-len(content) % 16384)
    header = build(schema.root, {"section_metadata": {"objects": objects}})
    head = b"LITERTLM" + struct.pack("<3I4xQ", *version, 32 + len(header)) + header
    return head + bytes(16384 - len(head)) + body


def test_parts_of_a_bundle(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.litertlm"
    decode = {"model_type": "tf_lite_prefill_decode"}
    path.write_bytes(
        bundle([("TFLiteModel", decode, data), ("SP_Tokenizer", {}, b"spm"), ("TFLiteModel", decode, data + bytes(16))])
    )
    assert [part.name for part in read_bundle(MappedFile(path)).sections] == [
        "prefill_decode", "sp_tokenizer", "prefill_decode",
    ]  # fmt: skip
    assert unlite.open(f"{path}#prefill_decode:2").file.size == len(data) + 16
    assert unlite.open(f"{path}#[0]").description == "a model"
    with pytest.raises(AmbiguousNameError):
        unlite.open(f"{path}#prefill_decode")
    with pytest.raises(UnsupportedFormatError, match="SP_Tokenizer"):
        unlite.open(f"{path}#sp_tokenizer")
    with pytest.raises(NotFoundError, match="'embedder'") as caught:
        unlite.open(f"{path}#embedder")
    assert "prefill_decode, sp_tokenizer" in str(caught.value.hint)
    with pytest.raises(UnsupportedFormatError, match="3 parts") as refused:
        unlite.open(path)
    assert f"{path}#prefill_decode" in str(refused.value.hint)
    model = unlite.open(f"{path}#[0]")
    model.description = "changed in a part"
    model.save(tmp_path / "out.tflite")
    assert unlite.open(tmp_path / "out.tflite").description == "changed in a part"


@pytest.mark.parametrize(("version", "kind"), [((1, 5, 0), 8), ((1, 6, 0), "EmbeddingMetadataProto")])
def test_a_doubtful_type_keeps_its_number(version: tuple[int, int, int], kind: str | int) -> None:
    content = bundle([("EmbeddingMetadataProto", {}, b"x")], version)
    (part,) = read_bundle(MemorySource(content)).sections
    assert (part.type, part.name) == (kind, str(kind).lower())


def test_damaged_bundles() -> None:
    good = bundle([("TFLiteModel", {}, b"x" * 100)])
    for damaged, what in (
        (good[:20000], None),
        (good[:16384], "file ends at"),
        (good[:8] + b"\2" + good[9:], "version 2.9.0"),
        (good[:24] + b"\xff" * 8 + good[32:], "its header ends"),
        (good[:20], "bytes wanted"),
    ):
        if what is None:
            read_bundle(MemorySource(damaged))
        else:
            with pytest.raises(unlite.UnliteError, match=what):
                read_bundle(MemorySource(damaged))


def test_real_bundles(shared: Path) -> None:
    for path in sorted((shared / "bundles/litertlm").glob("*.litertlm")):
        parts = read_bundle(MappedFile(path)).sections
        for part in parts:
            if part.is_model:
                assert path.read_bytes()[part.offset + 4 : part.offset + 8] == b"TFL3"
                assert len(unlite.open(f"{path}#{part.name}").subgraphs) > 0
    model = unlite.open(f"{shared}/reports/x.litertlm#prefill_decode")
    assert model.description == "mk"
