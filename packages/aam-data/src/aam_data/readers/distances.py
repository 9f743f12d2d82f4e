"""Precomputed distances between samples.

Formats: HDF5 as ``ssu --format hdf5_fp32|hdf5_fp64`` writes it (unifrac-binaries, src/api.cpp: ``order`` and
``matrix``), the square text of QIIME 2 and scikit-bio (``lsmat``) with tabs or commas, a DistanceMatrix artifact, and
numpy's .npy (ids in a file beside it) and .npz (``distances`` and ``ids``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aam_data.errors import SHOWN, DataError
from aam_data.readers.delimited import decode_text, find_delimiter, split_rows
from aam_data.readers.hdf5_guard import open_hdf5
from aam_data.readers.ids import as_objects, check_ids
from aam_data.readers.numpy_guard import NPY_MAGIC, load_npy
from aam_data.readers.qza import read_content
from aam_data.readers.source import HDF5_MAGIC, ZIP_MAGIC, byte_limit, first_bytes
from aam_data.readers.zip_guard import open_zip

_FLAG = "--unifrac-matrix"
_TOLERANCE = 1e-5
_ROWS_AT_ONCE = 1024
# Beginnings of files that hold distances in a form that is not read, and what to do with them.
_REFUSED = {
    b"\x28\xb5\x2f\xfd": ("a zstd file", "Unpack it first: unzstd FILE"),
    b"SSU-PARTIAL-01": ("a partial result of ssu", "Join the parts: ssu --mode merge-partial"),
    b"\x02\xba\x8a\x08": ("a partial result of ssu", "Join the parts: ssu --mode merge-partial"),
}


@dataclass(frozen=True, eq=False)
class DistanceMatrix:
    """Distances between samples.

    Attributes:
        ids: [n] str objects, unique.
        values: [n, n] float32 or float64, symmetric, zero diagonal. NaN where ``take`` knows no distance.
    """

    ids: np.ndarray
    values: np.ndarray

    def take(self, sample_ids: np.ndarray) -> DistanceMatrix:
        """Distances of ``sample_ids``, in that order; samples that the matrix lacks have NaN everywhere."""
        number = {name: i for i, name in enumerate(self.ids)}
        rows = np.array([number.get(name, -1) for name in sample_ids], dtype=np.int64)
        values = self.values[np.ix_(rows, rows)]
        values[rows < 0] = np.nan
        values[:, rows < 0] = np.nan
        return DistanceMatrix(as_objects(sample_ids), values)


def read_distances(path: Path, matrix_ids: Path | None = None, max_input_gb: float = 8.0) -> DistanceMatrix:
    """Read a square matrix of distances; the format follows from the file's first bytes, not from its name.

    Args:
        path: the matrix.
        matrix_ids: for .npy only: sample ids, one a line, in the order of the rows.
        max_input_gb: most content to accept.

    Raises:
        DataError: an unknown format, ids that are missing or appear twice, or values that are no distances: not
            square, not finite, negative, not symmetric (to 1e-5), not zero on the diagonal.
    """
    start, max_bytes = first_bytes(path, _FLAG), byte_limit(max_input_gb)
    for magic, (problem, remedy) in _REFUSED.items():
        if start.startswith(magic):
            raise DataError(problem, file=path, remedy=remedy)
    if matrix_ids is not None and not start.startswith(NPY_MAGIC):
        raise DataError("has its own ids", file=path, remedy="Leave out --matrix-ids, which is for .npy files")
    if start.startswith(HDF5_MAGIC):
        matrix = _read_ssu(path, max_bytes)
    elif start.startswith(NPY_MAGIC):
        matrix = _read_npy(path, matrix_ids, max_bytes)
    elif start.startswith(ZIP_MAGIC) and _is_npz(path, max_bytes):
        matrix = _read_npz(path, max_bytes)
    else:
        matrix = _read_lsmat(path, max_bytes)
    _check(matrix, path)
    return matrix


def _read_ssu(path: Path, max_bytes: int) -> DistanceMatrix:
    with open_hdf5(path, path, max_bytes) as file:
        if "order" in file.names and "matrix" in file.names:
            return DistanceMatrix(file.strings("order"), file.numbers("matrix", ndim=2, kinds="f"))
        if "matrix:0" in file.names:
            problem, remedy = "holds several matrices (ssu --mode multi)", "Write one: ssu --mode one-off"
        elif "order" in file.names:
            problem, remedy = "holds no matrix (ssu --format hdf5_nodist)", "Run ssu again with --format hdf5_fp32"
        else:
            problem, remedy = "HDF5, but not a matrix written by ssu", f"Give {_FLAG} a file with order and matrix"
        raise DataError(problem, file=path, offenders=sorted(file.names), remedy=remedy)


def _read_npy(path: Path, matrix_ids: Path | None, max_bytes: int) -> DistanceMatrix:
    if matrix_ids is None:
        remedy = "Give a file of sample ids, one a line, with --matrix-ids"
        raise DataError("a .npy matrix has no ids", file=path, remedy=remedy)
    values = load_npy(read_content(path, _FLAG, (), max_bytes), path, None)
    lines = decode_text(read_content(matrix_ids, "--matrix-ids", (), max_bytes), matrix_ids).splitlines()
    ids = as_objects([line.strip() for line in lines if line.strip()])
    if len(ids) != len(values):
        raise DataError(f"{len(ids):,} ids for the {len(values):,} rows of {path}", file=matrix_ids)
    return DistanceMatrix(ids, values)


def _is_npz(path: Path, max_bytes: int) -> bool:
    with open_zip(path, max_bytes) as archive:
        return all(name.endswith(".npy") for name in archive.names)


def _read_npz(path: Path, max_bytes: int) -> DistanceMatrix:
    with open_zip(path, max_bytes) as archive:
        if set(archive.names) != {"distances.npy", "ids.npy"}:
            names = [name.removesuffix(".npy") for name in archive.names]
            raise DataError("expected the arrays distances and ids, found", file=path, offenders=names or ["none"])
        values = load_npy(archive.read("distances.npy"), path, "distances")
        ids = load_npy(archive.read("ids.npy"), path, "ids")
    if ids.dtype.kind != "U" or ids.ndim != 1:
        remedy = "Save them as text: numpy.savez(..., ids=numpy.array(ids, dtype=str))"
        raise DataError(f"expected a list of text, found {ids.dtype}", file=path, place="ids", remedy=remedy)
    return DistanceMatrix(as_objects(ids.tolist()), values)


def _read_lsmat(path: Path, max_bytes: int) -> DistanceMatrix:
    text = decode_text(read_content(path, _FLAG, ("DistanceMatrix",), max_bytes), path)
    first = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
    delimiter, _ = find_delimiter(first, path)
    rows = (row for row in split_rows(text, delimiter, path) if not row.cells[0].startswith("#"))
    header = next(rows, None)
    if header is None:
        raise DataError("no header with sample ids", file=path)
    ids, lines = header.cells[1:], []
    for expected, row in zip(ids, rows, strict=False):
        place = f"row {row.line}"
        if row.cells[0] != expected:
            problem = f"begins with {row.cells[0]}, expected {expected}: rows have the order of the header"
            raise DataError(problem, file=path, place=place)
        if len(row.cells) != len(header.cells):
            problem = f"{len(row.cells):,} cells, the header has {len(header.cells):,}"
            raise DataError(problem, file=path, place=place)
        try:
            lines.append(np.array(row.cells[1:], dtype=np.float64))
        except ValueError as error:
            raise DataError(str(error), file=path, place=place) from error
    if len(lines) != len(ids) or next(rows, None) is not None:
        found = "more" if len(lines) == len(ids) else f"{len(lines):,}"
        raise DataError(f"{len(ids):,} samples in the header, {found} rows", file=path)
    if not ids:
        raise DataError("no samples", file=path)
    return DistanceMatrix(as_objects(ids), np.stack(lines))


def _check(matrix: DistanceMatrix, path: Path) -> None:
    ids, values = matrix.ids, matrix.values
    if values.dtype not in (np.float32, np.float64):
        remedy = "Save it as float32 or float64"
        raise DataError(f"distances of type {values.dtype}", file=path, remedy=remedy)
    if values.shape != (len(ids), len(ids)) or len(ids) == 0:
        shape = " x ".join(map(str, values.shape))
        raise DataError(f"expected a square matrix of {len(ids):,} samples, found {shape}", file=path)
    check_ids(ids, "sample", path)
    for problem, find in _FINDINGS.items():
        n_wrong = 0
        cells: list[tuple[int, int]] = []
        for first in range(0, len(ids), _ROWS_AT_ONCE):
            rows = slice(first, first + _ROWS_AT_ONCE)
            wrong = np.argwhere(find(values[rows], values[:, rows].T, first))
            n_wrong += len(wrong)
            cells += [(first + i, j) for i, j in wrong[: SHOWN - len(cells)]]
        if n_wrong:
            offenders = [f"({ids[i]}, {ids[j]}) = {values[i, j]}" for i, j in cells]
            raise DataError(f"{n_wrong:,} of {values.size:,} distances {problem}", file=path, offenders=offenders)


# What is wrong with entries of a block of rows, given the same block of columns and the number of its first row.
_FINDINGS: dict[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {
    "are not finite": lambda block, mirrored, first: ~np.isfinite(block),
    "are negative": lambda block, mirrored, first: block < 0,
    "of a sample to itself are not 0": lambda block, mirrored, first: (
        np.eye(len(block), block.shape[1], k=first, dtype=bool) & (block > _TOLERANCE)
    ),
    "differ between (a, b) and (b, a)": lambda block, mirrored, first: np.abs(block - mirrored) > _TOLERANCE,
}
