"""coremltools, loaded when it is needed, without its remarks."""

from __future__ import annotations

import logging
import os
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from unlite.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator


def load_coremltools(purpose: str) -> Any:
    """The module ``coremltools``.

    Raises:
        MissingExtraError: it is not installed; ``purpose`` says what needs it.
    """
    with quiet():
        try:
            import coremltools
        except ImportError:
            raise MissingExtraError("coremltools", extra="coreml", purpose=purpose) from None
    return coremltools


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps coremltools' warnings and progress bars off the screen.

    They are about versions it was tested with, and types it narrows; what matters, this package tells in its own words.
    """
    logger = logging.getLogger("coremltools")
    before, level = logger.disabled, logger.level
    logger.disabled = True  # also where importing it gives it a handler and a level
    try:
        with warnings.catch_warnings(), _no_bars():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before
        logger.setLevel(level)


@contextmanager
def unchecked_steps() -> Iterator[None]:
    """Keeps coremltools from checking the whole program after each of its hundred passes; whoever uses this, checks it.

    Half of the passes' time goes there.
    """
    from coremltools.converters.mil.mil import Program

    check = Program.validate
    Program.validate = lambda *_, **__: None
    try:
        yield
    finally:
        Program.validate = check


@contextmanager
def _no_bars() -> Iterator[None]:
    """Without tqdm's progress bars."""
    try:
        import tqdm  # type: ignore[import-untyped]  # coremltools brings it
    except ImportError:
        yield
        return
    made = tqdm.tqdm.__init__

    def silent(self: Any, *args: Any, **keywords: Any) -> None:
        made(self, *args, **{**keywords, "disable": True})

    tqdm.tqdm.__init__ = silent
    try:
        yield
    finally:
        tqdm.tqdm.__init__ = made


def is_marked(path: str) -> bool:
    """Whether a package says in its metadata that ``to_coreml`` made it."""
    load_coremltools("converting to Core ML")
    from coremltools.proto.Model_pb2 import Model as Specification
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # coremltools brings it

    spec: Any = Specification()
    try:  # read here, because coremltools' own reader writes a manifest anew
        with open(os.path.join(path, "Data", "com.apple.CoreML", "model.mlmodel"), "rb") as file:
            spec.ParseFromString(file.read())
    except (OSError, DecodeError):
        return False
    return "unlite.io" in spec.description.metadata.userDefined
