"""Faith's PD of samples: two columns of text, as written by faithpd (unifrac-binaries) and QIIME 2.

The header is ``#SampleID<TAB>faith_pd`` (faithpd), starts with an empty cell (alpha-diversity.tsv of an artifact
SampleData[AlphaDiversity]), or is absent. Cells are separated by tabs or commas.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aam_data.errors import DataError
from aam_data.readers.delimited import Row, decode_text, find_delimiter, is_finite_number, lines_of, split_rows
from aam_data.readers.ids import as_objects, check_ids
from aam_data.readers.number_spelling import spelling_remedy
from aam_data.readers.qiime2 import read_content
from aam_data.readers.source import byte_limit

_NO_NAMES = {"", "nan", "na", "n/a", "inf", "-inf"}  # second cells of invalid rows, not of headers


@dataclass(frozen=True, eq=False)
class FaithPD:
    """Faith's PD by sample.

    Attributes:
        ids: [n] str objects, unique.
        values: float64 [n], finite, not negative.
    """

    ids: np.ndarray
    values: np.ndarray


def read_faith_pd(path: Path, max_input_gb: float = 8.0) -> FaithPD:
    """Read a table of Faith's PD.

    Args:
        path: text, plain or gzip, or a QIIME 2 artifact SampleData[AlphaDiversity].
        max_input_gb: maximum size of the content.

    Returns:
        The values, samples in the order of the file.

    Raises:
        DataError: not two columns, no samples, ids that are empty or appear twice, or values that are not numbers, not
            finite or negative.

    Example:
        >>> diversity = read_faith_pd(Path("alpha-diversity.tsv"))
    """
    text = decode_text(
        read_content(path, "read_faith_pd", ("SampleData[AlphaDiversity]",), byte_limit(max_input_gb)), path
    )
    delimiter, _ = find_delimiter(next((line for line in lines_of(text) if line.strip()), ""), path)
    rows = list(split_rows(text, delimiter, path))
    if rows and _is_header(rows[0]):
        del rows[0]
    rows = [row for row in rows if not row.cells[0].startswith("#")]  # such as #q2:types
    if not rows:
        raise DataError("no samples", code="distances-empty", file=path)
    uneven = [f"row {row.line} has {len(row.cells):,}" for row in rows if len(row.cells) != 2]
    if uneven:
        remedy = "Keep the columns of ids and of Faith's PD"
        raise DataError("expected two columns", code="distances-layout", file=path, offenders=uneven, remedy=remedy)
    ids = as_objects([row.cells[0] for row in rows])
    check_ids(ids, "sample", path)
    invalid = [f"{row.cells[1]!r} of {row.cells[0]}" for row in rows if not _is_value(row)]
    if invalid:
        problem = f"{len(invalid):,} of {len(rows):,} values are not finite numbers"
        spelling = spelling_remedy(row.cells[1] for row in rows if not _is_value(row))
        raise DataError(problem, code="distances-not-finite", file=path, offenders=invalid, remedy=spelling)
    values = np.array([float(row.cells[1]) for row in rows])
    negative = [f"{row.cells[1]} of {row.cells[0]}" for row, value in zip(rows, values, strict=True) if value < 0]
    if negative:
        problem = f"{len(negative):,} of {len(rows):,} values are negative, which Faith's PD cannot be"
        raise DataError(problem, code="distances-negative", file=path, offenders=negative)
    return FaithPD(ids, values)


def _is_header(row: Row) -> bool:
    return not _is_value(row) and (row.cells[0] == "" or "".join(row.cells[1:2]).lower() not in _NO_NAMES)


def _is_value(row: Row) -> bool:
    """Return whether the second cell is a finite number."""
    cell = row.cells[1] if len(row.cells) > 1 else ""
    return is_finite_number(cell)
