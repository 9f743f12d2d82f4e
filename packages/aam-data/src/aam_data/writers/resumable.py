"""A file that takes long to fill, block by block, and is continued after any interruption.

``PATH.partial`` becomes ``PATH`` when it is whole. ``PATH.partial.blocks`` has two lines: a key of what is being
written, then how many blocks of it are in the file and the bytes of the file. They survive Ctrl-C, a full disk and
kill -9; who begins the same again goes on from there, and who begins something else is refused. Neither is ever opened
through a link, so that nothing else is overwritten in a folder that others can write to.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from aam_data.errors import DataError

SECONDS_BETWEEN_MARKS = 5.0
_WIDTH = 20  # of the numbers: marks overwrite each other in place, by one small write
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)  # of some network file systems


class UnfinishedFile:
    """What ``unfinished`` gives.

    Attributes:
        path: the file to fill.
        stream: the same file, open for reading and writing.
        n_blocks: how many blocks of it are known to be on the disk.
    """

    def __init__(self, path: Path, stream: BinaryIO, key: str, marks: int, n_blocks: int) -> None:
        self.path, self.stream, self.n_blocks = path, stream, n_blocks
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
        size = os.fstat(self.stream.fileno()).st_size
        os.pwrite(self._marks, f"{self._key}\n{self.n_blocks:>{_WIDTH}} {size:>{_WIDTH}}\n".encode(), 0)
        self._last_mark = time.monotonic()

    def become(self, path: Path) -> None:
        """It is whole: rename it once all of it is on the disk."""
        self._flush()
        os.fsync(self.stream.fileno())
        os.replace(self.path, path)


def unfinished_paths(path: Path) -> tuple[Path, Path]:
    """The files beside ``path`` that ``unfinished`` writes: the file to be, and its marks."""
    return path.with_name(f"{path.name}.partial"), path.with_name(f"{path.name}.partial.blocks")


@contextmanager
def unfinished(
    path: Path, key: str, create: Callable[[Path], None], note: Callable[[str], None] = lambda text: None
) -> Iterator[UnfinishedFile]:
    """Open or begin what will become ``path``; the body of the with statement puts it there.

    Args:
        path: the file in the end.
        key: one line that says what is written; only the same is continued.
        create: makes the file without any block; not called when one is continued.
        note: told when the file system cannot keep other programs from writing.

    Raises:
        DataError: something else was begun, it was changed since, another program is writing, or a link is in its
            place. After a DataError of the body nothing is kept: it would come again.
    """
    partial, marks_path = unfinished_paths(path)
    if os.path.lexists(partial):
        os.close(_open_regular(partial, os.O_RDWR))
    marks = _lock(marks_path, partial, note)
    try:
        begun, n_blocks, size = _read_marks(marks)
        if not partial.exists():
            n_blocks = 0
        if n_blocks and begun != key:
            raise _not_continued("holds the beginning of another result: of another table, tree or options", partial)
        if n_blocks and partial.stat().st_size != size:
            raise _not_continued(f"has {partial.stat().st_size:,} bytes and had {size:,} when it was left", partial)
        try:
            if n_blocks == 0:
                os.ftruncate(marks, 0)
                partial.unlink(missing_ok=True)
                create(partial)
            with os.fdopen(_open_regular(partial, os.O_RDWR), "r+b") as stream:
                file = UnfinishedFile(partial, stream, key, marks, n_blocks)
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


def _lock(marks_path: Path, partial: Path, note: Callable[[str], None]) -> int:
    """A file descriptor that no other program has; the system takes the lock back however this one ends."""
    while True:
        marks = _open_regular(marks_path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(marks, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(marks)
            raise DataError("another program is writing it", file=partial, remedy="Name another --output") from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(marks)
                raise
            note(f"the file system has no locks: let no other program write {partial.name}")
        try:
            if os.path.samestat(os.fstat(marks), marks_path.lstat()):
                return marks
        except FileNotFoundError:
            pass
        os.close(marks)  # the program that had it finished and removed it before the lock was ours


def _open_regular(path: Path, flags: int) -> int:
    """Open a file itself, never what a link in its place points to."""
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise _not_regular(path) from error
        raise
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise _not_regular(path)


def _not_regular(path: Path) -> DataError:
    return DataError(
        "is no regular file, but would be written", file=path, remedy="Remove it, or name another --output"
    )


def _not_continued(problem: str, partial: Path) -> DataError:
    remedy = f"Delete it together with {partial.name}.blocks, or name another --output"
    return DataError(problem, file=partial, remedy=remedy)


def _read_marks(marks: int) -> tuple[str, int, int]:
    """Key, blocks and bytes; no blocks when the marks are not whole."""
    content = os.pread(marks, os.fstat(marks).st_size, 0)
    key, _, rest = content.decode(errors="replace").partition("\n")
    numbers = rest.split()
    whole = len(numbers) == 2 and rest.endswith("\n") and all(number.isdecimal() for number in numbers)
    return (key, int(numbers[0]), int(numbers[1])) if whole else (key, 0, 0)
