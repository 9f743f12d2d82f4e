"""Distances in the HDF5 layout of ssu (unifrac-binaries, src/api.cpp).

``order`` has the sample ids, ``matrix`` the distances, or with ``--mode multi`` (several rarefied tables)
``matrix:0``, ``matrix:1``, ... Values are float32 (``hdf5_fp32``) or float64 (``hdf5_fp64``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aam_data.errors import DataError
from aam_data.readers.safe.hdf5 import CheckedHdf5, open_hdf5

_BLOCK_BYTES = 32 * 2**20
_MAX_GAP = 8  # unused rows between two wanted ones that are read too, instead of a seek


@dataclass(frozen=True, eq=False)
class SsuMatrix:
    """Stored distances of one file: the matrix, or the mean of the matrices, in ``names``."""

    path: Path
    max_bytes: int
    names: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype
    chunk_rows: int

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Read the values; see ``StoredMatrix``. Nearby rows are read in one block."""
        total = np.zeros((len(rows), len(rows)), dtype=self.dtype if len(self.names) == 1 else np.float64)
        with open_hdf5(self.path, self.path, self.max_bytes) as file:
            for name in self.names:
                for part in self._blocks(np.sort(rows)):
                    first = int(part[0])
                    block = file.numbers(name, ndim=2, kinds="f", rows=slice(first, int(part[-1]) + 1))
                    into = np.flatnonzero((rows >= first) & (rows <= part[-1]))
                    total[into] += block[rows[into] - first][:, rows]
        return total if len(self.names) == 1 else (total / len(self.names)).astype(self.dtype)

    def _blocks(self, ordered: np.ndarray) -> Iterator[np.ndarray]:
        """Split ascending rows into blocks: in one stripe of chunks, at most 32 MB in total, without wide gaps."""
        height = max(1, _BLOCK_BYTES // (self.shape[1] * self.dtype.itemsize))
        height = max(height // self.chunk_rows, 1) * self.chunk_rows
        apart = np.diff(ordered) > max(_MAX_GAP, self.chunk_rows)
        cuts = np.flatnonzero(apart | (np.diff(ordered // height) != 0)) + 1
        yield from (part for part in np.split(ordered, cuts) if len(part))


def open_ssu(path: Path, max_bytes: int, index: int | None) -> tuple[np.ndarray, SsuMatrix]:
    """Read the sample ids and prepare to read the distances.

    Args:
        index: number of the matrix in a file with several; None is the mean of all.
    """
    with open_hdf5(path, path, max_bytes) as file:
        names = _matrices(file, path, index)
        shapes = {name: file.shape(name) for name in names}
        if len(set(shapes.values())) > 1:
            sizes = [f"{name} {' x '.join(map(str, shape))}" for name, shape in shapes.items()]
            raise DataError("matrices of several sizes", code="distances-layout", file=path, offenders=sizes)
        first = file.numbers(names[0], ndim=2, kinds="f", rows=slice(0, 0))
        matrix = SsuMatrix(path, max_bytes, names, shapes[names[0]], first.dtype, file.chunk_rows(names[0]))
        return file.strings("order"), matrix


def _matrices(file: CheckedHdf5, path: Path, index: int | None) -> tuple[str, ...]:
    if "order" not in file.names:
        remedy = "Pass a file with order and matrix to --unifrac-matrix"
        raise DataError(
            "HDF5, but not a matrix written by ssu",
            code="distances-layout",
            file=path,
            offenders=sorted(file.names),
            remedy=remedy,
        )
    if "matrix" in file.names:
        if index is not None:
            raise DataError(
                "contains one matrix", code="option-not-for-this-file", file=path, remedy="Leave out --matrix-index"
            )
        return ("matrix",)
    n_matrices = sum(name.startswith("matrix:") for name in file.names)
    names = tuple(f"matrix:{number}" for number in range(n_matrices))
    if n_matrices == 0:
        remedy = "Run ssu again with --format hdf5_fp32"
        raise DataError(
            "contains no matrix (ssu --format hdf5_nodist)", code="distances-empty", file=path, remedy=remedy
        )
    if missing := [name for name in names if name not in file.names]:
        raise DataError(
            f"{n_matrices:,} matrices, but not numbered from matrix:0 without gaps",
            code="distances-layout",
            file=path,
            offenders=missing,
        )
    if index is None:
        return names
    if index >= n_matrices:
        problem = f"--matrix-index {index}: this file has the matrices 0 to {n_matrices - 1}"
        raise DataError(problem, code="option-out-of-range", file=path, remedy="Leave it out for the mean of all")
    return (names[index],)
