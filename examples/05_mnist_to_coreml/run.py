"""How do I get a model into an iPhone app? Usage: run.py MNIST.tflite"""

from __future__ import annotations

import sys

import unlite

file = sys.argv[1]
picture = unlite.open(file).main.inputs[0]
print(f"{picture.name}: {picture.dtype} {list(picture.shape)}")

# Pixels are 0..255, and this model was trained on 0..1.
classifier = unlite.to_coreml(
    file,
    images={picture.name: {"color": "GRAYSCALE", "scale": 1 / 255}},
    class_labels=[str(digit) for digit in range(10)],
    precision="float32",
)
classifier.save("mnist.mlpackage")
description = classifier.get_spec().description
for feature in [*description.input, *description.output]:
    print(f"{feature.name}: {feature.type.WhichOneof('Type')}")

# Layer by layer: the saved program's values against LiteRT's.
comparison = unlite.compare(file, "mnist.mlpackage")
print(f"\n{comparison.verdict}: {comparison.reason}")
for tensor in comparison.tensors:
    print(f"{tensor.operator_name:16} {'within its noise floor' if tensor.ok else 'differs'}")
