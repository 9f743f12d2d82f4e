"""Outputs are complete or absent: written beside the target, then renamed over it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from aam_data.errors import DataError


def check_output(
    output: Path,
    inputs: dict[str, Path | None],
    also: Sequence[Path] = (),
    *,
    for_a_while: Sequence[Path] = (),
    overwrite: bool = False,
) -> None:
    """Raise DataError when ``--output`` cannot be written, exists, or is one of the inputs (by flag).

    Args:
        inputs: what the command reads, by the flag it is given with.
        also: the files beside ``output`` that are written too.
        for_a_while: files that an interrupted command leaves beside ``output``; they may exist.
        overwrite: whether ``output`` and ``also`` may exist.
    """
    if output.is_dir():
        raise DataError("--output is a folder", file=output, remedy="Name a file in it")
    if not output.parent.is_dir():
        raise DataError("the folder of --output does not exist", file=output, remedy="Make it first")
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise DataError("the folder of --output may not be written to", file=output, remedy="Name another --output")
    for written in (output, *also, *for_a_while):
        what = "--output is" if written is output else f"is written beside --output {output.name} and is"
        if not written.exists():
            continue
        if not written.is_file():
            raise DataError(f"{what} no regular file", file=written, remedy="Name another --output")
        for flag, given in inputs.items():
            if given is not None and given.exists() and written.samefile(given):
                raise DataError(f"{what} the file given with {flag}", file=written, remedy="Name another --output")
    for written in () if overwrite else (output, *also):
        if written.exists():
            what = "--output exists" if written is output else f"is written beside --output {output.name} and exists"
            raise DataError(what, file=written, remedy="Name another file, or give --overwrite")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; it becomes ``path`` when the block ends, and vanishes when it fails.

    It is in a folder of its own, which nobody else can put files or links into.
    """
    with TemporaryDirectory(prefix=f".{path.name}.", suffix=".partial", dir=path.parent) as folder:
        temporary = Path(folder, path.name)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
