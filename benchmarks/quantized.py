"""What exact integers cost against real numbers.

``python quantized.py`` measures both modules of one model in a process of its own and prints, as JSON, the seconds and
the bytes of each.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from measure import HERE, CommandError, Job, run
from table import Row, quantity, seconds, times, verdict

if TYPE_CHECKING:
    from pathlib import Path

MODEL = HERE.parent.parent / "shared" / "models" / "mobilenet_v2_nchw_int8.tflite"
LIMIT, MEMORY_LIMIT = 6.0, 4.0
ROUNDS = 20


def exact(cache: Path) -> list[Row]:
    """MobileNetV2, int8: ``quantized="exact"`` against ``quantized="float"``, eager, one thread."""
    if not MODEL.exists():
        raise CommandError(f"{MODEL} is missing.")
    found = json.loads(run(Job((sys.executable, HERE / "quantized.py"))).output)
    cpu, memory = found["cpu"], found["memory"]
    what = "run MobileNetV2 int8, quantized='exact'"
    return [
        _row(f"{what}: CPU against the float module", cpu, LIMIT, seconds),
        _row(f"{what}: tensors of a run against the float module's", memory, MEMORY_LIMIT, _mebibytes),
    ]


def _row(what: str, sides: dict[str, float], limit: float, text: Any) -> Row:
    ratio = sides["exact"] / sides["float"]
    told = text(sides["float"]), text(sides["exact"])
    return Row(what, *told, times(ratio), f"<= {times(limit)}", verdict(ratio <= limit))


def _mebibytes(value: float) -> str:
    return quantity(value, "MiB")


def measure() -> dict[str, dict[str, float]]:
    """``cpu``: least seconds of processor time of a run; ``memory``: most bytes of tensors that it makes, by mode."""
    import torch

    import unlite

    torch.set_num_threads(1)
    modules = {mode: unlite.to_torch(MODEL, quantized=mode) for mode in ("float", "exact")}
    shape = unlite.open(MODEL).main.inputs[0].shape
    inputs = {"float": torch.rand(shape), "exact": torch.randint(-128, 128, shape, dtype=torch.int8)}
    cpu = dict.fromkeys(modules, float("inf"))
    with torch.inference_mode():
        for _ in range(ROUNDS):
            for mode, module in modules.items():
                start = time.process_time()
                module(inputs[mode])
                cpu[mode] = min(cpu[mode], time.process_time() - start)
        memory = {mode: _most_alive(module, inputs[mode]) for mode, module in modules.items()}
    return {"cpu": cpu, "memory": memory}


def _most_alive(module: Any, x: Any) -> float:
    """The most bytes of tensors that are alive at once in a run, beside the weights."""
    from torch.profiler import profile

    with profile(profile_memory=True) as profiler:
        module(x)
    results: Any = profiler.profiler
    events = [event for event in results.kineto_results.events() if event.name() == "[memory]"]
    alive = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        alive += event.nbytes()
        most = max(most, alive)
    return float(most)


if __name__ == "__main__":
    print(json.dumps(measure()))
