"""Precomputed distances between samples; only requested values are read and checked.

Formats: HDF5 as ssu writes it (one matrix or several), the square text of QIIME 2 and scikit-bio (``lsmat``) with tabs
or commas, a DistanceMatrix artifact, and numpy's .npy (ids in a separate file, or those of the table) and .npz
(``distances`` and ``ids``).
The first bytes of a file determine its format, not its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aam_data.errors import DataError
from aam_data.notes import Note
from aam_data.readers.distances.checks import check_distances
from aam_data.readers.distances.lsmat import read_lsmat
from aam_data.readers.distances.npy import is_npz, open_npy, read_npz
from aam_data.readers.distances.ssu import SsuMatrix, open_ssu
from aam_data.readers.distances.stored import StoredMatrix, gather
from aam_data.readers.ids import as_objects, check_ids
from aam_data.readers.qiime2 import read_content
from aam_data.readers.safe.npy import NPY_MAGIC
from aam_data.readers.source import HDF5_MAGIC, ZIP_MAGIC, byte_limit, first_bytes

_FLAG = "--unifrac-matrix"
# First bytes of files with distances in an unsupported form, and the remedy.
_UNSUPPORTED = {
    b"SSU-PARTIAL-01": ("a partial result of ssu", "Join the parts: ssu --mode merge-partial"),
    b"\x02\xba\x8a\x08": ("a partial result of ssu", "Join the parts: ssu --mode merge-partial"),
}


@dataclass(frozen=True, eq=False)
class DistanceMatrix:
    """Distances between samples.

    Attributes:
        ids: [n] str objects, unique.
        values: [n, n] float32 or float64, symmetric, zero diagonal. NaN where ``take`` has no distance.
    """

    ids: np.ndarray
    values: np.ndarray

    def take(self, sample_ids: np.ndarray) -> DistanceMatrix:
        """Return the distances of ``sample_ids``, in that order; NaN for samples that the matrix lacks."""
        rows = _positions(self.ids, sample_ids)
        return _with_gaps(sample_ids, rows, gather(self.values, rows[rows >= 0]))


@dataclass(frozen=True, eq=False)
class DistanceFile:
    """Open file of distances; ``take`` reads its values.

    Attributes:
        path: the file.
        ids: [n] str objects, unique.
        notes: notes about the matrix used, if the file has several, and about the ids, if it has none.
    """

    path: Path
    ids: np.ndarray
    _stored: StoredMatrix
    notes: tuple[Note, ...] = ()

    def take(self, sample_ids: np.ndarray) -> DistanceMatrix:
        """Read the distances of ``sample_ids``, in that order; NaN for samples that the file lacks.

        Memory is that of the result and, for HDF5, a block of rows of 32 MB, however large the file is.

        Raises:
            DataError: values read are not distances: not finite, negative, not symmetric (to 1e-5), or not zero from a
                sample to itself.
        """
        rows = _positions(self.ids, sample_ids)
        present = rows[rows >= 0]
        values = self._stored.read(present)
        check_distances(self.ids[present], values, self.path)
        return _with_gaps(sample_ids, rows, values)


def open_distances(
    path: Path,
    matrix_ids: Path | None = None,
    max_input_gb: float = 8.0,
    matrix_index: int | None = None,
    table_samples: np.ndarray | None = None,
) -> DistanceFile:
    """Open a square matrix of distances.

    Args:
        path: the matrix.
        matrix_ids: for .npy only: file of sample ids, one per line, in the order of the rows.
        max_input_gb: maximum size of the content.
        matrix_index: for a file of ``ssu --mode multi``: number of the matrix, from 0; None is the mean of all.
        table_samples: [n] str objects, ids of the table in the order of its file: those of a .npy matrix of this size
            without ``matrix_ids``.

    Returns:
        The open file; ``take`` reads and checks its values.

    Raises:
        DataError: an unknown format, ids that are missing or appear twice, not square, not float32 or float64.

    Example:
        >>> distances = open_distances(Path("unifrac.h5")).take(study.table.sample_ids)
    """
    start, max_bytes = first_bytes(path, _FLAG), byte_limit(max_input_gb)
    for magic, (problem, remedy) in _UNSUPPORTED.items():
        if start.startswith(magic):
            raise DataError(problem, code="distances-partial", file=path, remedy=remedy)
    if matrix_ids is not None and not start.startswith(NPY_MAGIC):
        remedy = "Leave out --matrix-ids, which is for .npy files"
        raise DataError("has its own ids", code="option-not-for-this-file", file=path, remedy=remedy)
    if matrix_index is not None and not start.startswith(HDF5_MAGIC):
        remedy = "Leave out --matrix-index, which is for files of ssu --mode multi"
        raise DataError("contains one matrix", code="option-not-for-this-file", file=path, remedy=remedy)
    stored: StoredMatrix
    notes: list[Note] = []
    if start.startswith(HDF5_MAGIC):
        ids, stored = open_ssu(path, max_bytes, matrix_index)
    elif start.startswith(NPY_MAGIC):
        ids, stored, notes = open_npy(path, matrix_ids, max_bytes, table_samples)
    elif start.startswith(ZIP_MAGIC) and is_npz(path, max_bytes):
        ids, stored = read_npz(path, max_bytes)
    else:
        ids, stored, notes = read_lsmat(read_content(path, _FLAG, ("DistanceMatrix",), max_bytes), path)
    if stored.dtype.newbyteorder("=") not in (np.float32, np.float64):
        remedy = "Save it as float32 or float64; AAM does not guess what was lost"
        raise DataError(f"distances of type {stored.dtype}", code="distances-number-type", file=path, remedy=remedy)
    if stored.shape != (len(ids), len(ids)) or len(ids) == 0:
        shape = " x ".join(map(str, stored.shape))
        raise DataError(
            f"expected a square matrix of {len(ids):,} samples, found {shape}", code="distances-not-square", file=path
        )
    check_ids(ids, "sample", path)
    if isinstance(stored, SsuMatrix) and len(stored.names) > 1:
        what = f"{path.name}: using the mean of {len(stored.names):,} matrices (--matrix-index selects one)"
        notes = [Note("distances-mean", what)]
    return DistanceFile(path, ids, stored, tuple(notes))


def read_distances(
    path: Path, matrix_ids: Path | None = None, max_input_gb: float = 8.0, matrix_index: int | None = None
) -> DistanceMatrix:
    """Read and check a whole matrix.

    Args:
        path, matrix_ids, max_input_gb, matrix_index: as for ``open_distances``.

    Returns:
        The distances, samples in the order of the file.

    Raises:
        DataError: see ``open_distances`` and ``DistanceFile.take``.

    Example:
        >>> read_distances(Path("distance-matrix.qza")).values.shape
        (24, 24)
    """
    file = open_distances(path, matrix_ids, max_input_gb, matrix_index)
    return file.take(file.ids)


def _positions(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    number = {name: i for i, name in enumerate(ids)}
    return np.array([number.get(name, -1) for name in wanted], dtype=np.int64)


def _with_gaps(sample_ids: np.ndarray, rows: np.ndarray, known: np.ndarray) -> DistanceMatrix:
    """Fill ``known``, the values of the samples whose row is not -1, into a matrix of all samples."""
    if len(known) == len(rows):
        return DistanceMatrix(as_objects(sample_ids), known)
    present = np.flatnonzero(rows >= 0)
    values = np.full((len(rows), len(rows)), np.nan, dtype=known.dtype)
    values[np.ix_(present, present)] = known
    return DistanceMatrix(as_objects(sample_ids), values)
