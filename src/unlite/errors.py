"""Everything that can go wrong because of a file or a request.

UnliteError
├── CorruptFileError          bytes that break the format's own rules
├── UnsupportedFormatError    not a file that this call reads
├── TextError                 a JSON document or C array that does not parse; knows line and column
├── TransferError             a remote file that cannot be fetched
├── SaveError                 a file that cannot be written; the old one is still whole
│   └── LostFieldsError       a rewrite would lose fields that the schema does not know
├── UnsafePathError           a path inside a model that leaves the model's folder
├── NotFoundError             no such name, index or field                     (also a LookupError)
│   ├── AmbiguousNameError    a name that several things bear
│   ├── NoSuchKeyError        no entry of a mapping by that name                (also a KeyError)
│   ├── NoSuchIndexError      an index past the end of a sequence               (also an IndexError)
│   └── UnknownFieldError     a field that the schema's table does not have     (also an AttributeError)
├── NotQuantizedError         a tensor without a scale
├── NoDataError               a tensor without constant data
├── UnsupportedOperatorError  operators without a meaning in the target
├── MissingExtraError         an optional dependency that is not installed     (also an ImportError)
├── InvalidValueError         an argument whose value does not fit             (also a ValueError)
└── InvalidTypeError          an argument whose type does not fit              (also a TypeError)

All of them can be copied and pickled, with their fields and notes: a process hands its error on to another as it is.
"""

from __future__ import annotations

TYPE_CHECKING = False  # the typing module would be a tenth of a listing's start-up
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Fields that Python's own classes keep beside the instance's dictionary. AttributeError.obj, which Python fills in, is
# the object that was asked, and stays behind, as with pickled AttributeErrors of Python's own.
_BUILT_IN_FIELDS = ("name", "path", "msg")


class UnliteError(Exception):
    """Root of all errors that a file or a request can cause.

    Args:
        message: What is wrong, without the place.
        file: The file's name.
        path: Where inside the file, such as ``subgraphs[0].operators[3]``; in bad text, the path of the value.
        offset: Byte offset in the file.
        hint: What the reader can do about it.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        path: str | None = None,
        offset: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.path = path
        self.offset = offset
        self.hint = hint

    def __reduce__(self) -> tuple[Callable[..., UnliteError], tuple[Any, ...], dict[str, Any]]:
        """How to make it again without ``__init__``, whose arguments differ from class to class."""
        fields = {name: getattr(self, name) for name in _BUILT_IN_FIELDS if hasattr(self, name)}
        return _made_again, (type(self), self.args), {**fields, **self.__dict__}

    @property
    def mend(self) -> str | None:
        """The name of ``hint`` before version 0.2; gone with the version after it."""
        return self.hint

    def __str__(self) -> str:
        text = f"{self.path}: {self.message}" if self.path else self.message
        if self.offset is not None and f"byte 0x{self.offset:X}" not in text:
            text = f"{text.rstrip('.')} (byte 0x{self.offset:X})."
        if self.file:
            text = f"{self.file}: {text}"
        return f"{text}\n  {self.hint}" if self.hint else text


def _made_again(kind: type[UnliteError], arguments: tuple[Any, ...]) -> UnliteError:
    """An error without its fields, which are set next."""
    error = kind.__new__(kind)
    error.args = arguments
    return error


class CorruptFileError(UnliteError):
    """Bytes that break the format's own rules."""


class UnsupportedFormatError(UnliteError):
    """Not a file that this call reads."""


class TextError(UnliteError):
    """A JSON document or C array that does not parse.

    Args:
        message: What is wrong.
        line: Line number, from 1.
        column: Column number in characters, from 1.
        file: The text's file name.
        path: Path of the value, such as ``subgraphs[0].tensors[2].shape``.
        hint: What the reader can do about it.
    """

    def __init__(
        self,
        message: str,
        *,
        line: int,
        column: int,
        file: str | None = None,
        path: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(f"line {line}, column {column}: {message}", file=file, path=path, hint=hint)
        self.line = line
        self.column = column


class TransferError(UnliteError):
    """A remote file that cannot be fetched."""


class SaveError(UnliteError):
    """A file that cannot be written; the old one is still whole."""


class LostFieldsError(SaveError):
    """A rewrite would lose fields that the schema does not know.

    Args:
        fields: Their places, such as ``subgraphs[0].tensors[2], field id 17``.
        file: The file's name.
    """

    def __init__(self, fields: list[str], *, file: str | None = None) -> None:
        shown = "; ".join(fields[:5]) + (f"; and {len(fields) - 5} more" if len(fields) > 5 else "")
        super().__init__(
            f"a rewrite would lose {len(fields)} field(s) that no known schema has: {shown}.",
            file=file,
            path=fields[0].split(", ", 1)[0] if fields else None,
            hint="Changes that keep sizes need no rewrite; drop_unknown=True (--drop-unknown) drops the fields.",
        )
        self.fields = fields


class UnsafePathError(UnliteError):
    """A path inside a model that leaves the model's folder."""


class NotFoundError(UnliteError, LookupError):
    """No such name, index or field."""


class AmbiguousNameError(NotFoundError):
    """A name that several things bear.

    Args:
        name: The name.
        indices: Who bears it.
        path: The sequence that was asked.
    """

    def __init__(
        self, name: str, indices: tuple[int, ...], *, file: str | None = None, path: str | None = None
    ) -> None:
        super().__init__(
            f"{name!r} is the name of {len(indices)} entries: {', '.join(map(str, indices))}.",
            file=file,
            path=path,
            hint="Ask for one of them by its index.",
        )
        self.name = name
        self.indices = indices


class NotQuantizedError(UnliteError):
    """A tensor without a scale."""


class NoDataError(UnliteError):
    """A tensor without constant data."""


class UnsupportedOperatorError(UnliteError):
    """Operators without a meaning in the target.

    Args:
        message: What is wrong.
        operators: Every unsupported operator with its place.
    """

    def __init__(
        self,
        message: str,
        *,
        operators: tuple[str, ...],
        file: str | None = None,
        path: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, file=file, path=path, hint=hint)
        self.operators = operators


class MissingExtraError(UnliteError, ImportError):
    """An optional dependency that is not installed.

    Args:
        module: The module that is missing.
        extra: The extra of this package that brings it.
        purpose: What it is needed for.
    """

    def __init__(self, module: str, *, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {module}, which is not installed.", hint=f"Install it with: pip install 'unlite[{extra}]'"
        )
        self.module = module
        self.extra = extra
        self.purpose = purpose


class InvalidValueError(UnliteError, ValueError):
    """An argument whose value does not fit."""


class InvalidTypeError(UnliteError, TypeError):
    """An argument whose type does not fit."""


class UnknownFieldError(NotFoundError, AttributeError):
    """A field that the schema's table does not have."""


class NoSuchKeyError(NotFoundError, KeyError):
    """No entry of a mapping by that name."""


class NoSuchIndexError(NotFoundError, IndexError):
    """An index past the end of a sequence."""
