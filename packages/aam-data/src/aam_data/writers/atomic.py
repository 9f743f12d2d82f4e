"""Atomic writes: an output is complete or absent, written next to the target and renamed over it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory

from aam_data.errors import DataError
from aam_data.writers.plain_files import errors_name


def check_output(
    output: Path,
    inputs: dict[str, Path | None],
    also: Sequence[Path] = (),
    *,
    temporary: Sequence[Path] = (),
    overwrite: bool = False,
) -> None:
    """Check that ``--output`` can be written.

    Args:
        output: the file to write.
        inputs: the files that the command reads, by flag.
        also: other files that are written next to ``output``.
        temporary: files that an interrupted command leaves next to ``output``; they may exist.
        overwrite: whether ``output`` and ``also`` may exist.

    Raises:
        DataError: it cannot be written, exists, or is one of the inputs.
    """
    if output.is_dir():
        raise DataError("--output is a folder", code="output-not-writable", file=output, remedy="Name a file in it")
    if not output.parent.is_dir():
        raise DataError(
            "the folder of --output does not exist", code="output-not-writable", file=output, remedy="Create it first"
        )
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise DataError(
            "the folder of --output is not writable",
            code="output-not-writable",
            file=output,
            remedy="Choose another --output",
        )
    for written in (output, *also, *temporary):
        what = "--output is" if written is output else f"is written next to --output {output.name} and is"
        if written.exists() and not written.is_file():
            raise DataError(
                f"{what} not a regular file", code="output-not-writable", file=written, remedy="Choose another --output"
            )
        for flag, given in inputs.items():
            if given is not None and given.exists() and written.exists() and written.samefile(given):
                raise DataError(
                    f"{what} the file passed to {flag}",
                    code="output-is-input",
                    file=written,
                    remedy="Choose another --output",
                )
        if written.is_symlink():  # such as /dev/stdout: replacing it would break what others use
            raise DataError(
                f"{what} a link, which would be replaced",
                code="output-not-writable",
                file=written,
                remedy="Choose another --output",
            )
    for written in () if overwrite else (output, *also):
        if written.exists():
            what = "--output exists" if written is output else f"is written next to --output {output.name} and exists"
            raise DataError(what, code="output-exists", file=written, remedy="Choose another file, or pass --overwrite")


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Provide a temporary path to write to, which replaces ``path`` when the block ends and is deleted if it fails.

    It is in a folder of its own next to ``path``, where nobody else can put files or links.

    Example:
        >>> with atomic_write(Path("out.txt")) as temporary:
        ...     temporary.write_text("complete")
    """
    name = f".{path.name}.{token_hex(4)}.partial"
    with errors_name(path, Path(name)), TemporaryDirectory(prefix=name, dir=path.parent) as folder:
        temporary = Path(folder, path.name)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
