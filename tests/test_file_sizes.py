"""Files stay short enough to be read in one go."""

from __future__ import annotations

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
