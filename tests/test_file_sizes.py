"""Files and functions stay short enough to be read in one go."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIMIT = 350
# Files that may be longer, and why.
LONGER: dict[str, str] = {}


def lines_of_sources() -> dict[str, int]:
    files = [*ROOT.glob("packages/*/src/**/*.py"), *ROOT.glob("benchmarks/*.py"), ROOT / "noxfile.py"]
    return {path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines()) for path in files}


def test_no_file_is_longer_than_the_limit() -> None:
    sizes = lines_of_sources()
    assert len(sizes) > 20
    too_long = {name: lines for name, lines in sizes.items() if lines > LIMIT and name not in LONGER}
    assert too_long == {}


def test_the_exceptions_are_still_needed() -> None:
    sizes = lines_of_sources()
    assert [name for name in LONGER if sizes.get(name, 0) <= LIMIT] == []


def test_functions_are_short_and_recipes_have_few_parameters() -> None:
    wrong = []
    for path in sorted(ROOT.glob("packages/*/src/**/*.py")):
        max_lines, max_parameters = (45, 6) if path.parent.name == "recipes" else (60, 99)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno is not None
                lines = node.end_lineno - node.lineno + 1
                names = {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)} - {"self", "cls"}
                if lines > max_lines or len(names) > max_parameters:
                    wrong.append(f"{path.relative_to(ROOT)}: {node.name} ({lines} lines, {len(names)} parameters)")
    assert wrong == []
