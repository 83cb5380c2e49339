"""A real model, looked at, changed and saved: what `make demo` runs. Usage: run.py MODEL.tflite"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

import unlite


def step(text: str) -> None:
    print(f"\n== {text}", flush=True)


def command(*arguments: str) -> None:
    """Runs ``unlite`` as a person would type it, and stops at the first failure."""
    print("$ unlite", *(repr(argument) if " " in argument else argument for argument in arguments), flush=True)
    subprocess.run([Path(sys.executable).with_name("unlite"), *arguments], check=True)


face = sys.argv[1]

step("What is in it?")
command("show", face)
command("verify", face)

step("A new description; nothing else changes")
command("set", face, "description=BlazeFace, found at home", "-o", "described.tflite")
before, after = Path(face).read_bytes(), Path("described.tflite").read_bytes()
print(f"{len(before)} bytes before, {len(after)} after; description: {unlite.open('described.tflite').description!r}")

step("One number of one tensor, from Python")
model = unlite.open("described.tflite")
tensor = next(t for t in model.main.tensors if t.is_constant and t.dtype == "FLOAT16")
values = tensor.numpy().copy()
old, values.flat[0] = values.flat[0], 0.5
tensor.data = values
report = model.save("changed.tflite")
print(f"{tensor.name}[0]: {old} becomes {values.flat[0]}; the file was {report.how}")
command("verify", "changed.tflite")

step("To JSON and back")
command("json", "changed.tflite", "-o", "face.json")
command("build", "face.json", "-o", "again.tflite")
command("verify", "again.tflite")

one, other = unlite.open("changed.tflite").main, unlite.open("again.tflite").main
constants = [t for t in one.tensors if t.is_constant]
same = sum(np.array_equal(t.numpy(), other.tensors[t.index].numpy()) for t in constants)
print(f"{same} of {len(constants)} constants are equal, number for number")
sys.exit(same != len(constants))
