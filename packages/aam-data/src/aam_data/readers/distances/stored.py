"""A square matrix of distances as it is stored: in memory, or to be read row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


class StoredMatrix(Protocol):
    """Values of which some rows can be had, with the same columns."""

    @property
    def shape(self) -> tuple[int, ...]:
        """As stored: not yet known to be square."""
        ...

    @property
    def dtype(self) -> np.dtype:
        """As stored."""
        ...

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The values [k, k] of ``rows`` (int64 [k], any order, none twice), in the machine's byte order."""
        ...


@dataclass(frozen=True, eq=False)
class ArrayMatrix:
    """Values in memory, or mapped to it."""

    values: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """See ``StoredMatrix``."""
        return self.values.shape

    @property
    def dtype(self) -> np.dtype:
        """See ``StoredMatrix``."""
        return self.values.dtype

    def read(self, rows: np.ndarray) -> np.ndarray:
        """See ``StoredMatrix``."""
        return gather(self.values, rows)


def gather(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """``values`` at ``rows`` and the same columns, in memory and in the machine's byte order; ``values`` themselves if
    that is all of them."""
    dtype = values.dtype.newbyteorder("=")
    if len(rows) == len(values) and np.array_equal(rows, np.arange(len(rows))):
        return np.array(values, dtype) if isinstance(values, np.memmap) else np.asarray(values, dtype)
    return np.asarray(values[np.ix_(rows, rows)], dtype)
