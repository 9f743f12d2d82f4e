"""Distances as square text: a header of ids after one cell, then a row for each id in the same order.

This is ``lsmat`` of scikit-bio and QIIME 2 and the output of ``ssu --format ascii``, whose first cell is empty, and
the output of DartUniFrac, whose first cell is ``Sample``; with tabs or commas.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from aam_data.errors import DataError
from aam_data.readers.delimited import decode_text, find_delimiter, split_rows
from aam_data.readers.distances.stored import ArrayMatrix
from aam_data.readers.ids import as_objects


def read_lsmat(content: bytes, path: Path) -> tuple[np.ndarray, ArrayMatrix]:
    """Read the ids and the matrix, without comment lines (``#``) before the header and blank lines anywhere."""
    text = decode_text(content, path)
    first = next((line for line in io.StringIO(text) if line.strip() and not line.startswith("#")), "")
    delimiter, _ = find_delimiter(first, path)
    rows = split_rows(text, delimiter, path)
    header = next((row for row in rows if not row.cells[0].startswith("#")), None)
    if header is None:
        raise DataError("no header with sample ids", file=path)
    ids, values, wrong = header.cells[1:], list[np.ndarray](), list[str]()
    for expected, row in zip(ids, rows, strict=False):
        place = f"row {row.line}"
        if row.cells[0] != expected:
            problem = f"starts with {row.cells[0]}, expected {expected}: rows must be in the order of the header"
            raise DataError(problem, file=path, place=place)
        if len(row.cells) != len(header.cells):
            problem = f"{len(row.cells):,} cells, the header has {len(header.cells):,}"
            raise DataError(problem, file=path, place=place)
        numbers = _numbers(row.cells[1:])
        if numbers is None:
            cells = zip(ids, row.cells[1:], strict=True)
            wrong += [f"({expected}, {name}) = {cell!r}" for name, cell in cells if _numbers([cell]) is None]
        else:
            values.append(numbers)
    if wrong:
        raise DataError(f"{len(wrong):,} distances are not numbers", file=path, offenders=wrong)
    if len(values) != len(ids) or next(rows, None) is not None:
        n_rows = "more" if len(values) == len(ids) else f"{len(values):,}"
        raise DataError(f"{len(ids):,} samples in the header, {n_rows} rows", file=path)
    if not ids:
        raise DataError("no samples", file=path)
    return as_objects(ids), ArrayMatrix(np.stack(values))


def _numbers(cells: list[str]) -> np.ndarray | None:
    """Parse cells as float64, or return None if one is not a number; Python's ``1_0`` is not."""
    try:
        return None if "_" in "".join(cells) else np.array(cells, dtype=np.float64)
    except ValueError:
        return None
