"""Bytecode that a compiler for accelerators put behind the FlatBuffer.

Each such operator is custom, ``DISPATCH_OP``; its options are a FlexBuffer map with ``bytecode_offset`` (from the start
of the file) and ``bytecode_size``, wide enough to be patched in place. Source: LiteRT
litert/core/dispatch_op_schema.cc.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unlite.errors import CorruptFileError, UnliteError

if TYPE_CHECKING:
    from unlite.model.model import Model

DISPATCH = "DISPATCH_OP"


class Bytecode:
    """The bytecode of one operator.

    Attributes:
        options: The operator's options; ``patch`` changes the offset inside them.
        start, length: The bytecode in the file as it is.
    """

    def __init__(self, options: bytes, start: int, length: int) -> None:
        self.options = bytearray(options)
        self.start = start
        self.length = length

    @property
    def key(self) -> tuple[int, int]:
        """Equal for operators that share their bytecode."""
        return self.start, self.length

    def patch(self, place: int) -> None:
        """Sets the offset in the options, their size unchanged."""
        from unlite.flatbuffers.flexbuffers import patch_integers

        self.options[:] = patch_integers(bytes(self.options), {"bytecode_offset": place})


def find_bytecode(model: Model) -> dict[int, Bytecode]:
    """Position of the operator's table -> its bytecode, for every operator that has some."""
    dispatching = {code.index for code in model.operator_codes if code.custom and code.custom_code == DISPATCH}
    found: dict[int, Bytecode] = {}
    if not dispatching:
        return found
    from unlite.flatbuffers.flexbuffers import decode

    for graph in model.subgraphs:
        for operator in graph.operators:
            if operator._table["opcode_index"] not in dispatching:
                continue
            data = bytes(operator.custom_options_bytes)
            try:
                options = decode(data)
            except UnliteError:
                continue  # not of the known kind: carried as it is
            offset, size = (
                (options.get(name) for name in ("bytecode_offset", "bytecode_size"))
                if isinstance(options, dict)
                else (0, 0)
            )
            if isinstance(offset, int) and isinstance(size, int) and offset > 1 and size > 1:
                try:
                    model.source.check(offset, size)
                except CorruptFileError as error:
                    error.path = operator.path
                    raise
                found[operator._table._position] = Bytecode(data, offset, size)
    return found
