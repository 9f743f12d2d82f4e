"""The codes of findings: the sources use exactly those of the table."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from aam_data.codes import CODES

ROOT = Path(__file__).parents[1]
GROUPS = {
    "file", "table", "sequences", "ids", "metadata", "target", "categories", "classes", "groups", "depth", "tree",
    "distances", "taxonomy", "split", "leak", "corpus", "option", "output", "model",
}  # fmt: skip


def sources() -> list[ast.Module]:
    paths = [path for path in sorted(ROOT.glob("packages/*/src/**/*.py")) if path.name != "codes.py"]
    return [ast.parse(path.read_text("utf-8")) for path in paths]


def texts(node: ast.expr) -> Iterator[str]:
    """The texts that an expression may evaluate to, as far as it states them."""
    if isinstance(node, ast.IfExp):
        yield from texts(node.body)
        yield from texts(node.orelse)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def test_every_code_that_is_named_is_in_the_table() -> None:
    named: list[str] = []
    for tree in sources():
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if node.func.id == "Note":
                named += texts(node.args[0])
            if node.func.id == "DataError":
                (code,) = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
                named += texts(code)
    assert len(named) > 300
    assert set(named) - CODES.keys() == set()


def test_every_code_of_the_table_is_used() -> None:
    used = {
        node.value
        for tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert CODES.keys() - used == set()


def test_codes_are_words_by_group_and_meanings_are_sentences() -> None:
    assert [code for code in CODES if not re.fullmatch(r"[a-z]+(-[a-z0-9]+)+", code)] == []
    assert {code.split("-")[0] for code in CODES} == GROUPS
    assert [text for text in CODES.values() if not (text.endswith(".") and len(text) <= 110)] == []
