"""Layouts of metadata that R, pandas and spreadsheets write: row numbers, a header that is shifted, titles above it.

Each is read only where nothing else can be meant.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from aam_data.readers.delimited import Row, lines_of
from aam_data.readers.metadata.id_column import holds_samples, is_id_header

_MAX_TITLES = 10
_NAMES_SAMPLES = re.compile("sample|id$|name", re.IGNORECASE)


def title_lines(text: str, id_column: str | None) -> list[int]:
    """Return the numbers of the lines above the header, counted from 1, if they are titles: text in a single cell.

    The header is known by its first cell, a name for ids, or by ``id_column``.
    """
    titles: list[str] = []
    numbers: list[int] = []
    for number, line in enumerate(lines_of(text[: 1 << 20]), 1):
        cells = [cell.strip().strip('"') for cell in re.split(r"[\t,]", line)]
        if len(cells) > 1 and (is_id_header(cells[0]) or id_column in cells):
            delimiter = "\t" if "\t" in line else ","
            return numbers if all(_is_title(title, delimiter) for title in titles) else []
        if line.strip() and not line.startswith("#"):
            titles.append(line)
            numbers.append(number)
        if len(titles) > _MAX_TITLES:
            break
    return []


def _is_title(line: str, delimiter: str) -> bool:
    return sum(bool(cell.strip()) for cell in line.split(delimiter)) == 1


def is_shifted(header: list[str], rows: Sequence[Row], sample_ids: Collection[str]) -> bool:
    """Return whether R's write.table wrote a file: the header has no cell above the row names.

    Every row has one cell more than the header, and the row names are samples of the table, or they are numbers beside
    a column with the samples. A first column that may be named for samples, such as ``sample``, decides against it.

    Args:
        rows: the first rows.
    """
    widths = {max((i for i, cell in enumerate(row.cells, 1) if cell), default=0) for row in rows}
    if widths != {len(header) + 1}:
        return False
    first = [row.cells[0] for row in rows]
    if holds_samples(first, sample_ids):
        return not is_id_header(header[0]) and _NAMES_SAMPLES.search(header[0]) is None
    others = ([row.cells[column] for row in rows] for column in range(1, len(header) + 1))
    return _are_row_numbers(first) and any(holds_samples(values, sample_ids) for values in others)


def has_row_numbers(header: list[str], rows: Sequence[Row], sample_ids: Collection[str]) -> bool:
    """Return whether the first column, without a name, numbers the rows from 0 or 1, and another column has the ids."""
    if header[0] or len(header) < 2:
        return False
    first = [row.cells[0] for row in rows]
    if not _are_row_numbers(first):
        return False
    if any(map(is_id_header, header[1:])):
        return True
    return not holds_samples(first, sample_ids) and any(
        holds_samples([row.cells[column] for row in rows], sample_ids) for column in range(1, len(header))
    )


def _are_row_numbers(cells: Sequence[str]) -> bool:
    return any(list(cells) == [str(number) for number in range(start, start + len(cells))] for start in (0, 1))
