"""Checks of the values of distance matrices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from aam_data.errors import MAX_SHOWN, DataError
from aam_data.options.base import UnifracMetric

_TOLERANCE = 1e-5
_ROWS_AT_ONCE = 1024
# Metrics whose values are at most 1: in words, and their names for ``ssu -m``.
_AT_MOST_ONE: dict[UnifracMetric, tuple[str, str]] = {
    "unifrac": ("unweighted UniFrac", "unweighted"),
    "weighted": ("normalized weighted UniFrac", "weighted_normalized"),
    "generalized": ("generalized UniFrac", "generalized"),
}


def check_distances(ids: np.ndarray, values: np.ndarray, path: Path) -> None:
    """Check that ``values`` [n, n] are finite, not negative, symmetric and 0 on the diagonal (to 1e-5).

    Raises:
        DataError: they are not; the message shows the first five.
    """
    for code, (problem, find) in _FINDINGS.items():
        n_wrong = 0
        cells: list[tuple[int, int]] = []
        for first in range(0, len(ids), _ROWS_AT_ONCE):
            rows = slice(first, first + _ROWS_AT_ONCE)
            wrong = np.argwhere(find(values[rows], values[:, rows].T, first))
            n_wrong += len(wrong)
            cells += [(first + i, j) for i, j in wrong[: MAX_SHOWN - len(cells)]]
        if n_wrong:
            raise _error(f"{n_wrong:,} of {values.size:,} distances {problem}", code, cells, ids, values, path)


def check_range(ids: np.ndarray, values: np.ndarray, metric: UnifracMetric, path: Path) -> None:
    """Check that ``values`` [n, n], which may be NaN, do not exceed the maximum of ``metric``.

    Unweighted, normalized weighted and generalized UniFrac are at most 1 (with a tolerance of 1e-5 for rounding);
    ``weighted_unnormalized`` has no such bound.

    Raises:
        DataError: some do; the message shows the first five.
    """
    if metric not in _AT_MOST_ONE:
        return
    n_wrong, largest = 0, 0.0
    cells: list[tuple[int, int]] = []
    for first in range(0, len(ids), _ROWS_AT_ONCE):
        block = values[first : first + _ROWS_AT_ONCE]
        wrong = np.argwhere(block > 1 + _TOLERANCE)
        if len(wrong):
            largest = max(largest, float(np.nanmax(block)))
            n_wrong += len(wrong)
            cells += [(first + i, j) for i, j in wrong[: MAX_SHOWN - len(cells)]]
    if n_wrong:
        name, method = _AT_MOST_ONE[metric]
        problem = f"{n_wrong:,} of {values.size:,} distances are above 1, up to {largest:g}; {name} is at most 1"
        raise _error(problem, "distances-above-maximum", cells, ids, values, path, f"Compute it with: ssu -m {method}")


def _error(
    problem: str,
    code: str,
    cells: list[tuple[int, int]],
    ids: np.ndarray,
    values: np.ndarray,
    path: Path,
    remedy: str | None = None,
) -> DataError:
    offenders = [f"({ids[i]}, {ids[j]}) = {values[i, j]}" for i, j in cells]
    return DataError(problem, code=code, file=path, offenders=offenders, remedy=remedy)


# Entries of a block of rows that are wrong, from the block, the same columns and the number of its first row.
_FINDINGS: dict[str, tuple[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]]] = {
    "distances-not-finite": ("are not finite", lambda block, mirrored, first: ~np.isfinite(block)),
    "distances-negative": ("are negative", lambda block, mirrored, first: block < 0),
    "distances-diagonal": (
        "of a sample to itself are not 0",
        lambda block, mirrored, first: np.eye(len(block), block.shape[1], k=first, dtype=bool) & (block > _TOLERANCE),
    ),
    "distances-not-symmetric": (
        "differ between (a, b) and (b, a)",
        lambda block, mirrored, first: np.abs(block - mirrored) > _TOLERANCE,
    ),
}
