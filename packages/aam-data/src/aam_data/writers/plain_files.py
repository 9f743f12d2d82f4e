"""Files that are written in place: opened without following links, locked, and named by their errors."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aam_data.errors import DataError
from aam_data.file_lock import lock_exclusively


def open_plain(path: Path, flags: int) -> int:
    """Open a regular file to be written and return its descriptor; never through a link, symbolic or hard.

    Args:
        path: the file; with ``os.O_CREAT`` it is created with the usual permissions.
        flags: of ``os.open``.

    Raises:
        DataError: a link, a folder, a device or a pipe.
    """
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise _not_plain(path, "is not a regular file") from error
        raise
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_nlink < 2:  # none: removed since by the program that finished with it
        return descriptor
    os.close(descriptor)
    raise _not_plain(path, "has several names (hard links)" if status.st_nlink > 1 else "is not a regular file")


def _not_plain(path: Path, problem: str) -> DataError:
    return DataError(
        f"{problem}, but would be written",
        code="output-not-writable",
        file=path,
        remedy="Remove it, or choose another --output",
    )


@contextmanager
def errors_name(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Let an OSError in the block name ``path``: errors of writing and flushing name no file.

    Args:
        path: the file that is written.
        temporary: a folder whose files become ``path``; errors that name one of them name ``path`` instead.
    """
    try:
        yield
    except OSError as error:
        code = error.errno or _errno_in_text(error)
        named = error.filename is not None and (temporary is None or temporary.name not in str(error.filename))
        if code is None or named:
            raise
        raise OSError(code, os.strerror(code), str(path)) from error
    except RuntimeError as error:  # so HDF5 reports a failed write when it closes a file
        if (code := _errno_in_text(error)) is None:
            raise
        raise OSError(code, os.strerror(code), str(path)) from error


def _errno_in_text(error: Exception) -> int | None:
    """Return the system's error number of an error of HDF5, which has it in its text only."""
    _, found, rest = str(error).partition("errno = ")
    digits = rest.partition(",")[0]
    return int(digits) if found and digits.isdecimal() else None


def lock_beside(
    lock: Path, written: Path, note: Callable[[str], None] = lambda text: None, flag: str = "--output"
) -> int:
    """Open and lock the file ``lock``, and return its descriptor; the system releases it however this program ends.

    Args:
        lock: created if necessary; its owner removes it.
        written: the file or folder that it protects, for messages.
        note: callback for a warning that the file system has no locks.
        flag: the option that names ``written``, for messages.

    Raises:
        DataError: another program holds the lock.
    """
    while True:
        descriptor = open_plain(lock, os.O_RDWR | os.O_CREAT)
        try:
            locked = lock_exclusively(descriptor)
        except BlockingIOError as error:
            os.close(descriptor)
            raise DataError(
                "another program is writing it", code="output-in-use", file=written, remedy=f"Choose another {flag}"
            ) from error
        except OSError:
            os.close(descriptor)
            raise
        if not locked:
            note(f"the file system has no locks: make sure that no other program writes {written.name}")
        try:
            if os.path.samestat(os.fstat(descriptor), lock.lstat()):
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)  # its owner finished and removed the file before this program got the lock


@contextmanager
def sole_writer(output: Path, flag: str = "--output", *, overwrite: bool = False) -> Iterator[None]:
    """Keep other programs from writing the same output while the block runs.

    The lock is the file ``.NAME.lock`` next to ``output``, or in the nearest folder above it that exists.

    Args:
        output: a file or a folder.
        flag: the option that names it, for messages.
        overwrite: whether ``output`` may exist.

    Raises:
        DataError: another program is writing ``output``, or has done so since its path was checked.
    """
    parent = next(folder for folder in output.absolute().parents if folder.is_dir())
    lock = parent / f".{output.name}.lock"
    descriptor = lock_beside(lock, output, flag=flag)
    try:
        taken = any(output.iterdir()) if output.is_dir() else os.path.lexists(output)
        if taken and not overwrite:
            raise DataError(
                "another program has written it meanwhile",
                code="output-in-use",
                file=output,
                remedy=f"Choose another {flag}",
            )
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)
