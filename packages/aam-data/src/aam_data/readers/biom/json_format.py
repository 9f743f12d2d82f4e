"""BIOM 1.0 tables: JSON.

Format: http://biom-format.org/documentation/format_versions/biom-1.0.html. R's biomformat writes single values as
lists of one (``"id": ["x"]``), which are read as the value. Ids that are numbers are read as text.
"""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from aam_data.checked_json import parse_json
from aam_data.errors import MAX_SHOWN, DataError
from aam_data.notes import Note
from aam_data.readers.biom.checks import (
    cells_of,
    check_axis,
    check_counts,
    check_numbers,
    check_repeats,
    name_entries,
)
from aam_data.readers.delimited import decode_text
from aam_data.readers.ids import as_objects
from aam_data.table import CountTable, table_from_triplets

_REQUIRED = ("rows", "columns", "matrix_type", "shape", "data")
_MAX_EXPANSION = 25  # maximum bytes of Python objects per byte of JSON: "[]," is a list
_REMEDY = "Write it again: biom convert --to-json"


def read_json_table(content: bytes, path: Path, max_bytes: int) -> tuple[CountTable, tuple[Note, ...]]:
    """Read a table from JSON text; return it and notes about its ids. ``path`` names it in messages."""
    if len(content) > json_limit(max_bytes):
        raise json_too_large(path, len(content), json_limit(max_bytes))
    fields = parse_json(decode_text(content, path), file=path, remedy=_REMEDY)
    assert isinstance(fields, dict)  # it starts with a brace
    missing = [key for key in _REQUIRED if key not in fields]
    if missing:
        raise DataError(
            "JSON, but not a BIOM 1.0 table; it lacks",
            code="table-parts-missing",
            file=path,
            offenders=missing,
            remedy=_REMEDY,
        )
    (feature_ids, feature_notes), (sample_ids, sample_notes) = (
        _ids(fields[key], key, what, path) for key, what in (("rows", "feature"), ("columns", "sample"))
    )
    check_axis(sample_ids, "sample", path, "columns")
    check_axis(feature_ids, "feature", path, "rows")
    shape, n_features, n_samples = fields["shape"], len(feature_ids), len(sample_ids)
    if not isinstance(shape, list) or [_single(size) for size in shape] != [n_features, n_samples]:
        problem = f"declares the shape {str(shape)[:80]}, but names {n_features} rows and {n_samples} columns"
        raise DataError(problem, code="table-layout-damaged", file=path, place="shape", remedy=_REMEDY)

    kind, data = _single(fields["matrix_type"]), fields["data"]
    if _single(fields.get("matrix_element_type", "int")) not in ("int", "float"):
        problem = f"expected int or float, found {str(fields['matrix_element_type'])[:80]}"
        raise DataError(problem, code="table-layout-damaged", file=path, place="matrix_element_type")
    if kind == "sparse":
        feature, sample, counts = _sparse(data, path)
        check_numbers(feature, n_features, "row", path, "data")
        check_numbers(sample, n_samples, "column", path, "data")
    elif kind == "dense":
        feature, sample, counts = _dense(data, (n_features, n_samples), path)
    else:
        problem = f"expected sparse or dense, found {str(kind)[:80]}"
        raise DataError(problem, code="table-layout-damaged", file=path, place="matrix_type")

    def named(positions: np.ndarray) -> list[str]:
        return name_entries(sample_ids[sample[positions]], feature_ids[feature[positions]], counts[positions])

    check_counts(counts, named, path, "data")
    table = table_from_triplets(sample, feature, counts, sample_ids, feature_ids)
    check_repeats(table.data, lambda positions: cells_of(table, positions), path, "data")
    return table, (*feature_notes, *sample_notes)


def json_limit(max_bytes: int) -> int:
    """Return how many bytes of JSON become at most ``max_bytes`` of Python objects."""
    return max_bytes // _MAX_EXPANSION


def json_too_large(path: Path, n_bytes: int, max_bytes: int) -> DataError:
    """Create the error for JSON of ``n_bytes`` or more, above the limit ``max_bytes`` for JSON."""
    needed, limit = (_MAX_EXPANSION * size / 1e9 for size in (n_bytes, max_bytes))
    problem = f"JSON of this size may need {needed:,.3g} GB, the limit is {limit:,.3g} GB"
    remedy = f"Convert it (biom convert -i {path} -o {path.stem}.hdf5.biom --to-hdf5), or raise --max-input-gb"
    return DataError(problem, code="file-too-large", file=path, remedy=remedy)


def _single(value: object) -> object:
    """Unwrap a list of one value, as R writes it; return anything else unchanged."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _ids(entries: object, key: str, what: str, path: Path) -> tuple[np.ndarray, list[Note]]:
    if not isinstance(entries, list):
        raise DataError(
            f"expected a list, found {type(entries).__name__}",
            code="table-layout-damaged",
            file=path,
            place=key,
            remedy=_REMEDY,
        )
    ids = [_single(entry.get("id")) if isinstance(entry, dict) else None for entry in entries]
    wrong = [f"number {i + 1}" for i, value in enumerate(ids) if type(value) not in (str, int, float)]
    if wrong:
        problem = 'entries without a text or number as "id"'
        raise DataError(problem, code="table-layout-damaged", file=path, place=key, offenders=wrong, remedy=_REMEDY)
    n_numbers = sum(type(value) is not str for value in ids)
    text = f"{n_numbers:,} of {len(ids):,} {what} ids of {path.name} are numbers and were read as text"
    return as_objects([str(value) for value in ids]), [Note("ids-numbers", text)] * (n_numbers > 0)


def _sparse(data: object, path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Parse ``[[row, column, count], ...]`` into row numbers, column numbers and counts."""
    rows = _lists(data, path)
    wrong = [f"entry {i + 1} has {len(row)}" for i, row in enumerate(rows) if len(row) != 3]
    if wrong:
        problem = "expected a row, a column and a count in every entry"
        raise DataError(problem, code="table-layout-damaged", file=path, place="data", offenders=wrong, remedy=_REMEDY)
    values = list(chain.from_iterable(rows))
    feature, sample = (_numbers(values[part::3], {int}, "row and column numbers", path) for part in (0, 1))
    return feature, sample, _numbers(values[2::3], {int, float}, "counts", path)


def _dense(data: object, shape: tuple[int, int], path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Parse ``[[count, ...], ...]``, one list per row, into the same, without zeros."""
    rows = _lists(data, path)
    wrong = [f"row {i + 1} has {len(row):,}" for i, row in enumerate(rows) if len(row) != shape[1]]
    if wrong or len(rows) != shape[0]:
        problem = f"expected {shape[0]:,} rows of {shape[1]:,} counts, found {len(rows):,} rows"
        raise DataError(problem, code="table-layout-damaged", file=path, place="data", offenders=wrong, remedy=_REMEDY)
    counts = _numbers(list(chain.from_iterable(rows)), {int, float}, "counts", path).reshape(shape)
    feature, sample = np.nonzero(counts)
    return feature, sample, counts[feature, sample]


def _lists(data: object, path: Path) -> list[list[Any]]:
    if not isinstance(data, list) or not set(map(type, data)) <= {list}:
        raise DataError(
            "expected a list of lists", code="table-layout-damaged", file=path, place="data", remedy=_REMEDY
        )
    return data


def _numbers(values: list[Any], kinds: set[type], what: str, path: Path) -> np.ndarray:
    """Convert ``values`` to int64 (kinds ``{int}``) or float64; true, false, null and text are not numbers."""
    if not set(map(type, values)) <= kinds:
        wrong = [value for value in values if type(value) not in kinds]
        problem = f"{len(wrong):,} of {len(values):,} {what} are not {'whole ' * (float not in kinds)}numbers"
        raise DataError(
            problem,
            code="table-counts-not-numbers",
            file=path,
            place="data",
            offenders=[repr(value)[:40] for value in wrong[:MAX_SHOWN]],
        )
    try:
        return np.array(values, dtype=np.float64 if float in kinds else np.int64)
    except OverflowError as error:
        largest = str(max(values, key=abs))[:40]
        raise DataError(
            f"{what} that are far too large",
            code="table-counts-too-large",
            file=path,
            place="data",
            offenders=[largest],
        ) from error
