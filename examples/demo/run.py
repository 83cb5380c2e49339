"""A real model, looked at, converted, changed and saved: what `make demo` runs. Usage: run.py MODEL.tflite"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

import unlite


def step(title: str, text: str) -> None:
    """Says what is about to be done, and why."""
    print(f"\n== {title}\n{text}\n", flush=True)


def command(*arguments: str) -> None:
    """Runs ``unlite`` as a person would type it, and stops at the first failure."""
    print("$ unlite", *(repr(argument) if " " in argument else argument for argument in arguments), flush=True)
    subprocess.run([Path(sys.executable).with_name("unlite"), *arguments], check=True)


face = sys.argv[1]
print(f"{face} is BlazeFace, which finds faces in pictures: a real model, as it is in many apps.", flush=True)

step("What is in it?", "Reads a few kilobytes; the weights stay where they are.")
command("show", face)

step("Is it sound?", "Everything that is not as the format wants it, with path and byte. A note harms nothing.")
command("verify", face)

step(
    "The same network in PyTorch",
    "Source to read and change, with its weights. Every tensor on the way is compared with LiteRT's.",
)
command("convert", face, "--to", "torch", "-o", "pytorch")
source = Path("pytorch/model.py").read_text(encoding="ascii")
print("\nFrom pytorch/model.py:\n")
print(*source[source.index("class FacedetectorFront") :].splitlines()[:10], "        ...", sep="\n")
print("\nIt needs torch and safetensors, and not unlite:\n\n$ python pytorch/model.py", flush=True)
subprocess.run([sys.executable, "-I", "pytorch/model.py"], check=True)

step("Which operator would it be, if one were wrong?", "One weight of one convolution is changed, and the fault found.")
print(
    """>>> net = unlite.to_torch("face.tflite")
>>> net.get_parameter("conv2d_3_Kernel_dequantize").data[0, 0] += 0.1
>>> unlite.compare("face.tflite", net).reason""",
    flush=True,
)
net = unlite.to_torch(face)
net.get_parameter("conv2d_3_Kernel_dequantize").data[0, 0] += 0.1
print(unlite.compare(face, net).reason, flush=True)

step(
    "A new description",
    "Back to the file. A text of another length moves what follows it: the file is rewritten, all values stay.",
)
command("set", face, "description=BlazeFace, found at home", "-o", "described.tflite")
before, after = unlite.open(face), unlite.open("described.tflite")
constants = [t.index for t in before.main.tensors if t.is_constant]
same = sum(before.main.tensors[i].data == after.main.tensors[i].data for i in constants)
print(f"\ndescription: {after.description!r}; {same} of {len(constants)} constants are the same, byte by byte")

step("One number of one tensor, from Python", "The new value is as long as the old one: only its bytes are replaced.")
print(
    """>>> model = unlite.open("described.tflite")
>>> kernel = model.main.tensors["conv2d/Kernel"]
>>> values = kernel.numpy().copy()
>>> values[0, 0, 0, 0] = 0.5
>>> kernel.data = values
>>> model.save("changed.tflite")"""
)
model = unlite.open("described.tflite")
kernel = model.main.tensors["conv2d/Kernel"]
values = kernel.numpy().copy()
values[0, 0, 0, 0] = 0.5
kernel.data = values
print(model.save("changed.tflite"))
old, new = Path("described.tflite").read_bytes(), Path("changed.tflite").read_bytes()
print(f"\nbytes that differ between the two files: {sum(a != b for a, b in zip(old, new, strict=True))}")

step("To JSON and back", "For any editor, and for flatc. Nothing is lost on the way.")
command("json", "changed.tflite", "-o", "face.json")
command("build", "face.json", "-o", "again.tflite")
command("verify", "again.tflite")
one, other = unlite.open("changed.tflite").main, unlite.open("again.tflite").main
same = sum(np.array_equal(one.tensors[i].numpy(), other.tensors[i].numpy()) for i in constants)
print(f"\n{same} of {len(constants)} constants are equal, number for number", flush=True)

step("For a microcontroller", "The same model as a C array, and back from the C text.")
command("c-array", "again.tflite", "-o", "g_model.cc")
command("build", "g_model.cc", "-o", "from_c.tflite")
equal = Path("from_c.tflite").read_bytes() == Path("again.tflite").read_bytes()
print(f"\nthe same bytes: {equal}", flush=True)

print(f"\nThe files are in {Path.cwd()}. All commands: unlite. All pages: docs/index.md")
sys.exit(same != len(constants) or not equal)
