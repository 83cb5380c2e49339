"""Every error can be pickled and copied, whatever its ``__init__`` takes."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

import unlite
from unlite import errors
from unlite.errors import LostFieldsError, MissingExtraError, TextError, UnknownFieldError, UnliteError

VALUES: dict[str, Any] = {
    "message": "what is wrong.",
    "file": "face.tflite",
    "path": "subgraphs[0].tensors[2]",
    "offset": 0x1234,
    "hint": "Do this.",
    "line": 3,
    "column": 7,
    "fields": ["subgraphs[0], field id 17"],
    "name": "conv",
    "indices": (1, 5),
    "operators": ("subgraphs[0].operators[3]: FOO",),
    "module": "torch",
    "extra": "torch",
    "purpose": "converting",
    "wanted": 1 << 40,
    "allowed": 1 << 30,
    "what": "a sparse tensor",
}


def classes(kind: type[UnliteError] = UnliteError) -> list[type[UnliteError]]:
    return [kind, *(each for below in kind.__subclasses__() for each in classes(below))]


def load_everything() -> None:
    """All modules of the package that can be imported here: each may bring an error of its own."""
    for module in pkgutil.walk_packages(unlite.__path__, "unlite."):
        if not module.name.endswith("__main__") and "child" not in module.name:
            try:
                importlib.import_module(module.name)
            except ImportError:  # needs an extra that is not installed
                continue


def made(kind: type[UnliteError]) -> UnliteError:
    """One with every argument that its ``__init__`` takes."""
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    positional = [VALUES[one.name] for one in parameters if one.kind is not one.KEYWORD_ONLY]
    return kind(*positional, **{one.name: VALUES[one.name] for one in parameters if one.kind is one.KEYWORD_ONLY})


def fields(error: BaseException) -> dict[str, Any]:
    return {name: getattr(error, name) for name in (*VALUES, "args", "__notes__") if hasattr(error, name)}


def assert_alike(found: BaseException, expected: BaseException) -> None:
    assert type(found) is type(expected)
    assert fields(found) == fields(expected)
    assert str(found) == str(expected)


def pickled(error: BaseException, protocol: int = pickle.DEFAULT_PROTOCOL) -> Any:
    return pickle.loads(pickle.dumps(error, protocol))


def test_every_error_survives_pickle_and_copy() -> None:
    load_everything()
    known = classes()
    assert len(known) > 15
    for kind in known:
        error = made(kind)
        error.__notes__ = ["while it was opened", "twice"]  # what add_note does from Python 3.11 on
        assert fields(error)["message"]
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            assert_alike(pickled(error, protocol), error)
        assert_alike(copy.copy(error), error)
        assert_alike(copy.deepcopy(error), error)


def test_every_error_keeps_its_arguments_as_fields() -> None:
    for kind in classes():
        error = made(kind)
        for parameter in inspect.signature(kind.__init__).parameters.values():
            if parameter.name not in ("self", "message"):
                assert getattr(error, parameter.name) == VALUES[parameter.name], (kind, parameter.name)


def test_what_python_filled_in_stays_behind() -> None:
    class Holder:
        def __getattr__(self, name: str) -> object:
            raise UnknownFieldError(f"there is no {name}.", path="root")

    with pytest.raises(UnknownFieldError) as caught:
        _ = Holder().missing  # the local class cannot be pickled, and Python puts its object into the error
    again = pickled(caught.value)
    assert (str(again), again.path) == ("root: there is no missing.", "root")


def fail(number: int) -> None:
    raise (
        TextError("no comma.", line=number, column=2, file="a.json", path="x", hint="Put one."),
        MissingExtraError("onnx", extra="onnx", purpose="writing"),
        LostFieldsError(["root, field id 90"], file="b"),
        UnknownFieldError("there is none.", path="root"),
    )[number % 4]


@pytest.mark.parametrize("method", ["spawn", *(["fork"] if sys.platform == "linux" else [])])
def test_a_bad_file_does_not_hang_a_pool(method: str) -> None:
    with ProcessPoolExecutor(1, get_context(method)) as pool:
        futures = [pool.submit(fail, number) for number in range(4)]
        for number, future in enumerate(futures):
            found = future.exception(timeout=60)
            with pytest.raises(UnliteError) as expected:
                fail(number)
            assert found is not None
            assert type(found) is type(expected.value)
            assert str(found) == str(expected.value)


def test_the_tree_in_the_docstring_is_whole() -> None:
    for kind in classes():
        if kind.__module__ == "unlite.errors":
            assert kind.__name__ in (errors.__doc__ or "")
