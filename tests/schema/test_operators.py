"""The fact table of builtin operators, against the schema, LiteRT's registry, and every model at hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from unlite.model.model import open_model
from unlite.schema import load
from unlite.schema.operators import all_operators, input_names, kernel_versions, operator_facts

STANDING_FOR_OTHERS = {"CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES"}


def test_the_table_is_made_from_its_source(root: Path) -> None:
    subprocess.run([sys.executable, root / "scripts/operator_table.py", "--check"], check=True)


def test_a_difference_is_found(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "src/unlite/schema"
    folder.mkdir(parents=True)
    for name in ("operators.toml", "operator_table.py"):
        text = (root / "src/unlite/schema" / name).read_text(encoding="utf-8")
        (folder / name).write_text(text.replace('"lhs"', '"left"') if name.endswith("toml") else text)
    (tmp_path / "scripts").mkdir()
    script = tmp_path / "scripts/operator_table.py"
    script.write_text((root / "scripts/operator_table.py").read_text(encoding="utf-8"))
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "is not what operators.toml says" in done.stderr


def test_all_operators_of_the_schema_are_in_it() -> None:
    assert set(all_operators()) == set(load().enum_named("BuiltinOperator").values)


def test_versions_and_options_are_those_of_litert(shared: Path) -> None:
    # Made by script from LiteRT's register.cc and flatbuffer_conversions.cc.
    rows = json.loads((shared / "schemas/builtin_operators.json").read_bytes())["operators"]
    with_kernel = [row for row in rows if row["litert_kernel"]]
    expected = {row["name"]: (row["litert_min_version"], row["litert_max_version"]) for row in with_kernel}
    assert kernel_versions() == expected
    for row in rows:
        facts = operator_facts(row["name"])
        assert facts is not None
        assert facts.options == row["options_table"], row["name"]
        assert facts.reads_options == (row["options_read_by_runtime"] or not row["litert_kernel"]), row["name"]


def test_options_are_those_of_the_schema() -> None:
    schema = load()
    for name in all_operators():
        facts = operator_facts(name)
        assert facts is not None
        fields = {field.name: field for field in schema.named(facts.options).fields} if facts.options else {}
        named = {*facts.needed, *facts.longest, *facts.counted.values()}
        assert named | {*facts.enums_at_load, *facts.enums_at_prepare} <= set(fields), name
        assert all(fields[each].enum is not None for each in (*facts.enums_at_load, *facts.enums_at_prepare)), name


def test_every_operator_of_every_model_is_allowed(shared: Path) -> None:
    folders = "models", "opsuite", "golden_int16", "external_buffer"
    seen: set[str] = set()
    for path in sorted(path for folder in folders for path in (shared / folder).rglob("*.tflite")):
        for graph in open_model(path).subgraphs:
            for operator in graph.operators:
                facts = operator_facts("CUSTOM" if operator.custom else operator.name)
                assert facts is not None
                takes, makes = facts.form(len(operator.inputs))
                for arguments, tensors in ((takes, operator.inputs), (makes, operator.outputs)):
                    assert arguments.takes(len(tensors)), (path.name, operator.label)
                    for place, tensor in enumerate(tensors):
                        argument = arguments.at(place)
                        assert argument is not None, (path.name, operator.label, place)
                        assert tensor is not None or argument.optional, (path.name, operator.label, argument.name)
                seen.add(facts.name)
    assert len(seen) > 200


@pytest.mark.parametrize(
    ("name", "count", "names"),
    [
        ("CONV_2D", 3, ("input", "filter", "bias")),
        ("FULLY_CONNECTED", 2, ("input", "filter")),
        ("CONCATENATION", 3, ("values[0]", "values[1]", "values[2]")),
        ("IF", 3, ("condition", "inputs[0]", "inputs[1]")),
        ("LSTM", 5, ("input", "prev_activation", "weights", "bias", "prev_state")),
        ("CALL_ONCE", 0, ()),
        ("my_operator", 2, ("inputs[0]", "inputs[1]")),
        ("ADD", 3, ("lhs", "rhs", "inputs[2]")),
    ],
)
def test_input_names(name: str, count: int, names: tuple[str, ...]) -> None:
    assert input_names(name, count) == names


def test_the_names_of_an_lstm_follow_its_gates() -> None:
    # By hand, from the numbers of the tensors in LiteRT tflite/kernels/lstm_shared.h.
    names = input_names("UNIDIRECTIONAL_SEQUENCE_LSTM", 24)
    expected = {
        1: "input_to_input_weights",
        4: "input_to_output_weights",
        5: "recurrent_to_input_weights",
        9: "cell_to_input_weights",
        12: "input_gate_bias",
        14: "cell_bias",
        16: "projection_weights",
        18: "input_activation_state",
        20: "input_layer_norm_coefficients",
        22: "cell_layer_norm_coefficients",
    }
    assert {place: names[place] for place in expected} == expected


def test_an_operator_tells_the_names_of_its_inputs(face: Path) -> None:
    operator = next(each for each in open_model(face).main.operators if each.name == "CONV_2D")
    assert operator.input_names == ("input", "filter", "bias")
