"""BIOM 1.0 tables: JSON.

Format: http://biom-format.org/documentation/format_versions/biom-1.0.html. R's biomformat writes single values as
lists of one (``"id": ["x"]``), which are taken for the value.
"""

from __future__ import annotations

import json
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from aam_data.errors import SHOWN, DataError
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
_EXPANSION = 25  # bytes of Python objects that a byte of JSON can become: "[]," is a list
_REMEDY = "Write it again: biom convert --to-json"


def read_json_table(content: bytes, path: Path, max_bytes: int) -> CountTable:
    """Read a table from JSON text; ``path`` names it in messages."""
    if (needed := _EXPANSION * len(content)) > max_bytes:
        problem = f"JSON of this size may need {needed / 1e9:,.3g} GB, the limit is {max_bytes / 1e9:,.3g} GB"
        remedy = f"Convert it (biom convert -i {path} -o {path.stem}.hdf5.biom --to-hdf5), or raise --max-input-gb"
        raise DataError(problem, file=path, remedy=remedy)
    fields = _parse(decode_text(content, path), path)
    missing = [key for key in _REQUIRED if key not in fields]
    if missing:
        raise DataError("JSON, but not a BIOM 1.0 table; it lacks", file=path, offenders=missing, remedy=_REMEDY)
    feature_ids, sample_ids = (_ids(fields[key], key, path) for key in ("rows", "columns"))
    check_axis(sample_ids, "sample", path, "columns")
    check_axis(feature_ids, "feature", path, "rows")
    shape, held = fields["shape"], [len(feature_ids), len(sample_ids)]
    if not isinstance(shape, list) or [_single(size) for size in shape] != held:
        problem = f"declares the shape {str(shape)[:80]}, but names {held[0]} rows and {held[1]} columns"
        raise DataError(problem, file=path, place="shape", remedy=_REMEDY)

    kind, data = _single(fields["matrix_type"]), fields["data"]
    if _single(fields.get("matrix_element_type", "int")) not in ("int", "float"):
        problem = f"expected int or float, found {str(fields['matrix_element_type'])[:80]}"
        raise DataError(problem, file=path, place="matrix_element_type")
    if kind == "sparse":
        feature, sample, counts = _sparse(data, path)
        check_numbers(feature, len(feature_ids), "row", path, "data")
        check_numbers(sample, len(sample_ids), "column", path, "data")
    elif kind == "dense":
        feature, sample, counts = _dense(data, (len(feature_ids), len(sample_ids)), path)
    else:
        problem = f"expected sparse or dense, found {str(kind)[:80]}"
        raise DataError(problem, file=path, place="matrix_type")

    def named(positions: np.ndarray) -> list[str]:
        return name_entries(sample_ids[sample[positions]], feature_ids[feature[positions]], counts[positions])

    check_counts(counts, named, path, "data")
    table = table_from_triplets(sample, feature, counts, sample_ids, feature_ids)
    check_repeats(table.data, lambda positions: cells_of(table, positions), path, "data")
    return table


def _parse(text: str, path: Path) -> dict[str, Any]:
    """The object in ``text``: standard JSON, each key once."""

    def refuse_constant(name: str) -> NoReturn:
        remedy = "A count is a number; write 0 where nothing was counted"
        raise DataError(f"{name} is not JSON", file=path, remedy=remedy)

    def refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            twice = [ascii(key) for key, times in Counter(key for key, _ in pairs).items() if times > 1]
            raise DataError("keys that appear more than once", file=path, offenders=twice, remedy=_REMEDY)
        return fields

    try:
        fields = json.loads(text, parse_constant=refuse_constant, object_pairs_hook=refuse_repeats)
    except DataError:
        raise
    except (ValueError, RecursionError) as error:
        raise DataError(f"damaged JSON: {error}", file=path, remedy="Copy the file again") from error
    assert isinstance(fields, dict)  # it begins with a brace
    return fields


def _single(value: object) -> object:
    """The value in a list of one, as R writes it; anything else as it is."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _ids(entries: object, key: str, path: Path) -> np.ndarray:
    if not isinstance(entries, list):
        raise DataError(f"expected a list, found {type(entries).__name__}", file=path, place=key, remedy=_REMEDY)
    ids = [_single(entry.get("id")) if isinstance(entry, dict) else None for entry in entries]
    wrong = [f"number {i + 1}" for i, value in enumerate(ids) if not isinstance(value, str)]
    if wrong:
        problem = 'entries without a text "id"'
        raise DataError(problem, file=path, place=key, offenders=wrong, remedy=_REMEDY)
    return as_objects(ids)


def _sparse(data: object, path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row numbers, column numbers and counts of ``[[row, column, count], ...]``."""
    rows = _lists(data, path)
    wrong = [f"entry {i + 1} has {len(row)}" for i, row in enumerate(rows) if len(row) != 3]
    if wrong:
        problem = "expected a row, a column and a count in every entry"
        raise DataError(problem, file=path, place="data", offenders=wrong, remedy=_REMEDY)
    values = list(chain.from_iterable(rows))
    feature, sample = (_numbers(values[part::3], {int}, "row and column numbers", path) for part in (0, 1))
    return feature, sample, _numbers(values[2::3], {int, float}, "counts", path)


def _dense(data: object, shape: tuple[int, int], path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same of ``[[count, ...], ...]``, one list a row, without zeros."""
    rows = _lists(data, path)
    wrong = [f"row {i + 1} has {len(row):,}" for i, row in enumerate(rows) if len(row) != shape[1]]
    if wrong or len(rows) != shape[0]:
        problem = f"expected {shape[0]:,} rows of {shape[1]:,} counts, found {len(rows):,} rows"
        raise DataError(problem, file=path, place="data", offenders=wrong, remedy=_REMEDY)
    counts = _numbers(list(chain.from_iterable(rows)), {int, float}, "counts", path).reshape(shape)
    feature, sample = np.nonzero(counts)
    return feature, sample, counts[feature, sample]


def _lists(data: object, path: Path) -> list[list[Any]]:
    if not isinstance(data, list) or not set(map(type, data)) <= {list}:
        raise DataError("expected a list of lists", file=path, place="data", remedy=_REMEDY)
    return data


def _numbers(values: list[Any], kinds: set[type], what: str, path: Path) -> np.ndarray:
    """``values`` as int64 (kinds ``{int}``) or float64; true, false, null and text are no numbers."""
    if not set(map(type, values)) <= kinds:
        wrong = [value for value in values if type(value) not in kinds]
        problem = f"{len(wrong):,} of {len(values):,} {what} are not {'whole ' * (float not in kinds)}numbers"
        raise DataError(problem, file=path, place="data", offenders=[repr(value)[:40] for value in wrong[:SHOWN]])
    try:
        return np.array(values, dtype=np.float64 if float in kinds else np.int64)
    except OverflowError as error:
        largest = str(max(values, key=abs))[:40]
        raise DataError(f"{what} that are far too large", file=path, place="data", offenders=[largest]) from error
