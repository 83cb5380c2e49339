"""Operators: what they compute, on which tensors, with which options."""

from __future__ import annotations

from unlite.errors import CorruptFileError, InvalidTypeError
from unlite.flatbuffers import view as v
from unlite.model.objects.entity import Entity

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, ClassVar

    from unlite.flatbuffers.view import Table
    from unlite.model.objects.subgraph import Subgraph
    from unlite.model.objects.tensor import Tensor

DISPATCH = "DISPATCH_OP"  # what a compiler for accelerators leaves; its options tell where the bytecode lies
_SET = object.__setattr__  # what Entity does more is for people
CUSTOM = 32  # BuiltinOperator.CUSTOM, the same in every schema from version 2 on


class OperatorCode(Entity):
    """One entry of ``model.operator_codes``: an operator and its version, as used by the subgraphs.

    Attributes:
        index: Its place in ``model.operator_codes``.
    """

    FORMS: ClassVar[dict[str, str]] = {
        "builtin_code": "It stands in model.root.operator_codes[N]: builtin_code and deprecated_builtin_code.",
        "custom_code": "It stands in model.root.operator_codes[N].custom_code.",
    }
    __slots__ = ("_table", "index")

    def __init__(self, index: int, table: Table) -> None:
        self.index = index
        self._table = table

    @property
    def builtin_code(self) -> int:
        """Number of the builtin operator: the larger of two fields, because older writers fill only the narrow one."""
        code = self._table["builtin_code"]
        if isinstance(code, str):
            field = self._table._object.by_name["builtin_code"]
            code = (field.enum.number(code) if field.enum is not None else None) or 0
        return max(int(code), int(self._table["deprecated_builtin_code"]))

    @property
    def custom_code(self) -> str | None:
        """Name of a custom operator."""
        code: str | None = self._table["custom_code"]
        return code

    @property
    def custom(self) -> bool:
        """Whether it is a custom operator."""
        return self.builtin_code == CUSTOM

    @property
    def name(self) -> str:
        """Name as in the schema; of a custom operator its custom code; ``UNKNOWN_n`` where the schema has none."""
        if self.custom:
            return self.custom_code or "CUSTOM"
        enum = self._table._object.by_name["builtin_code"].enum
        label = enum.label(self.builtin_code) if enum is not None else self.builtin_code
        return label if isinstance(label, str) else f"UNKNOWN_{label}"

    @property
    def version(self) -> int:
        """Version of the operator's definition. Assignable; all operators with this code follow."""
        version: int = self._table["version"]
        return version

    @version.setter
    def version(self, value: int) -> None:
        self._table.version = value

    def __repr__(self) -> str:
        return f"<OperatorCode {self.index} {self.name} version {self.version}>"


class Operator(Entity):
    """One step of a subgraph.

    Attributes:
        subgraph: Whose it is.
        index: Its place in ``subgraph.operators``.
    """

    FORMS: ClassVar[dict[str, str]] = {
        "name": "Which operator it is stands in its code: model.root.subgraphs[N].operators[N].opcode_index.",
        "code": "Which operator it is stands in its code: model.root.subgraphs[N].operators[N].opcode_index.",
        "options": "Options are assigned one by one, as in operator.options.padding = 'SAME'.",
        "intermediates": "They stand in model.root.subgraphs[N].operators[N].intermediates.",
    }
    __slots__ = ("_table", "index", "subgraph")
    _table: Table
    index: int
    subgraph: Subgraph

    def __init__(self, subgraph: Subgraph, index: int, table: Table) -> None:
        _SET(self, "subgraph", subgraph)
        _SET(self, "index", index)
        _SET(self, "_table", table)

    @property
    def path(self) -> str:
        """Its place in the file, such as ``subgraphs[0].operators[3]``."""
        return f"subgraphs[{self.subgraph.index}].operators[{self.index}]"

    @property
    def label(self) -> str:
        """What to call it in a message: ``subgraphs[0].operators[3] CONV_2D 'conv2d'``."""
        names = [tensor.name for tensor in self.outputs if tensor is not None]
        return f"{self.path} {self.name}" + (f" {names[0]!r}" if names else "")

    @property
    def code(self) -> OperatorCode:
        """Its entry of ``model.operator_codes``."""
        codes = self.subgraph.model.operator_codes
        index = self._table["opcode_index"]
        if index >= len(codes):
            raise CorruptFileError(f"there is no operator code {index}, only {len(codes)}.", path=self.path)
        code: OperatorCode = codes[index]
        return code

    @property
    def name(self) -> str:
        """Name as in the schema, such as ``CONV_2D``; of a custom operator its custom code."""
        return self.code.name

    @property
    def custom(self) -> bool:
        """Whether it is a custom operator."""
        return self.code.custom

    @property
    def version(self) -> int:
        """Version of its definition. Assignable for this operator alone."""
        return self.code.version

    @version.setter
    def version(self, value: int) -> None:
        model = self.subgraph.model
        if value == self.version:
            return
        index = self._table["opcode_index"]
        if any(
            other._table["opcode_index"] == index for g in model.subgraphs for other in g.operators if other is not self
        ):
            self._table.opcode_index = model._append_operator_code(self.code, value)
        else:
            self.code.version = value

    @property
    def inputs(self) -> tuple[Tensor | None, ...]:
        """The tensors that it reads; None where an optional one is left out.

        Assignable: tensors of the same subgraph, their indices or names, or None.
        """
        return self.subgraph._tensors_of(self._table["inputs"], f"{self.path}.inputs")

    @inputs.setter
    def inputs(self, value: Iterable[Tensor | int | str | None]) -> None:
        self._table.inputs = self.subgraph._indices_of(value, f"{self.path}.inputs", absent=True)

    @property
    def input_names(self) -> tuple[str, ...]:
        """A name for each of its inputs, such as ``("input", "filter", "bias")``; those that repeat are numbered."""
        from unlite.schema.operators import input_names

        return input_names("CUSTOM" if self.custom else self.name, len(self._table["inputs"] or ()))

    @property
    def outputs(self) -> tuple[Tensor | None, ...]:
        """The tensors that it writes. Assignable as ``inputs``."""
        return self.subgraph._tensors_of(self._table["outputs"], f"{self.path}.outputs")

    @outputs.setter
    def outputs(self, value: Iterable[Tensor | int | str | None]) -> None:
        self._table.outputs = self.subgraph._indices_of(value, f"{self.path}.outputs", absent=True)

    @property
    def intermediates(self) -> tuple[Tensor | None, ...]:
        """Tensors that only carry the quantization of values inside it (LSTM)."""
        return self.subgraph._tensors_of(self._table["intermediates"], f"{self.path}.intermediates")

    @property
    def options(self) -> Any:
        """Its options by schema name, such as ``options.stride_w``; None where it has none. Scalars are assignable."""
        options = self._table["builtin_options"]
        return options if options is not None else self._table["builtin_options_2"]

    @property
    def custom_options_bytes(self) -> bytes | memoryview:
        """A custom operator's options as stored: in the FlatBuffer, or behind it where they are large."""
        stored = self._table["custom_options"]
        if stored is not None:
            return stored.memoryview()  # type: ignore[no-any-return]
        offset, size = self._table["large_custom_options_offset"], self._table["large_custom_options_size"]
        if offset <= 1:
            return b""
        model = self.subgraph.model
        try:
            return model.source.view(offset, size)
        except CorruptFileError as error:
            raise v.locate(error, self._table, ".large_custom_options_offset") from None

    @property
    def custom_options(self) -> Any:
        """A custom operator's options: a map, list or value where they are a FlexBuffer, else bytes; None for none.

        Assignable from bytes, or from a value that FlexBuffers can hold; maps and lists by key and index, too.
        """
        if not len(self.custom_options_bytes):
            return None
        from unlite.model.objects.custom_options import live

        return live(self)

    @custom_options.setter
    def custom_options(self, value: Any) -> None:
        if not self.custom:
            raise InvalidTypeError(f"{self.name} is a builtin operator and has no custom options.", path=self.path)
        if value is not None and not isinstance(value, (bytes, bytearray, memoryview)):
            from unlite.model.objects.custom_options import plain

            value = self._encoded(plain(value))
        self._put_options(value, None)

    def _decoded_options(self) -> Any:
        """A custom operator's options as plain values; bytes where they are no FlexBuffer, None for none."""
        data = self.custom_options_bytes
        if not len(data):
            return None
        from unlite.flatbuffers.flexbuffers import decode, is_flexbuffer

        return decode(data) if is_flexbuffer(data) else bytes(data)

    def _store_options(self, value: Any, path: str, before: Any, after: Any) -> None:
        """Takes options that were changed at one place, which the history names."""
        with self._table._edits.change(path, before, after):
            self._put_options(self._encoded(value), path)

    def _encoded(self, value: Any) -> bytes:
        from unlite.flatbuffers.flexbuffers import encode

        # The place of bytecode is patched when the file is written, so there must be room for any number.
        return encode(value, integer_width=8 if self.custom_code_is(DISPATCH) else None)

    def custom_code_is(self, name: str) -> bool:
        """Whether it is the custom operator of that name."""
        return self.custom and self.code.custom_code == name

    def _put_options(self, value: Any, path: str | None) -> None:
        from unlite.flatbuffers.assign import change

        table = self._table
        with change(table, "custom_options", path):
            table.custom_options = value
            if table["large_custom_options_offset"]:  # bytes behind the FlatBuffer, which would still be read
                table.large_custom_options_offset = table.large_custom_options_size = None

    def __repr__(self) -> str:
        return f"<Operator {self.index} {self.name}>"
