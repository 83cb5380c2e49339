"""The schemas that come with the package: TFLite of every version, its metadata, and relatives.

Each stands in ``bundled/`` as declarations (.fbs) and compiled (.bfbs, what is read). All that is known of fields,
defaults, enums and unions comes from there.
"""

from __future__ import annotations

import os
from functools import cache

from unlite.errors import NotFoundError
from unlite.flatbuffers.schema import Schema

NEWEST = "tflite"
_FOLDER = os.path.join(os.path.dirname(__file__), "bundled")


def names() -> tuple[str, ...]:
    """Names of the bundled schemas, such as ``tflite``, ``tflite_v1`` and ``metadata``."""
    return tuple(sorted(file.removesuffix(".bfbs") for file in os.listdir(_FOLDER) if file.endswith(".bfbs")))


def load(name: str = NEWEST) -> Schema:
    """A bundled schema, the same object each time; the newest TFLite one without a name. Raises NotFoundError."""
    return _load(name)


def find(name: str) -> Schema | None:
    """The bundled schema of that name; None where there is none."""
    return load(name) if name in names() else None


@cache
def _load(name: str) -> Schema:
    if name not in names():
        raise NotFoundError(f"there is no bundled schema {name!r}.", hint=f"Bundled are: {', '.join(names())}.")
    with open(os.path.join(_FOLDER, f"{name}.bfbs"), "rb") as file:
        schema = Schema(file.read(), f"{name}.bfbs")
    schema.pickled_as = load, (name,)
    return schema
