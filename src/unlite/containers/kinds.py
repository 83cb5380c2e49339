"""Files that are no TFLite models: what they are, and how a model is got from them. Told from their first bytes.

Looked at only when a file was refused, so that opening a model costs nothing for it.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from unlite.containers.zip_search import may_end_in_zip
from unlite.errors import UnliteError

if TYPE_CHECKING:
    from unlite.storage.source import Source

HEAD = 4096
KERAS = "Load it with keras.models.load_model, and convert it with tf.lite.TFLiteConverter.from_keras_model."
TORCH = "Load it in PyTorch, and convert it with litert-torch."
WHOLE = "Check that it is the right file and was fetched whole."
UNPACK = "Unpack it, and open the .tflite inside."

# First bytes -> what the file is, and the way out.
MAGICS = (
    (b"\x1f\x8b", "is compressed with gzip.", "Decompress it first: gunzip FILE, or tar xzf FILE for an archive."),
    (b"BZh", "is compressed with bzip2.", "Decompress it first: bunzip2 FILE."),
    (b"\xfd7zXZ\0", "is compressed with xz.", "Decompress it first: unxz FILE."),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd.", "Decompress it first: unzstd FILE."),
    (b"\x89HDF\r\n\x1a\n", "is HDF5, as Keras writes it (.h5), not a TFLite model.", KERAS),
    (b"GGUF", "is a GGUF file: a language model for llama.cpp, not a TFLite model.", "It holds weights and no graph."),
    (
        b"\x93NUMPY",
        "is a NumPy array (.npy), not a model.",
        "unlite set MODEL 'tensors[NAME].data=@FILE' puts it into one.",
    ),
    (b"ARROW1", "is an Arrow file, not a model.", "Read it with pyarrow."),
    (b"PAR1", "is a Parquet file, not a model.", "Read it with pyarrow."),
    (b"version https://git-lfs", "is a Git LFS pointer, not the file itself.", "Fetch the file with: git lfs pull"),
)
# Identifiers of FlatBuffers, at byte 4.
IDENTIFIERS = {
    b"BFBS": ("is a compiled FlatBuffers schema, not a model.", "unlite flatbuffer FILE --schema reflection shows it."),
    b"ORTM": (
        "is an ONNX Runtime model (.ort), not a TFLite model.",
        "unlite flatbuffer FILE --schema ort.fbs shows it, with ONNX Runtime's schema.",
    ),
    b"DWN1": (
        "is an Edge TPU package, not a TFLite model.",
        "unlite flatbuffer FILE --schema edgetpu_executable shows it.",
    ),
    b"M001": (
        "is the metadata of a TFLite model, not the model.",
        "unlite flatbuffer FILE --schema metadata shows it.",
    ),
    b"FTL3": ("looks like a TFLite model whose bytes were swapped.", None),
}
_BASE64 = re.compile(rb"[A-Za-z0-9+/\s]{12,}[=\s]*")
_HTML = re.compile(rb"(?:<!doctype html|<html|<head|<body|<!--|<script)", re.IGNORECASE)


def kind_of(source: Source) -> tuple[str, str | None] | None:
    """What a file is, as a sentence without its subject, and the way out; None where that cannot be told."""
    head = bytes(source.view(0, min(source.size, HEAD)))
    if not head:
        return "is empty.", WHOLE
    for magic, what, hint in MAGICS:
        if head.startswith(magic):
            return what, hint
    if head[4:8] in IDENTIFIERS:
        return IDENTIFIERS[head[4:8]]
    if may_end_in_zip(source):
        found = _zip(source)
        if found is not None:
            return found
    return _safetensors(source, head) or _protobuf(source, head) or _pickle(head) or _text(head)


def folder_kind(path: str) -> tuple[str, str | None]:
    """The same for a folder."""
    names = set(os.listdir(path)) if os.access(path, os.R_OK | os.X_OK) else set()
    if names & {"saved_model.pb", "saved_model.pbtxt"}:
        return (
            "is a TensorFlow SavedModel folder, not a TFLite model.",
            "Convert it with tf.lite.TFLiteConverter.from_saved_model.",
        )
    if path.rstrip("/\\").endswith((".mlpackage", ".mlmodelc")) or "coremldata.bin" in names:
        return "is a Core ML package, not a TFLite model.", "unlite compare MODEL FOLDER compares a model with it."
    if {"model.py", "model.safetensors"} <= names:
        return (
            "is a folder that unlite convert wrote, not a TFLite model.",
            "Put its weights back into its model: unlite weights FOLDER/model.safetensors --into MODEL",
        )
    if {"config.json", "model.safetensors"} <= names:
        return "is a Hugging Face model folder, not a TFLite model.", TORCH
    models = sorted(name for name in names if name.endswith((".tflite", ".litertlm", ".task")))
    if models:
        return "is a folder.", f"Name a file in it: {', '.join(models[:5])}{', ...' if len(models) > 5 else ''}."
    return "is a folder.", "Name a file."


def _zip(source: Source) -> tuple[str, str | None] | None:
    from unlite.containers.zip_tail import find_zip_tail

    try:
        tail = find_zip_tail(source)
    except UnliteError:
        return "is a ZIP archive, and damaged.", "Fetch it again."
    if tail is None or tail.start > 64:
        return None
    names = [member.name for member in tail.members]
    ends = {name.rpartition("/")[2] for name in names}
    models = [name for name in names if name.endswith(".tflite") or name.startswith("TF_LITE_")]
    if {"config.json", "metadata.json"} <= set(names):
        return "is a Keras archive (.keras), not a TFLite model.", KERAS
    if "data.pkl" in ends or "archive_format" in ends:
        return "is a PyTorch file (.pt, .pth or .pt2), not a TFLite model.", TORCH
    if names and all(name.endswith(".npy") for name in names):
        return "is a file of arrays (.npz), not a model.", "unlite weights FILE --into MODEL puts them into a model."
    if "saved_model.pb" in ends:
        return (
            "is a packed TensorFlow SavedModel.",
            "Unpack it; convert it with tf.lite.TFLiteConverter.from_saved_model.",
        )
    if "AndroidManifest.xml" in names:
        return "is an Android app (.apk).", f"Models lie in its assets. {UNPACK}"
    if models:
        shown = ", ".join(models[:5]) + (", ..." if len(models) > 5 else "")
        return f"is a .task bundle or another ZIP archive with models: {shown}.", "Unpack it, and open one of them."
    return "is a ZIP archive without a .tflite.", None


def _safetensors(source: Source, head: bytes) -> tuple[str, str | None] | None:
    length = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and 2 <= length <= source.size - 8:
        return (
            "is a safetensors file: weights without a network, not a TFLite model.",
            "unlite weights FILE --into MODEL puts them into a model.",
        )
    return None


def _protobuf(source: Source, head: bytes) -> tuple[str, str | None] | None:
    """ONNX, Core ML, and TensorFlow's graphs: protobufs, which have no magic number; their first fields tell."""
    if len(head) < 6:
        return None
    if head[0] == 0x08 and head[1] < 0x20:  # field 1, a small number
        length = head[3]
        text = head[4 : 4 + length]
        if source.name.endswith(".mlmodel") or (head[2] == 0x12 and text[:1] == b"\x0a"):
            if head[1] == 1 and b"serve" in head and not source.name.endswith(".mlmodel"):
                return (
                    "is a TensorFlow SavedModel (saved_model.pb), not a TFLite model.",
                    "Convert its folder with tf.lite.TFLiteConverter.from_saved_model.",
                )
            return "is a Core ML model (.mlmodel), not a TFLite model.", None
        if (
            source.name.endswith(".onnx")
            or (head[2] in (0x12, 0x1A, 0x22) and text.isascii())
            or head[2] in (0x3A, 0x42)
        ):
            return (
                "is an ONNX model (a protocol buffer), not a TFLite model.",
                "unlite compare MODEL FILE compares a model with it; onnx2tf converts it.",
            )
    if head[0] == 0x0A and head[2:3] in (b"\x0a", b"\x01") and source.name.endswith(".pb"):
        return (
            "is a frozen TensorFlow graph (.pb), not a TFLite model.",
            "Convert it with tf.compat.v1.lite.TFLiteConverter.from_frozen_graph.",
        )
    return None


def _pickle(head: bytes) -> tuple[str, str | None] | None:
    if head[0] == 0x80 and len(head) > 1 and 2 <= head[1] <= 5:
        return (
            "is a Python pickle, perhaps of PyTorch, not a TFLite model.",
            "Load it only if you trust where it is from.",
        )
    return None


def _text(head: bytes) -> tuple[str, str | None] | None:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if _HTML.match(text):
        return "is a web page, not a model.", "It looks like a web page: the download went wrong; fetch it again."
    if text.startswith(b"<"):
        return "is XML, perhaps a server's error, not a model.", "The download went wrong; fetch it again."
    if text.startswith(b"{"):
        return (
            "is JSON text, not the model itself.",
            "Pass its path, or: unlite build FILE -o MODEL, unlite.from_json(text).",
        )
    if _BASE64.fullmatch(text) and b"TFL3" in _from_base64(text)[:16]:
        return "is a model in base64.", "Decode it first: base64 -d FILE > model.tflite"
    if not head.strip(b"\0"):
        return "begins with nothing but zeros.", WHOLE
    if b"TFL3" in head[:32] and head[4:8] != b"TFL3":
        return (
            "has a TFLite model's identifier in the wrong place: it was changed on its way, perhaps as text.",
            "Fetch it again, in binary mode.",
        )
    if b"\0" not in head and all(byte >= 0x20 or byte in b"\t\r\n\f" for byte in text):
        if re.search(rb"\b(?:char|int8_t|uint8_t|std::byte|#include|#define)\b|0x[0-9a-f]{2},", text):
            return (
                "is C source text, not the model itself.",
                "Pass its path, or: unlite build FILE -o MODEL, unlite.from_c_array(text).",
            )
        return "is text, not a model.", WHOLE
    return None


def _from_base64(text: bytes) -> bytes:
    from binascii import Error, a2b_base64

    digits = b"".join(text.split())
    try:
        return a2b_base64(digits[: len(digits) // 4 * 4])
    except Error:
        return b""
