"""Intervals that hold what they promise: conformalized quantile regression (Romano, Patterson & Candes 2019).

The k-th lowest and k-th highest quantile are a pair. Axes: B samples, Q quantiles of a target, ascending.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np


def ascending(quantiles: Sequence[float]) -> bool:
    """Whether quantiles are within (0, 1) and each is above the one before."""
    ends = [0.0, *quantiles, 1.0]
    return all(a < b for a, b in pairwise(ends))


def fit_widening(
    outputs: np.ndarray, truth: np.ndarray, quantiles: Sequence[float], groups: np.ndarray | None = None
) -> tuple[float, ...]:
    """What has to be added to either side of each pair of quantiles, from the outermost in.

    It is a quantile, at the share that the pair promises, of the distances by which the truth lies outside of the pair
    (negative inside). Samples of a group are alike, so groups are what counts: of K groups each weighs 1 / (K + 1), its
    samples the same, and a new group the rest, for which nothing is known (hierarchical conformal prediction, Lee,
    Barber & Willett 2023, arXiv:2306.06342). New samples of new groups are then inside at least as often as promised,
    on average. With fewer groups than ``fewest_groups`` that cannot be promised: the largest distance is taken.

    Args:
        outputs: [n, Q] in transformed units, of samples that neither trained nor chose the model.
        truth: [n] in the same units, NaN = unknown.
        quantiles: [Q].
        groups: int [n]; None = every sample is one of its own.

    Returns:
        ``Q // 2`` numbers; zeros when no truth is known.
    """
    known = np.isfinite(truth)
    if not known.any():
        return (0.0,) * (len(quantiles) // 2)
    _, of, sizes = np.unique(
        np.arange(len(truth))[known] if groups is None else groups[known], return_inverse=True, return_counts=True
    )
    weights, widening = 1 / ((len(sizes) + 1) * sizes[of]), []
    for k in range(len(quantiles) // 2):
        low, high = outputs[known, k], outputs[known, -1 - k]
        outside = np.maximum(low - truth[known], truth[known] - high)
        order = np.argsort(outside)
        enough = np.cumsum(weights[order]) >= quantiles[-1 - k] - quantiles[k] - 1e-9
        widening.append(float(outside[order[np.argmax(enough) if enough.any() else -1]]))
    return tuple(widening)


def fewest_groups(quantiles: Sequence[float]) -> int:
    """Groups that are needed to promise what the outermost quantiles say: share / (1 - share)."""
    share = quantiles[-1] - quantiles[0]
    return math.ceil(share / (1 - share) - 1e-9)


def widen(outputs: np.ndarray, widening: Sequence[float], median: int) -> np.ndarray:
    """Quantiles [B, Q] with calibrated pairs; they stay on their side of the median, and ascending.

    Args:
        outputs: [B, Q].
        widening: see ``fit_widening``; empty = as they are.
        median: place of the median, which stays.
    """
    wide = outputs.copy()
    for k, amount in enumerate(widening):
        for place, step in ((k, -amount), (outputs.shape[1] - 1 - k, amount)):
            if place != median:
                wide[:, place] += step
    wide[:, : median + 1] = np.minimum.accumulate(wide[:, median::-1], axis=1)[:, ::-1]
    wide[:, median:] = np.maximum.accumulate(wide[:, median:], axis=1)
    return wide
