"""Rules for cells of metadata that mean "missing".

The words are those of QIIME 2 (``INSDC:missing``), of Qiita and of INSDC's missing-value terms of 2023, with any
explanation after a colon (``Missing: Not provided``), and the errors of spreadsheets (``#N/A``). The additional words
in columns of numbers may be classes elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from aam_data.options.files import MetadataOptions

_ALWAYS = re.compile(r"(missing|not applicable|not collected|not provided|restricted access)(\s*:.*)?")
# fmt: off
_IN_NUMBERS = frozenset({
    "na", "n/a", "nan", "null", "none", "unk", "unknown", "unspecified", "?", "-",
    "not available", "not determined", "not recorded",
})
# fmt: on
# Errors of spreadsheets in English, and of other languages by their form: a word with ! or ? after #, or N/A.
_SPREADSHEET = re.compile(r"#(\s?[¡¿]?[^\W\d_]+(/0)?[!?]|n/?[abdv]!?|getting_data|i/t|saknas!?|h/i)|err:\d{3}")


def _normal(cell: str) -> str:
    return " ".join(cell.lower().split())


def _is_missing(text: str) -> bool:
    return _ALWAYS.fullmatch(text) is not None or _SPREADSHEET.fullmatch(text) is not None


def is_spreadsheet_error(cell: str) -> bool:
    """Return whether a cell is what spreadsheets show for a formula without a result: ``#N/A``, ``#DIV/0!``."""
    return _SPREADSHEET.fullmatch(_normal(cell)) is not None


@dataclass(frozen=True)
class MissingRule:
    """Rule for values that count as missing.

    Attributes:
        default_na: whether the usual words count as missing; an empty cell always does.
        na_values: additional words, in lower case and with single blanks.
    """

    default_na: bool
    na_values: frozenset[str]

    @classmethod
    def from_options(cls, options: MetadataOptions) -> Self:
        """Create the rule from ``--na-value`` and ``--no-default-na``."""
        return cls(options.default_na, frozenset(map(_normal, options.na_value)))

    def always(self, cell: str) -> bool:
        """Return whether the cell is missing in every column."""
        text = _normal(cell)
        return not text or text in self.na_values or (self.default_na and _is_missing(text))

    def in_numbers(self, cell: str) -> bool:
        """Return whether a cell that is not always missing is missing in a column of numbers."""
        return self.default_na and _normal(cell) in _IN_NUMBERS
