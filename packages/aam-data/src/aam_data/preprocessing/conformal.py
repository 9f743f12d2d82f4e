"""Calibration of prediction intervals: conformalized quantile regression (Romano, Patterson & Candes 2019).

The k-th lowest and k-th highest quantile form a pair. Axes: B samples, Q quantiles of a target, ascending.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np


def ascending(quantiles: Sequence[float]) -> bool:
    """Return whether quantiles are within (0, 1) and strictly increasing."""
    ends = [0.0, *quantiles, 1.0]
    return all(a < b for a, b in pairwise(ends))


def fit_widening(
    outputs: np.ndarray, truth: np.ndarray, quantiles: Sequence[float], groups: np.ndarray | None = None
) -> tuple[float, ...]:
    """Compute the amounts to add to either side of each pair of quantiles, from the outermost pair inwards.

    The amount is a quantile, at the nominal coverage of the pair, of the distances by which the truth is outside the
    pair (negative inside). Samples of a group are similar, so groups are the units: each of K groups has weight
    1 / (K + 1), shared equally by its samples, and the rest belongs to a new group, about which nothing is known
    (hierarchical conformal prediction, Lee, Barber & Willett 2023, arXiv:2306.06342). New samples of new groups are
    then inside at least as often as nominal, on average. With fewer groups than ``min_groups`` this cannot be
    guaranteed, and the largest distance is used.

    Args:
        outputs: [n, Q] in transformed units, of samples that neither trained nor selected the model.
        truth: [n] in the same units, NaN = unknown.
        quantiles: [Q].
        groups: int [n]; None = every sample is its own group.

    Returns:
        ``Q // 2`` numbers; zeros if no truth is known.
    """
    known = np.isfinite(truth)
    if not known.any():
        return (0.0,) * (len(quantiles) // 2)
    _, group, sizes = np.unique(
        np.arange(len(truth))[known] if groups is None else groups[known], return_inverse=True, return_counts=True
    )
    weights, widening = 1 / ((len(sizes) + 1) * sizes[group]), []
    for k in range(len(quantiles) // 2):
        low, high = outputs[known, k], outputs[known, -1 - k]
        outside = np.maximum(low - truth[known], truth[known] - high)
        order = np.argsort(outside)
        enough = np.cumsum(weights[order]) >= quantiles[-1 - k] - quantiles[k] - 1e-9
        widening.append(float(outside[order[np.argmax(enough) if enough.any() else -1]]))
    return tuple(widening)


def min_groups(quantiles: Sequence[float]) -> int:
    """Return the number of groups needed to guarantee the coverage of the outermost pair: share / (1 - share)."""
    share = quantiles[-1] - quantiles[0]
    return math.ceil(share / (1 - share) - 1e-9)


def widen(outputs: np.ndarray, widening: Sequence[float], median: int) -> np.ndarray:
    """Widen pairs of quantiles, float [B, Q]; they stay on their side of the median, and in ascending order.

    Args:
        outputs: [B, Q].
        widening: see ``fit_widening``; empty = no change.
        median: index of the median, which does not change.
    """
    wide = outputs.copy()
    for k, amount in enumerate(widening):
        for index, step in ((k, -amount), (outputs.shape[1] - 1 - k, amount)):
            if index != median:
                wide[:, index] += step
    wide[:, : median + 1] = np.minimum.accumulate(wide[:, median::-1], axis=1)[:, ::-1]
    wide[:, median:] = np.maximum.accumulate(wide[:, median:], axis=1)
    return wide
