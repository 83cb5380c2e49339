"""What stands around the classes in a written model: docstring, imports, ``load`` and a small run."""

from __future__ import annotations

import ast
import os
from typing import TYPE_CHECKING, Any

import torch
from torch import fx

from unlite.pytorch.source.folder import WEIGHTS
from unlite.pytorch.source.lines import wrapped
from unlite.pytorch.source.naming import literal, quoted

if TYPE_CHECKING:
    from collections.abc import Collection

    from unlite.model.objects.subgraph import Subgraph
    from unlite.model.objects.tensor import Tensor

UNNAMED = ("", "main", "MLIR Converted.", "TOCO Converted.", "subgraph", "model", "default")
"""Names that converters give every network."""


class Frame:
    """The frame of a file.

    Args:
        subgraph: What is written.
        name: Class of the network.
        module: From ``to_torch``.
        imports: Import lines that helpers need.
    """

    def __init__(self, subgraph: Subgraph, name: str, module: fx.GraphModule, imports: Collection[str]) -> None:
        self._subgraph, self._name, self._imports = subgraph, name, imports
        nodes = module.graph.find_nodes(op="placeholder")
        self._shapes = {node.meta["tensor"]: node.meta["val"] for node in nodes}
        (found,) = module.graph.output_node().args
        self._results = [
            node.meta.get("val") if isinstance(node, fx.Node) else None
            for node in (found if isinstance(found, (tuple, list)) else (found,))
        ]
        self._first = {(end["kind"], end["index"]): end["layout"] == "NCHW" for end in module.meta["unlite.io"]}

    def docstring(self) -> tuple[str, list[str]]:
        """The first line of the file's docstring, and the others."""
        file = quoted(_file_of(self._subgraph) or "a model in memory")
        inputs = [
            _described(tensor, self._shapes.get(tensor.index), self._first["input", place])
            for place, tensor in enumerate(self._subgraph.inputs)
        ]
        outputs = [
            _described(tensor, result, self._first["output", place])
            for place, (tensor, result) in enumerate(zip(self._subgraph.outputs, self._results, strict=True))
        ]
        body = ["", "Inputs:", *(f"    {line}" for line in inputs), "Outputs:", *(f"    {line}" for line in outputs)]
        return f"{quoted(title_of(self._subgraph))}, converted from {file}.", body

    def head(self) -> list[str]:
        """The docstring, and what has to stand at the top."""
        first, rest = self.docstring()
        return [f'"""{first}', *rest, '"""', "", "from __future__ import annotations", ""]

    def imports(self, used: str) -> list[str]:
        """Import lines: the standard library, then the rest."""
        standard = sorted({*self._imports, "from pathlib import Path"})
        lines = [*standard, "", "import torch"]
        if any(isinstance(node, ast.Name) and node.id == "F" for node in ast.walk(ast.parse(used))):
            lines.append("import torch.nn.functional as F")
        lines += ["from safetensors.torch import load_file", "from torch import Tensor, nn", ""]
        return [*lines, f'WEIGHTS = Path(__file__).with_name("{WEIGHTS}")']

    def loader(self) -> list[str]:
        """The function that gives the network with its weights."""
        return [
            f"def load(path: str | Path = WEIGHTS) -> {self._name}:",
            '    """The network with its weights, ready to run."""',
            f"    model = {self._name}()",
            "    model.load_state_dict(load_file(path))",
            "    return model.eval()",
        ]

    def main(self) -> list[str]:
        """A small run."""
        given = []
        for tensor in self._subgraph.inputs:
            fake = self._shapes[tensor.index]
            shape = ", ".join(map(str, fake.shape)) or "()"
            random = fake.dtype is torch.float32
            given.append(f"torch.rand({shape})" if random else f"torch.zeros({shape}, dtype={literal(fake.dtype)})")
        single = len(self._subgraph.outputs) == 1
        call = wrapped(f"{'output' if single else 'outputs'} = load()({', '.join(given)})")
        lines = ['if __name__ == "__main__":', "    with torch.no_grad():", *(f"        {line}" for line in call)]
        if single:
            return [*lines, "    print(list(output.shape), output.dtype)"]
        return [*lines, "    for output in outputs:", "        print(list(output.shape), output.dtype)"]


def _described(tensor: Tensor, fake: Any, channels_first: bool) -> str:
    """A tensor in words; sizes that the file leaves open are N."""
    sizes = list(tensor.shape_signature)
    if fake is not None and fake.ndim != len(sizes):  # the file leaves its rank open
        sizes = list(fake.shape)
    elif channels_first:
        sizes.insert(1, sizes.pop())
    shape = ", ".join("N" if size < 0 else str(size) for size in sizes)
    dtype = str(fake.dtype).removeprefix("torch.") if fake is not None else tensor.dtype.lower()
    return f"{quoted(tensor.name) or '(no name)'} [{shape}] {dtype}"


def title_of(subgraph: Subgraph) -> str:
    """What to call a network: by its own name, else by its file's."""
    name = subgraph.name or ""
    name = name.removeprefix("keras2tflite_").split(".tflite", 1)[0]
    if name in UNNAMED or not any(char.isalpha() for char in name):
        name = _file_of(subgraph).rsplit(".", 1)[0] or "model"
    return name


def _file_of(subgraph: Subgraph) -> str:
    """The file's name without its folder; "" for bytes in memory."""
    name = subgraph.model.file.name or ""
    return "" if name.startswith("<") else os.path.basename(name)
