"""Text tables as rows of stripped cells: encoding, delimiter, quotes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from aam_data.errors import DataError

_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class Row(NamedTuple):
    """A row of a text table: the number of its first line, counted from 1, and its cells without outer blanks."""

    line: int
    cells: list[str]


def decode_text(content: bytes, path: Path) -> str:
    """UTF-8 text, with or without byte order mark. Raises DataError naming row and column of other bytes."""
    if content.startswith(_UTF16) or b"\0" in content:
        raise DataError("not UTF-8 text", file=path, remedy="Save it as UTF-8 (in Excel: CSV UTF-8)")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        row, in_line = before.count(b"\n") + 1, before[before.rfind(b"\n") + 1 :]
        column = (in_line.count(b"\t") or in_line.count(b",")) + 1
        bad = ascii(content[error.start : error.end])
        place = f"row {row}, column {column}"
        raise DataError(f"{bad} is not UTF-8", file=path, place=place, remedy="Save it as UTF-8") from error


def find_delimiter(header: str, path: Path) -> tuple[str, str | None]:
    """Tab or comma, from the header line and the file's name, and a sentence when the name says otherwise.

    Raises:
        DataError: a .csv whose header holds both, so that either could be meant.
    """
    tabs, commas, named_csv = "\t" in header, "," in header, path.suffix == ".csv"
    if named_csv and tabs and commas:
        remedy = "Save it with one of them, or name it .tsv if tabs are meant"
        raise DataError("the header has tabs and commas", file=path, remedy=remedy)
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
            yield Row(line, cells)
