"""Distances in numpy's formats: .npy, with ids in a separate file or of the table, and .npz with ``distances`` and
``ids``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aam_data.errors import DataError
from aam_data.notes import Note
from aam_data.readers.distances.stored import ArrayMatrix
from aam_data.readers.id_list import read_id_list, without_header
from aam_data.readers.ids import as_objects
from aam_data.readers.safe.npy import load_npy, map_npy
from aam_data.readers.safe.zip import open_zip

_PASS_IDS = "Pass a file of sample ids, one per line, with --matrix-ids"


def open_npy(
    path: Path, matrix_ids: Path | None, max_bytes: int, table_samples: np.ndarray | None
) -> tuple[np.ndarray, ArrayMatrix, list[Note]]:
    """Read the ids, one per line of ``matrix_ids``, and map the matrix to memory; without ids, take the table's.

    Returns:
        The ids, the matrix, and notes about the ids.
    """
    values = map_npy(path, max_bytes)
    if matrix_ids is None:
        ids_of_table, note = _ids_of_table(path, values, table_samples)
        return ids_of_table, ArrayMatrix(values), [note]
    ids, n_rows = read_id_list(matrix_ids, "--matrix-ids"), len(values) if values.ndim else 0
    notes: list[Note] = []
    if len(ids) == n_rows + 1:
        ids, notes = without_header(ids, matrix_ids)
    if len(ids) != n_rows:
        raise DataError(
            f"{len(ids):,} ids for the {n_rows:,} rows of {path}", code="distances-ids-differ", file=matrix_ids
        )
    return as_objects(ids), ArrayMatrix(values), notes


def _ids_of_table(path: Path, values: np.ndarray, samples: np.ndarray | None) -> tuple[np.ndarray, Note]:
    """Return the samples of the table as the ids of the rows, and a warning; their numbers must be equal."""
    problem = "a .npy matrix has no ids"
    if samples is None:
        raise DataError(problem, code="distances-no-ids", file=path, remedy=_PASS_IDS)
    if values.shape != (len(samples), len(samples)):
        shape = " x ".join(f"{n:,}" for n in values.shape) or "a single number"
        raise DataError(
            f"{problem}, and it is {shape} while --table has {len(samples):,} samples",
            code="distances-no-ids",
            file=path,
            remedy=_PASS_IDS,
        )
    text = f"its rows are taken to be the {len(samples):,} samples of --table, in the order of that file"
    what = f"{path.name}: {problem}; {text}. Name them with --matrix-ids, or check them with --tree"
    return samples, Note("distances-no-ids", what, "warning")


def is_npz(path: Path, max_bytes: int) -> bool:
    """Return whether a zip archive contains only .npy arrays."""
    with open_zip(path, max_bytes) as archive:
        return all(name.endswith(".npy") for name in archive.names)


def read_npz(path: Path, max_bytes: int) -> tuple[np.ndarray, ArrayMatrix]:
    """Read the ids and the matrix from an archive with exactly these two arrays."""
    with open_zip(path, max_bytes) as archive:
        if set(archive.names) != {"distances.npy", "ids.npy"}:
            names = [name.removesuffix(".npy") for name in archive.names]
            raise DataError(
                "expected the arrays distances and ids, found",
                code="distances-layout",
                file=path,
                offenders=names or ["none"],
            )
        values = load_npy(archive.read("distances.npy"), path, "distances")
        ids = load_npy(archive.read("ids.npy"), path, "ids")
    if ids.dtype.kind != "U" or ids.ndim != 1:
        remedy = "Save them as text: numpy.savez(..., ids=numpy.array(ids, dtype=str))"
        raise DataError(
            f"expected a list of text, found {ids.dtype}",
            code="distances-layout",
            file=path,
            place="ids",
            remedy=remedy,
        )
    return as_objects(ids.tolist()), ArrayMatrix(values)
