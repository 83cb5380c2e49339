"""The comparison that the tests of docs and examples rest on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.transcript import matches, run


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("one\ntwo\n", "one\ntwo"),
        ("", "\n"),
        ("one  \n\n", "one\n"),
        ("one\n...\nfour", "one\ntwo\nthree\nfour\n"),
        ("one\n...\ntwo", "one\ntwo\n"),
        ("...", ""),
        ("shape (1, ..., 3) float", "shape (1, 128, 128, 3) float"),
        ("cost: 1+1 (*)", "cost: 1+1 (*)"),
    ],
)
def test_matches(expected: str, actual: str) -> None:
    assert matches(expected, actual)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("one\ntwo", "one"),
        ("one", "one\ntwo"),
        ("", "words"),
        ("one\n...\nfour", "one\ntwo\nthree\n"),
        ("a...c", "a\nc"),
        (" one", "one"),
        ("one.two", "one+two"),
    ],
)
def test_differs(expected: str, actual: str) -> None:
    assert not matches(expected, actual)


def test_run_gives_both_streams_and_the_exit_code(tmp_path: Path) -> None:
    assert run("pwd; echo trouble >&2; exit 3", tmp_path) == (f"{tmp_path}\ntrouble\n", 3)
    (tmp_path / "program.py").write_text("import sys; print(sys.argv[1:])")
    assert run(["program.py", "a b"], tmp_path) == ("['a b']\n", 0)
