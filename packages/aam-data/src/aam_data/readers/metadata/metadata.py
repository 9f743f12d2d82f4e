"""Metadata of samples: every value is kept as text; numbers are parsed on request."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from aam_data.errors import DataError, first_few, shown
from aam_data.notes import Note
from aam_data.options.files import MetadataOptions
from aam_data.readers.delimited import decode_text
from aam_data.readers.ids import as_objects, check_ids
from aam_data.readers.metadata.layout import Layout, read_layout
from aam_data.readers.metadata.missing_values import MissingRule, is_spreadsheet_error
from aam_data.readers.number_spelling import spelling_remedy
from aam_data.readers.qiime2 import read_content
from aam_data.readers.source import byte_limit

if TYPE_CHECKING:
    import pandas as pd

_TYPES = ("ImmutableMetadata", "SampleData[AlphaDiversity]")  # QIIME 2 reads both as metadata
_NUMBER = re.compile(r"[-+]?(\d*\.\d+|\d+\.?)(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)
_MAX_COLUMNS, _MAX_NEAR = 20, 3  # columns that a message lists, all of them or the nearest ones


@dataclass(frozen=True, eq=False)
class Metadata:
    """Metadata of samples, as text.

    Attributes:
        frame: rows are samples (index: their ids), cells are str, or None where missing.
        types: ``"categorical"`` or ``"numeric"`` for the columns that a ``#q2:types`` row declares.
        path: the file, for messages.
        rule: the values that count as missing.
        repeated: names shared by several columns; these columns are not in ``frame``.
        notes: notes about anything unusual in the file.
        id_column: name of the column of sample ids.
    """

    frame: pd.DataFrame
    types: dict[str, Literal["categorical", "numeric"]]
    path: Path
    rule: MissingRule
    repeated: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    id_column: str = ""

    @property
    def sample_ids(self) -> np.ndarray:
        """[B] str objects."""
        return self.frame.index.to_numpy(dtype=object)

    @property
    def columns(self) -> list[str]:
        """Names of the columns, except that of the ids."""
        return list(self.frame.columns)

    def require(self, column: str) -> None:
        """Check that there is exactly one such column; the DataError shows the nearest names."""
        if column in self.repeated:
            raise DataError(
                f"several columns are named {column}",
                code="metadata-column-repeated",
                file=self.path,
                remedy="Rename them",
            )
        if column not in self.frame.columns:
            near = _nearest(column, self.columns)
            remedy = f"Nearest: {', '.join(near)}" if near else f"Columns: {first_few(self.columns, _MAX_COLUMNS)}"
            if column == self.id_column:
                remedy = f"{column} holds the sample ids, which are no values. {remedy}"
            raise DataError(
                f"no column {shown(column) or '(empty name)'}",
                code="metadata-column-missing",
                file=self.path,
                remedy=remedy,
            )

    def text(self, column: str) -> np.ndarray:
        """Return the values of a column, [B] str objects, None where missing."""
        self.require(column)
        return self.frame[column].to_numpy(dtype=object)

    def doubtful(self, column: str) -> dict[str, int]:
        """Count values kept as text that would be missing in a numeric column ("NA", "unknown")."""
        counts = Counter(value for value in self.text(column) if value is not None)
        return {value: times for value, times in counts.items() if self.rule.in_numbers(value)}

    def kind(self, column: str) -> Literal["categorical", "numeric"]:
        """Return the type that ``#q2:types`` declares, else numeric if every value that is not missing is a number.

        This is QIIME 2's rule: one value such as ``<5``, ``1,5`` or ``nan`` makes a column categorical, and a column
        without values is numeric.
        """
        values = set(self.text(column)) - {None}
        if column in self.types:
            return self.types[column]
        return "numeric" if all(map(_is_number, values)) else "categorical"

    def numeric(self, column: str) -> np.ndarray:
        """Return the values of a column as float64 [B], NaN where missing.

        Raises:
            DataError: values that are neither finite numbers nor known words for missing; shown with their counts.
        """
        text = self.text(column)
        counts = Counter(value for value in text if value is not None)
        missing = {value for value in counts if self.rule.in_numbers(value)}
        wrong = [value for value, _ in counts.most_common() if value not in missing and not _is_number(value)]
        if wrong:
            raise DataError(
                "values that are not numbers",
                code="metadata-values-not-numbers",
                file=self.path,
                place=f"column {column}",
                offenders=[f"{value!r}: {counts[value]:,}" for value in wrong],
                remedy=_remedy(wrong, len(wrong) == len(counts.keys() - missing)),
            )
        number = {value: np.nan if value in missing else float(value) for value in counts}
        return np.array([np.nan if value is None else number[value] for value in text], dtype=np.float64)

    def take(self, sample_ids: Sequence[str] | np.ndarray) -> Metadata:
        """Return the metadata of ``sample_ids``, in that order; samples that the file lacks have no values."""
        positions = self.frame.index.get_indexer(_index(sample_ids))
        values = self.frame.to_numpy(dtype=object)[positions]
        values[positions < 0] = None
        return replace(self, frame=_frame(values, sample_ids, self.columns))


def _nearest(column: str, columns: Sequence[str]) -> list[str]:
    """Find columns that may be meant: with these words in their names (ids first), then similarly spelled ones."""
    words = set(_words(column))
    longer = [name for name in columns if words and words <= set(_words(name))]
    longer.sort(key=lambda name: (_words(name)[-1] not in ("id", "ids"), len(name)))
    close = get_close_matches(column, columns, n=_MAX_NEAR, cutoff=0.5)
    return list(dict.fromkeys([*longer, *close]))[:_MAX_NEAR]


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W_]+", name.lower())


def _frame(
    values: np.ndarray | dict[str, np.ndarray], sample_ids: Sequence[str] | np.ndarray, columns: Sequence[str]
) -> pd.DataFrame:
    import pandas as pd  # 0.2 s, which `aam unifrac` need not wait for

    return pd.DataFrame(values, _index(sample_ids), _index(columns), dtype=object)


def _index(names: Sequence[str] | np.ndarray) -> pd.Index:
    import pandas as pd

    return pd.Index(as_objects(names)).astype(object)  # pandas 3 would convert them to its own strings


def _remedy(wrong: list[str], nothing_is_a_number: bool) -> str:
    if spelling := spelling_remedy(wrong):
        return spelling
    correct = "Correct them, or declare a value as missing with --na-value"
    return f"If these are classes, train with --classifier. {correct}" if nothing_is_a_number else correct


def _is_number(value: str) -> bool:
    return _NUMBER.fullmatch(value) is not None and bool(np.isfinite(float(value)))


def read_metadata(
    path: Path,
    options: MetadataOptions,
    *,
    sample_ids: Collection[str] = (),
    max_input_gb: float = 8.0,
) -> Metadata:
    """Read sample metadata.

    Args:
        path: TSV or CSV, plain or gzip, or an artifact with metadata or alpha diversity.
        options: the column of ids, and the values that count as missing.
        sample_ids: ids of the table; they identify a column of ids whose name does not.
        max_input_gb: maximum size of the content.

    Returns:
        The metadata, samples in the order of the file.

    Raises:
        DataError: not UTF-8, no header or no rows (see ``read_layout``), ids that are empty or appear twice, a
            column that ``#q2:missing`` declares ``no-missing`` with missing values.

    Example:
        >>> ages = read_metadata(Path("metadata.tsv"), MetadataOptions()).numeric("age")
    """
    content = read_content(path, "--metadata", _TYPES, byte_limit(max_input_gb))
    layout = read_layout(decode_text(content, path), path, options.id_column, sample_ids, byte_limit(max_input_gb))
    ids = _ids(layout, path)
    rule = MissingRule.from_options(options)
    repeated = sorted(name for name, times in Counter(layout.header).items() if times > 1)
    notes = list(layout.notes)
    if repeated:
        what = f"{path.name}: several columns are named {', '.join(repeated)}, so these cannot be used"
        notes.append(Note("metadata-column-repeated", what))
    notes += _spreadsheet_notes(layout, rule, path)
    columns = _columns(layout, rule, {*repeated, layout.header[layout.id_column]})
    for name, scheme in zip(layout.header, layout.directives.missing, strict=True):
        if name in columns and scheme == "no-missing":
            _check_none_missing(columns[name], ids, name, path)
    frame = _frame(columns, ids, list(columns))
    types: dict[str, Literal["categorical", "numeric"]] = {}
    for name, kind in zip(layout.header, layout.directives.types, strict=True):
        if name in columns and kind:
            types[name] = "numeric" if kind == "numeric" else "categorical"
    return Metadata(frame, types, path, rule, tuple(repeated), tuple(notes), layout.header[layout.id_column])


def _spreadsheet_notes(layout: Layout, rule: MissingRule, path: Path) -> list[Note]:
    """Return a note on cells that hold a spreadsheet's error; they count as missing."""
    counts, columns = Counter[str](), Counter[str]()
    for i, name in enumerate(layout.header):
        found = Counter(cell for row in layout.rows if (cell := row.cells[i]).startswith(("#", "E", "e")))
        errors = {cell: n for cell, n in found.items() if is_spreadsheet_error(cell)}
        counts.update(errors)
        columns.update({name: sum(errors.values())} if errors else {})
    if not counts or not rule.default_na:
        return []
    cells, names = list(counts), [f"{column}: {n:,}" for column, n in columns.most_common()]
    what = f"{counts.total():,} cells hold errors of a spreadsheet ({first_few(cells)}) and count as missing"
    return [Note("metadata-spreadsheet-errors", f"{path.name}: {what} (by column: {first_few(names)})")]


def _columns(layout: Layout, rule: MissingRule, left_out: Collection[str]) -> dict[str, np.ndarray]:
    """Return the values of the columns, [B] str objects, None where missing. Equal cells share one object."""
    values_by_rule: dict[MissingRule, dict[str, str | None]] = defaultdict(dict)
    columns = {}
    for i, (name, scheme) in enumerate(zip(layout.header, layout.directives.missing, strict=True)):
        if name in left_out:
            continue
        rule_here = replace(rule, default_na=True) if scheme == "INSDC:missing" else rule
        values = values_by_rule[rule_here]
        cells = [row.cells[i] for row in layout.rows]
        for cell in set(cells) - values.keys():
            values[cell] = None if rule_here.always(cell) else cell
        columns[name] = as_objects([values[cell] for cell in cells])
    return columns


def _ids(layout: Layout, path: Path) -> np.ndarray:
    name = layout.header[layout.id_column]
    place = f"column {name}" if name else "the first column"
    ids = as_objects([row.cells[layout.id_column] for row in layout.rows])
    nameless = [f"row {row.line}" for row, name in zip(layout.rows, ids, strict=True) if not name]
    for code, problem, wrong in (
        ("ids-empty", "rows without a sample id", nameless),
        ("ids-like-comments", "sample ids that start with #", [name for name in ids if name.startswith("#")]),
    ):
        if wrong:
            raise DataError(problem, code=code, file=path, place=place, offenders=wrong)
    check_ids(ids, "sample", path, place)
    return ids


def _check_none_missing(values: np.ndarray, ids: np.ndarray, column: str, path: Path) -> None:
    missing = [name for name, value in zip(ids, values, strict=True) if value is None]
    if missing:
        problem = f"column {column} has missing values, although #q2:missing declares no-missing"
        raise DataError(
            problem,
            code="metadata-missing-values",
            file=path,
            offenders=missing,
            remedy="Correct the values or the directive",
        )
