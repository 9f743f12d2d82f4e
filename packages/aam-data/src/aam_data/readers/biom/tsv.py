"""Tables as tab-separated text: one row per feature, one column per sample.

This is the classic format of biom-format (biom/table.py, ``_extract_data_from_tsv``) and of R's write.table. Lines that
start with ``#`` may come first; the last of them with a tab is the header, or else the first line is. A last column
without numbers is metadata of features (taxonomy). The first cell of the header names the ids; R leaves it empty or
omits it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from aam_data.errors import MAX_SHOWN, DataError
from aam_data.readers.biom.checks import check_axis, check_counts, name_entries
from aam_data.readers.ids import decode_ids
from aam_data.table import CountTable, table_from_triplets

_NUMERIC = b"0123456789.eE+- "  # characters of numbers and of blanks around them
_NUMBER = re.compile(rb"\s*[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?\s*")
_COMMAS = re.compile(rb"\s*[-+]?\d[\d.']*,\d+\s*")  # a number with a decimal comma, or commas between thousands
_NO_VALUE = {b"", b"na", b"nan", b"inf", b"-inf"}
# First cells of headers and names of metadata columns, in lower case, letters only.
_ID_CELLS = {b"", b"id", b"otu", b"otuid", b"asv", b"asvid", b"feature", b"featureid", b"sequence", b"observationid"}
_METADATA = {b"taxonomy", b"taxon", b"consensuslineage", b"lineage"}


class _Line(NamedTuple):
    """Line that is not blank: its number, counted from 1, and its bytes without the line ending."""

    number: int
    text: bytes


def read_tsv_table(content: bytes, path: Path) -> tuple[CountTable, tuple[str, ...]]:
    """Read a table from text; return it and notes about skipped parts. ``path`` names the file in messages."""
    lines = _lines(content)
    header, first = _header(lines, path)
    columns = _columns(header, first, path)
    body = _Body(columns, path)
    body.add(first)
    for line in lines:
        body.add(line)
    return body.table()


def _lines(content: bytes) -> Iterator[_Line]:
    if b"\n" not in content:
        content = content.replace(b"\r", b"\n")
    for number, line in enumerate(BytesIO(content.removeprefix(b"\xef\xbb\xbf")), 1):
        text = line.rstrip(b"\r\n")
        if text.strip():
            yield _Line(number, text)


def _header(lines: Iterator[_Line], path: Path) -> tuple[_Line, _Line]:
    """Take the header and the first row from ``lines``."""
    header = None
    for line in lines:
        if line.text.startswith(b"#"):
            header = line if b"\t" in line.text else header
        elif header is not None:
            return header, line
        elif b"\t" in line.text:
            header = line
        else:
            problem = "separated by commas" if b"," in line.text else "text, but not a table"
            remedy = "Save it with tabs between the cells: one row per feature, one column per sample"
            raise DataError(problem, file=path, place=f"row {line.number}", remedy=remedy)
    raise DataError("no features" if header else "text, but not a table", file=path)


def _columns(header: _Line, first: _Line, path: Path) -> list[bytes]:
    """Return the names of the columns after the ids."""
    cells = [_unquoted(cell) for cell in header.text.split(b"\t")]
    width = first.text.count(b"\t") + 1
    names_ids = header.text.startswith(b"#") or re.sub(rb"[^a-z]", b"", cells[0].lower()) in _ID_CELLS
    if len(cells) == width - 1 and not names_ids:
        return cells  # R's write.table
    if len(cells) != width:
        problem = f"{len(cells):,} cells in the header, {width:,} in the first row"
        raise DataError(problem, file=path, place=f"row {header.number}")
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

    def add(self, line: _Line) -> None:
        if line.text.startswith(b"#"):
            self._n_comments += 1
            return
        n_cells = line.text.count(b"\t") + 1
        if n_cells != len(self._columns) + 1:
            self._ragged.append(f"row {line.number} has {n_cells:,}")
            return
        name, *cells = line.text.split(b"\t")
        last = cells.pop()
        values = np.zeros(0)
        if cells:
            values, wrong = _numbers(cells)
            self._note_wrong((len(self._ids), column, cells[column]) for column in wrong)
        self._samples.append(np.flatnonzero(values))
        self._counts.append(values[self._samples[-1]])
        self._ids.append(_unquoted(name))
        self._last.append(last)

    def table(self) -> tuple[CountTable, tuple[str, ...]]:
        """Check the rows; return the table and notes about skipped parts."""
        path, columns = self._path, self._columns
        if self._ragged:
            problem = f"expected {len(columns) + 1:,} cells in every row"
            raise DataError(problem, file=path, offenders=self._ragged)
        notes = []
        if self._n_comments:
            notes.append(f"{self._n_comments:,} rows of {path.name} start with # and were skipped")
        has_metadata = self._last_is_metadata()
        if has_metadata:
            name = columns[-1].decode("utf-8", errors="replace")
            notes.append(f"the last column of {path.name}, {name}, contains text and was not read as a sample")
        sample_ids = decode_ids(columns[: len(columns) - has_metadata], path, "header")
        feature_ids = decode_ids(self._ids, path, "first column")
        check_axis(sample_ids, "sample", path, "header")
        check_axis(feature_ids, "feature", path, "first column")
        sample, feature, counts = self._entries(has_metadata)
        if self._n_wrong:
            offenders = [
                f"({sample_ids[column]}, {feature_ids[row]}) = {ascii(text)[1:]}" for row, column, text in self._wrong
            ]
            problem = f"{self._n_wrong:,} cells are not numbers"
            raise DataError(problem, file=path, offenders=offenders, remedy=_remedy(text for *_, text in self._wrong))

        def named(positions: np.ndarray) -> list[str]:
            return name_entries(sample_ids[sample[positions]], feature_ids[feature[positions]], counts[positions])

        check_counts(counts, named, path, None)
        return table_from_triplets(sample, feature, counts, sample_ids, feature_ids), tuple(notes)

    def _last_is_metadata(self) -> bool:
        if re.sub(rb"[^a-z]", b"", self._columns[-1].lower()) in _METADATA:
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
            if len(self._wrong) < MAX_SHOWN:
                self._wrong.append(cell)


def _remedy(wrong: Iterator[bytes]) -> str:
    if any(_COMMAS.fullmatch(_unquoted(text)) for text in wrong):
        return "Write decimals with a point, and thousands without a comma"
    return "Write 0 where nothing was counted"


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
