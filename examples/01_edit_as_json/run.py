"""How do I edit a model as text? Usage: run.py MODEL.tflite"""

from __future__ import annotations

import difflib
import json
import sys
from pathlib import Path

import unlite

model = sys.argv[1]

print("== To JSON, one field changed, and back")
document = json.loads(unlite.to_json(model))
tensor = document["subgraphs"][0]["tensors"][document["subgraphs"][0]["inputs"][0]]
print(f"input 0 is {tensor['name']!r}")
tensor["name"] = "image"
document["description"] = "edited as JSON"
edited = unlite.from_json(document)
print(f"input 0 is {edited.main.inputs[0].name!r}; saved: {edited.save('edited.tflite').size} bytes")

print("\n== What changed: the lines of the two texts that differ")
before, after = (unlite.to_json(file).splitlines() for file in (model, "edited.tflite"))
for line in difflib.unified_diff(before, after, lineterm="", n=0):
    if line[0] in "+-" and line[:3] not in ("+++", "---"):
        print(line)

print("\n== It is text, so any tool will do: here a replacement, as sed would do it")
unlite.to_json(model, "model.json")
text = Path("model.json").read_text()
Path("model.json").write_text(text.replace('"padding": "SAME"', '"padding": "VALID"', 1))
operator = next(op for op in unlite.from_json("model.json").main.operators if op.name == "CONV_2D")
print(operator.label, operator.options)

print("\n== A model of 2017, schema version 1: as it looks today, and as it is stored")
old = {
    "version": 1,
    "operator_codes": [{"builtin_code": "SIGMOID"}],
    "subgraphs": [
        {
            "tensors": [{"name": "x", "shape": [4]}, {"name": "y", "shape": [4]}],
            "inputs": [0],
            "outputs": [1],
            "operators": [{"inputs": [0], "outputs": [1]}],
        }
    ],
}
unlite.from_json(old, schema="v1").save("old.tflite")
print("today: ", json.loads(unlite.to_json("old.tflite"))["operator_codes"])
stored = json.loads(unlite.to_json("old.tflite", schema="v1"))
print("stored:", stored["operator_codes"])
stored["operator_codes"][0]["builtin_code"] = "TANH"
unlite.from_json(stored, schema="v1").save("tanh.tflite")
tanh = unlite.open("tanh.tflite")
print(f"edited: version {tanh.schema_version}, {tanh.main.operators[0].name}")

print("\n== A mistake is told with its place")
try:
    unlite.from_json('{\n  "version": 3,\n  "subgraphs": [{"tensors": [{"shpe": [1]}]}]\n}')
except unlite.UnliteError as error:
    print(error)
