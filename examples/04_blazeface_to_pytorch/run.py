"""How do I get a model's weights into my own PyTorch class? Usage: run.py FACE.tflite"""

from __future__ import annotations

import sys

import numpy as np
import torch
from blazeface import BlazeFace

import unlite

file = sys.argv[1]
net = BlazeFace().eval()
report = unlite.load_weights(net, file)
lines = str(report).splitlines()
print("\n".join([*lines[:6], "...", lines[-1]]))

torch.save(net.state_dict(), "blazeface.pth")
again = BlazeFace().eval()
again.load_state_dict(torch.load("blazeface.pth"))
print(f"\nblazeface.pth: {len(again.state_dict())} tensors")

# The same picture for both. LiteRT takes [N, H, W, C], PyTorch [N, C, H, W].
picture = np.random.default_rng(0).uniform(-1, 1, (1, 128, 128, 3)).astype("f4")
expected = unlite.run(file, [picture], runtime="litert", tensors=["classificators", "regressors"])
with torch.no_grad():
    scores, boxes = again(torch.from_numpy(picture).permute(0, 3, 1, 2))
for name, mine in (("classificators", scores), ("regressors", boxes)):
    theirs = expected[name]
    difference = np.abs(mine.numpy() - theirs).max() / np.abs(theirs).max()
    verdict = "agrees" if difference < 1e-5 else "differs"
    print(
        f"{name} {list(theirs.shape)}: {verdict} with LiteRT; largest difference {difference:.5f} of the largest value"
    )
