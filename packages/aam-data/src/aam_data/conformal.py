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


def fit_widening(outputs: np.ndarray, truth: np.ndarray, quantiles: Sequence[float]) -> tuple[float, ...]:
    """What has to be added to either side of each pair of quantiles, from the outermost in.

    With n calibration samples it is the ``ceil((n + 1) * nominal)``-th smallest of the n distances by which the truth
    lies outside of the pair (negative inside): then new samples of the same kind are inside at least as often as the
    nominal share says. Where n is too small for that, the largest.

    Args:
        outputs: [n, Q] in transformed units, of samples that neither trained nor chose the model.
        truth: [n] in the same units, NaN = unknown.
        quantiles: [Q].

    Returns:
        ``Q // 2`` numbers; zeros when no truth is known.
    """
    known = np.isfinite(truth)
    n, widening = int(known.sum()), []
    for k in range(len(quantiles) // 2):
        low, high = outputs[known, k], outputs[known, -1 - k]
        outside = np.sort(np.maximum(low - truth[known], truth[known] - high))
        rank = min(math.ceil((n + 1) * (quantiles[-1 - k] - quantiles[k]) - 1e-9), n)
        widening.append(float(outside[rank - 1]) if n else 0.0)
    return tuple(widening)


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
