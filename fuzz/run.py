"""Throws damaged files at everything that reads them: each must be read, or refused with an UnliteError.

    python fuzz/run.py [--runs N] [--seconds S] [--seed K] [--keep FOLDER] [--replay FILE]

Damages small files, the same way for the same seed: models (at random, and through the schema: offsets, lengths, enum
values, unions, indices, shapes, vtables), weight files (.npz, .safetensors, .pth), JSON documents and their tails, and
compiled schemas. Each is given to the readers and to commands; some models are converted to PyTorch, too. Another
exception, an exit code that is not 0, 1 or 2, a minute without an answer, or more memory than the limit is a fault: the
file goes to the folder with its traceback, and the exit code is 1. ``--replay`` asks one of those files again.
"""

from __future__ import annotations

import argparse
import functools
import io
import json
import multiprocessing
import os
import random
import shutil
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from fuzz.mutants import Spot, damage, mutated, spots  # noqa: E402 - found on the path made above
from fuzz.probes import Probe, model_probes, schema_probes, text_probes, visit, weight_probes  # noqa: E402

from unlite.errors import UnliteError  # noqa: E402
from unlite.schema import load  # noqa: E402

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

__all__ = ["limit_memory", "main", "visit"]

LARGEST = 12_000
PATIENCE = 60
MEMORY = 6 << 30  # beyond what the process has at first: 1 GiB is allowed to any file, and copies are made of it
RECYCLED = 500  # mutants until a new process takes over
MODELS = ("tiny_cnn_int8", "embedding_lookup", "seanet_conv_int16x8", "weight_sharing_two_subgraphs", "dilated_conv")
KINDS = ("model", "model", "model", "model", "model", "model", "npz", "safetensors", "pth", "json", "tail", "schema")


@functools.cache
def seeds() -> list[bytes]:
    """Small sound models: real ones where they are beside the project, and one of our own."""
    from tests.model.test_properties import GOOD

    shared = ROOT.parent / "shared"
    folders = ("models", "opsuite/models", "external_buffer", "golden_int16/conv", "malformed", "reports")
    paths = sorted(path for name in folders for path in (shared / name).glob("*.tflite"))
    return [GOOD, *(path.read_bytes() for path in paths if path.stat().st_size <= LARGEST)]


@functools.cache
def bases() -> list[tuple[bytes, list[Spot]]]:
    """Thirty models, with the places in them: named ones, and some of each size from the others."""
    from tests.model.test_properties import GOOD

    shared = ROOT.parent / "shared"
    named = [path for name in MODELS if (path := shared / f"models/{name}.tflite").is_file()]
    others: list[Path] = []
    for folder, count in (("opsuite/models", 16), ("reports", 8)):
        paths = sorted(path for path in (shared / folder).glob("*.tflite") if path.stat().st_size <= LARGEST)
        others += paths[:: max(1, len(paths) // count)][:count]
    found = []
    for data in [GOOD, *(path.read_bytes() for path in [*named, *others])]:
        try:
            found.append((data, spots(data, load().root)))
        except (struct.error, UnliteError, IndexError):  # one of the reports, damaged itself
            continue
    return found


@functools.cache
def weight_bases(model: str, folder: str) -> dict[str, bytes]:
    """The weights of a small model in each format, and those of its conversion."""
    from unlite.cli import main as command_line

    found = {}
    for ending in ("npz", "safetensors", "pth"):
        path = os.path.join(folder, f"base.{ending}")
        if command_line(["weights", model, "-o", path]) == 0:
            found[ending] = Path(path).read_bytes()
    return found


class Case:
    """One damaged file on the disk, and what is asked of it."""

    def __init__(self, number: str, folder: str) -> None:
        self.chance = random.Random(number)
        self.folder = folder
        self.out = os.path.join(folder, "out")
        self.model = os.path.join(folder, "sound.tflite")
        if not os.path.exists(self.model):
            Path(self.model).write_bytes(seeds()[0])

    def write(self, ending: str, data: bytes) -> str:
        path = os.path.join(self.folder, f"case.{ending}")
        Path(path).write_bytes(data)
        return path

    def make(self) -> tuple[str, list[Probe]]:
        """Writes a damaged file. Returns its path, and the probes."""
        kind = self.chance.choice(KINDS)
        probes: list[Probe] = getattr(self, f"_{kind}")()
        return self.path, probes

    def _model(self) -> list[Probe]:
        if self.chance.randrange(4) == 0:
            data = damage(self.chance.choice(seeds()), self.chance, self.chance.choice(seeds()))
        else:
            data = mutated(*self.chance.choice(bases()), self.chance)
        self.path = self.write("tflite", data)
        return model_probes(self.path, self.out, self.chance, everything=False)

    def _weights(self, ending: str) -> list[Probe]:
        found = weight_bases(self.model, self.folder)
        data = found.get(ending, found["npz"])
        if ending != "safetensors" and self.chance.randrange(2):
            data = _in_zip(data, self.chance)
        else:
            data = damage(data, self.chance, data)
        self.path = self.write(ending, data)
        return weight_probes(self.path, self.out, self.model)

    def _npz(self) -> list[Probe]:
        return self._weights("npz")

    def _safetensors(self) -> list[Probe]:
        return self._weights("safetensors")

    def _pth(self) -> list[Probe]:
        return self._weights("pth")

    def _documents(self) -> tuple[bytes, bytes]:
        return documents(self.model, self.folder)

    def _json(self) -> list[Probe]:
        text, tail = self._documents()
        self.write("json.tail", tail)
        if self.chance.randrange(2):
            text = damage(text, self.chance, text)
        else:
            text = json.dumps(_other_value(json.loads(text), self.chance)).encode()
        self.path = self.write("json", text)
        return text_probes(self.path, self.out)

    def _tail(self) -> list[Probe]:
        text, tail = self._documents()
        self.path = self.write("json", text)
        self.write("json.tail", damage(tail, self.chance, tail))
        return text_probes(self.path, self.out)

    def _schema(self) -> list[Probe]:
        data, places = schema_base()
        blind = self.chance.randrange(3) == 0
        data = damage(data, self.chance, data) if blind else mutated(data, places, self.chance)
        self.path = self.write("bfbs", data)
        return schema_probes(self.path, self.out, self.model)


@functools.cache
def documents(model: str, folder: str) -> tuple[bytes, bytes]:
    """A small model with an archive behind it, as JSON, and the tail file of that."""
    from unlite.cli import main as command_line

    path = os.path.join(folder, "base.tflite")
    archive = io.BytesIO(Path(model).read_bytes())
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("labels.txt", "one\ntwo\n")
    Path(path).write_bytes(archive.getvalue())
    text = os.path.join(folder, "base.json")
    assert command_line(["json", path, "-o", text]) == 0
    tail = Path(f"{text}.tail")
    return Path(text).read_bytes(), tail.read_bytes()


@functools.cache
def schema_base() -> tuple[bytes, list[Spot]]:
    """A compiled schema, with the places in it."""
    from unlite.schema import _FOLDER

    data = Path(_FOLDER, "tflite_v1.bfbs").read_bytes()
    return data, spots(data, load("reflection").root)


def _in_zip(data: bytes, chance: random.Random) -> bytes:
    """Damage inside of an archive, whose checksums are right: the reader of the archive does not notice."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w") as new:
        entries = old.infolist()
        victim = chance.choice(entries)
        for entry in entries:
            content = old.read(entry)
            if entry is victim and content:
                content = damage(content, chance, content)
            new.writestr(entry.filename, content, chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
    return made.getvalue()


STRANGE: tuple[Any, ...] = (None, True, -1, 0, 1 << 31, 1 << 63, 1 << 70, 1.5, 1e400, "", "x", "\ud800", [], {}, [[]])


def _other_value(value: Any, chance: random.Random) -> Any:
    """The same JSON with one value that does not belong there."""
    if isinstance(value, dict) and value and chance.randrange(8):
        key = chance.choice(sorted(value))
        return {**value, key: _other_value(value[key], chance)}
    if isinstance(value, list) and value and chance.randrange(8):
        place = chance.randrange(len(value))
        return [*value[:place], _other_value(value[place], chance), *value[place + 1 :]]
    return chance.choice(STRANGE)


def fault(probe: Probe) -> str | None:
    """What is wrong with the answer; None where all is well."""
    try:
        probe()
    except UnliteError as error:
        assert str(error)
    except (Exception, SystemExit):  # noqa: BLE001 - whatever comes is what this program looks for
        return traceback.format_exc()
    return None


def work(first: int, end: int, seed: int, folder: str, told: Connection) -> None:
    """Tries mutants, one after the other, in a process of its own; tells the number of each, and faults."""
    limit_memory()
    warnings.simplefilter("ignore")
    for number in range(first, end):
        told.send(("started", number, "", ""))
        shutil.rmtree(os.path.join(folder, "out"), ignore_errors=True)
        os.makedirs(os.path.join(folder, "out"))
        path, probes = Case(f"{seed}/{number}", folder).make()
        for probe in probes:
            told.send(("probe", number, path, probe.__name__))
            trouble = fault(probe)
            if trouble is not None:
                told.send(("fault", number, _copy(path, number), f"{probe.__name__}\n{trouble}"))
                break
    told.send(("end", end, "", ""))


def _copy(path: str, number: int) -> str:
    """A copy of a case, with its tail, that the next case does not write over."""
    copied = os.path.join(os.path.dirname(path), f"fault-{number}{Path(path).suffix}")
    for end in ("", ".tail"):
        if os.path.exists(f"{path}{end}"):
            shutil.copy(f"{path}{end}", f"{copied}{end}")
    return copied


class Hunt:
    """A run over many mutants; processes come and go."""

    def __init__(self, chosen: argparse.Namespace, folder: str) -> None:
        self.chosen, self.folder = chosen, folder
        self.found = self.runs = 0
        self.kinds: dict[str, int] = {}

    def go(self) -> None:
        end = time.monotonic() + self.chosen.seconds
        while self.runs < self.chosen.runs and time.monotonic() < end:
            last = min(self.chosen.runs, self.runs + RECYCLED)
            ours, theirs = multiprocessing.Pipe(duplex=False)
            context = multiprocessing.get_context("spawn" if os.name == "nt" else "fork")
            arguments = (self.runs, last, self.chosen.seed, self.folder, theirs)
            process = context.Process(target=work, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self._listen(ours, process, end)
            process.kill()
            process.join()

    def _listen(self, ours: Connection, process: Any, end: float) -> None:
        at, path, probe = self.runs, "", ""
        while True:
            if not ours.poll(PATIENCE):
                self._keep(at, path, f"{probe}\nno answer within {PATIENCE} seconds")
                self.runs = at + 1
                return
            try:
                what, number, place, text = ours.recv()
            except EOFError:
                process.join()
                self._keep(at, path, f"{probe}\nthe process ended with {process.exitcode}")
                self.runs = at + 1
                return
            if what == "end":
                self.runs = number
                return
            at, path = number, place or path
            self.runs = max(self.runs, number)
            if what == "fault":
                self._keep(number, place, text)
                self.runs = number + 1
            elif what == "probe":
                probe = text
            elif time.monotonic() > end:
                return

    def _keep(self, number: int, path: str, text: str) -> None:
        self.found += 1
        last = text.strip().splitlines()
        inside = [line.strip() for line in last if "/unlite/" in line and line.strip().startswith("File")]
        kind = f"{last[-1][:100]} at {inside[-1] if inside else last[0][:80]}"
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if self.kinds[kind] > 3:  # the same again
            return
        self.chosen.keep.mkdir(exist_ok=True)
        place = self.chosen.keep / f"{self.chosen.seed}-{number}{Path(path).suffix}"
        if path and os.path.exists(path):
            shutil.copy(path, place)
            if os.path.exists(f"{path}.tail"):
                shutil.copy(f"{path}.tail", f"{place}.tail")
        Path(f"{place}.txt").write_text(text, errors="backslashreplace")
        print(f"{place}:\n{text}", flush=True)


def replay(path: str) -> int:
    """Asks a file that was kept all that its kind is asked. Returns 1 if there is a fault."""
    limit_memory()
    found = 0
    with tempfile.TemporaryDirectory() as folder:
        case = Case("replay", folder)
        os.makedirs(case.out)
        ending = Path(path).suffix
        if ending == ".bfbs":
            probes = schema_probes(path, case.out, case.model)
        elif ending == ".json":
            probes = text_probes(path, case.out)
        elif ending in (".npz", ".safetensors", ".pth"):
            probes = weight_probes(path, case.out, case.model)
        else:
            probes = model_probes(path, case.out, case.chance, everything=True)
        for probe in probes:
            trouble = fault(probe)
            if trouble is not None:
                found += 1
                print(f"{probe.__name__}\n{trouble}")
    print(f"{len(probes)} questions, {found} faults.")
    return 1 if found else 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5000, help="damaged files to try (5000)")
    parser.add_argument("--seconds", type=float, default=300, help="stop after so long, if it comes first (300)")
    parser.add_argument("--seed", type=int, default=0, help="which damage (0)")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-faults"), help="folder for files that show a fault")
    parser.add_argument("--replay", metavar="FILE", help="ask this file all that its kind is asked, and nothing else")
    chosen = parser.parse_args(arguments)
    if chosen.replay:
        return replay(chosen.replay)
    with tempfile.TemporaryDirectory() as folder:
        hunt = Hunt(chosen, folder)
        hunt.go()
    for kind, count in hunt.kinds.items():
        print(f"{count} x {kind}")
    print(f"{hunt.runs} damaged files, {hunt.found} faults (seed {chosen.seed}).")
    return 1 if hunt.found else 0


def limit_memory() -> None:
    """So that a file which wants too much brings an exception, and not down the machine."""
    try:
        import resource
    except ImportError:
        return
    import torch  # noqa: F401 - before: its libraries are not what a file asks for

    pages = int(Path("/proc/self/statm").read_text().split()[0]) if os.path.exists("/proc/self/statm") else 1 << 20
    size = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (size, resource.getrlimit(resource.RLIMIT_AS)[1]))


if __name__ == "__main__":
    sys.exit(main())
