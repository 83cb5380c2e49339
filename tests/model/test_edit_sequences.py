"""Random changes through random handles, with undo and redo between them: all that reads the model agrees.

What should be there is kept apart, as what Google's generated classes read of the first file, changed by hand.
"""

from __future__ import annotations

import copy
import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.flatbuffers.flatc_judge import STRICT, Flatc
from tests.model import independent as api
from tests.model.test_edits import rich

from unlite.flatbuffers import view as v
from unlite.flatbuffers.flexbuffers import decode
from unlite.model.model import Model, open_model
from unlite.model.objects.quantization import Quantization

SEQUENCES = int(os.environ.get("EDIT_SEQUENCES", "150"))  # 10,000 take some seven minutes
BASES = ("hello_world_int8", "dilated_conv", "weight_sharing_two_subgraphs", "tiny_cnn_int8", "nl_classifier_customops")

Expected = dict[str, Any]


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


class Sequence:
    """A model under change, and what it should hold."""

    def __init__(self, data: bytes, seed: int) -> None:
        self.random = random.Random(seed)
        self.model = open_model(data)
        self.expected: Expected = api.plain(api.unpacked(data))
        self.decoded = self._decoded_now()
        self.past: list[tuple[Expected, Any]] = []
        self.future: list[tuple[Expected, Any]] = []
        self.handles: list[tuple[str, Any]] = []
        self.told: list[str] = []

    def _decoded_now(self) -> Any:
        names = list(self.model.metadata)
        if names.count("TFLITE_METADATA") != 1 or not isinstance(self._metadata(), v.Table):
            return None
        return self._metadata().name

    def _metadata(self) -> Any:
        return self.model.metadata.decoded("TFLITE_METADATA")

    # -- handles: a place by any of the ways to it ------------------------------------------------------------------

    def graph(self) -> tuple[int, Any, Any]:
        index = self.random.randrange(len(self.expected["subgraphs"]))
        return index, self.model.subgraphs[index], self.model.root.subgraphs[index]

    def pick(self, kind: str) -> tuple[Any, Any, Expected]:
        """A tensor or operator: its object, the view of its table (either may be old), and what it should be."""
        at, graph, table = self.graph()
        entries = self.expected["subgraphs"][at][kind]
        if not entries:
            return self.pick("tensors" if kind == "operators" else "operators")
        index = self.random.randrange(len(entries))
        old = [held for name, held in self.handles if name == f"{at} {kind} {index}"]
        if old and self.random.random() < 0.6:
            thing, view = self.random.choice(old)
        else:
            thing, view = getattr(graph, kind)[index], table[kind][index]
            self.handles.append((f"{at} {kind} {index}", (thing, view)))
        return thing, view, entries[index]

    # -- changes: each on the model, through one of the handles, and on what is expected ----------------------------

    def rename_tensor(self) -> None:
        tensor, view, wanted = self.pick("tensors")
        name = "n" * self.random.randrange(12)
        if self.random.random() < 0.5:
            tensor.name = name
        else:
            view.name = name
        wanted["name"] = name.encode()

    def reshape(self) -> None:
        tensor, view, wanted = self.pick("tensors")
        shape = [self.random.randrange(1, 9) for _ in range(self.random.randrange(1, 4))]
        if tensor.is_constant or self.random.random() < 0.5:
            view.shape = shape
        else:
            tensor.shape = shape
        wanted["shape"] = shape

    def quantize(self) -> None:
        tensor, view, wanted = self.pick("tensors")
        scale, zero = [float(2.0 ** -self.random.randrange(9))], [self.random.randrange(-9, 9)]
        have = wanted["quantization"]
        way = self.random.randrange(3)
        if have is None or not have["scale"] or len(have["scale"]) != 1:
            tensor.quantization = Quantization(scale, zero)
            if have is None:
                wanted["quantization"] = have = dict.fromkeys(("min", "max", "details"), None) | {"detailsType": 0}
            have |= {"scale": scale, "zeroPoint": zero, "quantizedDimension": 0, "min": None, "max": None}
            have |= {"details": None, "detailsType": 0}
        elif way == 0:
            tensor.quantization.scale = scale
            have["scale"] = scale
        elif way == 1:
            view.quantization.zero_point = zero
            have["zeroPoint"] = zero
        else:
            tensor.quantization = None
            wanted["quantization"] = None

    def constant(self) -> None:
        tensor, _, wanted = self.pick("tensors")
        number = wanted["buffer"]
        data = self.expected["buffers"][number]["data"] if number else None
        if data is None or tensor.dtype not in ("FLOAT32", "INT8", "INT32") or not tensor.is_constant:
            return self.describe()
        count = self.random.randrange(1, 40)
        content = bytes(self.random.randrange(256) for _ in range(len(data) if self.random.random() < 0.5 else count))
        if self.random.random() < 0.5:
            self.model.buffers[number].data = content
        else:
            self.model.root.buffers[number].data = np.frombuffer(content, "u1")
        self.expected["buffers"][number]["data"] = list(content)
        return None

    def rewire(self) -> None:
        at, graph, table = self.graph()
        count = len(self.expected["subgraphs"][at]["tensors"])
        end = self.random.choice(("inputs", "outputs"))
        indices = [self.random.randrange(count) for _ in range(self.random.randrange(3))]
        if self.random.random() < 0.5:
            setattr(graph, end, [graph.tensors[i] for i in indices])
        else:
            setattr(table, end, indices)
        self.expected["subgraphs"][at][end] = indices

    def rewire_operator(self) -> None:
        thing, view, wanted = self.pick("operators")
        if "opcodeIndex" not in wanted:
            return self.describe()
        count = len(thing.subgraph.tensors)
        indices = [self.random.randrange(-1, count) for _ in range(self.random.randrange(1, 4))]
        if self.random.random() < 0.5:
            thing.inputs = [None if i < 0 else i for i in indices]
        else:
            view.inputs = indices
        wanted["inputs"] = indices
        return None

    def option(self) -> None:
        thing, view, wanted = self.pick("operators")
        options = wanted.get("builtinOptions")
        if not options or "fusedActivationFunction" not in options:
            return self.describe()
        name, number = self.random.choice((("NONE", 0), ("RELU", 1), ("RELU6", 3), ("TANH", 4)))
        holder = thing.options if self.random.random() < 0.5 else view.builtin_options
        holder.fused_activation_function = name
        options["fusedActivationFunction"] = number
        return None

    def custom_option(self) -> None:
        thing, _, wanted = self.pick("operators")
        if not isinstance(wanted.get("customOptions"), list) or not isinstance(thing._decoded_options(), dict):
            return self.describe()
        key, value = self.random.choice("abk"), self.random.randrange(1000)
        thing.custom_options[key] = value
        whole = dict(thing._decoded_options())
        assert whole[key] == value
        wanted["customOptions"] = list(bytes(thing.custom_options_bytes))
        assert decode(bytes(wanted["customOptions"]))[key] == value
        return None

    def describe(self) -> None:
        text = "d" * self.random.randrange(1, 20)
        if self.random.random() < 0.5:
            self.model.description = text
        else:
            self.model.root.description = text
        self.expected["description"] = text.encode()

    def note(self) -> None:
        content = bytes(self.random.randrange(256) for _ in range(self.random.randrange(1, 20)))
        entries = self.expected["metadata"] or []
        names = [entry["name"] for entry in entries]
        if b"extra" in names:
            self.expected["buffers"][entries[names.index(b"extra")]["buffer"]]["data"] = list(content)
        else:
            self.expected["buffers"].append({"data": list(content), "offset": 0, "size": 0})
            entries.append({"name": b"extra", "buffer": len(self.expected["buffers"]) - 1})
            self.expected["metadata"] = entries
        self.model.metadata["extra"] = content

    def forget_note(self) -> None:
        if "extra" not in self.model.metadata:
            return self.note()
        del self.model.metadata["extra"]
        entries = self.expected["metadata"]
        (at,) = [i for i, entry in enumerate(entries) if entry["name"] == b"extra"]
        self.expected["buffers"][entries.pop(at)["buffer"]]["data"] = None
        return None

    def rename_in_metadata(self) -> None:
        if self.decoded is None:
            return self.describe()
        old = [held for name, held in self.handles if name == "metadata"]
        view = self.random.choice(old) if old and self.random.random() < 0.6 else self._metadata()
        self.handles.append(("metadata", view))
        view.name = self.decoded = "m" * self.random.randrange(1, 20)
        (entry,) = [entry for entry in self.expected["metadata"] if entry["name"] == b"TFLITE_METADATA"]
        self.expected["buffers"][entry["buffer"]]["data"] = list(bytes(self.model.metadata["TFLITE_METADATA"]))
        return None

    def version(self) -> None:
        index = self.random.randrange(len(self.expected["operatorCodes"]))
        number = self.random.randrange(1, 5)
        if self.random.random() < 0.5:
            self.model.operator_codes[index].version = number
        else:
            self.model.root.operator_codes[index].version = number
        self.expected["operatorCodes"][index]["version"] = number

    def step(self) -> None:
        changes = (
            self.rename_tensor, self.reshape, self.quantize, self.constant, self.rewire, self.rewire_operator,
            self.option, self.custom_option, self.describe, self.note, self.forget_note, self.rename_in_metadata,
            self.version,
        )  # fmt: skip
        chance = self.random.random()
        before = copy.deepcopy(self.expected), self.decoded
        if chance < 0.2 and self.past:
            self.told.append("undo")
            assert self.model.undo() is not None
            self.future.append(before)
            self.expected, self.decoded = self.past.pop()
        elif chance < 0.3 and self.future:
            self.told.append("redo")
            assert self.model.redo() is not None
            self.past.append(before)
            self.expected, self.decoded = self.future.pop()
        else:
            change = self.random.choice(changes)
            self.told.append(change.__name__)
            change()
            self.past.append(before)
            self.future.clear()
        assert len(self.model.edits) == len(self.past)

    # -- what all readers say ----------------------------------------------------------------------------------------

    def check_handles(self) -> None:
        """Old and fresh objects and views."""
        assert self.model.description.encode() == (self.expected["description"] or b"")
        for at, wanted in enumerate(self.expected["subgraphs"]):
            graph = self.model.subgraphs[at]
            assert [tensor.index for tensor in graph.inputs] == (wanted["inputs"] or [])
            assert [tensor.index for tensor in graph.outputs] == (wanted["outputs"] or [])
            for index, entry in enumerate(wanted["tensors"]):
                known = [held for name, held in self.handles if name == f"{at} tensors {index}"]
                for tensor, view in [*known, (graph.tensors[index], self.model.root.subgraphs[at].tensors[index])]:
                    assert tensor.name.encode() == (entry["name"] or b"") == (view.name or "").encode()
                    assert list(tensor.shape) == list(view.shape or ()) == (entry["shape"] or [])
                    quantization, have = tensor.quantization, entry["quantization"]
                    scale = [] if have is None else have["scale"] or []
                    assert list(quantization.scale if quantization else ()) == scale
                    assert list((view.quantization and view.quantization.scale) or ()) == scale
            for index, entry in enumerate(wanted["operators"] or ()):
                known = [held for name, held in self.handles if name == f"{at} operators {index}"]
                for thing, view in [*known, (graph.operators[index], self.model.root.subgraphs[at].operators[index])]:
                    assert [-1 if t is None else t.index for t in thing.inputs] == entry["inputs"] == list(view.inputs)
        for name, view in self.handles:
            if name == "metadata":
                assert view.name == self.decoded

    def check_saved(self, path: Path) -> Model:
        self.model.save(path)
        assert api.plain(api.unpacked(path.read_bytes())) == self.expected, self.told
        return open_model(path)


def sequence(data: bytes, seed: int, path: Path) -> Sequence:
    run = Sequence(data, seed)
    try:
        for _ in range(run.random.randrange(1, 25)):
            run.step()
            if run.random.random() < 0.3:
                run.check_handles()
        run.check_handles()
        again = run.check_saved(path)
        assert [t.name for g in again.subgraphs for t in g.tensors] == [
            t.name for g in run.model.subgraphs for t in g.tensors
        ]
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {run.told}") from error
    return run


def names(model: Model) -> list[str]:
    return [tensor.name for graph in model.subgraphs for tensor in graph.tensors]


def bases(shared: Path) -> list[bytes]:
    return [rich(), *((shared / "models" / f"{name}.tflite").read_bytes() for name in BASES)]


@pytest.mark.parametrize("part", range(6))
def test_all_readers_agree(part: int, shared: Path, tmp_path: Path) -> None:
    data = bases(shared)[part]
    for seed in range(SEQUENCES // 6):
        run = sequence(data, 1000 * part + seed, tmp_path / "m.tflite")
        while run.model.undo():
            pass
        assert run.model.save(tmp_path / "same").how == "copied"
        assert (tmp_path / "same").read_bytes() == data


def test_flatc_and_torch_agree(shared: Path, tmp_path: Path) -> None:
    """Of the changed model as of the file that was saved."""
    torch = pytest.importorskip("torch")
    import unlite

    flatc = Flatc.of(tmp_path, (shared / "schemas/schema.fbs").read_text())
    data = (shared / "models/hello_world_int8.tflite").read_bytes()
    for seed in range(6):
        run = Sequence(data, seed)
        for _ in range(8):
            run.random.choice((run.constant, run.describe, run.rename_tensor, run.note))()
        path = tmp_path / f"{seed}.tflite"
        again = run.check_saved(path)
        assert json.loads(unlite.to_json(run.model)) == json.loads(unlite.to_json(again))
        theirs = json.loads(flatc.to_text(path.read_bytes(), *STRICT))
        ours = json.loads(unlite.to_json(run.model))
        assert [t["name"] for t in theirs["subgraphs"][0]["tensors"]] == [
            t["name"] for t in ours["subgraphs"][0]["tensors"]
        ]
        assert [b.get("data") for b in theirs["buffers"]] == [b.get("data") for b in ours["buffers"]]
        try:
            mine = unlite.to_torch(run.model)
        except unlite.UnliteError as error:  # a constant may have lost its length, in both alike
            with pytest.raises(type(error)):
                unlite.to_torch(again)
            continue
        x = torch.linspace(-1, 1, 4).reshape(4, 1)
        assert torch.equal(mine(x[:1]), unlite.to_torch(again)(x[:1]))
