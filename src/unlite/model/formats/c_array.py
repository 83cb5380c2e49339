"""Models as C arrays, for microcontrollers: to text and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlite.containers.c_array import write_c_array
from unlite.model.model import open_model
from unlite.model.saving.save import as_source
from unlite.model.texts import read_array
from unlite.storage.source import MemorySource

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from unlite.model.model import Model


def to_c_array(model: Any, name: str = "g_model") -> str:
    """The text of a C file: the bytes that ``save`` would write as an aligned array ``name``, and their number.

    The text is 6.2 times as long as the model; ``unlite c-array`` writes it to a file without holding it.

    Args:
        model: A model, a path or bytes.
        name: A C identifier. The number of bytes is called ``name_len``.

    Raises:
        InvalidValueError: ``name`` is no C identifier, or the model is too long for an ``unsigned int``.
        LostFieldsError: the model was changed, and writing it would drop fields that no known schema has.
    """
    return b"".join(write_c_array(as_source(open_model(model)), name)).decode("ascii")


def from_c_array(text: str | Buffer, name: str | int | None = None) -> Model:
    """The model in a C text, as ``to_c_array`` and ``xxd -i`` write it, or in a dump of ``xxd``, ``hexdump`` or ``od``.

    Args:
        text: The text itself: a string, or its bytes.
        name: The array's name or its position, where the text has several; ``NAME:2`` is the second of that name. Left
            out, the only one that is a model is taken.

    Raises:
        TextError: the text does not parse; line and column are told.
        NotFoundError: there is no array of that name, or there are several and none was named.
        UnsupportedFormatError: there is no array in the text, or what it holds is no model.
    """
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return open_model(read_array(MemorySource(content, ""), name))
