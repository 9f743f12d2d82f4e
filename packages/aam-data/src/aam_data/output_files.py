"""Outputs are complete or absent: written beside the target, then renamed over it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aam_data.errors import DataError


def check_output(output: Path, inputs: dict[str, Path | None]) -> None:
    """Raise DataError when ``--output`` cannot be written, or is one of the inputs (by flag); older output may be."""
    if output.is_dir():
        raise DataError("--output is a folder", file=output, remedy="Name a file in it")
    if not output.parent.is_dir():
        raise DataError("the folder of --output does not exist", file=output, remedy="Make it first")
    for flag, given in inputs.items():
        if given is not None and given.exists() and output.exists() and output.samefile(given):
            raise DataError(f"--output is the file given with {flag}", file=output, remedy="Name another file")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; it becomes ``path`` when the block ends, and vanishes when it fails."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
