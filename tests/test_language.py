"""The words of the code and the documents: the field's own terms, in plain English."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(ROOT.glob("packages/*/src/**/*.py"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
# How a docstring of a function may not begin: verbs come first (PEP 257).
NO_VERBS = ("Of", "What", "Which", "How", "Whether")
# Words that once stood for everything, and how often sources and documents may still use them.
RARE = {
    r"\bgives\b": (3, 1),
    r"\bbeside\b": (7, 4),
    r"\bfigures\b": (5, 2),
    r"\bjudg": (7, 0),
    r"\bbegins\b": (2, 1),
    r"\brefus": (11, 4),
    r"\bstands\b": (2, 0),
    r"\btold\b": (3, 0),
    r"\blooks at\b": (1, 0),
    r"\btells\b": (1, 0),
    r"\bsaid\b": (2, 0),
    r"\bfurther\b": (2, 0),
    r"\bin place of\b": (1, 0),
}


def functions(path: Path) -> list[ast.FunctionDef]:
    """Functions, methods and properties of a file."""
    return [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize("package", sorted(ROOT.glob("packages/*")), ids=lambda path: path.name)
def test_docstrings_of_functions_do_not_start_as_relative_clauses(package: Path) -> None:
    wrong = [
        f"{path.relative_to(package)}:{node.lineno} {node.name}: {text.splitlines()[0]}"
        for path in sorted(package.glob("src/**/*.py"))
        for node in functions(path)
        if (text := ast.get_docstring(node)) and text.split()[0] in NO_VERBS
    ]
    assert wrong == []


@pytest.mark.parametrize("word", RARE)
def test_worn_words_stay_rare(word: str) -> None:
    for paths, limit in zip((SOURCES, DOCUMENTS), RARE[word], strict=True):
        found = [
            f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
            for path in paths
            for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
            for _ in re.findall(word, line, flags=re.IGNORECASE)
        ]
        assert len(found) <= limit, "\n".join(found)
