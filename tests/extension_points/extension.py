"""A description of what an extension adds, and how it is added to a copy of the packages."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

DATA, MODELS, TRAIN = "aam-data/src/aam_data", "aam-models/src/aam_models", "aam-train/src/aam_train"


class Extension(NamedTuple):
    """What is added, and a program that uses it.

    Attributes:
        limit: source files that it may touch.
        changes: by file, text to put behind an anchor (the anchor stays); a file without an anchor is new.
        use: a program that fails unless the addition works.
    """

    limit: int
    changes: dict[str, list[tuple[str, str]]]
    use: str


def add(extension: Extension, packages: Path) -> None:
    """Apply the changes to a copy of the packages."""
    for name, changes in extension.changes.items():
        file = packages / name
        for anchor, addition in changes:
            if not anchor:
                assert not file.exists()
                file.write_text(addition, encoding="utf-8")
                continue
            text = file.read_text("utf-8")
            assert text.count(anchor) == 1, f"{name}: {anchor!r} occurs {text.count(anchor)} times"
            file.write_text(text.replace(anchor, anchor + addition), encoding="utf-8")
