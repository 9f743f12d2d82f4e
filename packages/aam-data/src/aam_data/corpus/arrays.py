"""Arrays of a corpus: .npy files that are written once and mapped to memory.

Pages of a mapped file that were read count as memory of the process until it returns them. They stay in the page cache
of the system, so reading them again costs little: `MappedArray.touch` returns them every few megabytes.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import numpy as np

from aam_data.errors import DataError
from aam_data.readers.safe.npy import map_npy

_MAX_BYTES = 2**50  # sizes are compared with the manifest, so no other limit is needed
_HELD = 1 << 26  # bytes of pages that a process holds of one array
_PER_PLACE = 1 << 21  # bytes that Linux maps around an address: up to a whole large folio


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
                remedy="Restore the file from a copy of the corpus",
            )
        self._map = array.base if isinstance(array.base, mmap.mmap) else None
        self.values = np.asarray(array)
        self._read = 0

    def touch(self, n_bytes: int, n_places: int = 1) -> None:
        """Count bytes that were read at a number of places, and return the pages once they are many."""
        self._read += n_bytes + n_places * _PER_PLACE
        if self._read > _HELD and self._map is not None:
            self._map.madvise(mmap.MADV_DONTNEED)
            self._read = 0


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
