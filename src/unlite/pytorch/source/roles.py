"""What to call constants and states that a file gives no name: the part that they play in the operator reading them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unlite.model.objects.tensor import Tensor

_GATES = ("input", "forget", "cell", "output")
_TO_GATES = (
    *(f"input_to_{gate}_weights" for gate in _GATES),
    *(f"recurrent_to_{gate}_weights" for gate in _GATES),
    *(f"cell_to_{gate}_weights" for gate in ("input", "forget", "output")),
    *(f"{gate}_gate_bias" for gate in _GATES),
    *("projection_weights", "projection_bias"),
)
_LSTM = ("input", *_TO_GATES, "output_state", "cell_state", *(f"{gate}_layer_norm" for gate in _GATES))
_BASIC_LSTM = ("input", "output_state", "weights", "bias", "cell_state")
_AUXILIARY = tuple(f"auxiliary_to_{gate}_weights" for gate in _GATES)
_RNN = ("input_weights", "recurrent_weights", "bias", "hidden_state")


def _both(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{direction}_{name}" for direction in ("forward", "backward") for name in names)


ROLES: dict[str, tuple[str, ...]] = {
    "LSTM": _LSTM,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _LSTM,
    "BIDIRECTIONAL_SEQUENCE_LSTM": (
        *("input", *_both(_TO_GATES), *_both(("output_state", "cell_state")), "auxiliary", *_both(_AUXILIARY)),
    ),
    "RNN": ("input", *_RNN),
    "UNIDIRECTIONAL_SEQUENCE_RNN": ("input", *_RNN),
    "BIDIRECTIONAL_SEQUENCE_RNN": ("input", *_both(_RNN), "auxiliary", *_both(("auxiliary_weights",))),
    "SVDF": ("input", "weights_feature", "weights_time", "bias", "state"),
    "GATHER": ("table", "indices"),
    "GATHER_ND": ("table", "indices"),
    "EMBEDDING_LOOKUP": ("indices", "table"),
    "FULLY_CONNECTED": ("input", "weights", "bias"),
    "BATCH_MATMUL": ("weights", "weights"),
    "MUL": ("factor", "factor"),
    "DIV": ("dividend", "divisor"),
    "ADD": ("offset", "offset"),
    "SUB": ("minuend", "offset"),
    "PRELU": ("input", "alpha"),
}
"""Operator -> what its inputs are, in the schema's order. Source: LiteRT tflite/kernels/lstm_shared.h, svdf.cc,
bidirectional_sequence_lstm.cc and their like."""
_PASSED_ON = ("DEQUANTIZE", "DENSIFY", "RESHAPE", "TRANSPOSE")
DEEPEST = 4  # operators between a constant and the one that it is for


def role_of(tensor: Tensor | None) -> str:
    """The part that a tensor plays in the first operator that reads it; "" where that says nothing."""
    for _ in range(DEEPEST):
        reader = tensor.consumers[0] if tensor is not None and tensor.consumers else None
        if tensor is None or reader is None:
            return ""
        if reader.name not in _PASSED_ON:
            is_basic = reader.name == "LSTM" and len(reader.inputs) == len(_BASIC_LSTM)
            names = _BASIC_LSTM if is_basic else ROLES.get(reader.name, ())
            index = tensor.index
            place = next(i for i, read in enumerate(reader.inputs) if read is not None and read.index == index)
            return names[place] if place < len(names) else ""
        tensor = reader.outputs[0] if reader.outputs else None
    return ""
