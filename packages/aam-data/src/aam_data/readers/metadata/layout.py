"""Layout of a metadata file: header, directives and rows.

Rules after https://docs.qiime2.org (metadata file format) and qiime2/metadata/io.py, with more spellings of the id
header. Columns that QIIME 2 would reject are accepted as long as nothing needs them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from aam_data.errors import DataError, first_few
from aam_data.notes import Note
from aam_data.readers.delimited import Row, find_delimiter, lines_of, reject_blanks, split_rows
from aam_data.readers.metadata.directives import PREFIX, Directives, parse_directives, raise_if_misplaced
from aam_data.readers.metadata.id_column import ACCEPTED, find_id_column, is_id_header
from aam_data.readers.metadata.odd_layouts import has_row_numbers, is_shifted, title_lines

_SNIFFED = 1 << 24  # characters that contain the header and the rows below it
_LOOKED_AT = 50  # rows that show the layout
_MIN_CELL_BYTES = 8  # the pointer to its text


@dataclass(frozen=True)
class Layout:
    """Parts of a metadata file.

    Attributes:
        header: names of all columns.
        id_column: position of the ids.
        directives: declarations about the columns.
        rows: data rows, each as long as the header.
        notes: notes about anything unusual.
    """

    header: list[str]
    id_column: int
    directives: Directives
    rows: list[Row]
    notes: list[Note]


def read_layout(text: str, path: Path, id_column: str | None, sample_ids: Collection[str], max_bytes: int) -> Layout:
    """Split a metadata file.

    Args:
        text: the file's content.
        path: names the file in messages; its suffix indicates whether commas separate the cells.
        id_column: the column of ids, None to find it by its name.
        sample_ids: ids of the table, to recognise a column of ids with another name.

    Raises:
        DataError: no header or no rows, rows longer than the header, unnamed columns, directives that are misplaced
            or unknown, or no column of ids.
    """
    titles = title_lines(text, id_column)
    rows, notes = _rows(text, path, id_column, len(titles))
    notes += [
        Note(
            "metadata-title-skipped",
            f"{path.name}: row {number} is a title above the header and was skipped",
            "warning",
        )
        for number in titles
    ]
    head, skipped = _find_header((row for row in rows if row.line not in titles), path, id_column)
    header, first = _header(head), list(islice(rows, _LOOKED_AT))
    if is_shifted(header, [row for row in first if not row.cells[0].startswith("#")], sample_ids):
        header = ["", *header]
        what = f"{path.name}: the header has no cell above the first column, as R's write.table writes it"
        what += "; that column is read as one without a name"
        notes.append(Note("metadata-header-shifted", what, "warning"))
    directives, data = _sort_rows(chain(first, rows), header, path, notes, max_bytes)
    if has_row_numbers(header, data, sample_ids):
        what = f"{path.name}: the first column has no name and numbers the rows, so it was skipped"
        notes.append(Note("metadata-row-numbers", what))
        header, directives = header[1:], directives.without_first()
        data = [row._replace(cells=row.cells[1:]) for row in data]
    commented_header = any(len(row.cells) == len(header) > 1 for row in skipped)
    position, note = find_id_column(
        header,
        lambda column: [row.cells[column] for row in data],
        path,
        id_column,
        () if commented_header else sample_ids,
    )
    unnamed = [f"number {i + 1}" for i, name in enumerate(header) if not name and i != position]
    if unnamed:
        remedy = "Name them, or remove them if they number the rows"
        raise DataError(
            "columns without a name",
            code="metadata-unnamed-columns",
            file=path,
            place=f"row {head.line}",
            offenders=unnamed,
            remedy=remedy,
        )
    return Layout(header, position, directives, data, [*notes, *directives.notes, *note])


def _rows(text: str, path: Path, id_column: str | None, n_titles: int) -> tuple[Iterator[Row], list[Note]]:
    """Split the file into rows; return them and a note if the delimiter disagrees with the file name."""
    lines = iter(lines_of(text[:_SNIFFED]))
    for _ in range(n_titles):
        next(line for line in lines if line.strip() and not line.startswith("#"))
    header = next((line for line in lines if _may_be_header(line, id_column)), "")
    rest = [line for line in lines if line.strip() and not line.startswith("#")][:_LOOKED_AT]
    reject_blanks([header, *rest], path)
    delimiter, note = find_delimiter(header, path)
    following = "".join(rest[:1])
    if delimiter == "," and "\t" in following and "," not in following:
        remedy = "Use tabs in all rows, or commas in all rows"
        raise DataError(
            "the header has commas and the row under it has tabs", code="file-wrong-delimiter", file=path, remedy=remedy
        )
    return split_rows(text, delimiter, path), [note] if note else []


def _find_header(rows: Iterator[Row], path: Path, id_column: str | None) -> tuple[Row, list[Row]]:
    """Return the first row that is not a comment, and the comments above it."""
    skipped: list[Row] = []
    for row in rows:
        if not _is_comment(row, id_column):
            raise_if_misplaced([row for row in skipped if row.cells[0].startswith(PREFIX)], path)
            return row, skipped
        skipped.append(row)
    raise DataError(
        "no header", code="metadata-no-header", file=path, remedy=f"Start the file with a header: {ACCEPTED}"
    )


def _is_comment(row: Row, id_column: str | None) -> bool:
    first = row.cells[0]
    return first.startswith("#") and not is_id_header(first) and id_column not in row.cells


def _may_be_header(line: str, id_column: str | None) -> bool:
    cells = [cell.strip() for cell in re.split(r"[\t,]", line)]
    return bool(line.strip()) and not _is_comment(Row(0, cells), id_column)


def _header(row: Row) -> list[str]:
    header = list(row.cells)
    while not header[-1]:  # empty cells that spreadsheets leave at the right
        header.pop()
    return header


def _sort_rows(
    rows: Iterator[Row], header: list[str], path: Path, notes: list[Note], max_bytes: int
) -> tuple[Directives, list[Row]]:
    """Return the directives, and the data rows at the header's length; ``notes`` gets what is left out."""
    directives, misplaced, data, longer = list[Row](), list[Row](), list[Row](), list[Row]()
    comments, multiline = list[int](), list[int]()
    width, seen = len(header), dict[str, str]()  # equal cells become one object, for memory
    for row in rows:
        first = row.cells[0]
        if first.startswith(PREFIX):
            (misplaced if data else directives).append(row)
            continue
        if first.startswith("#"):
            if any(row.cells[1:]):
                comments.append(row.line)
            continue
        if any(row.cells[width:]):
            longer.append(row)
        if row.n_lines > 1:
            multiline.append(row.line)
        # Short rows are padded, so a small file may become a large table.
        if _MIN_CELL_BYTES * width * len(data) > max_bytes:
            problem = f"more than {len(data):,} rows of {width:,} columns need more than {max_bytes / 1e9:g} GB"
            raise DataError(
                problem, code="file-too-large", file=path, remedy="Leave out columns, or raise --max-input-gb"
            )
        data.append(Row(row.line, [seen.setdefault(cell, cell) for cell in _fit(row.cells, width)]))
    raise_if_misplaced(misplaced, path)
    _raise_if_longer(longer, len(data), width, path)
    if not data:
        raise DataError("a header without rows", code="metadata-empty", file=path)
    again = [f"row {row.line}" for row in data if row.cells == header]
    if again:
        raise DataError(
            "the header appears again",
            code="metadata-header-repeated",
            file=path,
            offenders=again,
            remedy="Were files joined? Remove it",
        )
    if comments:
        what = f"{len(comments):,} rows start with # and were skipped as comments, as in QIIME 2"
        notes.append(Note("metadata-rows-skipped", f"{path.name}: {what} (row {first_few(comments)})"))
    if multiline:
        what = f"{len(multiline):,} rows contain a line break inside quotes; make sure that every quote is closed"
        problem = f"{path.name}: {what} (row {first_few(multiline)})"
        notes.append(Note("metadata-line-breaks", problem, "warning"))
    fitted = [Row(row.line, _fit(row.cells, width)) for row in directives]
    return parse_directives(fitted, width, path), data


def _fit(cells: list[str], width: int) -> list[str]:
    """Fit cells to the header's length: add empty cells, or drop empty cells beyond it."""
    return (cells + [""] * (width - len(cells)))[:width]


def _raise_if_longer(rows: list[Row], n_rows: int, width: int, path: Path) -> None:
    if not rows:
        return
    lengths = [max(i for i, cell in enumerate(row.cells, 1) if cell) for row in rows]
    remedy = "Quote cells that contain the delimiter"
    if len(rows) == n_rows and set(lengths) == {width + 1}:
        remedy = "Name the first column too; R's write.table omits its name (col.names = NA writes an empty one)"
    offenders = [f"row {row.line}: {length}" for row, length in zip(rows, lengths, strict=True)]
    raise DataError(
        f"rows with more cells than the header's {width}",
        code="metadata-ragged-rows",
        file=path,
        offenders=offenders,
        remedy=remedy,
    )
