"""Distances as square text: a header of ids after one cell, then a row for each id in the same order.

This is ``lsmat`` of scikit-bio and QIIME 2 and the output of ``ssu --format ascii``, whose first cell is empty, and
the output of DartUniFrac, whose first cell is ``Sample``; with tabs or commas. R's write.table omits the first cell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from aam_data.errors import DataError
from aam_data.notes import Note
from aam_data.readers.delimited import Row, decode_text, find_delimiter, lines_of, reject_blanks, split_rows
from aam_data.readers.distances.stored import ArrayMatrix
from aam_data.readers.ids import as_objects
from aam_data.readers.number_spelling import spelling_remedy

_SQUARE = "Pass a square matrix: a header of ids, then a row for each of them"
_SNIFFED = 1 << 24  # characters that contain the first lines
_LOOKED_AT = 3  # lines that show the separator
_PAIR = 3  # cells of a row of two samples and their distance


def read_lsmat(content: bytes, path: Path) -> tuple[np.ndarray, ArrayMatrix, list[Note]]:
    """Read the ids and the matrix, without comment lines (``#``) before the header and blank lines anywhere.

    Returns:
        The ids, the matrix, and notes about an unusual layout.
    """
    text = decode_text(content, path)
    beginning = lines_of(text[:_SNIFFED])
    lines = [line for line in beginning if line.strip() and not line.startswith("#")][:_LOOKED_AT]
    _reject_pairs(lines, path)
    reject_blanks(lines, path)
    delimiter, _ = find_delimiter(lines[0] if lines else "", path)
    header, rows, notes = _header(split_rows(text, delimiter, path), path)
    ids, values, wrong, wrong_cells = header.cells[1:], list[np.ndarray](), list[str](), list[str]()
    for expected, row in zip(ids, rows, strict=False):
        place = f"row {row.line}"
        if row.cells[0] != expected:
            problem = (
                f"starts with {row.cells[0][:80]}, expected {expected[:80]}: rows must be in the order of the header"
            )
            raise DataError(problem, code="distances-ids-differ", file=path, place=place)
        if len(row.cells) in (1, 2) and len(header.cells) > _PAIR and not values:
            raise DataError(
                "only the lower triangle of the matrix", code="distances-layout", file=path, place=place, remedy=_SQUARE
            )
        if len(row.cells) != len(header.cells):
            problem = f"{len(row.cells):,} cells, the header has {len(header.cells):,}"
            raise DataError(problem, code="distances-ragged-rows", file=path, place=place)
        numbers = _numbers(row.cells[1:])
        if numbers is None:
            cells = zip(ids, row.cells[1:], strict=True)
            invalid = [(name, cell) for name, cell in cells if _numbers([cell]) is None]
            wrong += [f"({expected}, {name}) = {cell[:40]!r}" for name, cell in invalid]
            wrong_cells += [cell for _, cell in invalid]
        else:
            values.append(numbers)
    if wrong:
        remedy = spelling_remedy(wrong_cells)
        raise DataError(
            f"{len(wrong):,} distances are not numbers",
            code="distances-not-numbers",
            file=path,
            offenders=wrong,
            remedy=remedy,
        )
    if len(values) != len(ids) or next(rows, None) is not None:
        n_rows = "more" if len(values) == len(ids) else f"{len(values):,}"
        raise DataError(f"{len(ids):,} samples in the header, {n_rows} rows", code="distances-not-square", file=path)
    if not ids:
        raise DataError("no samples", code="distances-empty", file=path)
    return as_objects(ids), ArrayMatrix(np.stack(values)), notes


def _reject_pairs(lines: list[str], path: Path) -> None:
    """Raise DataError if the first lines are pairs of samples with their distance, below a header or not."""
    rows = [re.split(r"[\t,]|\s+", line.strip()) for line in lines[1:]]
    if rows and all(len(row) == _PAIR and _numbers(row[2:]) is not None and _numbers(row[1:2]) is None for row in rows):
        raise DataError("distances of pairs in three columns", code="distances-layout", file=path, remedy=_SQUARE)


def _header(rows: Iterator[Row], path: Path) -> tuple[Row, Iterator[Row], list[Note]]:
    """Return the header, with a cell above the ids of the rows, the rows below it, and a note if that cell is added.

    Raises:
        DataError: no header, or a title above it.
    """
    header = next((row for row in rows if not row.cells[0].startswith("#")), None)
    if header is None:
        raise DataError("no header with sample ids", code="distances-layout", file=path)
    first = next(rows, None)
    if first is None:
        return header, rows, []
    below = len(first.cells)
    if len(header.cells) == 1 and below > _PAIR:
        place = f"row {header.line}"
        problem, remedy = "a title, not the header of ids", "Remove the lines above the header"
        raise DataError(problem, code="distances-layout", file=path, place=place, remedy=remedy)
    notes = []
    if below == len(header.cells) + 1 and header.cells[0] == first.cells[0]:
        header = Row(header.line, ["", *header.cells], header.n_lines)
        what = f"{path.name}: the header has no cell above the ids of the rows, as R's write.table writes it"
        notes.append(Note("distances-header-shifted", what))
    return header, chain([first], rows), notes


def _numbers(cells: list[str]) -> np.ndarray | None:
    """Parse cells as float64, or return None if one is not a number; Python's ``1_0`` is not."""
    try:
        return None if "_" in "".join(cells) else np.array(cells, dtype=np.float64)
    except ValueError:
        return None
