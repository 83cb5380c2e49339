"""What a command costs: processor time, wall time, memory, and pages of a file.

Every measurement is a process of its own, started by launch.py: ``os.wait4`` tells the kernel's own sums for it and
the children it waited for. The resident set counts mapped pages.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

HERE = Path(__file__).parent
SOURCE = HERE.parent / "src"
UNLITE = (sys.executable, "-m", "unlite")
BARE = (sys.executable, "-c", "pass")


class CommandError(Exception):
    """A command that did not do what it was started for."""


@dataclass(frozen=True)
class Cost:
    """What a command took.

    Attributes:
        cpu: Seconds of processor time, user and system, children included.
        wall: Seconds from start to end.
        resident: Bytes of the largest resident set, mapped pages included.
        output: What it wrote to standard output.
    """

    cpu: float
    wall: float
    resident: int
    output: bytes


class Job(NamedTuple):
    """A command to measure.

    Attributes:
        command: The program and its arguments.
        before: What to do before each start; not measured.
    """

    command: Sequence[str | Path]
    before: Callable[[], None] | None = None


def peer(job: str, *arguments: str | Path) -> tuple[str | Path, ...]:
    """The command for one of today's ways, from peers.py."""
    return (sys.executable, HERE / "peers.py", job, *arguments)


def ours(job: str, *arguments: str | Path) -> tuple[str | Path, ...]:
    """The command for a use of the library, from ours.py."""
    return (sys.executable, HERE / "ours.py", job, *arguments)


def run(job: Job) -> Cost:
    """Runs a command with its output in a pipe. Raises CommandError unless it ends with 0."""
    if job.before is not None:
        job.before()
    command = [os.fspath(word) for word in job.command]
    environment = {**os.environ, "PYTHONPATH": os.fspath(SOURCE)}
    reports, report = os.pipe()
    with tempfile.TemporaryFile() as messages, open(reports, "rb") as answers:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", os.fspath(HERE / "launch.py"), str(report), *command],
            stdout=subprocess.PIPE,
            stderr=messages,
            env=environment,
            pass_fds=[report],
        )
        os.close(report)
        output, _ = process.communicate()
        answer = answers.read().split()
        status = os.waitstatus_to_exitcode(int(answer[0])) if answer else "none"
        if status != 0:
            messages.seek(0)
            tail = messages.read().decode(errors="replace").strip().splitlines()[-3:]
            raise CommandError(f"{' '.join(command)}: exit {status}: {' | '.join(tail)}")
    return Cost(float(answer[1]), float(answer[2]), int(answer[3]) << 10, output)


def best(jobs: Mapping[str, Job], rounds: int, *, warm: bool = True) -> dict[str, Cost]:
    """Runs the jobs in turn, so that a slow moment of the machine meets all of them.

    Returns:
        For each job the least processor time, the least wall time and the largest resident set of all rounds. With
        ``warm``, a round before them is not counted.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in jobs}
    for number in range(rounds + warm):
        for name, job in jobs.items():
            cost = run(job)
            if number >= warm:
                costs[name].append(cost)
    return {
        name: Cost(
            min(cost.cpu for cost in taken),
            min(cost.wall for cost in taken),
            max(cost.resident for cost in taken),
            taken[-1].output,
        )
        for name, taken in costs.items()
    }


def check_same_content(before: Path, after: Path) -> None:
    """Raises CommandError unless the object API finds the same tensors and bytes in both models."""
    if run(Job(peer("digest", before))).output != run(Job(peer("digest", after))).output:
        raise CommandError(f"{after.name} does not hold what {before} holds.")


@contextlib.contextmanager
def fresh_copy(path: Path) -> Iterator[Path]:
    """A copy of a file beside it, just written and on the disk, all of it in the page cache; taken away at the end.

    The kernel caches what is written in larger pieces than what is read, and maps a whole piece where one page of it is
    touched. Of the states a file can be in, this is the one that shows most memory, and it is always the same.
    """
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        copy = Path(folder) / path.name
        with open(path, "rb", buffering=0) as source, open(copy, "wb", buffering=0) as target:
            while piece := source.read(16 << 20):
                target.write(piece)
            os.fsync(target.fileno())
        yield copy


def drop(path: Path) -> None:
    """Takes a file's pages out of the page cache. Raises CommandError where the kernel keeps some."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    kept = cached_bytes(path)
    if kept:
        raise CommandError(f"{path}: {kept} bytes stay in the page cache; another process holds them.")


def cached_bytes(path: Path) -> int:
    """Bytes of a file that lie in the page cache, in whole pages; they are not touched by asking."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        pages = ctypes.create_string_buffer(-(-size // mmap.PAGESIZE))
        address = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
        if address == ctypes.c_void_p(-1).value:
            raise OSError(ctypes.get_errno(), "mmap", os.fspath(path))
        try:
            if libc.mincore(address, size, pages):
                raise OSError(ctypes.get_errno(), "mincore", os.fspath(path))
        finally:
            libc.munmap(address, size)
    return mmap.PAGESIZE * sum(page & 1 for page in pages.raw)
