"""Resumable files: written block by block over a long time, and continued after any interruption.

``PATH.partial`` is renamed to ``PATH`` when it is complete. ``PATH.partial.blocks``, the marks, has two lines: a key of
the content, then the number of blocks written and the bytes of the file. Both survive Ctrl-C, a full disk and kill -9.
A later call with the same key continues from there; another key is an error. Neither file is ever opened through a
link, so that nothing else is overwritten in a folder that others can write to.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from aam_data.errors import DataError
from aam_data.writers.plain_files import errors_name, lock_beside, open_plain

SECONDS_BETWEEN_MARKS = 5.0
_WIDTH = 20  # digits of each number, so that one small write replaces the marks in place


class ResumableFile:
    """An open file of ``resumable_file``.

    Attributes:
        path: the file to fill.
        stream: the same file, open for reading and writing.
        n_blocks: number of blocks that are known to be on the disk.
    """

    def __init__(self, path: Path, stream: BinaryIO, key: str, marks: int, n_blocks: int) -> None:
        self.path, self.stream, self.n_blocks = path, stream, n_blocks
        self._key, self._marks = key, marks
        self._n_written = n_blocks
        self._flush: Callable[[], None] = lambda: None
        self._last_mark = time.monotonic()

    def record(self, n_blocks: int, flush: Callable[[], None]) -> None:
        """Record that ``n_blocks`` are written; they are on the disk after ``flush``, which is called now and then."""
        self._n_written, self._flush = n_blocks, flush
        if time.monotonic() - self._last_mark >= SECONDS_BETWEEN_MARKS:
            self.mark()

    def mark(self) -> None:
        """Flush the blocks written so far, then save their number."""
        if self._n_written > self.n_blocks:
            self._flush()
            self.n_blocks = self._n_written
        size = os.fstat(self.stream.fileno()).st_size
        os.pwrite(self._marks, f"{self._key}\n{self.n_blocks:>{_WIDTH}} {size:>{_WIDTH}}\n".encode(), 0)
        self._last_mark = time.monotonic()

    def rename_to(self, path: Path) -> None:
        """Rename the complete file once all of it is on the disk."""
        self._flush()
        os.fsync(self.stream.fileno())
        os.replace(self.path, path)


def resumable_paths(path: Path) -> tuple[Path, Path]:
    """Return the files next to ``path`` that ``resumable_file`` writes: the partial file and its marks."""
    return path.with_name(f"{path.name}.partial"), path.with_name(f"{path.name}.partial.blocks")


@contextmanager
def resumable_file(
    path: Path, key: str, create: Callable[[Path], None], note: Callable[[str], None] = lambda text: None
) -> Iterator[ResumableFile]:
    """Start or continue the file that will become ``path``; the body of the with statement renames it.

    Args:
        path: the complete file.
        key: one line that identifies the content; only a file with the same key is continued.
        create: creates the file without any block; not called when one is continued.
        note: callback for a warning that the file system cannot keep other programs from writing.

    Raises:
        DataError: the partial file has another key or was changed since, another program is writing it, or it is a
            link. After a DataError in the body nothing is kept, since the error would occur again.
    """
    partial, marks_path = resumable_paths(path)
    with errors_name(path):
        yield from _resumed(partial, marks_path, key, create, note)


def _resumed(
    partial: Path, marks_path: Path, key: str, create: Callable[[Path], None], note: Callable[[str], None]
) -> Iterator[ResumableFile]:
    """Yield the open file once, see `resumable_file`."""
    if os.path.lexists(partial):
        os.close(open_plain(partial, os.O_RDWR))
    marks = lock_beside(marks_path, partial, note)
    try:
        stored_key, n_blocks, size = _read_marks(marks)
        if not partial.exists():
            n_blocks = 0
        if n_blocks and stored_key != key:
            raise _not_continued("is the start of another result, with another table, tree or options", partial)
        if n_blocks and partial.stat().st_size != size:
            raise _not_continued(
                f"has {partial.stat().st_size:,} bytes, but had {size:,} when it was last written", partial
            )
        try:
            if n_blocks == 0:
                os.ftruncate(marks, 0)
                partial.unlink(missing_ok=True)
                create(partial)
            with os.fdopen(open_plain(partial, os.O_RDWR), "r+b") as stream:
                file = ResumableFile(partial, stream, key, marks, n_blocks)
                try:
                    yield file
                except BaseException:
                    file.mark()
                    raise
        except BaseException as error:
            if isinstance(error, DataError) or _read_marks(marks)[1] == 0:
                partial.unlink(missing_ok=True)
                marks_path.unlink(missing_ok=True)
            raise
        marks_path.unlink(missing_ok=True)
    finally:
        os.close(marks)


def _not_continued(problem: str, partial: Path) -> DataError:
    remedy = f"Delete it together with {partial.name}.blocks, or choose another --output"
    return DataError(problem, code="output-not-continued", file=partial, remedy=remedy)


def _read_marks(marks: int) -> tuple[str, int, int]:
    """Return key, blocks and bytes; no blocks if the marks are incomplete."""
    content = os.pread(marks, os.fstat(marks).st_size, 0)
    key, _, rest = content.decode(errors="replace").partition("\n")
    numbers = rest.split()
    complete = len(numbers) == 2 and rest.endswith("\n") and all(number.isdecimal() for number in numbers)
    return (key, int(numbers[0]), int(numbers[1])) if complete else (key, 0, 0)
