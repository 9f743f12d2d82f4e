"""Text tables as rows of stripped cells: encoding, delimiter, quotes."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from aam_data.errors import DataError

# What people mix up: beginnings of files that are no text, what they are, and the option that takes them.
_OTHER_FILES = {
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file, such as a BIOM table", "--table"),
    b"\x93NUMPY": ("a numpy array", "--unifrac-matrix"),
}
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)
_SAVE = "Save it as UTF-8 (in Excel: CSV UTF-8)"


class Row(NamedTuple):
    """A row of a text table.

    Attributes:
        line: number of its first line, counted from 1.
        cells: without outer blanks.
        n_lines: how many lines it goes over; more than 1 if there are line breaks in quotes.
    """

    line: int
    cells: list[str]
    n_lines: int = 1


def decode_text(content: bytes, path: Path) -> str:
    """UTF-8 text, with or without byte order mark. Raises DataError naming rows and columns of other bytes."""
    for magic, (what, flag) in _OTHER_FILES.items():
        if content.startswith(magic):
            raise DataError(f"{what}, not text", file=path, remedy=f"Was it meant for {flag}?")
    if content.startswith(_UTF16) or 3 * content.count(b"\0") > len(content):
        raise DataError("UTF-16, not UTF-8 text", file=path, remedy=_SAVE)
    if b"\0" in content:
        raise DataError("not UTF-8 text: it holds NUL bytes", file=path, remedy=_SAVE)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError("not UTF-8 text", file=path, offenders=_undecodable(content), remedy=_SAVE) from error


def _undecodable(content: bytes) -> list[str]:
    """Rows with bytes that are not UTF-8, each with the column and value of the first."""
    found = []
    for row, line in enumerate(content.splitlines(), 1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as error:
            before = line[: error.start]
            column = (before.count(b"\t") or before.count(b",")) + 1
            found.append(f"row {row}, column {column}: {line[error.start : error.end]!a}")
    return found


def is_named_csv(path: Path) -> bool:
    """Whether the file's name ends in .csv, or .csv.gz."""
    return path.name.lower().removesuffix(".gz").endswith(".csv")


def find_delimiter(header: str, path: Path) -> tuple[str, str | None]:
    """Tab or comma, from the header line and the file's name, and a sentence when the name says otherwise.

    Raises:
        DataError: a .csv whose header holds both, so that either could be meant; semicolons.
    """
    tabs, commas, named_csv = "\t" in header, "," in header, is_named_csv(path)
    if named_csv and tabs and commas:
        remedy = "Save it with one of them, or name it .tsv if tabs are meant"
        raise DataError("the header has tabs and commas", file=path, remedy=remedy)
    if ";" in header and not tabs and not commas:
        raise DataError("separated by semicolons", file=path, remedy="Save it with tabs or commas between the cells")
    if named_csv and tabs:
        return "\t", f"{path.name} is separated by tabs"
    if commas and not tabs:
        return ",", None if named_csv else f"{path.name} is separated by commas"
    return ("," if named_csv else "\t"), None


def split_rows(text: str, delimiter: str, path: Path) -> Iterator[Row]:
    """Rows that have at least one cell with text. Raises DataError naming the row of an unclosed quote."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            problem, remedy = f"cannot be split: {error}", "Close or remove the quote that begins a cell"
            raise DataError(problem, file=path, place=f"row {line}", remedy=remedy) from error
        if any(cells):
            yield Row(line, cells, reader.line_num - line + 1)


def is_finite_number(cell: str) -> bool:
    """Whether a cell is a finite decimal number; ``float`` alone would also take ``1_0``, ``nan`` and ``inf``."""
    return _NUMBER.fullmatch(cell) is not None and math.isfinite(float(cell))
