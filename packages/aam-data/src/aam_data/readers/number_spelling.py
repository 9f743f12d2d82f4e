"""Advice about numbers that are spelled in a way that AAM does not read: signs, digits, thousands, decimal commas."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from itertools import islice

_LOOKED_AT, _LONGEST = 1000, 60  # cells, and letters of one that may be a number
_MARKS = dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212\ufe63\uff0d", "-") | {
    "\uff0b": "+",
    "\uff0e": ".",
    "\uff0c": ",",
    "\u066b": ".",
    "\u2019": "'",
    "\u02bc": "'",
}
_PLAIN = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)
# Groups of three digits after the first separator; another separator, if any, is that of decimals.
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}([.,' _])\d{3}(?:\1\d{3})*(?:(?!\1)[.,]\d+)?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)


def spelling_remedy(wrong: Iterable[str]) -> str | None:
    """Return what to change in cells that are not numbers but are meant to be; None for other text.

    ``1,200`` may be 1.2 or 1200, so such a cell is never called a decimal comma.

    Args:
        wrong: cells of one column or table that are not numbers.
    """
    cells = [cell for cell in islice(wrong, _LOOKED_AT) if len(cell) <= _LONGEST]
    foreign = next((cell for cell in cells if not _PLAIN.fullmatch(cell) and _PLAIN.fullmatch(_plain(cell))), None)
    if foreign is not None:
        odd = [char for char in foreign if not char.isascii()]
        codes = ", ".join(dict.fromkeys(f"U+{ord(char):04X}" for char in odd)) or "blanks"
        return f"Write {_plain(foreign)} instead of {foreign}, with plain digits and signs, not {codes}"
    thousands = next((cell for cell in cells if _THOUSANDS.fullmatch(_plain(cell))), None)
    if thousands is not None:
        match = _THOUSANDS.fullmatch(_plain(thousands))
        assert match is not None
        whole = _plain(thousands).replace(match[1], "")
        return (
            f"{thousands} may be {whole.replace(',', '.')}: write thousands without a separator in the whole column, "
            "and decimals with a point"
        )
    if cells and all(map(_DECIMAL_COMMA.fullmatch, cells)):
        return "Write decimal points: 12.5 instead of 12,5"
    return None


def _plain(cell: str) -> str:
    """Return a cell with ASCII digits, signs and blanks in place of other Unicode ones."""
    return "".join(_ascii(char) for char in cell).strip()


def _ascii(char: str) -> str:
    if char.isascii():
        return char
    if char.isdecimal():
        return str(unicodedata.decimal(char))
    return " " if unicodedata.category(char) == "Zs" else _MARKS.get(char, char)
