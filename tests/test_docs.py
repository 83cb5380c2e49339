"""Runs every Python block and every command in README.md and docs/.

Each page is one session in an empty folder that holds ``face.tflite``, and ``digits.tflite``, a quantized model, if the
page speaks of it: names bound in one Python block are there in the next, files written by one command are there for
the next. The language of a fenced block says what is done:

- ``python``: run. It must not raise. An ``output`` block right after it is what it prints.
- ``console``: lines that begin with ``$ `` are commands, the lines below each are what it prints (both streams).
  A command exits with 0, or ends with the comment ``# exit 1``.
- ``sh``: a script without its output; it must succeed. ``$ `` makes it a ``console``.
- anything else is for reading.

``...`` in expected text: see ``transcript.py``.
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.transcript import matches, run

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
DIGITS = "mnist_conv_fc_int8.tflite"
"""What the shared models call ``digits.tflite``."""
# What sets the project up ran before any test could; run from here, it would need the network or start the tests again.
SETS_UP = re.compile(r"pip install |make( |$)|git clone ")


class Block(NamedTuple):
    """A fenced block: ``language``, ``text`` without its fences, and ``line``, the number of its first line."""

    language: str
    text: str
    line: int


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a Markdown text, in order. A fence may be indented, as in lists."""
    fence = re.compile(r"^([ ]*)```(\w*)[^\n]*\n(.*?)^\1```[ ]*$", re.DOTALL | re.MULTILINE)
    for match in fence.finditer(page):
        indent, language, text = match.groups()
        lines = [line.removeprefix(indent) for line in text.splitlines(keepends=True)]
        yield Block(language, "".join(lines), page.count("\n", 0, match.start()) + 2)


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block, and the text below it. A backslash at a line's end carries the command on."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command = re.match(r"(?:.*\\\n)*.*", part)[0]  # type: ignore[index]  # it matches any text
        yield command, part[len(command) + 1 :]


def run_python(block: Block, names: dict[str, object], page: Path) -> str:
    """What the block prints; its exceptions carry the page's own line numbers."""
    code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, names)  # noqa: S102 - the project's own pages
    return printed.getvalue()


def run_command(command: str, folder: Path, where: str) -> str:
    """What the command prints, after its exit code was found to be the one it announces."""
    output, code = run(command, folder)
    announced = re.search(r"# exit (\d+)$", command)
    assert code == int(announced[1] if announced else 0), f"{where}: {command!r} exits {code}:\n{output}"
    return output


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page(
    page: Path, face: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    shutil.copyfile(face, tmp_path / "face.tflite")
    text = page.read_text(encoding="utf-8")
    if "digits.tflite" in text:
        shutil.copyfile(request.getfixturevalue("shared") / "models" / DIGITS, tmp_path / "digits.tflite")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # a session begun in this folder imports from it
    for name in [name for name in sys.modules if name.partition(".")[0] == "face"]:  # another page's
        del sys.modules[name]
    names: dict[str, object] = {"__name__": "__main__"}
    printed = ""
    for block in blocks(text):
        where = f"{page.name}:{block.line}"
        if block.language == "python":
            printed = run_python(block, names, page)
        elif block.language == "output":
            assert matches(block.text, printed), f"{where}: printed was:\n{printed}"
        elif block.language in ("console", "sh") and re.search(r"^\$ ", block.text, re.MULTILINE):
            for command, expected in commands(block.text):
                if not SETS_UP.match(command):
                    output = run_command(command, tmp_path, where)
                    assert matches(expected, output), f"{where}: {command!r} printed:\n{output}"
        elif block.language == "sh":
            script = [line for line in block.text.splitlines() if not SETS_UP.match(line)]
            run_command("\n".join(["set -euo pipefail", *script]), tmp_path, where)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page: Path) -> None:
    """Links to files of the project lead somewhere, and ``#section`` to a heading there."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, section = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), f"{page.name} links to {target}"
        if section:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert section in anchors, f"{page.name} links to {target}"


def test_blocks_and_commands() -> None:
    page = (
        "Text\n\n```python\nx = 1\n```\n"
        "- item\n  ```console\n  $ a \\\n    b\n  out\n\n  $ c  # exit 1\n  ```\n"
        "```\nplain\n```\n"
    )
    python, console, plain = blocks(page)
    assert python == Block("python", "x = 1\n", 4)
    assert list(commands(console.text)) == [("a \\\n  b", "out\n\n"), ("c  # exit 1", "")]
    assert plain == Block("", "plain\n", 15)
