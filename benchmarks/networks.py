"""What it costs to convert a model to PyTorch, and to run it.

``python networks.py NAME`` measures how a network runs, in a process of its own, and prints the seconds of the
module and of the same network as one writes it by hand, channels last, as JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from measure import HERE, CommandError, Job, best, ours, run
from table import Row, quantity, seconds, times, verdict, within

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MODELS = HERE.parent.parent / "shared" / "models"
FILES = {"MobileNetV1": ("mobilenet_v1_025_fp32.tflite", 224), "BlazeFace": ("blazeface_front_fp16.tflite", 128)}
HAND = "hand_landmark_lite_fp16.tflite"
LIMIT = 1.1
MIB = 1 << 20
ROUNDS = 60
RUNS = 5  # of each side in a round


def convert(cache: Path) -> list[Row]:
    """A model of 2 MB and 167 operators to source, compared with LiteRT; LiteRT's own process is not counted."""
    if not (MODELS / HAND).exists():
        raise CommandError(f"{MODELS / HAND} is missing.")
    with tempfile.TemporaryDirectory() as folder:
        jobs = {
            "ours": Job(ours("convert", MODELS / HAND, folder + "/hand")),
            "import": Job((sys.executable, "-c", "import torch")),
        }
        taken = [best(jobs, 1, warm=not number) for number in range(5)]
    own = [json.loads(costs["ours"].output.splitlines()[-1]) for costs in taken]
    bare = min(costs["import"].cpu for costs in taken)
    memory = max(costs["import"].resident for costs in taken)
    what = "convert 2 MB, 167 operators, to source, and compare"
    return [
        within(f"{what}: CPU", min(o["cpu"] for o in own), 4, "s", today=f"{seconds(bare)} (import torch)"),
        within(
            f"{what}: resident",
            max(o["resident"] for o in own),
            500 * MIB,
            "MiB",
            today=f"{quantity(memory, 'MiB')} (import torch)",
        ),
    ]


def eager(cache: Path) -> list[Row]:
    """The float module in both layouts, one thread."""
    rows = []
    for name, (file, _) in FILES.items():
        if not (MODELS / file).exists():
            raise CommandError(f"{MODELS / file} is missing.")
        found = json.loads(run(Job((sys.executable, HERE / "networks.py", name))).output)
        by_hand = found.pop("by hand")
        for layout, taken in found.items():
            ratio = taken / by_hand
            what = f"run {name}, layout={layout!r}: CPU against by hand"
            ends = f"<= {times(LIMIT)}", verdict(ratio <= LIMIT)
            rows.append(Row(what, seconds(by_hand), seconds(taken), f"{ratio:.2f}x", *ends))
    return rows


def measure(name: str) -> dict[str, float]:
    """Least seconds of processor time of one run, by side: ``nhwc``, ``nchw``, ``by hand``."""
    import torch

    import unlite

    torch.set_num_threads(1)
    file, size = FILES[name]
    path = MODELS / file
    modules = {layout: unlite.to_torch(path, layout=layout).eval() for layout in ("nhwc", "nchw")}
    network: Any = NETWORKS[name]()
    _fill(network, modules["nhwc"])
    picture = torch.rand(1, 3, size, size).to(memory_format=torch.channels_last)
    file_order = picture.permute(0, 2, 3, 1)
    sides = {
        "nhwc": (modules["nhwc"], file_order),
        "nchw": (modules["nchw"], picture),
        "by hand": (network.eval().to(memory_format=torch.channels_last), picture),
    }
    best = dict.fromkeys(sides, float("inf"))
    with torch.inference_mode():
        _check({side: module(x) for side, (module, x) in sides.items()})
        for _ in range(ROUNDS):
            for side, (module, x) in sides.items():
                start = time.process_time()
                for _ in range(RUNS):
                    module(x)
                best[side] = min(best[side], (time.process_time() - start) / RUNS)
    return best


def _fill(network: Any, module: Any) -> None:
    """Gives a network's convolutions the weights of a converted module's, in the order of running."""
    import torch

    state = module.state_dict()
    nodes = [node for node in module.graph.nodes if node.target in (torch.conv2d, torch.nn.functional.conv2d)]
    layers = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)]
    with torch.no_grad():
        for layer, node in zip(layers, nodes, strict=True):
            layer.weight.copy_(state[node.args[1].target])
            layer.bias.copy_(state[node.args[2].target])


def _check(results: dict[str, Any]) -> None:
    """Raises CommandError unless all sides say the same."""
    import torch

    sides = {side: found if isinstance(found, tuple) else (found,) for side, found in results.items()}
    for found in sides.values():
        for mine, theirs in zip(found, sides["by hand"], strict=True):
            if not torch.allclose(mine.reshape(theirs.shape), theirs, atol=1e-4):
                raise CommandError("the network by hand is not the model's.")


def _mobilenet() -> Any:
    """MobileNetV1, a quarter as wide: [N, 3, 224, 224] -> probabilities [N, 1001]."""
    from torch import nn

    class SeparableConv(nn.Sequential):
        def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
            ends = [nn.ZeroPad2d((0, 1, 0, 1))] if stride == 2 else []  # with a stride of 2 the odd cell goes behind
            super().__init__(
                *ends,
                nn.Conv2d(channels_in, channels_in, 3, stride, padding=2 - stride, groups=channels_in),
                nn.ReLU6(),
                nn.Conv2d(channels_in, channels_out, 1),
                nn.ReLU6(),
            )

    widths = [8, 16, 32, 32, 64, 64, *[128] * 6, 256, 256]
    halving = (1, 3, 5, 11)
    blocks = [SeparableConv(a, b, 1 + (i in halving)) for i, (a, b) in enumerate(pairwise(widths))]
    return nn.Sequential(
        nn.ZeroPad2d((0, 1, 0, 1)),
        nn.Conv2d(3, 8, 3, 2),
        nn.ReLU6(),
        *blocks,
        nn.AvgPool2d(7),
        nn.Conv2d(256, 1001, 1),
        nn.Flatten(),
        nn.Softmax(-1),
    )


def _blazeface() -> Any:
    """The class of examples/04_blazeface_to_pytorch, with its outputs in the file's order."""
    sys.path.insert(0, str(HERE.parent / "examples" / "04_blazeface_to_pytorch"))
    from blazeface import BlazeFace

    class InOrder(BlazeFace):  # type: ignore[misc, valid-type]  # found at run time
        def forward(self, x: Any) -> Any:
            return super().forward(x)[::-1]

    return InOrder()


NETWORKS: dict[str, Callable[[], Any]] = {"MobileNetV1": _mobilenet, "BlazeFace": _blazeface}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
