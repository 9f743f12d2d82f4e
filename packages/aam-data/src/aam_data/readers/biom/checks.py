"""What must hold of the counts and ids of a table, whichever file they are from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from aam_data.errors import SHOWN, DataError
from aam_data.readers.ids import check_ids
from aam_data.table import CountTable, SampleCounts

NameCells = Callable[[np.ndarray], list[str]]  # positions of entries -> "(sample, feature) = count"
_EXACT = 2**53  # counts are or become float64 on the way; whole numbers below this one are exact


def check_axis(ids: np.ndarray, what: str, path: Path, place: str) -> None:
    """Refuse an axis without ids, and ids that ``check_ids`` refuses."""
    if len(ids) == 0:
        raise DataError(f"no {what}s", file=path, place=place)
    check_ids(ids, what, path, place)


def check_counts(counts: np.ndarray, name_cells: NameCells, path: Path, place: str | None) -> None:
    """Refuse counts [Z] that are not finite, negative, or together too large to be exact."""
    sound = len(counts) == 0 or bool(counts.min() >= 0 and np.isfinite(counts.max()))  # NaN is not >= 0
    for problem, where in () if sound else (("not finite", ~np.isfinite(counts)), ("negative", counts < 0)):
        positions = np.flatnonzero(where)
        if len(positions):
            finding = f"{len(positions):,} of {len(counts):,} counts are {problem}"
            raise DataError(finding, file=path, place=place, offenders=name_cells(positions[:SHOWN]))
    with np.errstate(over="ignore"):
        total = counts.sum(dtype=np.float64)
    if total >= _EXACT:
        largest = np.argsort(-counts.astype(np.float64), kind="stable")[:SHOWN]
        problem = "counts add up to 2^53 or more, where they are no longer exact; the largest are"
        raise DataError(problem, file=path, place=place, offenders=name_cells(largest))


def check_fractions(counts: np.ndarray, name_cells: NameCells, path: Path) -> None:
    """Refuse counts [Z], stored as a table does, that are not reads."""
    if np.issubdtype(counts.dtype, np.integer):
        return
    positions = np.flatnonzero(counts != np.floor(counts))
    raise DataError(
        f"{len(positions):,} of {len(counts):,} counts are fractions, not reads",
        file=path,
        offenders=name_cells(positions[:SHOWN]),
        remedy="Give the table of counts, or accept fractions with --relative-abundance",
    )


def check_repeats(rows: SampleCounts, name_cells: NameCells, path: Path, place: str | None) -> None:
    """Refuse sorted rows in which a sample has a feature twice."""
    repeats = np.flatnonzero(descents(rows)) + 1
    if len(repeats):
        problem = f"{len(repeats):,} of {len(rows.counts):,} counts repeat a feature of their sample"
        raise DataError(problem, file=path, place=place, offenders=name_cells(repeats[:SHOWN]))


def check_numbers(numbers: np.ndarray, size: int, what: str, path: Path, place: str | None) -> None:
    """Refuse numbers of samples or features that are not 0 to ``size - 1``."""
    if len(numbers) and not (numbers.min() >= 0 and numbers.max() < size):
        outside = numbers[(numbers < 0) | (numbers >= size)]
        problem = f"{len(outside):,} of {len(numbers):,} {what} numbers are not 0 to {size - 1:,}"
        raise DataError(problem, file=path, place=place, offenders=outside[:SHOWN].tolist())


def descents(rows: SampleCounts) -> np.ndarray:
    """Where a sample's feature numbers do not rise: bool [Z - 1], entry i + 1 against entry i."""
    result = rows.indices[1:] <= rows.indices[:-1]
    starts = rows.indptr[1:-1]
    result[starts[(starts > 0) & (starts < len(rows.indices))] - 1] = False
    return result


def cells_of(table: CountTable, positions: np.ndarray) -> list[str]:
    """``(sample, feature) = count`` of entries of the table, for messages."""
    sample = np.searchsorted(table.data.indptr, positions, side="right") - 1
    feature = table.data.indices[positions]
    return name_entries(table.sample_ids[sample], table.feature_ids[feature], table.data.counts[positions])


def name_entries(samples: np.ndarray, features: np.ndarray, counts: np.ndarray) -> list[str]:
    """``(sample, feature) = count`` for each of [n]."""
    return [
        f"({sample}, {feature}) = {count}" for sample, feature, count in zip(samples, features, counts, strict=True)
    ]
