"""Arrays of a corpus: .npy files that are written once, and mapped to memory or read at positions.

Pages of a mapped file that were read count as memory of the process until it returns them, and Linux maps up to 2 MB
around an address. So maps are for what is read from start to end, and single samples are read at their positions.
"""

from __future__ import annotations

import mmap
import os
import weakref
from pathlib import Path

import numpy as np

from aam_data.errors import DataError
from aam_data.readers.safe.npy import map_npy

_MAX_BYTES = 2**50  # sizes are compared with the manifest, so no other limit is needed
_HELD = 1 << 25  # bytes of pages that a process holds of one array
_REMEDY = "Restore the file from a copy of the corpus"


class MappedArray:
    """An array in a file.

    Attributes:
        values: the array, read-only.
    """

    def __init__(self, path: Path, kind: str, ndim: int = 1) -> None:
        """Map the file ``path``; ``kind`` is that of its dtype, such as ``i``.

        Raises:
            DataError: not such an array.
        """
        array = map_npy(path, _MAX_BYTES)
        if array.dtype.kind != kind or array.ndim != ndim:
            raise DataError(
                f"an array of {array.ndim} dimensions of {array.dtype}, where a corpus has another one",
                code="corpus-damaged",
                file=path,
                remedy=_REMEDY,
            )
        self._map = array.base if isinstance(array.base, mmap.mmap) else None
        self.values = np.asarray(array)
        self._read = 0

    def touch(self, n_bytes: int) -> None:
        """Count bytes that were read, and return their pages once they are many; the system keeps them in its cache."""
        self._read += n_bytes
        if self._read > _HELD and self._map is not None:
            self._map.madvise(mmap.MADV_DONTNEED)
            self._read = 0


class ArrayFile:
    """An array of one dimension in a file that stays open, of which parts are read.

    Attributes:
        path, dtype: of the file.
    """

    def __init__(self, path: Path, kind: str) -> None:
        """Open the file ``path``; see `MappedArray`."""
        values = MappedArray(path, kind).values
        self.path, self.kind, self.dtype, self._length = path, kind, values.dtype, len(values)
        self._offset = path.stat().st_size - values.nbytes
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)

    def __len__(self) -> int:
        return self._length

    def map(self) -> MappedArray:
        """Map the whole array to memory."""
        return MappedArray(self.path, self.kind)

    def read(self, starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
        """Read the ranges from ``starts`` to ``stops`` (int64 [R] each), one after the other.

        Raises:
            DataError: the file has become shorter.
        """
        size = self.dtype.itemsize
        places, sizes = (starts * size + self._offset).tolist(), ((stops - starts) * size).tolist()
        content = bytearray().join([os.pread(self._descriptor, n, at) for at, n in zip(places, sizes, strict=True)])
        if len(content) != sum(sizes):
            raise DataError("the file has become shorter", code="corpus-damaged", file=self.path, remedy=_REMEDY)
        return np.frombuffer(content, self.dtype) if content else np.empty(0, self.dtype)


def write_array(path: Path, array: np.ndarray) -> None:
    """Write a new .npy file, down to the disk."""
    with path.open("xb") as file:
        np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Write a new file of UTF-8 text, down to the disk."""
    with path.open("xb") as file:
        file.write(text.encode("utf-8"))
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Flush the entries of a folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
