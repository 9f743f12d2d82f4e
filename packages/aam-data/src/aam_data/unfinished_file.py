"""A file that takes long to fill, block by block, and is continued after any interruption.

``PATH.partial`` becomes ``PATH`` when it is whole. ``PATH.partial.blocks`` has two lines: a key of what is being
written, and how many blocks of it are in the file. They survive Ctrl-C, a full disk and kill -9; who begins the same
again goes on from there, and who begins something else is refused.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aam_data.errors import DataError

SECONDS_BETWEEN_MARKS = 5.0
_WIDTH = 20  # of the count: marks overwrite each other in place, by one small write


class UnfinishedFile:
    """What ``unfinished`` gives.

    Attributes:
        path: the file to fill.
        n_blocks: how many blocks of it are known to be on the disk.
    """

    def __init__(self, path: Path, key: str, marks: int, n_blocks: int) -> None:
        self.path, self.n_blocks = path, n_blocks
        self._key, self._marks = key, marks
        self._filled = n_blocks
        self._flush: Callable[[], None] = lambda: None
        self._last_mark = time.monotonic()

    def filled(self, n_blocks: int, flush: Callable[[], None]) -> None:
        """``n_blocks`` of it are written, and on the disk after ``flush``, which is called now and then."""
        self._filled, self._flush = n_blocks, flush
        if time.monotonic() - self._last_mark >= SECONDS_BETWEEN_MARKS:
            self.mark()

    def mark(self) -> None:
        """Flush what is written, then note how much it is."""
        if self._filled > self.n_blocks:
            self._flush()
            self.n_blocks = self._filled
        os.pwrite(self._marks, f"{self._key}\n{self.n_blocks:>{_WIDTH}}\n".encode(), 0)
        self._last_mark = time.monotonic()


@contextmanager
def unfinished(path: Path, key: str, create: Callable[[Path], None]) -> Iterator[UnfinishedFile]:
    """Open or begin what will become ``path``; the body of the with statement puts it there.

    Args:
        path: the file in the end.
        key: one line that says what is written; only the same is continued.
        create: makes the file without any block; not called when one is continued.

    Raises:
        DataError: something else was begun, or another program is writing.
    """
    partial, marks_path = path.with_name(f"{path.name}.partial"), path.with_name(f"{path.name}.partial.blocks")
    with _locked(marks_path, partial) as marks:
        begun, n_blocks = _parse(os.pread(marks, os.fstat(marks).st_size, 0))
        if not partial.exists():
            n_blocks = 0
        if n_blocks and begun != key:
            raise DataError(
                "holds the beginning of another result: of another table, tree or options",
                file=partial,
                remedy=f"Delete it together with {marks_path.name}, or name another --output",
            )
        file = UnfinishedFile(partial, key, marks, n_blocks)
        try:
            if n_blocks == 0:
                os.ftruncate(marks, 0)
                create(partial)
            yield file
        except BaseException:
            try:
                file.mark()
            finally:
                if file.n_blocks == 0:
                    partial.unlink(missing_ok=True)
                    marks_path.unlink()
            raise
        marks_path.unlink()


@contextmanager
def _locked(marks_path: Path, partial: Path) -> Iterator[int]:
    """A file descriptor that no other program has; the system takes the lock back however this one ends."""
    marks = os.open(marks_path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(marks, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield marks
    except BlockingIOError as error:
        raise DataError("another program is writing it", file=partial, remedy="Name another --output") from error
    finally:
        os.close(marks)


def _parse(content: bytes) -> tuple[str, int]:
    key, _, count = content.decode(errors="replace").partition("\n")
    return key, int(count) if count.strip().isdecimal() else 0
