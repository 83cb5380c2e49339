"""``evaluate``: a saved ``.mlpackage`` run on any machine, its operators computed in PyTorch.

This checks what the saved program means, not what Apple's runtime makes of it: which device runs an operator, and in
which precision, is decided there. On a Mac, ``predict`` runs the real thing.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unlite.coreml.library import load_coremltools, quiet
from unlite.coreml.mil import OPERATORS
from unlite.errors import (
    CorruptFileError,
    InvalidValueError,
    NotFoundError,
    UnliteError,
    UnsupportedFormatError,
    UnsupportedOperatorError,
)
from unlite.pytorch.mistakes import is_own_mistake

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

IO, TENSORS = "unlite.io", "unlite.tensors"
"""Entries of a package's metadata: what the ends are, and which tensors of the file its values are."""
FAILURES = (RuntimeError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError)
TYPES = {
    "fp16": torch.float16,
    "fp32": torch.float32,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "uint8": torch.uint8,
    "uint16": torch.int32,  # PyTorch computes little in uint16; the values fit
    "uint32": torch.int64,
    "bool": torch.bool,
}


def evaluate(
    package: str | os.PathLike[str], inputs: Mapping[str, Any], *, tensors: str | Sequence[str] | None = None
) -> dict[str, Array]:
    """Runs a saved ML program once.

    Args:
        package: Path of the ``.mlpackage``.
        inputs: Array by the program's input name. An image is an array in the program's shape, [1, C, H, W], pixels
            0..255; scale and bias are part of the program.
        tensors: Names of values of the program to return; ``"all"`` for every value; None for the outputs.

    Returns:
        Array by name. A classifier's label is an array of one string; its probabilities come as the array that the
        labels were given to. Values of type float16 come as float32.

    Raises:
        UnsupportedFormatError: not an ML program.
        UnsupportedOperatorError: operators without a meaning here, named.
        InvalidValueError: the inputs are not what the program wants.
        NotFoundError: a value that the program does not have.
        MissingExtraError: coremltools is not installed.
    """
    return Program(package).run(inputs, tensors=tensors)


class Program:
    """A saved ML program. States begin as zeros and are kept from run to run; ``reset_state`` puts the zeros back.

    Arithmetic: float32 values are computed in float32. Where the program has float16, each operator computes in
    float32 from its float16 inputs, and its result is rounded to float16.

    Args:
        package: Path of the ``.mlpackage``.

    Attributes:
        path: The package.
        metadata: User-defined metadata, name -> text.
        inputs: Input names and shapes; a size that is free is None.
        outputs: Names of the outputs that are numbers; of a classifier, what its labels were given to comes first.
        labels: Name of a classifier's label; else empty.
    """

    def __init__(self, package: str | os.PathLike[str]) -> None:
        self.path = os.fspath(package)
        spec, self._function = _load(self.path)
        self.metadata: dict[str, str] = dict(spec.description.metadata.userDefined)
        self.inputs: dict[str, tuple[int | None, ...]] = {
            name: tuple(size if isinstance(size, int) else None for size in map(_plain, var.shape))
            for name, var in self._function.inputs.items()
            if not _is_state(var)
        }
        self.outputs: list[str] = _outputs(self._function)
        self.labels: list[str] = [var.name for var in self._function.outputs if var.name not in self.outputs][:1]
        self._states: dict[str, torch.Tensor] = {}
        self.reset_state()
        unknown = sorted({op.op_type for op in _operations(self._function) if not _is_known(op.op_type)})
        if unknown:
            raise UnsupportedOperatorError(
                f"no meaning here for {', '.join(unknown)}.", operators=tuple(unknown), file=self.path
            )

    def reset_state(self) -> None:
        """Makes every state zeros, as a new state is in Core ML."""
        for name, var in self._function.inputs.items():
            if _is_state(var):
                inner = var.sym_type.wrapped_type()
                self._states[name] = torch.zeros(tuple(map(int, inner.get_shape())), dtype=_dtype(inner))

    def tensors(self) -> dict[str, tuple[int, int, tuple[int, ...] | None]]:
        """Which tensors of the .tflite the program's values are: name -> (subgraph, tensor index, axes or None).

        Where there are axes, the value is the file's tensor, permuted by them.
        """
        stored = json.loads(self.metadata.get(TENSORS, "{}"))
        return {name: (at[0], at[1], None if at[2] is None else tuple(at[2])) for name, at in stored.items()}

    def feed(self, values: Sequence[Array]) -> dict[str, Array]:
        """Inputs of the program from those of the .tflite: real numbers, in the file's order and shapes.

        A picture's real numbers become the pixels that the program makes them of.
        """
        facts = sorted((fact for fact in self.ends() if fact["kind"] == "input"), key=lambda fact: int(fact["index"]))
        if len(facts) != len(values):
            raise InvalidValueError(f"{len(values)} inputs are given, {len(facts)} are wanted.", file=self.path)
        found: dict[str, Array] = {}
        for fact, value in zip(facts, values, strict=True):
            if fact["feature"] not in self.inputs:
                continue  # nothing depends on it
            array = np.asarray(value)
            if fact["layout"] == "NCHW" and array.ndim == 4:
                array = array.transpose(0, 3, 1, 2)
            elif fact["layout"] in ("SCALAR", "N1HW"):
                array = array.reshape(1) if fact["layout"] == "SCALAR" else array[:, None]
            if fact.get("image"):
                scale, bias = (np.array(fact["image"][key]).reshape(1, -1, 1, 1) for key in ("scale", "bias"))
                array = ((array - bias) / scale).astype(np.float32)
            found[fact["feature"]] = array
        return found

    def results(self, found: Mapping[str, Array]) -> list[Array]:
        """The outputs of a run in the .tflite's order and shapes."""
        facts = sorted((fact for fact in self.ends() if fact["kind"] == "output"), key=lambda fact: int(fact["index"]))
        values: list[Array] = []
        for fact in facts:
            value = found[fact["feature"]]
            if fact["layout"] == "NCHW" and value.ndim == 4:
                value = value.transpose(0, 2, 3, 1)
            values.append(value.reshape(()) if fact["layout"] == "SCALAR" else value)
        return values

    def types(self) -> set[str]:
        """MIL's names of the types that the program computes in."""
        from coremltools.converters.mil.mil import types

        found = {var.dtype for op in _operations(self._function) if op.op_type != "const" for var in op.outputs}
        return {types.builtin_to_string(kind) for kind in found if kind is not None}

    def ends(self) -> list[dict[str, Any]]:
        """What the inputs and outputs are: ``unlite.io``; empty for a package of others."""
        facts: list[dict[str, Any]] = json.loads(self.metadata.get(IO, "[]"))
        return facts

    def run(self, inputs: Mapping[str, Any], *, tensors: str | Sequence[str] | None = None) -> dict[str, Array]:
        """Runs the program once; see ``evaluate``."""
        found: dict[str, Any] = {}
        asked = {tensors} if isinstance(tensors, str) and tensors != "all" else tensors
        run = _Run(self._function, self._given(inputs), self._states, self.path)

        def keep(name: str, value: Any) -> None:
            if asked == "all" or (asked is not None and name in asked):
                found[name] = _as_array(value)

        with torch.no_grad():
            run.block(self._function, keep)
        wanted = [*self.labels, *self.outputs] if asked is None else [] if asked == "all" else asked
        for name in wanted:
            if name in found:
                continue
            if name not in run.values:
                raise NotFoundError(f"the program has no value {name!r}.", file=self.path)
            found[name] = _as_array(run.values[name])
        return found

    def _given(self, inputs: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        missing, extra = self.inputs.keys() - inputs.keys(), inputs.keys() - self.inputs.keys()
        if missing or extra:
            raise InvalidValueError(
                f"the program's inputs are {', '.join(self.inputs)}; given are {', '.join(inputs) or 'none'}.",
                file=self.path,
            )
        found: dict[str, torch.Tensor] = {}
        for name, shape in self.inputs.items():
            values = np.asarray(inputs[name])
            fits = values.ndim == len(shape) and all(b in (None, a) for a, b in zip(values.shape, shape, strict=True))
            if not fits or values.dtype.kind not in "fiub":
                raise InvalidValueError(
                    f"input {name!r} is {values.dtype} {list(values.shape)}; wanted are numbers {_shown(shape)}.",
                    file=self.path,
                )
            found[name] = torch.from_numpy(np.array(values)).to(_dtype(self._function.inputs[name].sym_type))
        return found


class _Run:
    """One run: the values by name, and the states."""

    def __init__(
        self, function: Any, given: Mapping[str, torch.Tensor], states: dict[str, torch.Tensor], path: str
    ) -> None:
        self.values: dict[str, Any] = dict(given)
        self._states = states
        self._path = path
        self._names = {id(var): name for name, var in function.inputs.items() if _is_state(var)}

    def block(self, block: Any, keep: Callable[[str, Any], None] | None = None) -> list[Any]:
        """Computes the operations of a block, or function. Returns the values of its outputs."""
        for op in block.operations:
            if op.op_type == "const":
                continue
            try:
                results = self._results(op)
            except FAILURES as error:
                if is_own_mistake(error):
                    raise
                first = (str(error).strip().splitlines() or [""])[0]
                raise UnliteError(
                    f"{op.op_type} cannot be computed: {type(error).__name__}: {first}",
                    file=self._path,
                    path=op.outputs[0].name if op.outputs else op.op_type,
                ) from error
            for var, value in zip(op.outputs, results, strict=True):
                self.values[var.name] = _typed(value, var)
                if keep is not None:
                    keep(var.name, self.values[var.name])
        for var in block.outputs:
            self.values.setdefault(var.name, self._value(var))  # one that is a constant
        return [self.values[var.name] for var in block.outputs]

    def _results(self, op: Any) -> Sequence[Any]:
        if op.op_type.startswith("constexpr_"):
            return [op.outputs[0].val if op.outputs[0].val is not None else op.materialized_val_inference()]
        if op.op_type == "read_state":
            return [self._states[self._names[id(op.input)]].clone()]
        if op.op_type == "coreml_update_state":
            state = self._states[self._names[id(op.state)]]
            state.copy_(self._value(op.value))
            return [state.clone()]
        if op.op_type == "cond":
            return self.block(op.blocks[0] if bool(self._value(op.pred)) else op.blocks[1])
        if op.op_type == "while_loop":
            return self._loop(op)
        if op.op_type == "classify":
            return self._classes(op)
        arguments = {name: self._argument(getattr(op, name, None)) for name in op.input_spec.input_types}
        results = OPERATORS[op.op_type](**{name: value for name, value in arguments.items() if name != "name"})
        return results if isinstance(results, (tuple, list)) else [results]

    def _loop(self, op: Any) -> list[Any]:
        values = [self._value(var) for var in op.loop_vars]
        condition, body = op.blocks
        for block in (condition, body):
            self.values.update({var.name: value for var, value in zip(block.inputs, values, strict=True)})
        while bool(self.block(condition)[0]):
            values = self.block(body)
            for block in (condition, body):
                self.values.update({var.name: value for var, value in zip(block.inputs, values, strict=True)})
        return values

    def _classes(self, op: Any) -> list[Any]:
        scores = self._value(op.probabilities)
        labels = [getattr(label, "val", label) for label in op.classes.val]
        return [str(labels[int(scores.reshape(-1).argmax())]), scores]

    def _argument(self, var: Any) -> Any:
        """What an operator's function gets: float16 as float32, lists as tuples."""
        if var is None:
            return None
        if isinstance(var, (tuple, list)):
            return tuple(self._argument(each) for each in var)
        value = self._value(var)
        return value.float() if isinstance(value, torch.Tensor) and value.dtype == torch.float16 else value

    def _value(self, var: Any) -> Any:
        if var.name in self.values:
            return self.values[var.name]
        if var.val is None:
            raise LookupError(f"the value {var.name!r} is not computed")
        return var.val if isinstance(var.val, str) else _typed(var.val, var)


def _load(path: str) -> tuple[Any, Any]:
    """The package's specification, and its main function."""
    coremltools = load_coremltools("evaluating a Core ML package")
    if not os.path.isdir(path) or not path.rstrip("/\\").endswith(".mlpackage"):
        raise UnsupportedFormatError(
            "is no .mlpackage." if os.path.exists(path) else "there is no such package.",
            file=path,
            hint="An .mlpackage is a folder, as 'unlite convert --to coreml' writes it.",
        )
    with quiet():
        from coremltools.converters.mil.frontend.milproto.load import load

        try:
            model = coremltools.models.MLModel(path, skip_model_load=True)
            spec = model.get_spec()
            if spec.WhichOneof("Type") != "mlProgram":
                raise UnsupportedFormatError(
                    f"holds a {spec.WhichOneof('Type')}, not an ML program.",
                    file=path,
                    hint="Only ML programs, the format since iOS 15, have operators that are evaluated here.",
                )
            program = load(spec, spec.specificationVersion, model.weights_dir)
        except UnliteError:
            raise
        except Exception as error:  # a library that reads damaged files in its own ways
            first = (str(error).strip().splitlines() or [""])[0]
            raise CorruptFileError(f"cannot be read: {type(error).__name__}: {first}", file=path) from error
    name = "main" if "main" in program.functions else next(iter(program.functions))
    return spec, program.functions[name]


def _outputs(function: Any) -> list[str]:
    """The outputs that are numbers: in place of what a classifier makes of them, the scores that it is given."""
    scores = {
        var.name: op.probabilities.name for op in function.operations if op.op_type == "classify" for var in op.outputs
    }
    return list(dict.fromkeys(scores.get(var.name, var.name) for var in function.outputs))


def _operations(block: Any) -> list[Any]:
    """All operations of a block, and of the blocks inside them."""
    return [found for op in block.operations for found in (op, *(o for inner in op.blocks for o in _operations(inner)))]


def _is_known(kind: str) -> bool:
    own = ("const", "read_state", "coreml_update_state", "cond", "while_loop", "classify")
    return kind in own or kind in OPERATORS or kind.startswith("constexpr_")


def _is_state(var: Any) -> bool:
    from coremltools.converters.mil.mil import types

    return bool(types.is_state(var.sym_type))


def _plain(size: Any) -> Any:
    """A size as int, where it is one."""
    return int(size) if isinstance(size, (int, np.integer)) else size


def _dtype(kind: Any) -> torch.dtype:
    """PyTorch's type of a MIL type."""
    from coremltools.converters.mil.mil import types

    primitive = kind.get_primitive() if types.is_tensor(kind) else kind
    return TYPES[types.builtin_to_string(primitive)]


def _typed(value: Any, var: Any) -> Any:
    """A value in the type that the program declares for it."""
    if isinstance(value, (str, dict)) or (var.op is not None and var.op.op_type == "classify"):
        return value
    tensor = value if isinstance(value, torch.Tensor) else torch.from_numpy(_readable(value))
    wanted = _dtype(var.sym_type)
    return tensor if tensor.dtype == wanted else tensor.to(wanted)


def _readable(value: Any) -> Array:
    array = np.asarray(value)
    wider = {"uint16": np.int32, "uint32": np.int64, "uint64": np.int64}.get(array.dtype.name, array.dtype)
    return np.array(array, dtype=wider)


def _as_array(value: Any) -> Array:
    if isinstance(value, str):
        return np.array([value])
    array: Array = (value.float() if value.dtype == torch.float16 else value).contiguous().numpy()
    return array


def _shown(shape: Sequence[int | None]) -> str:
    return f"[{', '.join('any' if size is None else str(size) for size in shape)}]"
