"""Tables as text, separated by tabs or commas: one row per feature, one column per sample.

This is the classic format of biom-format (biom/table.py, ``_extract_data_from_tsv``) and of R's write.table. Lines that
start with ``#`` may come first; the last of them with a separator is the header, or else the first line is. A last
column without numbers is metadata of features (taxonomy). The first cell of the header names the ids; R leaves it empty
or omits it.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from aam_data.errors import MAX_SHOWN, DataError
from aam_data.notes import Note
from aam_data.readers.biom.checks import check_axis, check_counts, name_entries
from aam_data.readers.delimited import reject_blanks
from aam_data.readers.ids import decode_ids
from aam_data.readers.number_spelling import spelling_remedy
from aam_data.table import CountTable, table_from_triplets

_NUMERIC = b"0123456789.eE+- "  # characters of numbers and of blanks around them
_NUMBER = re.compile(rb"\s*[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?\s*")
_COMMAS = re.compile(rb"\s*[-+]?\d[\d.']*,\d+\s*")  # a number with a decimal comma, or commas between thousands
_NO_VALUE = {b"", b"na", b"nan", b"inf", b"-inf"}
# First cells of headers and names of metadata columns, in lower case, letters only.
_ID_CELLS = {b"", b"id", b"otu", b"otuid", b"asv", b"asvid", b"feature", b"featureid", b"sequence", b"observationid"}
_METADATA = {b"taxonomy", b"taxon", b"consensuslineage", b"lineage"}
_RANKS = {b"kingdom", b"domain", b"phylum", b"class", b"order", b"family", b"genus", b"species", b"strain"}
# Columns that appear next to columns of text, and may hold numbers.
_BESIDE_TEXT = _METADATA | _RANKS | {b"confidence", b"consensus", b"sequence", b"size", b"length"}
_MAX_TITLES = 10


class _Line(NamedTuple):
    """Line that is not blank.

    Attributes:
        number: counted from 1.
        text: its bytes without the line ending.
        delimiter: what separates its cells.
    """

    number: int
    text: bytes
    delimiter: bytes = b"\t"

    def cells(self) -> list[bytes]:
        """Return the cells, still in quotes if they are in a line separated by tabs."""
        if self.delimiter == b"," and b'"' in self.text:
            try:
                return [cell.encode("latin-1") for cell in next(csv.reader([self.text.decode("latin-1")]))]
            except csv.Error:
                pass  # a carriage return among the cells, or one of 200,000 letters
        return self.text.split(self.delimiter)

    def without_end(self, end: bytes) -> _Line:
        """Return the line without ``end``, if it ends so."""
        return self._replace(text=self.text.removesuffix(end))


def read_tsv_table(content: bytes, path: Path) -> tuple[CountTable, tuple[Note, ...]]:
    """Read a table from text; return it and notes about skipped parts. ``path`` names the file in messages."""
    lines = _lines(content)
    header, first, notes = _header(lines, path)
    empty = _empty_end(header)
    if empty:
        header, first = header.without_end(empty), first.without_end(empty)
        notes.append(Note("table-column-skipped", f"{path.name} has empty columns on the right, which were skipped"))
    body = _Body(_columns(header, first, path), path)
    body.add(first)
    for line in lines:
        body.add(line._replace(delimiter=header.delimiter).without_end(empty))
    table, more_notes = body.table()
    return table, (*notes, *more_notes)


def _lines(content: bytes) -> Iterator[_Line]:
    if b"\n" not in content:
        content = content.replace(b"\r", b"\n")
    for number, line in enumerate(BytesIO(content.removeprefix(b"\xef\xbb\xbf")), 1):
        text = line.rstrip(b"\r\n")
        if text.strip():
            yield _Line(number, text)


def _empty_end(header: _Line) -> bytes:
    """Return the delimiters after the last name of the header, which spreadsheets write for empty columns."""
    rest = header.text.rstrip(header.delimiter)
    return header.text[len(rest) :] if rest else b""


def _header(lines: Iterator[_Line], path: Path) -> tuple[_Line, _Line, list[Note]]:
    """Take the header and the first row from ``lines``; return them, with their delimiter, and notes."""
    header = None
    titles: list[_Line] = []
    for line in lines:
        if header is not None and _is_comment(header, line):
            header = None
        if header is not None and not line.text.startswith(b"#"):
            if titles and not _is_title_above(header, line, titles):
                raise _not_a_table([*titles, header, line], path)
            notes = [
                Note(
                    "table-title-skipped",
                    f"row {title.number} of {path.name} is a title above the header and was skipped",
                )
                for title in titles
            ]
            return header, line._replace(delimiter=header.delimiter), notes
        if delimiter := _delimiter(line.text):
            if header is None or line.text.startswith(b"#"):
                header = line._replace(delimiter=delimiter)
        elif not line.text.startswith(b"#"):
            titles.append(line)
            if len(titles) > _MAX_TITLES:
                break
    if header is None and titles:
        raise _not_a_table(titles, path)
    raise DataError(
        "no features" if header else "text, but not a table",
        code="table-empty" if header else "table-format-unknown",
        file=path,
    )


def _is_comment(header: _Line, below: _Line) -> bool:
    """Return whether a line with ``#`` and commas is no header: the table below has tabs, or other cells."""
    if not header.text.startswith(b"#") or header.delimiter == b"\t" or below.text.startswith(b"#"):
        return False
    width = len(below._replace(delimiter=header.delimiter).cells())
    return b"\t" in below.text or len(header.cells()) not in (width, width - 1)


def _delimiter(text: bytes) -> bytes | None:
    return next((delimiter for delimiter in (b"\t", b",") if delimiter in text), None)


def _is_title_above(header: _Line, first: _Line, titles: list[_Line]) -> bool:
    """Return whether lines without a delimiter are titles of the table below: its header names the ids."""
    cells = header.cells()
    names_ids = header.text.startswith(b"#") or _letters(cells[0]) in _ID_CELLS - {b""}
    return names_ids and len(cells) == len(first.cells()) and titles[-1].number < header.number


def _not_a_table(lines: list[_Line], path: Path) -> DataError:
    """Create the error for lines that are not a table, or raise that of a table with other separators."""
    texts = [line.text.decode("utf-8", errors="replace") for line in lines[:3]]
    reject_blanks(texts, path)
    place = f"row {lines[0].number}"
    remedy = "Save it with tabs between the cells: one row per feature, one column per sample"
    if ";" in texts[0]:
        return DataError("separated by semicolons", code="file-wrong-delimiter", file=path, place=place, remedy=remedy)
    if any(map(_delimiter, (line.text for line in lines))):
        problem = "text above the header of the table"
        return DataError(
            problem, code="table-text-above-header", file=path, place=place, remedy="Remove the lines above the header"
        )
    return DataError("text, but not a table", code="table-format-unknown", file=path, place=place, remedy=remedy)


def _letters(cell: bytes) -> bytes:
    return re.sub(rb"[^a-z]", b"", cell.lower())


def _columns(header: _Line, first: _Line, path: Path) -> list[bytes]:
    """Return the names of the columns after the ids."""
    cells, width = [_unquoted(cell) for cell in header.cells()], len(first.cells())
    names_ids = header.text.startswith(b"#") or _letters(cells[0]) in _ID_CELLS
    if len(cells) == width - 1 and not names_ids:
        return cells  # R's write.table
    if len(cells) != width:
        problem = f"{len(cells):,} cells in the header, {width:,} in the first row"
        raise DataError(problem, code="table-ragged-rows", file=path, place=f"row {header.number}")
    if width == 1:  # its commas are in quotes
        raise _not_a_table([header, first], path)
    return cells[1:]


class _Body:
    """Rows of a table; each is stored as its id, its counts that are not 0, and its last cell as text."""

    def __init__(self, columns: list[bytes], path: Path) -> None:
        self._columns, self._path = columns, path
        self._ids: list[bytes] = []
        self._last: list[bytes] = []
        self._samples: list[np.ndarray] = []
        self._counts: list[np.ndarray] = []
        self._ragged: list[str] = []
        self._wrong: list[tuple[int, int, bytes]] = []  # row, column and text of the first invalid cells
        self._n_wrong = self._n_comments = 0
        self._texts_in: Counter[int] = Counter()  # cells with words by column

    def add(self, line: _Line) -> None:
        if line.text.startswith(b"#"):
            self._n_comments += 1
            return
        name, *cells = line.cells()
        if len(cells) != len(self._columns):
            self._ragged.append(f"row {line.number} has {len(cells) + 1:,}")
            return
        last = cells.pop()
        values = np.zeros(0)
        if cells:
            values, wrong = _numbers(cells)
            self._note_wrong((len(self._ids), column, cells[column]) for column in wrong)
        self._samples.append(np.flatnonzero(values))
        self._counts.append(values[self._samples[-1]])
        self._ids.append(_unquoted(name))
        self._last.append(last)

    def table(self) -> tuple[CountTable, tuple[Note, ...]]:
        """Check the rows; return the table and notes about skipped parts."""
        path, columns = self._path, self._columns
        if self._ragged:
            problem = f"expected {len(columns) + 1:,} cells in every row"
            raise DataError(problem, code="table-ragged-rows", file=path, offenders=self._ragged)
        notes = []
        if self._n_comments:
            what = f"{self._n_comments:,} rows of {path.name} start with # and were skipped"
            notes.append(Note("table-rows-skipped", what))
        has_metadata = self._last_is_metadata()
        if has_metadata:
            name = columns[-1].decode("utf-8", errors="replace")
            what = f"the last column of {path.name}, {name}, contains text and was not read as a sample"
            notes.append(Note("table-column-skipped", what))
        sample_ids = decode_ids(columns[: len(columns) - has_metadata], path, "header")
        feature_ids = decode_ids(self._ids, path, "first column")
        check_axis(sample_ids, "sample", path, "header")
        check_axis(feature_ids, "feature", path, "first column")
        sample, feature, counts = self._entries(has_metadata)
        if self._n_wrong:
            self._raise_if_columns_of_text()
            offenders = [
                f"({sample_ids[column]}, {feature_ids[row]}) = {_shown(text)}" for row, column, text in self._wrong
            ]
            problem = f"{self._n_wrong:,} cells are not numbers"
            remedy = _remedy([text for *_, text in self._wrong])
            raise DataError(problem, code="table-counts-not-numbers", file=path, offenders=offenders, remedy=remedy)

        def named(positions: np.ndarray) -> list[str]:
            return name_entries(sample_ids[sample[positions]], feature_ids[feature[positions]], counts[positions])

        check_counts(counts, named, path, None)
        return table_from_triplets(sample, feature, counts, sample_ids, feature_ids), tuple(notes)

    def _last_is_metadata(self) -> bool:
        if _letters(self._columns[-1]) in _METADATA:
            return True
        cells = {_unquoted(cell).lower() for cell in self._last}
        return not cells <= _NO_VALUE and not any(_NUMBER.fullmatch(cell) or _COMMAS.fullmatch(cell) for cell in cells)

    def _entries(self, has_metadata: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return sample numbers, feature numbers and counts of the cells that are not 0."""
        feature = np.repeat(np.arange(len(self._samples)), [len(part) for part in self._samples])
        sample, counts = np.concatenate(self._samples), np.concatenate(self._counts)
        if not has_metadata:
            column = len(self._columns) - 1
            values, wrong = _numbers(self._last)
            self._note_wrong((row, column, self._last[row]) for row in wrong)
            rows = np.flatnonzero(values)
            sample = np.concatenate([sample, np.full(len(rows), column)])
            feature, counts = np.concatenate([feature, rows]), np.concatenate([counts, values[rows]])
        return sample, feature, counts

    def _note_wrong(self, cells: Iterator[tuple[int, int, bytes]]) -> None:
        for cell in cells:
            self._n_wrong += 1
            self._texts_in[cell[1]] += _is_word(cell[2])
            if len(self._wrong) < MAX_SHOWN:
                self._wrong.append(cell)

    def _raise_if_columns_of_text(self) -> None:
        """Raise DataError if most cells of a column are text, naming all columns that are not samples."""
        is_text = {column for column, n_cells in self._texts_in.items() if 2 * n_cells > len(self._ids)}
        if not is_text:
            return
        if self._last_is_metadata():
            is_text.add(len(self._columns) - 1)
        beside = {i for i, name in enumerate(self._columns) if _letters(name) in _BESIDE_TEXT}
        names = [
            self._columns[i].decode("utf-8", errors="replace")[:80] or "(no name)" for i in sorted(is_text | beside)
        ]
        remedy = "Remove them from the table; taxonomy is read from a file of its own, --taxonomy"
        if 0 in is_text and _letters(self._columns[0]) in _ID_CELLS and _are_row_numbers(self._ids):
            remedy = "Remove the column of row numbers before it (in R: row.names = FALSE)"
        raise DataError(
            "columns that are not samples", code="table-text-columns", file=self._path, offenders=names, remedy=remedy
        )


def _is_word(cell: bytes) -> bool:
    text = _unquoted(cell)
    return text.lower() not in _NO_VALUE and any(map(str.isalpha, text.decode("utf-8", errors="ignore")))


def _are_row_numbers(ids: list[bytes]) -> bool:
    return any(ids == [b"%d" % number for number in range(start, start + len(ids))] for start in (0, 1))


def _shown(text: bytes) -> str:
    return repr(_unquoted(text).decode("utf-8", errors="backslashreplace")[:40])


def _remedy(cells: list[bytes]) -> str:
    wrong = [_unquoted(cell) for cell in cells]
    if cells != wrong and all(map(_NUMBER.fullmatch, wrong)):
        return "Remove the quotes around numbers, in R: write.table(..., quote = FALSE)"
    texts = [text.decode("utf-8", errors="replace") for text in wrong]
    if any(map(_COMMAS.fullmatch, wrong)):
        return "Write decimals with a point, and thousands without a comma"
    return spelling_remedy(texts) or "Write 0 where nothing was counted"


def _numbers(cells: list[bytes]) -> tuple[np.ndarray, list[int]]:
    """Parse the numbers in ``cells``; return them, with 0 for invalid cells, and the positions of those.

    Python's own rules for numbers include nan and 1_000.
    """
    if not b"".join(cells).translate(None, _NUMERIC):
        try:
            return np.array(cells, dtype=np.float64), []
        except ValueError:
            pass  # such as 1-2
    is_number = [_NUMBER.fullmatch(cell) is not None for cell in cells]
    values = np.array([float(cell) if valid else 0.0 for cell, valid in zip(cells, is_number, strict=True)])
    return values, [i for i, valid in enumerate(is_number) if not valid]


def _unquoted(cell: bytes) -> bytes:
    cell = cell.strip()
    return cell[1:-1].replace(b'""', b'"') if len(cell) > 1 and cell[:1] == cell[-1:] == b'"' else cell
