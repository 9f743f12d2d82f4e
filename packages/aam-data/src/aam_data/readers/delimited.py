"""Text tables split into rows of stripped cells: encoding, delimiter, quotes."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from aam_data.errors import DataError
from aam_data.notes import Note

# Files often mixed up with text: first bytes, kind of file, and the option that takes it.
_OTHER_FILES = {
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file, such as a BIOM table", "--table"),
    b"\x93NUMPY": ("a numpy array", "--unifrac-matrix"),
}
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)
_SAVE = "Save it as UTF-8 (in Excel: CSV UTF-8)"


# Blanks around cells: Python's, without those that are control characters, which ids must not contain.
BLANKS = "\t\n\v\f\r " + "".join(
    char for char in map(chr, range(0xA0, 0x3001)) if char.isspace() and char not in "\u2028\u2029"
)


class Row(NamedTuple):
    """A row of a text table.

    Attributes:
        line: number of its first line, counted from 1.
        cells: text of the cells, without outer blanks.
        n_lines: number of lines it spans; more than 1 if there are line breaks in quotes.
    """

    line: int
    cells: list[str]
    n_lines: int = 1


def decode_text(content: bytes, path: Path) -> str:
    """Decode UTF-8 text, with or without byte order mark.

    Raises:
        DataError: not UTF-8; the message names the rows and columns of other bytes.
    """
    for magic, (what, flag) in _OTHER_FILES.items():
        if content.startswith(magic):
            raise DataError(
                f"{what}, not text", code="file-foreign-format", file=path, remedy=f"Was it meant for {flag}?"
            )
    if 3 * content.count(b"\0") > len(content):  # without a byte order mark, which is recognised before
        raise DataError("UTF-16, not UTF-8 text", code="file-not-utf8", file=path, remedy=_SAVE)
    if b"\0" in content:
        raise DataError("not UTF-8 text: it contains NUL bytes", code="file-not-utf8", file=path, remedy=_SAVE)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            "not UTF-8 text", code="file-not-utf8", file=path, offenders=_undecodable(content), remedy=_SAVE
        ) from error


def _undecodable(content: bytes) -> list[str]:
    """List rows with bytes that are not UTF-8, each with the column and value of the first."""
    offenders = []
    for row, line in enumerate(content.splitlines(), 1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as error:
            before = line[: error.start]
            column = (before.count(b"\t") or before.count(b",")) + 1
            offenders.append(f"row {row}, column {column}: {line[error.start : error.end]!a}")
    return offenders


def is_named_csv(path: Path) -> bool:
    """Return whether the file name ends in .csv or .csv.gz."""
    return path.name.lower().removesuffix(".gz").endswith(".csv")


def find_delimiter(header: str, path: Path) -> tuple[str, Note | None]:
    """Choose tab or comma from the header line and the file name.

    Returns:
        The delimiter, and a note if it disagrees with the file name.

    Raises:
        DataError: a .csv whose header has both, so that either could be meant; semicolons.
    """
    tabs, commas, named_csv = "\t" in header, "," in header, is_named_csv(path)
    if named_csv and tabs and commas:
        remedy = "Save it with one of them, or name it .tsv if tabs are meant"
        raise DataError("the header has tabs and commas", code="file-wrong-delimiter", file=path, remedy=remedy)
    if ";" in header and not tabs and not commas:
        raise DataError(
            "separated by semicolons",
            code="file-wrong-delimiter",
            file=path,
            remedy="Save it with tabs or commas between the cells",
        )
    if named_csv and tabs:
        return "\t", Note("file-misleading-name", f"{path.name} is separated by tabs")
    if commas and not tabs:
        return ",", None if named_csv else Note("file-misleading-name", f"{path.name} is separated by commas")
    return ("," if named_csv else "\t"), None


def reject_blanks(lines: Sequence[str], path: Path) -> None:
    """Raise DataError if blanks separate the cells of a table's first lines, the default of R's write.table."""
    if len(lines) < 2 or any(separator in line for line in lines for separator in "\t,;"):
        return
    try:
        header, *rows = (len(next(csv.reader([line], delimiter=" ", skipinitialspace=True))) for line in lines)
    except csv.Error:  # such as a field of 200,000 letters
        return
    if set(rows) in ({header}, {header + 1}) and rows[0] > 1:
        remedy = 'Save it with tabs, in R: write.table(x, "FILE.tsv", sep = "\\t", quote = FALSE, col.names = NA)'
        raise DataError("separated by blanks", code="file-wrong-delimiter", file=path, remedy=remedy)


def split_rows(text: str, delimiter: str, path: Path) -> Iterator[Row]:
    """Iterate over the rows with at least one non-empty cell.

    Raises:
        DataError: an unclosed quote; the message names its row.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = [cell.strip(BLANKS) for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            problem, remedy = f"cannot be split: {error}", "Close or remove the quote at the start of a cell"
            if "field limit" in str(error):
                problem = f"a cell of more than {csv.field_size_limit():,} characters"
                remedy = "Shorten it, or close the quote at its start"
            raise DataError(
                problem, code="file-unbalanced-quotes", file=path, place=f"row {line}", remedy=remedy
            ) from error
        if any(cells):
            yield Row(line, cells, reader.line_num - line + 1)


def lines_of(text: str) -> list[str]:
    """Split text into lines, which end with a line feed, with carriage return and line feed, or with the former alone.

    ``str.splitlines`` also splits at control characters and at Unicode's separators of lines.
    """
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def is_finite_number(cell: str) -> bool:
    """Return whether a cell is a finite decimal number; ``float`` also accepts ``1_0``, ``nan`` and ``inf``."""
    return _NUMBER.fullmatch(cell) is not None and math.isfinite(float(cell))
