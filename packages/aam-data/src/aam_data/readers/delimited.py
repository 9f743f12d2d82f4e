"""Text tables as rows of stripped cells: encoding, delimiter, quotes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from aam_data.errors import DataError

_UTF16 = (b"\xff\xfe", b"\xfe\xff")
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
