"""Backing stores of square matrices of distances: in memory, or read row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


class StoredMatrix(Protocol):
    """Matrix from which selected rows and the same columns can be read."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape as stored, not yet known to be square."""
        ...

    @property
    def dtype(self) -> np.dtype:
        """Dtype as stored."""
        ...

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Read the values [k, k] of ``rows`` (int64 [k], any order, no duplicates), in native byte order."""
        ...


@dataclass(frozen=True, eq=False)
class ArrayMatrix:
    """Matrix in memory, or mapped to it."""

    values: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape; see ``StoredMatrix``."""
        return self.values.shape

    @property
    def dtype(self) -> np.dtype:
        """Dtype; see ``StoredMatrix``."""
        return self.values.dtype

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Read the values; see ``StoredMatrix``."""
        return gather(self.values, rows)


def gather(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Select ``rows`` and the same columns, in memory and in native byte order; no copy if these are all ``values``."""
    dtype = values.dtype.newbyteorder("=")
    if len(rows) == len(values) and np.array_equal(rows, np.arange(len(rows))):
        return np.array(values, dtype) if isinstance(values, np.memmap) else np.asarray(values, dtype)
    return np.asarray(values[np.ix_(rows, rows)], dtype)
