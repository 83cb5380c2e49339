"""What notebooks show. Names are hostile: Python's own HTML parser says which tags come out."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.model.small import Builder, dense_layer

from unlite.model.facts.html import model_html, subgraph_html, tensor_html
from unlite.model.model import open_model

TAGS = {"table", "caption", "tr", "th", "td"}


class Page(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[object] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def pages(data: bytes) -> list[Page]:
    model = open_model(data)
    texts = [model_html(model), subgraph_html(model.main), *map(tensor_html, model.main.tensors)]
    for text in texts:
        text.encode("utf-8")
    return [Page(text) for text in texts]


def named(name: str, description: str = "") -> bytes:
    made = Builder()
    main = made.graph(name)
    x = made.tensor(main, name, [1], quantization={"scale": [0.5], "zero_point": [3]})
    y = made.constant(main, name, np.zeros(1, "<f4"))
    made.operator(main, "ADD", [x, y], [made.tensor(main, name, [1])])
    main["inputs"], main["outputs"] = [x], [2]
    made.rest = {
        "description": description or name,
        "signature_defs": [{"signature_key": name}],
        "metadata": [{"name": name, "buffer": 0}],
    }
    return made.data()


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"'><b>", "&lt;"])
def test_names_are_text(name: str) -> None:
    for page in pages(named(name)):
        assert set(page.tags) <= TAGS
        assert not page.attributes
        assert name in page.text


@given(st.text(max_size=300))
def test_any_name_is_text(name: str) -> None:
    for page in pages(named(name.encode("utf-8", "replace").decode())):
        assert set(page.tags) <= TAGS
        assert not page.attributes


def test_bytes_that_are_no_text() -> None:
    data = named("XXXX").replace(b"XXXX", b"\xff\xfe<\x80")
    for page in pages(data):
        assert set(page.tags) <= TAGS


def test_what_a_model_shows() -> None:
    model = open_model(dense_layer())
    assert model._repr_html_() == model_html(model)
    text = Page(model_html(model)).text
    for fact in ("small", "FULLY_CONNECTED", "1 subgraph, 4 tensors, 1 operator", "input", "1x2"):
        assert fact in text
    assert "FULLY_CONNECTED" in Page(model.main._repr_html_()).text
    weights = Page(model.main.tensors["weights"]._repr_html_()).text
    for fact in (
        "FLOAT32",
        "[3, 2]",
        "24 B",
        "a constant in buffer 1",
        "subgraphs[0].operators[0] FULLY_CONNECTED 'y'",
    ):
        assert fact in weights


def test_quantization_is_told_in_short() -> None:
    tensor = open_model(named("x")).main.tensors[0]
    assert "0.5 * (q - 3)" in Page(tensor_html(tensor)).text


def test_long_lists_are_cut() -> None:
    made = Builder()
    main = made.graph()
    x = made.tensor(main, "n" * 1000, [1])
    for _ in range(500):
        made.operator(main, "ADD", [x, x], [x])
    text = subgraph_html(open_model(made.data()).main)
    assert "and 300 more" in text
    assert "n" * 201 not in text


def test_damage_is_told_not_raised() -> None:
    made = Builder()
    main = made.graph()
    x = made.tensor(main, "x", [1], buffer=99)
    made.operator(main, "ADD", [x, 77], [x])
    model = open_model(made.data())
    assert "there is no buffer 99" in tensor_html(model.main.tensors[0])
    assert "there is no tensor 77" in subgraph_html(model.main)
    assert "cannot be read" in model_html(model)


def test_real_models_show(shared: Path) -> None:
    for name in ("blazeface_front_fp16", "toy_transformer_kv_cache", "mobilenet_v2_edgetpu"):
        model = open_model(shared / "models" / f"{name}.tflite")
        for text in (model_html(model), subgraph_html(model.main), tensor_html(model.main.tensors[1])):
            assert set(Page(text).tags) <= TAGS
