"""What PyTorch's exporters and compiler take: ``python docs/measured/measure_export.py [NAME ...]`` fills
``export.json`` here.

Modules in real numbers, as ``unlite.to_torch`` gives them, are put through each as a user would, without options: the
operator suite's float cases whose shapes do not follow from values, and the models of ``../shared/models`` in both
layouts. What comes out is run, an ONNX file in ONNX Runtime, and gives what the module gives: integers alike, real
numbers within 1e-4 of the largest.

The table has a row for each run: "" where it passes, "accepted: ..." where what was made cannot be run or differs, else
why it was refused. Rows that are there are left as they are, so that a run can be taken up again; a name, or the
beginning of one, measures its rows anew. About two hours on one core; for the suite's cases torch.compile is run with
``backend="aot_eager"``, which writes no code.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch._dynamo
from operator_cases import SUITE, stored
from tests.onnx.running import session
from tests.pytorch.suite import as_tensor, cases
from tests.pytorch.test_export import READ_VALUES

from unlite.comparison.inputs import make_inputs
from unlite.comparison.torch_run import as_array, module_inputs
from unlite.errors import UnliteError
from unlite.model.model import open_model
from unlite.pytorch.module import to_torch

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from torch import Tensor, fx

MODELS = Path(__file__).parents[3] / "shared" / "models"
RESULT = Path(__file__).with_name("export.json")
LAYOUTS = ("nchw", "nhwc")
MOST_SECONDS = 900


class Late(BaseException):
    """A run took longer than MOST_SECONDS."""


class NotRunError(Exception):
    """What was made is there, but cannot be run."""


def exported(module: fx.GraphModule, args: tuple[Tensor, ...], _: bool) -> Any:
    """The outputs by way of torch.export."""
    return torch.export.export(module, args).module()(*args)


def in_onnx(module: fx.GraphModule, args: tuple[Tensor, ...], _: bool) -> Any:
    """The outputs that ONNX Runtime gives for what torch.onnx.export makes."""
    made: Any = torch.onnx.export(module, args, dynamo=True, verbose=False)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "model.onnx"))
        made.save(path)
        try:
            runner = session(path)
            names = [end.name for end in runner.get_inputs()]
            given = {name: _plain(value) for name, value in zip(names, args, strict=True)}
            return [torch.from_numpy(value) for value in runner.run(None, given)]
        except Exception as error:
            raise NotRunError(str(error)) from error


def compiled(module: fx.GraphModule, args: tuple[Tensor, ...], is_model: bool) -> Any:
    """The outputs by way of torch.compile."""
    torch._dynamo.reset()
    return torch.compile(module, fullgraph=True, backend="inductor" if is_model else "aot_eager")(*args)


WAYS: dict[str, Callable[[fx.GraphModule, tuple[Tensor, ...], bool], Any]] = {
    "torch.export": exported,
    "torch.onnx.export": in_onnx,
    "torch.compile": compiled,
}


def _plain(value: Tensor) -> Any:
    """A tensor as ONNX has it: complex numbers as pairs."""
    return (torch.view_as_real(value) if value.is_complex() else value).contiguous().numpy()


def case_module(case: dict[str, Any]) -> tuple[fx.GraphModule, tuple[Tensor, ...]]:
    """The module of a case, and the case's inputs."""
    arrays = stored(case)
    return to_torch(SUITE / case["model"]), tuple(as_tensor(arrays[e["key"]], e["dtype"]) for e in case["inputs"])


def model_module(path: Path, layout: str) -> tuple[fx.GraphModule, tuple[Tensor, ...]]:
    """The module of a real model, and random inputs."""
    model = open_model(path)
    module = to_torch(model, layout=layout)
    return module, tuple(module_inputs(module, model.main, make_inputs(model)))


def outcome(way: str, module: fx.GraphModule, args: tuple[Tensor, ...], is_model: bool) -> str:
    """ "" where a module passes, else why it does not."""
    try:
        with torch.no_grad(), _within_time():
            wanted = [value.clone() for value in _several(module(*args))]
            if module.meta["unlite.state"]:
                module.reset_state()
            found = _several(WAYS[way](module, args, is_model))
    except NotRunError as error:
        return f"accepted: {_last_line(error)}"
    except Late:
        return f"not done within {MOST_SECONDS} seconds"
    except Exception as error:  # noqa: BLE001 - one run must not end the others
        return _last_line(error)
    reasons = [_difference(*pair) for pair in zip(wanted, found[: len(wanted)], strict=True)]
    return next((f"accepted: {reason}" for reason in reasons if reason), "")


def _several(results: Any) -> list[Tensor]:
    return list(results) if isinstance(results, (tuple, list)) else [results]


def _last_line(error: BaseException) -> str:
    """What the innermost error says first."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:300]}"


def _difference(wanted: Tensor, found: Tensor) -> str:
    """ "" where both are alike, else how far apart they are."""
    a, b = as_array(wanted), as_array(found)
    if wanted.is_complex() and b.dtype.kind == "f":
        b = b[..., 0] + 1j * b[..., 1]
    if a.shape != b.shape:
        return f"shape {list(b.shape)}, expected {list(a.shape)}"
    if a.dtype.kind not in "fc":
        return "" if np.array_equal(a, b) else f"{np.count_nonzero(a != b)} of {a.size} elements differ"
    same = (np.isnan(a) & np.isnan(b)) | (a == b)
    with np.errstate(invalid="ignore"):
        apart = np.where(same, 0, np.abs(a - b)).max(initial=0)
    allowed = 1e-4 * max(np.abs(a[np.isfinite(a)]).max(initial=0), 1e-3)
    return "" if apart <= allowed else f"{apart:.3g} apart, {allowed:.3g} allowed"


@contextmanager
def _within_time() -> Generator[None]:
    """Raises Late where what is done here takes too long."""

    def late(*_: Any) -> None:
        raise Late

    signal.signal(signal.SIGALRM, late)
    signal.alarm(MOST_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)


def main() -> None:
    """Measures what is lacking, and writes the table after each run."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    runs: dict[str, dict[str, str]] = {way: {} for way in WAYS}
    if RESULT.is_file():
        runs |= json.loads(RESULT.read_text(encoding="utf-8"))["runs"]
    for name, made in _modules():
        again = any(name.startswith(wanted) for wanted in sys.argv[1:])
        lacking = [way for way in WAYS if again or (name not in runs[way] and len(sys.argv) == 1)]
        for way in lacking:
            try:
                module, args = made()
            except UnliteError:  # refused; no module, no run
                break
            runs[way][name] = outcome(way, module, args, is_model="/" in name)
            print(f"{way} {name}: {runs[way][name] or 'passes'}", flush=True)
            RESULT.write_text(json.dumps({"summary": summary(runs), "runs": runs}, indent=1) + "\n", encoding="utf-8")


def _modules() -> Iterator[tuple[str, Callable[[], tuple[fx.GraphModule, tuple[Tensor, ...]]]]]:
    """Name and maker of each module."""
    for parameter in cases():
        case = parameter.values[0]
        if case is not None and case["id"] not in READ_VALUES:
            yield case["id"], lambda case=case: case_module(case)
    for path in sorted(MODELS.glob("*.tflite")):
        for layout in LAYOUTS:
            yield f"{path.stem}/{layout}", lambda path=path, layout=layout: model_module(path, layout)


def summary(runs: dict[str, dict[str, str]]) -> dict[str, dict[str, dict[str, int]]]:
    """For each way, of cases and of models: how many were accepted, how many passed, of how many."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    for way, rows in runs.items():
        for what, is_model in (("cases", False), ("models", True)):
            reasons = [reason for name, reason in rows.items() if ("/" in name) is is_model]
            accepted = sum(not reason or reason.startswith("accepted: ") for reason in reasons)
            counts = {"accepted": accepted, "passing": reasons.count(""), "of": len(reasons)}
            found.setdefault(way, {})[what] = counts
    return found


if __name__ == "__main__":
    main()
