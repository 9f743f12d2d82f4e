"""New HDF5 files whose errors of writing are ordinary ones: libhdf5 crashes the interpreter after a failed write."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py


class _Sink(io.RawIOBase):
    """File to which every write seems to succeed.

    Attributes:
        error: the first error of the system, None without one.
    """

    def __init__(self, stream: io.FileIO) -> None:
        self._stream = stream
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write ``data``; after the first error, nothing more is written."""
        view = memoryview(data).cast("B")
        try:
            done = 0
            while self.error is None and done < len(view):
                done += self._stream.write(view[done:])
        except OSError as error:
            self.error = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the size of the file."""
        try:
            return self._stream.truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0

    def readinto(self, buffer: Any) -> int:
        """Read what was written; zeros instead of what was not."""
        n = self._stream.readinto(buffer) or 0
        view = memoryview(buffer).cast("B")
        view[n:] = bytes(len(view) - n)
        return len(view)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._stream.tell()


@contextmanager
def new_hdf5(path: Path, **options: Any) -> Iterator[h5py.File]:
    """Create an HDF5 file, open it in the block and close it afterwards.

    Args:
        path: the file, which must not exist.
        options: of ``h5py.File``.

    Raises:
        OSError: it cannot be written; the file is incomplete.
    """
    with path.open("x+b", buffering=0) as stream:
        sink = _Sink(stream)
        try:
            with h5py.File(sink, "w", **options) as file:
                yield file
        except (OSError, RuntimeError) as error:  # libhdf5 may miss what was not written
            if sink.error is None:
                raise
            raise sink.error from error
        if sink.error is not None:
            raise sink.error
