"""LiteRT as a judge: in a child process with a time limit, because it may refuse a model, abort, or never end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer
from typing import TYPE_CHECKING, Any

import numpy as np

from unlite.errors import InvalidValueError
from unlite.model.model import Model, open_model
from unlite.model.values.dtypes import elements, numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray
    from typing_extensions import Self

    from unlite.model.objects.subgraph import Subgraph

    Array = NDArray[Any]

TIME_LIMIT = 300.0  # seconds for one run
KERNELS = {"reference": ("reference", "optimized", "default"), "default": ("default", "optimized")}
"""What is tried, in this order: CEIL, ELU and ROUND are not among the reference kernels, some custom operators are only
among the default ones, and some models run only without the default delegate."""
_CHILD = Path(__file__).with_name("litert_child.py")
_LAST_WORDS = 400  # characters


@dataclass(frozen=True)
class Run:
    """What one run gave.

    Attributes:
        kernels: Which kernels ran: ``reference``, ``optimized`` (no delegate), ``default`` (XNNPACK).
        tensors: Index in the subgraph -> stored values. Strings come as fixed-width bytes.
        unreadable: Index -> why LiteRT does not hand it out (resources, variants).
    """

    kernels: str
    tensors: Mapping[int, Array]
    unreadable: Mapping[int, str]


@dataclass(frozen=True)
class NotRunnable:
    """Why there is no run.

    Attributes:
        kind: ``absent`` (LiteRT is not installed), ``refused`` (in its own words), ``killed`` (by a signal),
            ``timeout``.
        reason: A sentence.
    """

    kind: str
    reason: str


@dataclass
class _Request:
    fields: dict[str, Any]
    left: list[str] = field(default_factory=list)  # kernels that have not been tried
    died: NotRunnable | None = None


class LiteRT:
    """One model in LiteRT. The child starts at once, so that its imports overlap with those of the caller.

    Args:
        model: The model; changes that were assigned count.
        time_limit: Seconds that one run may take.
    """

    def __init__(self, model: Model, *, time_limit: float = TIME_LIMIT) -> None:
        self._time_limit = time_limit
        self._pending: list[_Request] = []
        self._count = 0
        self._child: subprocess.Popen[str] | None = None
        self.is_installed = find_spec("ai_edge_litert") is not None
        # Mapped results may outlive this object; where an open file cannot be deleted, it stays behind.
        self._folder = TemporaryDirectory(prefix="unlite-", ignore_cleanup_errors=True)
        self._errors = Path(self._folder.name, "stderr")
        self._model = model
        if self.is_installed:
            self._start()
            self._file = self._on_disk(model)

    def _start(self) -> None:
        with self._errors.open("wb") as errors:
            self._child = subprocess.Popen(  # noqa: S603 - our own file, no shell
                [sys.executable, str(_CHILD)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                encoding="utf-8",
            )

    def _on_disk(self, model: Model) -> str:
        if model.path is not None and not model.is_changed and model.source is model.file:
            return model.path
        path, source = Path(self._folder.name, "model.tflite"), model.source
        if model.is_changed:
            model.save(path, rewrite=source is not model.file)  # LiteRT reads no size prefix, and version 3 only
        else:
            with path.open("wb") as file:
                for start in range(0, source.size, 1 << 24):
                    file.write(source.view(start, min(1 << 24, source.size - start)))
        return str(path)

    def ask(
        self,
        inputs: Sequence[Array],
        tensors: Iterable[int],
        *,
        kernels: str = "reference",
        signature: str | None = None,
    ) -> None:
        """Begins a run; ``answer`` gives its result. Several may be asked for one after the other.

        Args:
            inputs: One array for each input of the subgraph, in the file's order. Free dimensions follow them.
            tensors: Indices of what to hand out.
            kernels: ``reference`` or ``default``; where LiteRT refuses, the next that may do is tried.
            signature: Key of the signature to run; None for subgraph 0.
        """
        if kernels not in KERNELS:
            raise InvalidValueError(f"kernels={kernels!r} is not one of {', '.join(KERNELS)}.")
        if not self.is_installed:
            return
        graph, names = self._model.main, {}
        if signature is not None:
            stored = self._model.signatures[signature]
            graph = stored.subgraph
            names = {str(tensor.index): name for name, tensor in stored.inputs.items()}
        self._count += 1
        place = Path(self._folder.name)
        given = {str(tensor.index): _plain(value) for tensor, value in zip(graph.inputs, inputs, strict=True)}
        np.savez(place / f"in{self._count}.npz", **given)  # type: ignore[arg-type]  # the keyword allow_pickle is none
        request = _Request(
            {
                "model": self._file,
                "inputs": str(place / f"in{self._count}.npz"),
                "output": str(place / f"out{self._count}"),
                "tensors": list(tensors),
                "subgraph": graph.index,
                "signature": signature if graph.index else None,
                "names": names,
            },
            list(KERNELS[kernels]),
        )
        self._pending.append(request)
        self._send(request)

    def _send(self, request: _Request) -> None:
        if self._child is None or self._child.stdin is None:
            return
        try:
            self._child.stdin.write(json.dumps({**request.fields, "kernels": request.left}) + "\n")
            self._child.stdin.flush()
        except OSError:
            pass  # it died over an earlier request; ``answer`` finds that out and sends this one again

    def answer(self) -> Run | NotRunnable:
        """The result of the oldest run that was asked for. Waits for it."""
        if not self.is_installed:
            return NotRunnable("absent", "LiteRT is not installed; pip install 'unlite[litert]' brings it.")
        request = self._pending[0]
        while True:
            said = self._read(request)
            if isinstance(said, NotRunnable):
                request.died = request.died or said
                self._child = None
                if said.kind == "timeout" or not request.left:
                    self._pending.pop(0)
                    self._restart()
                    return request.died
                self._restart()
                continue
            self._pending.pop(0)
            if "refused" in said:
                words = " ".join(str(said["refused"][0]).split()) if said["refused"] else ""
                return request.died or NotRunnable("refused", f"LiteRT refuses it: {words[:_LAST_WORDS]}")
            return self._result(said, request.fields["output"])

    def _restart(self) -> None:
        """A new child for what is still to do."""
        if self._pending:
            self._start()
            for request in self._pending:
                self._send(request)

    def _read(self, request: _Request) -> dict[str, Any] | NotRunnable:
        child = self._child
        if child is None or child.stdout is None:
            return NotRunnable("killed", "LiteRT could not be started.")
        late: list[bool] = []

        def kill() -> None:
            late.append(True)
            child.kill()

        timer = Timer(self._time_limit, kill)
        timer.daemon = True
        timer.start()
        try:
            for line in child.stdout:
                said: dict[str, Any] = json.loads(line)
                if "trying" not in said:
                    return said
                request.left.remove(said["trying"])
        finally:
            timer.cancel()
        code = child.wait()
        _close(child)
        if late:
            return NotRunnable("timeout", f"LiteRT did not end within {self._time_limit:g} s.")
        words = " ".join(self._errors.read_text("utf-8", "replace").split())[-_LAST_WORDS:]
        return NotRunnable("killed", f"LiteRT dies over it ({_death(code)}){': ' + words if words else ''}.")

    def _result(self, said: dict[str, Any], output: str) -> Run:
        raw: Any = np.memmap(output, np.uint8, "r") if Path(output).stat().st_size else np.empty(0, np.uint8)
        tensors: dict[int, Array] = {}
        for index, (name, shape, offset) in said["tensors"].items():
            dtype = numpy_dtype(name.upper()) if name[0].isalpha() and name[0] not in "SU" else np.dtype(name)
            size = dtype.itemsize * elements(shape)
            tensors[int(index)] = raw[offset : offset + size].view(dtype).reshape(shape).view(np.ndarray)
        return Run(said["kernels"], tensors, {int(i): words for i, words in said["unreadable"].items()})

    def close(self) -> None:
        """Ends the child and deletes its files."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            _close(self._child)
            self._child = None
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _close(child: subprocess.Popen[str]) -> None:
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:
                continue  # what was not yet sent cannot be


def _death(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _plain(value: Array) -> Array:
    """Strings as fixed-width bytes: arrays of objects would be pickled."""
    return np.array(value.tolist(), dtype="S").reshape(value.shape) if value.dtype.kind == "O" else value


def computed(subgraph: Subgraph) -> list[int]:
    """Indices of the tensors that exist only while the model runs: outputs of operators, in the order of running."""
    results = [tensor for operator in subgraph.operators for tensor in operator.outputs if tensor is not None]
    found = {tensor.index: tensor for tensor in (*results, *subgraph.outputs)}
    # A variable holds what the run left in it, whatever operator filled it at first.
    return [i for i, tensor in found.items() if tensor.dtype not in ("RESOURCE", "VARIANT") and not tensor.is_variable]


def run_litert(
    model: Any,
    inputs: Sequence[Array],
    *,
    kernels: str = "reference",
    tensors: str | Iterable[int | str] = "all",
    signature: str | None = None,
    time_limit: float = TIME_LIMIT,
) -> Run | NotRunnable:
    """One run of a model in LiteRT.

    Args:
        model: A Model, a path, or bytes.
        inputs: One array for each input, in the file's order.
        kernels: ``reference`` or ``default``.
        tensors: ``"all"`` (every result of an operator), ``"outputs"``, or indices and names.
        signature: Key of the signature to run; None for subgraph 0.
        time_limit: Seconds.

    Returns:
        The run; or why there is none, which is never an exception for the model's sake.
    """
    opened = open_model(model)
    graph = opened.main if signature is None else opened.signatures[signature].subgraph
    if isinstance(tensors, str):
        wanted = computed(graph) if tensors == "all" else [tensor.index for tensor in graph.outputs]
    else:
        wanted = [graph.tensors[key].index for key in tensors]
    with LiteRT(opened, time_limit=time_limit) as runner:
        runner.ask(inputs, wanted, kernels=kernels, signature=signature)
        return runner.answer()
