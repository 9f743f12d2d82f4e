"""What a user reads about an error of the operating system, or of memory: what failed, why, and what helps."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

REMEDIES = {
    errno.ENOSPC: "Free some disk space, or write to another disk",
    errno.EDQUOT: "Delete some of your files, or write to another disk",
    errno.EFBIG: "Raise the limit of file sizes (ulimit -f), or write to another disk",
    errno.EACCES: "Change its permissions, or choose another place",
    errno.EPERM: "Change its permissions, or choose another place",
    errno.EROFS: "Choose another place",
    errno.EMFILE: "Raise the limit of open files (ulimit -n)",
    errno.ENAMETOOLONG: "Choose a shorter name",
    errno.EIO: "Check the disk, or the connection to it",
    errno.ESTALE: "Check the connection to the network file system",
}
_MEMORY = ("can't allocate memory", "could not create a primitive", "out of memory")  # torch on a CPU, oneDNN, a GPU
_MORE_MEMORY = (
    "A model needs less with a smaller --batch-size, training also with --max-memory-gb or --max-asvs; everything else "
    "with fewer samples"
)


def os_error_text(error: OSError) -> str | None:
    """Return the message for an error of the operating system; None if it is not one of a file or a stream."""
    if error.errno is None:
        return None
    remedy = REMEDIES.get(error.errno)
    if error.filename is not None:
        where = _text(error.filename)
    elif not _has_current_folder():
        where, remedy = "the current folder", "It was deleted or moved: change to another one (cd)"
    elif remedy is not None:
        where = "a file that cannot be named"
    else:
        return None
    text = f"{where}: {os.strerror(error.errno)}"
    return f"{text}. {remedy}" if remedy else text


def memory_text(error: BaseException) -> str | None:
    """Return the message for memory that was exhausted; None for other errors."""
    known = [text for text in _MEMORY if text in str(error)]
    if not isinstance(error, MemoryError) and not (isinstance(error, RuntimeError) and known):
        return None
    return f"there is not enough memory. {_MORE_MEMORY}"


class NobodyReads(Exception):
    """End of a pipe whose reader has gone, as in `aam check | head -1`. Not an OSError, which click would handle."""


class StandardOutput:
    """Standard output whose errors name it; everything else is that of the stream.

    Attributes:
        is_lost: whether there was such an error.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream, self.is_lost = stream, False

    def write(self, text: str) -> int:
        """Write a text."""
        with self._errors_name_it():
            return self._stream.write(text)

    def flush(self) -> None:
        """Write what is buffered."""
        with self._errors_name_it():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _errors_name_it(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError as error:
            self.is_lost = True
            raise NobodyReads from error
        except OSError as error:
            self.is_lost = True
            raise OSError(error.errno, error.strerror, "standard output") from error


@contextmanager
def named_output() -> Iterator[None]:
    """Let errors of standard output name it while the block runs."""
    before = sys.stdout
    output = StandardOutput(before)
    sys.stdout = cast(TextIO, output)
    try:
        yield
    finally:
        sys.stdout = before
        if output.is_lost:
            silence(before)


def open_closed_streams() -> None:
    """Open standard streams that whoever started the program closed (`2>&-`): input is empty, output goes nowhere.

    A file that the program opens would otherwise take their number, and libraries would print into it.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # each gets the lowest free number, its own
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def silence(stream: TextIO) -> None:
    """Send what a stream still holds nowhere, so that its error does not come again when the program ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _has_current_folder() -> bool:
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def _text(filename: Any) -> str:
    return filename.decode(errors="backslashreplace") if isinstance(filename, bytes) else str(filename)
