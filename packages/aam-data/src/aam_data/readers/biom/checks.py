"""Checks of the counts and ids of a table, for all file formats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from aam_data.errors import MAX_SHOWN, DataError
from aam_data.readers.ids import check_ids
from aam_data.table import CountTable, SampleCounts

NameCells = Callable[[np.ndarray], list[str]]  # positions of entries -> "(sample, feature) = count"
_EXACT = 2**53  # counts pass through float64, where integers below this limit are exact

_TRANSFORMED = "Were they transformed (CLR, logarithm, difference)? Pass the table of raw counts"


def check_axis(ids: np.ndarray, what: str, path: Path, place: str) -> None:
    """Check that an axis has ids, and that ``check_ids`` accepts them."""
    if len(ids) == 0:
        raise DataError(f"no {what}s", code="table-empty", file=path, place=place)
    check_ids(ids, what, path, place)


def check_counts(counts: np.ndarray, name_cells: NameCells, path: Path, place: str | None) -> None:
    """Check that counts [Z] are finite, not negative, and small enough for an exact sum."""
    is_valid = len(counts) == 0 or bool(counts.min() >= 0 and np.isfinite(counts.max()))  # NaN is not >= 0
    for code, problem, where, remedy in (
        ()
        if is_valid
        else (
            ("table-counts-not-finite", "not finite", ~np.isfinite(counts), None),
            ("table-counts-negative", "negative", counts < 0, _TRANSFORMED),
        )
    ):
        positions = np.flatnonzero(where)
        if len(positions):
            message = f"{len(positions):,} of {len(counts):,} counts are {problem}"
            shown = name_cells(positions[:MAX_SHOWN])
            raise DataError(message, code=code, file=path, place=place, offenders=shown, remedy=remedy)
    with np.errstate(over="ignore"):
        total = counts.sum(dtype=np.float64)
    if total >= _EXACT:
        largest = np.argsort(-counts.astype(np.float64), kind="stable")[:MAX_SHOWN]
        problem = "counts add up to 2^53 or more, where they are no longer exact; the largest are"
        raise DataError(problem, code="table-counts-too-large", file=path, place=place, offenders=name_cells(largest))


def check_fractions(counts: np.ndarray, name_cells: NameCells, path: Path) -> None:
    """Check that counts [Z], in the dtypes of a table, are reads, not fractions."""
    if np.issubdtype(counts.dtype, np.integer):
        return
    positions = np.flatnonzero(counts != np.floor(counts))
    raise DataError(
        f"{len(positions):,} of {len(counts):,} counts are fractions, not reads",
        code="table-counts-fractional",
        file=path,
        offenders=name_cells(positions[:MAX_SHOWN]),
        remedy="Pass the table of counts, or accept fractions with --relative-abundance",
    )


def check_repeats(rows: SampleCounts, name_cells: NameCells, path: Path, place: str | None) -> None:
    """Check that no sample has a feature twice, in sorted rows."""
    repeats = np.flatnonzero(descents(rows)) + 1
    if len(repeats):
        problem = f"{len(repeats):,} of {len(rows.counts):,} counts repeat a feature of their sample"
        raise DataError(
            problem, code="table-repeated-entries", file=path, place=place, offenders=name_cells(repeats[:MAX_SHOWN])
        )


def check_numbers(numbers: np.ndarray, size: int, what: str, path: Path, place: str | None) -> None:
    """Check that numbers of samples or features are 0 to ``size - 1``."""
    if len(numbers) and not (numbers.min() >= 0 and numbers.max() < size):
        outside = numbers[(numbers < 0) | (numbers >= size)]
        problem = f"{len(outside):,} of {len(numbers):,} {what} numbers are not 0 to {size - 1:,}"
        raise DataError(
            problem, code="table-layout-damaged", file=path, place=place, offenders=outside[:MAX_SHOWN].tolist()
        )


def descents(rows: SampleCounts) -> np.ndarray:
    """Mark entries where a sample's feature numbers do not rise: bool [Z - 1], entry i + 1 against entry i."""
    falls = rows.indices[1:] <= rows.indices[:-1]
    starts = rows.indptr[1:-1]
    falls[starts[(starts > 0) & (starts < len(rows.indices))] - 1] = False
    return falls


def cells_of(table: CountTable, positions: np.ndarray) -> list[str]:
    """Format entries of the table as ``(sample, feature) = count``, for messages."""
    sample = np.searchsorted(table.data.indptr, positions, side="right") - 1
    feature = table.data.indices[positions]
    return name_entries(table.sample_ids[sample], table.feature_ids[feature], table.data.counts[positions])


def name_entries(samples: np.ndarray, features: np.ndarray, counts: np.ndarray) -> list[str]:
    """Format each of [n] entries as ``(sample, feature) = count``."""
    return [
        f"({sample}, {feature}) = {count}" for sample, feature, count in zip(samples, features, counts, strict=True)
    ]
