"""How do I re-train a .tflite, and save it as the .tflite it was? Usage: run.py FACE.tflite

BlazeFace finds faces. Here it learns, in a few seconds on a processor, to find red balls in noise instead.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

import unlite

file = sys.argv[1]
torch.manual_seed(0)
torch.set_num_threads(1)  # small pictures: more threads would wait for each other
model = unlite.open(file)
net = unlite.to_torch(model, layout="nchw")
print(f"{sum(p.numel() for p in net.parameters())} weights of {len(list(net.parameters()))} tensors are trainable")

# The network scores 896 places: two on each cell of a grid of 16 x 16, six on each of 8 x 8. Their centres, 0..1:
grids = [((torch.arange(n) + 0.5) / n, count) for n, count in ((16, 2), (8, 6))]
PLACES = torch.cat([torch.cartesian_prod(g, g).repeat_interleave(count, 0) for g, count in grids])


def pictures(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise with a red ball in it, [N, 3, 128, 128] in -1..1, and which places lie on the ball, [N, 896]."""
    y, x, radius = (torch.rand(3, count, 1) * torch.tensor([0.6, 0.6, 0.1]).view(3, 1, 1)) + 0.2
    rows = (torch.arange(128) + 0.5) / 128
    ball = ((rows.view(1, -1, 1) - y.view(-1, 1, 1)) ** 2 + (rows - x.view(-1, 1, 1)) ** 2) < radius.view(-1, 1, 1) ** 2
    image = torch.rand(count, 3, 128, 128) - 0.5
    image = torch.where(ball.unsqueeze(1), torch.tensor([1.0, -0.5, -0.5]).view(1, 3, 1, 1), image)
    return image, ((PLACES[:, 0] - y) ** 2 + (PLACES[:, 1] - x) ** 2 < (0.7 * radius) ** 2).float()


def scored(images: torch.Tensor) -> torch.Tensor:
    """[N, 3, 128, 128] -> scores before the sigmoid, [N, 896].

    The file takes one picture, and puts all scores into one row: with several, those of each grid follow each other.
    """
    count = len(images)
    fine, coarse = net(images)[1].view(-1).split((count * 512, count * 384))
    return torch.cat([fine.view(count, -1), coarse.view(count, -1)], 1)


def found(scores: torch.Tensor, target: torch.Tensor) -> list[bool]:
    """Whether the best place of a picture is scored above one half, and lies on the ball."""
    best = scores.argmax(1, keepdim=True)
    return ((scores.gather(1, best) > 0) & (target.gather(1, best) > 0)).flatten().tolist()


test, truth = pictures(20)
with torch.no_grad():
    print(f"before: {sum(found(scored(test), truth))} of 20 balls found")

optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
for _ in range(25):
    image, target = pictures(8)
    loss = F.binary_cross_entropy_with_logits(scored(image), target, pos_weight=torch.tensor(5.0))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
with torch.no_grad():
    after = scored(test)
count = sum(found(after, truth))
print(f"after:  {'at least 18' if count >= 18 else count} of 20 balls found")

unlite.store_weights(model, net)
saved = model.save("balls.tflite")
print(f"\nballs.tflite: {saved.how}, {saved.size} bytes, as {file} has")
kernel = model.main.tensors["conv2d/Kernel"]
print(f"{kernel.name} is still {kernel.dtype} {list(kernel.shape)}; operators: {len(model.main.operators)}")

# LiteRT runs the saved file on the first three pictures.
theirs = [
    unlite.run("balls.tflite", [picture[None]], runtime="litert", tensors=["classificators"])["classificators"]
    for picture in test[:3].permute(0, 2, 3, 1).numpy()
]
scores = torch.from_numpy(np.concatenate(theirs)).squeeze(-1)
print(f"LiteRT finds the balls in pictures 1 to 3: {found(scores, truth[:3])}")
difference = float((scores - after[:3]).abs().max() / after.abs().max())
verdict = "agrees" if difference < 0.01 else "differs"
print(f"LiteRT {verdict} with the module that was trained; the file rounds its weights to float16")
net = unlite.to_torch("balls.tflite", layout="nchw")
with torch.no_grad():
    difference = float((scores - scored(test[:3])).abs().max() / scores.abs().max())
verdict = "agrees" if difference < 1e-4 else "differs"
print(f"LiteRT {verdict} with the saved file as a module; largest difference {difference:.4f} of the largest score")
