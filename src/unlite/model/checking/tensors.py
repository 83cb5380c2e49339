"""Whether a tensor's type, shape, data, quantization and sparsity fit each other."""

from __future__ import annotations

from math import inf
from struct import Struct
from typing import TYPE_CHECKING

from unlite.flatbuffers import view as v
from unlite.flatbuffers.wire import I32
from unlite.model.checking.sparsity import check_sparsity
from unlite.model.facts.inspection import Inspection, brief
from unlite.model.values.dtypes import BITS, elements, stored_bytes

if TYPE_CHECKING:
    from unlite.flatbuffers.findings import Severity
    from unlite.flatbuffers.view import ScalarVector, Table, Vector

NO_DATA, CONSTANT, VARIABLE, UNKNOWN = range(4)

SHAPELESS = ("STRING", "RESOURCE", "VARIANT")  # LiteRT does not work out their size
SIZE_T = 1 << 64
INT_MAX = (1 << 31) - 1
_FLOAT = Struct("<f")
_RANGES = {"INT8": (-128, 127), "UINT8": (0, 255), "INT16": (-32768, 32767), "INT4": (-8, 7), "INT2": (-2, 1)}


def check_tensor(check: Inspection, tensor: Table, tensors: int) -> int:
    """Checks one of ``tensors`` tensors of a subgraph. CONSTANT, VARIABLE or NO_DATA."""
    kind = tensor.type
    if isinstance(kind, int):
        check.say("error", tensor, "type", f"{kind} is no type of tensors; the file may be of a newer schema.")
    number = tensor.buffer
    size = -1
    if number and check.index(tensor, "buffer", number, len(check.sizes), "buffer"):
        size = check.sizes[number]
    variable, external = tensor.is_variable, tensor.external_buffer
    shape = check.guard(_shape, check, tensor, kind)
    if variable or external or size >= 0:
        _origin(check, tensor, kind, size)
    check.guard(_quantization, check, tensor, shape, tensors)
    if shape is not None and size >= 0 and not external:
        if tensor.sparsity is not None:
            check.guard(check_sparsity, check, tensor, shape, size)
        elif kind == "STRING":
            check.guard(_strings, check, tensor, shape, check.starts[number], size)
        else:
            _size(check, tensor, kind, shape, size)
    return CONSTANT if size >= 0 or external else VARIABLE if variable else NO_DATA


def may_lack_data(check: Inspection, subgraph: Table, index: int) -> bool:
    """Whether an operator may read this tensor although nobody gives it data: LiteRT sees no bytes that lack."""

    def lacks_nothing() -> bool:
        tensor = subgraph.tensors[index]
        return tensor.type in SHAPELESS or 0 in check.integers(tensor.shape)

    return check.guard(lacks_nothing) is not False


def _shape(check: Inspection, tensor: Table, kind: str | int) -> list[int] | None:
    """The shape; None where it is impossible."""
    shape = list(check.integers(tensor.shape))
    signature, variants = tensor.shape_signature, tensor.variant_tensors
    if variants is not None and len(variants) > 1:
        check.say("warning", tensor, "variant_tensors", f"{len(variants)} entries; there may be one.")
    if signature is not None and len(signature) not in (0, len(shape)):
        message = f"has {len(signature)} dimensions, the shape has {len(shape)}."
        check.say("warning", tensor, "shape_signature", message)
    elif signature is not None and len(signature):
        differing = [axis for axis, size in enumerate(check.integers(signature)) if size not in (-1, shape[axis])]
        if differing:
            axis = differing[0]
            message = f"{signature[axis]} along axis {axis}, where the shape has {shape[axis]}."
            check.say("warning", tensor, "shape_signature", message)
    severity: Severity = "warning" if kind in SHAPELESS else "error"
    elements = fixed = 1
    for size in shape:
        if size < 0:
            check.say(severity, tensor, "shape", f"{size} is no size; unknown sizes stand in shape_signature.")
            return None
        elements *= size
        fixed = fixed * max(size, 1) if fixed <= INT_MAX else fixed
        if elements >= SIZE_T:
            break
    if elements * max(BITS.get(str(kind), 8) // 8, 1) >= SIZE_T:
        check.say(severity, tensor, "shape", "the tensor would have more than 2^64 bytes.")
        return None
    if fixed > INT_MAX:
        what = "without its zeros the shape comes to" if 0 in shape else "the tensor would have"
        check.say("warning", tensor, "shape", f"{what} more than {INT_MAX} elements.")
    return shape


def _origin(check: Inspection, tensor: Table, kind: str | int, size: int) -> None:
    """Whether the values have one origin: ``size`` bytes in the model (-1 = none), an external buffer, or state."""
    variable, external = tensor.is_variable, tensor.external_buffer
    if size >= 0 and (variable or external):
        what = "is a variable" if variable else "has an external buffer"
        check.say("error", tensor, "buffer", f"the tensor {what}, and must not have data in the model.")
    elif variable and kind in SHAPELESS:
        check.say("error", tensor, "is_variable", f"LiteRT has no variables of type {kind}.")
    if external and external not in check.external:
        check.say("error", tensor, "external_buffer", f"there is no external buffer with the id {external}.")
    if size > 0 and kind in ("RESOURCE", "VARIANT"):
        check.say("warning", tensor, "buffer", f"a tensor of type {kind} has no stored values.")


def _size(check: Inspection, tensor: Table, kind: str | int, shape: list[int], size: int) -> None:
    needed = stored_bytes(kind, elements(shape))
    if needed is not None and size < needed:
        check.say("error", tensor, "buffer", f"{size} bytes are stored, {kind} {brief(shape)} takes {needed}.")
    elif needed is not None and size > needed:
        check.say("warning", tensor, "buffer", f"{size} bytes are stored, {kind} {brief(shape)} takes only {needed}.")


def _strings(check: Inspection, tensor: Table, shape: list[int], start: int, size: int) -> None:
    """Layout: int32 count, count + 1 int32 offsets from the start, bytes. Source: LiteRT tflite/string_util.h."""
    if size < 4:
        check.say("error" if size else "warning", tensor, "buffer", f"{size} bytes are too few for strings.")
        return
    (count,) = check.source.unpack(I32, start)
    head = 4 * (count + 2)
    if count < 0 or head > size:
        check.say("error", tensor, "buffer", f"{count} strings do not fit {size} bytes.")
        return
    check.work.spend(count)
    before = head
    for place, (offset,) in enumerate(I32.iter_unpack(check.source.view(start + 4, head - 4))):
        if offset < before or offset > size or (place == 0 and offset != head):
            check.say("error", tensor, "buffer", f"string {place} begins at {offset}; {before} to {size} is possible.")
            return
        before = offset
    if before != size:
        check.say("error", tensor, "buffer", f"the strings end at {before} of {size} bytes.")
    if elements(shape) != count:
        check.say(
            "warning", tensor, "shape", f"{brief(shape)} has {elements(shape)} elements, {count} strings are stored."
        )


def _quantization(check: Inspection, tensor: Table, shape: list[int] | None, tensors: int) -> None:
    quantization = tensor.quantization
    if quantization is None:
        return
    kind, scale = quantization.details_type, quantization.scale
    if kind == "BlockwiseQuantization":
        _blocks(check, quantization, tensors)
    elif kind == "MultiAxisQuantization":
        _axes(check, quantization, shape, tensors)
    elif scale is not None and len(scale):
        zero_point = quantization.zero_point
        _counts(check, quantization, len(scale), zero_point, shape)
        _values(check, quantization, scale, zero_point, tensor.type)


def _counts(
    check: Inspection, quantization: Table, scales: int, zero_point: Vector | None, shape: list[int] | None
) -> None:
    """Whether scales and zero points are as many as they must be. Source: interpreter_builder.cc, ParseQuantization."""
    axis = quantization.quantized_dimension
    if zero_point is None:
        check.say("error", quantization, "zero_point", f"is absent, with {scales} scales.")
    elif len(zero_point) != scales:
        check.say("error", quantization, "zero_point", f"{len(zero_point)} zero points, but {scales} scales.")
    if shape and len(shape) == 1 and axis > 0 and scales == shape[0] > 1:
        # Early converters gave a bias the dimension of its filter.
        check.say("error", quantization, "quantized_dimension", f"is {axis}, 0 is meant; LiteRT refuses it.")
    elif axis < 0 or (shape and axis >= len(shape)):
        check.say(
            "error", quantization, "quantized_dimension", f"{axis} is no dimension of the shape {brief(shape or [])}."
        )
    elif shape and scales not in (1, shape[axis]):
        message = f"{scales} scales along dimension {axis} do not fit the shape {brief(shape)}."
        check.say("error", quantization, "scale", message)


def _values(
    check: Inspection, quantization: Table, scale: ScalarVector, zero_point: Vector | None, kind: str | int
) -> None:
    check.work.spend(len(scale))
    for place, (value,) in enumerate(_FLOAT.iter_unpack(scale.memoryview())):
        if not 0 < value < inf:
            check.say("warning", quantization, f"scale[{place}]", f"{value} is no possible scale.")
            break
    lowest, highest = _RANGES.get(str(kind), (-INT_MAX - 1, INT_MAX))
    for place, number in enumerate(check.integers(zero_point)):
        if not lowest <= number <= highest:
            check.say("warning", quantization, f"zero_point[{place}]", f"{number} is no value of {kind}.")
            break


def _scale_tensors(check: Inspection, quantization: Table, tensors: int) -> Table | None:
    """The details of a quantization whose scales are tensors of their own; None where they are absent."""
    details = quantization.details
    if not isinstance(details, v.Table):
        check.say("error", quantization, "details", "is absent.")
        return None
    check.index(details, "scales", details.scales, tensors, "tensor")
    check.index(details, "zero_points", details.zero_points, tensors, "tensor", -1)
    return details


def _blocks(check: Inspection, quantization: Table, tensors: int) -> None:
    details = _scale_tensors(check, quantization, tensors)
    if details is not None and details.block_size <= 0:
        check.say("warning", details, "block_size", f"{details.block_size} is no size.")


def _axes(check: Inspection, quantization: Table, shape: list[int] | None, tensors: int) -> None:
    details = _scale_tensors(check, quantization, tensors)
    if details is None:
        return
    if details.block_size < 0:
        check.say("error", details, "block_size", f"{details.block_size} is no size.")
    axes = details.quantized_dimensions
    if not axes:
        check.say("error", details, "quantized_dimensions", "there is none.")
    for place, axis in enumerate(check.integers(axes)):
        if shape is not None:
            check.index(details, f"quantized_dimensions[{place}]", axis, len(shape), "dimension")
