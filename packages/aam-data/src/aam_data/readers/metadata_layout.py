"""How a metadata file is laid out: its header, its directives, the column of ids, its rows.

Rules after https://docs.qiime2.org (metadata file format) and qiime2/metadata/io.py, with further spellings of the
id header, and columns that QIIME 2 would refuse as long as nothing needs them.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from aam_data.errors import DataError
from aam_data.readers.delimited import Row, find_delimiter, split_rows

_ID_HEADERS = {"id", "sampleid", "samplename", "featureid", "otuid"}
_IGNORED_IN_HEADERS = re.compile(r"[#\s_-]")
_ACCEPTED = "id, sampleid, sample-id, sample_name, #SampleID, ..."
_TYPES = ("", "categorical", "numeric")
_MISSING_SCHEMES = ("", "blank", "no-missing", "INSDC:missing")
_MIN_OVERLAP = 0.5  # share of a first column's values that must be sample ids, when its header is not one


@dataclass(frozen=True)
class Layout:
    """A metadata file, split.

    Attributes:
        header: names of all columns.
        id_column: position of the ids.
        types, missing: the cells of ``#q2:types`` (lower case) and ``#q2:missing``, as long as the header, or empty.
        rows: data rows, each as long as the header.
        notes: sentences about what was unusual.
    """

    header: list[str]
    id_column: int
    types: list[str]
    missing: list[str]
    rows: list[Row]
    notes: list[str]


def read_layout(text: str, path: Path, id_column: str | None, sample_ids: Collection[str]) -> Layout:
    """Split a metadata file.

    Args:
        text: the file's content.
        path: names it in messages, and says by its suffix whether commas separate its cells.
        id_column: the column of ids, None to find it by its name.
        sample_ids: ids of the table, to recognise a column of ids that has another name.

    Raises:
        DataError: no header or no rows, a row longer than the header, unnamed columns, an unknown value of a
            directive, or no column of ids.
    """
    first = next((line for line in text.splitlines() if _may_be_header(line, id_column)), "")
    delimiter, note = find_delimiter(first, path)
    notes = [note] if note else []
    rows = split_rows(text, delimiter, path)
    skipped: list[Row] = []
    for head in rows:
        if not _is_comment(head, id_column):
            break
        skipped.append(head)
    else:
        raise DataError("no header", file=path, remedy=f"Begin the file with a header: {_ACCEPTED}")
    header = _header(head, path)
    directives: dict[str, list[str]] = {"types": [], "missing": []}
    data = []
    for row in rows:
        cells = _fit(row, len(header), path)
        if not cells[0].startswith("#"):
            data.append(Row(row.line, cells))
        elif cells[0].startswith("#q2:"):
            _add_directive(directives, Row(row.line, cells), notes, path)
    if not data:
        raise DataError("a header without rows", file=path)
    position = _find_ids(header, data, path, id_column, sample_ids, skipped, notes)
    reserved = [name for i, name in enumerate(header) if i != position and _is_id_header(name)]
    if reserved:
        notes.append(f"{path.name}: ids are read from {header[position]}, not from {', '.join(reserved)}")
    return Layout(header, position, directives["types"], directives["missing"], data, notes)


def _is_id_header(name: str) -> bool:
    return _IGNORED_IN_HEADERS.sub("", name).lower() in _ID_HEADERS


def _is_comment(row: Row, id_column: str | None) -> bool:
    first = row.cells[0]
    return first.startswith("#") and not _is_id_header(first) and id_column not in row.cells


def _may_be_header(line: str, id_column: str | None) -> bool:
    cells = [cell.strip() for cell in re.split(r"[\t,]", line)]
    return bool(line.strip()) and not _is_comment(Row(0, cells), id_column)


def _header(row: Row, path: Path) -> list[str]:
    header = list(row.cells)
    while not header[-1]:  # what spreadsheets leave at the right
        header.pop()
    unnamed = [f"number {i + 1}" for i, name in enumerate(header) if not name]
    if unnamed:
        raise DataError("columns without a name", file=path, place=f"row {row.line}", offenders=unnamed)
    return header


def _fit(row: Row, width: int, path: Path) -> list[str]:
    """The row's cells at the header's length: missing ones empty, empty ones beyond it dropped."""
    if any(row.cells[width:]):
        problem = f"{len(row.cells)} cells, the header has {width}"
        raise DataError(problem, file=path, place=f"row {row.line}", remedy="Quote cells that hold the delimiter")
    return (row.cells + [""] * (width - len(row.cells)))[:width]


def _add_directive(directives: dict[str, list[str]], row: Row, notes: list[str], path: Path) -> None:
    name = row.cells[0].split()[0].removeprefix("#q2:")
    if name not in directives:
        notes.append(f"{path.name}: row {row.line}, the directive #q2:{name} is not known and was skipped")
        return
    accepted = _TYPES if name == "types" else _MISSING_SCHEMES
    values = ["", *(cell.lower() if name == "types" else cell for cell in row.cells[1:])]
    unknown = [value for value in values if value not in accepted]
    if unknown:
        remedy = f"Use {', '.join(accepted[1:])} or an empty cell"
        place = f"row {row.line} (#q2:{name})"
        raise DataError("unknown values", file=path, place=place, offenders=unknown, remedy=remedy)
    directives[name] = values


def _find_ids(
    header: list[str],
    rows: list[Row],
    path: Path,
    id_column: str | None,
    sample_ids: Collection[str],
    skipped: list[Row],
    notes: list[str],
) -> int:
    if id_column is not None:
        if header.count(id_column) != 1:
            problem = f"no column {id_column}" if id_column not in header else f"several columns {id_column}"
            raise DataError(problem, file=path, offenders=header, remedy="Give one of its columns to --id-column")
        return header.index(id_column)
    if _is_id_header(header[0]):
        return 0
    named = [i for i, name in enumerate(header) if _is_id_header(name)]
    if len(named) == 1:
        notes.append(f"{path.name}: ids are read from column {header[named[0]]}, which is not the first")
        return named[0]
    known = sum(row.cells[0] in sample_ids for row in rows)
    header_commented = any(len(row.cells) == len(header) > 1 for row in skipped)
    if known >= _MIN_OVERLAP * len(rows) and not header_commented and header[0] not in sample_ids:
        notes.append(f"{path.name}: ids are read from the first column, {header[0]}, which holds samples of the table")
        return 0
    remedy = f"Name it with --id-column, or call it one of: {_ACCEPTED}"
    raise DataError("no column of sample ids; columns", file=path, offenders=header, remedy=remedy)
