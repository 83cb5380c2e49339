"""What it costs to open a model and read every field of every table; the yardstick is the object API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from converting import SCHEMA
from measure import CommandError, Job, best, ours, peer
from table import Row, against, seconds

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 5


def touch(cache: Path) -> list[Row]:
    """10,000 tensors read through the Model and through the engine's views."""
    path = cache / "many.tflite"
    jobs = {
        "object": Job(peer("object_touch", path)),
        "model": Job(ours("touch", path)),
        "views": Job(ours("touch_views", path, SCHEMA)),
    }
    costs = best(jobs, ROUNDS)
    if costs["model"].output != costs["object"].output:
        raise CommandError(f"ours read {costs['model'].output!r}, the object API {costs['object'].output!r}.")
    today = seconds(costs["object"].cpu)
    return [
        against(
            f"read 10,000 tensors through {what}: CPU against the object API",
            costs[name].cpu,
            costs["object"].cpu,
            1 / 2,
            today=today,
        )
        for name, what in (("model", "the Model"), ("views", "the engine's views"))
    ]
