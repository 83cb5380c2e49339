"""Whatever model we can build survives; whatever damage comes is read or refused."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.strategies import damaged, model_bytes, models, rewritten, tree, visit_everything

from unlite.errors import NotQuantizedError, UnliteError
from unlite.model.model import open_model

SOUND = {
    "version": 3,
    "description": "a model to be damaged",
    "operator_codes": [
        {"builtin_code": "CONV_2D", "deprecated_builtin_code": 3},
        {"builtin_code": "CUSTOM", "deprecated_builtin_code": 32, "custom_code": "Mine"},
    ],
    "subgraphs": [
        {
            "name": "main",
            "inputs": [0],
            "outputs": [3],
            "tensors": [
                {"name": "in", "shape": [1, 2, 2, 1], "shape_signature": [-1, 2, 2, 1], "type": "INT8"},
                {
                    "name": "weights",
                    "shape": [2, 1, 1, 1],
                    "type": "INT8",
                    "buffer": 1,
                    "quantization": {"scale": [0.5, 0.25], "zero_point": [0, 0], "quantized_dimension": 0},
                },
                {"name": "texts", "shape": [2], "type": "STRING", "buffer": 2},
                {"name": "out", "shape": [1, 2, 2, 2], "type": "INT8", "quantization": {"min": [0.0], "max": [1.0]}},
                {
                    "name": "sparse",
                    "shape": [2, 2],
                    "type": "INT4",
                    "buffer": 3,
                    "sparsity": {
                        "traversal_order": [0, 1],
                        "dim_metadata": [
                            {"format": "DENSE", "dense_size": 2},
                            {
                                "format": "SPARSE_CSR",
                                "array_segments_type": "Uint8Vector",
                                "array_segments": {"values": [0, 1, 2]},
                                "array_indices_type": "Uint8Vector",
                                "array_indices": {"values": [0, 1]},
                            },
                        ],
                    },
                },
            ],
            "operators": [
                {
                    "opcode_index": 0,
                    "inputs": [0, 1, -1],
                    "outputs": [3],
                    "builtin_options_type": "Conv2DOptions",
                    "builtin_options": {"stride_w": 1, "stride_h": 1},
                },
                {"opcode_index": 1, "inputs": [3], "outputs": [3], "custom_options": b"\x01\x02\x03"},
            ],
        }
    ],
    "buffers": [
        {},
        {"data": b"\x01\xff"},
        {"data": b"\x02\0\0\0\x10\0\0\0\x11\0\0\0\x13\0\0\0abc"},
        {"data": b"\x21"},
        {"data": b"1.5.0\0\0\0"},
    ],
    "metadata": [{"name": "min_runtime_version", "buffer": 4}, {"name": "TFLITE_METADATA", "buffer": 4}],
    "signature_defs": [{"signature_key": "f", "inputs": [{"name": "x", "tensor_index": 0}], "subgraph_index": 0}],
}
GOOD = model_bytes(SOUND)


def test_the_sound_model_raises_nothing() -> None:
    assert visit_everything(open_model(GOOD)) == []


@settings(max_examples=150)
@given(values=models())
def test_a_built_model_survives_a_rewrite(values: dict[str, Any]) -> None:
    first = model_bytes(values)
    model = open_model(first)
    # Scales are drawn without a look at the shape, and for types that have none.
    assert all(isinstance(e, NotQuantizedError) or "do not fit" in str(e) for e in visit_everything(model))
    again = rewritten(model)
    assert tree(open_model(again).root) == tree(model.root)
    assert rewritten(open_model(again)) == again


@settings(max_examples=600, suppress_health_check=list(hypothesis.HealthCheck))
@given(data=damaged(GOOD))
def test_a_damaged_model_is_read_or_refused(data: bytes) -> None:
    try:
        model = open_model(data)
    except UnliteError as error:
        assert error.path
        assert str(error)
        return
    visit_everything(model)
    for finding in model.verify():
        assert finding.message


@pytest.mark.parametrize("seed", range(4))
def test_real_models_with_damage(seed: int, shared: Path) -> None:
    """Small real ones, since they use more of the schema than anything built here."""
    chance = random.Random(seed)
    names = ["tiny_cnn_int8", "dynamic_update_slice", "audio_preprocessor_signal_ops", "weight_sharing_two_subgraphs"]
    for name in names:
        good = (shared / "models" / f"{name}.tflite").read_bytes()
        for _ in range(6):
            data = bytearray(good)
            for _ in range(chance.randint(1, 8)):
                data[chance.randrange(len(data))] = chance.choice((0, 1, 255, chance.randrange(256)))
            try:
                model = open_model(bytes(data))
            except UnliteError as error:
                assert error.path
                continue
            visit_everything(model)


def test_malformed_models_are_read_or_refused(shared: Path) -> None:
    """Models that others damaged on purpose."""
    paths = sorted((shared / "malformed").glob("*.tflite"))
    assert len(paths) > 80
    refused = 0
    for path in paths:
        try:
            model = open_model(path)
        except UnliteError as error:
            assert error.path
            assert error.file == str(path)
            refused += 1
            continue
        with model:
            visit_everything(model)
    assert 0 < refused < len(paths)


@given(data=st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        visit_everything(open_model(data))
    except UnliteError as error:
        assert str(error)
        assert error.path
