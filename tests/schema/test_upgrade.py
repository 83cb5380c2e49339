"""Models of versions 0 to 2 as version 3: the same network, by hand and by LiteRT."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from tests.schema.old_models import VERSIONS, compiled, document, old_model

import unlite.schema
from unlite.errors import CorruptFileError
from unlite.flatbuffers import schema as s
from unlite.model.model import open_model
from unlite.schema.upgrade import RENAMED_OPERATORS, upgrade


@pytest.mark.parametrize("version", VERSIONS)
def test_the_model_as_version_3(version: int, tmp_path: Path) -> None:
    model = open_model(old_model(version, tmp_path, custom=True))
    assert model.schema_version == version
    assert model.description == ("" if version == 0 else "old")
    assert model.main.name == ("" if version == 0 else "the graph")
    assert [operator.name for operator in model.main.operators] == ["CONV_2D", "MAX_POOL_2D", "CONCATENATION", "Mine"]
    # BuiltinOperator of version 3: CONV_2D 3, MAX_POOL_2D 17, CONCATENATION 2, CUSTOM 32.
    assert [code.builtin_code for code in model.operator_codes] == [3, 17, 2, 32]
    assert [code._table["deprecated_builtin_code"] for code in model.operator_codes] == [3, 17, 2, 32]
    assert [code.version for code in model.operator_codes] == [1, 1, 1, 1]
    conv, pool, concat, custom = model.main.operators
    assert (conv.options.padding, conv.options.stride_w, conv.options.fused_activation_function) == ("VALID", 1, "RELU")
    assert (pool.options.filter_width, pool.options.stride_h, concat.options.axis) == (2, 2, 3)
    assert (bytes(custom.custom_options_bytes), custom.inputs[1], custom.options) == (b"\1\2\3", None, None)
    # Buffer 0 is empty; then each tensor with data has its own, in order.
    assert [buffer.data if buffer.data is None else len(buffer.data) for buffer in model.buffers] == [None, 8, 8, 4]
    filter_, bias = model.main.tensors["filter"], model.main.tensors["bias"]
    assert (filter_.numpy().ravel().tolist(), bias.numpy().tolist()) == ([2.0, -1.0], [0.5, 1.0])
    assert [tensor.is_constant for tensor in model.main.tensors] == [False, True, True, False, False, True, False]
    quantization = model.main.tensors["conv"].quantization
    assert quantization is not None
    assert (quantization.min, quantization.max, quantization.scale) == ((0.0,), (9.0,), ())


@pytest.mark.parametrize("version", VERSIONS)
def test_litert_runs_what_is_saved(version: int, tmp_path: Path) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter
    path = tmp_path / "old.tflite"
    path.write_bytes(old_model(version, tmp_path))
    report = open_model(path).save(tmp_path / "new.tflite", rewrite=True)
    assert report.how == "rewritten"
    judge = interpreter(model_path=str(tmp_path / "new.tflite"))
    judge.allocate_tensors()
    judge.set_tensor(0, np.array([1, 2, 3, -4], "f4").reshape(1, 2, 2, 1))
    judge.invoke()
    # Channel 0: relu(2x + 0.5) of 1, 2, 3, -4 = 2.5, 4.5, 6.5, 0; channel 1: relu(1 - x) = 0, 0, 0, 5. The largest:
    assert judge.get_tensor(6).ravel().tolist() == [6.5, 5.0, 7.0]


@pytest.mark.parametrize("version", VERSIONS)
def test_saving(version: int, tmp_path: Path) -> None:
    """Unchanged it stays what it is; changed it becomes version 3."""
    data = old_model(version, tmp_path)
    model = open_model(data)
    assert model.save(tmp_path / "copy").how == "copied"
    assert (tmp_path / "copy").read_bytes() == data
    model.description = "newer"
    assert model.save(tmp_path / "changed").how == "rewritten"
    changed = open_model(tmp_path / "changed")
    assert (changed.schema_version, changed.description) == (3, "newer")
    assert changed.root.version == 3
    assert (tmp_path / "changed").read_bytes()[4:8] == b"TFL3"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("old", "new"),
    [("NONE", "NONE"), ("RELU", "RELU"), ("RELU1", "RELU_N1_TO_1"), ("RELU6", "RELU6"), ("TANH", "TANH")],
)
def test_activations(version: int, old: str, new: str, tmp_path: Path) -> None:
    """Numbers stayed, one name did not."""
    model = open_model(old_model(version, tmp_path, activation=old))
    assert model.main.operators[0].options.fused_activation_function == new


@pytest.mark.parametrize("version", VERSIONS)
def test_every_operator_has_its_place(version: int) -> None:
    old = unlite.schema.load(f"tflite_v{version}").enum_named("BuiltinOperator")
    new = unlite.schema.load().enum_named("BuiltinOperator")
    for name in old.values:
        assert RENAMED_OPERATORS.get(name, name) in new.values


@pytest.mark.parametrize("version", VERSIONS)
def test_every_field_of_options_has_its_place(version: int) -> None:
    """All that old tables may hold is in the newer ones, with the same kind of value and the same default."""
    old, new = unlite.schema.load(f"tflite_v{version}"), unlite.schema.load()
    unions = old.enum_named("BuiltinOptions"), new.enum_named("BuiltinOptions")
    pairs = [(old.named(name), new.named(name)) for name in ("QuantizationParameters", "Operator", "Tensor")]
    for number in unions[0].names:
        members = [union.member(number) for union in unions]
        if members[0] is not None and members[0].base == s.OBJ:
            assert members[1] is not None
            pairs.append((old.object(members[0].index), new.object(members[1].index)))
    for owner, newer in pairs:
        for field in owner.fields:
            if field.name != "data_buffer":
                other = newer.by_name[field.name]
                assert (field.type.base in s.SCALARS) == (other.type.base in s.SCALARS)
                assert field.type.element == other.type.element
                assert field.default == other.default
                if field.enum is not None and field.type.base in s.SCALARS and field.name != "builtin_options_type":
                    assert set(field.enum.names) <= set(other.enum.names if other.enum is not None else ())


def test_an_operator_that_no_version_has(tmp_path: Path) -> None:
    values = document(1)
    values["operator_codes"][0]["builtin_code"] = 99
    with pytest.raises(CorruptFileError, match="99 is no operator") as caught:
        open_model(compiled(1, values, tmp_path))
    assert caught.value.path == "operator_codes[0].builtin_code"
    assert caught.value.file == "<memory>"


def test_weights_that_overlap_do_not_fill_the_memory() -> None:
    """A version 1 model whose tensors' data all overlap: it would unfold to 400 times its size."""
    schema = unlite.schema.load("tflite_v1")
    count, size = 2000, 40_000
    # By hand: Model {subgraphs}, SubGraph {tensors}, tensors that share a vtable with data_buffer (id 2) alone.
    head = struct.pack("<I", 4 + 10 + 2) + struct.pack("<5H", 10, 8, 0, 0, 4) + b"\0\0"
    head += struct.pack("<iI", 12, 4) + struct.pack("<II", 1, 12)  # Model at 16; its vector of one at 24
    head += struct.pack("<3HH", 6, 8, 4, 0)  # vtable of the subgraph at 32
    head += struct.pack("<iI", 8, 4)  # SubGraph at 40; its vector of tensors at 48
    vector = struct.pack("<I", count)
    vtable_at = 48 + 4 + 4 * count
    first = vtable_at + 12
    vector += b"".join(struct.pack("<I", first + 8 * i - (52 + 4 * i)) for i in range(count))
    tables = struct.pack("<5HH", 10, 8, 0, 0, 4, 0)
    field = first + 8 * count
    for i in range(count):
        tables += struct.pack("<iI", first + 8 * i - vtable_at, field + 4 * i - (first + 8 * i + 4))
    data = head + vector + tables + b"".join(struct.pack("<I", size - 4 * i) for i in range(count)) + bytes(size)
    assert schema.root.name == "tflite.Model"
    with pytest.raises(CorruptFileError, match="overlap"):
        open_model(data)
    assert upgrade.__doc__
