"""Bootstrap over groups: 95 % intervals of metrics and of paired differences.

A draw takes as many groups as there are, with replacement, and each group's samples with it (Field and Welsh 2007,
doi:10.1111/j.1467-9868.2007.00593.x). All models see the same draws, so that differences are paired. The interval is
the value plus and minus t standard errors, on a scale without bounds where a metric has bounds (logit, log, Fisher's z,
log(1 - R2)). Percentiles of the draws cover too little with few groups (86 to 95 % with 16), so the standard error is
widened by sqrt(G / (G - 1)), and t has G - 1 degrees of freedom or fewer; docs/design.md has the measurements.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from aam_data.random_keys import Purpose, generator
from aam_train.statistics.weighted_metrics import Draws, stack_draws

DRAWS = 2000
LEVEL = 0.95
_TAIL = (1 - LEVEL) / 2
MIN_GROUPS = 4  # below which there is no interval
_CELLS = 2_000_000  # weights at once: 16 MB for each of the few arrays that a metric needs
_MIN_DEFINED = 0.5  # share of the draws below which a metric has no interval
OF_CLASSES = {"auc", "balanced_accuracy", "f1"}  # averages over classes: the rarest class limits what is known
_SHARES = {"auc", "balanced_accuracy", "f1", "accuracy", "coverage"}
_AMOUNTS = {"mae", "rmse", "interval_width"}
# Squares have long tails, so with few groups their standard errors vary more: the share of the degrees of freedom.
_SHARE_OF_FREEDOM = {"r2": 1 / 2, "mae": 1 / 2, "pearson_r": 1 / 2, "rmse": 1 / 3}


class Bounds(NamedTuple):
    """A 95 % interval; both ends are NaN where there is none."""

    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Sampled:
    """A metric of one model.

    Attributes:
        value: on the samples themselves.
        draws: float64 [D], NaN where undefined.
    """

    value: float
    draws: np.ndarray

    @property
    def undefined(self) -> int:
        """Number of draws in which the metric is undefined."""
        return int((~np.isfinite(self.draws)).sum())


@dataclass(frozen=True, eq=False)
class GroupBootstrap:
    """Draws of groups with replacement.

    Attributes:
        counts: int32 [D, G], how often each group is in each draw.
        group_of: int64 [R], group of each sample.
        seed: of the draws.
    """

    counts: np.ndarray
    group_of: np.ndarray

    @classmethod
    def draw(cls, groups: Sequence[str], sample_ids: Sequence[str], seed: int, draws: int = DRAWS) -> GroupBootstrap:
        """Draw groups; a sample without a group is a group of its own. The order of the samples has no effect.

        Args:
            groups: [R], empty for none.
            sample_ids: [R].
            seed: random seed of the run.
            draws: number of draws.
        """
        keys = [(group, "") if group else ("", str(sample)) for group, sample in zip(groups, sample_ids, strict=True)]
        number = {key: code for code, key in enumerate(sorted(set(keys)))}
        n_groups = len(number)
        group_of = np.array([number[key] for key in keys], dtype=np.int64)
        counts = np.empty((draws, n_groups), dtype=np.int32)
        random, at_once = generator(seed, Purpose.BOOTSTRAP), max(1, _CELLS // max(n_groups, 1))
        for start in range(0, draws if n_groups else 0, at_once):
            block = counts[start : start + at_once]
            drawn = random.integers(n_groups, size=block.shape) + np.arange(len(block))[:, None] * n_groups
            block[:] = np.bincount(drawn.ravel(), minlength=block.size).reshape(block.shape)
        return cls(counts, group_of)

    @property
    def n_groups(self) -> int:
        return self.counts.shape[1]

    def take(self, chosen: np.ndarray) -> GroupBootstrap:
        """Return the same draws for some of the samples (mask or indices)."""
        return GroupBootstrap(self.counts, self.group_of[chosen])

    def measure(self, metrics: Callable[[np.ndarray], Mapping[str, np.ndarray]]) -> Draws:
        """Compute metrics of every draw; ``metrics`` takes weights float64 [D', R] of some of the draws at a time."""
        at_once = max(1, _CELLS // max(len(self.group_of), 1))
        starts = range(0, len(self.counts), at_once)
        chunks = (self.counts[start : start + at_once] for start in starts)
        return stack_draws([metrics(chunk[:, self.group_of].astype(np.float64)) for chunk in chunks])


@dataclass(frozen=True)
class SampleSize:
    """What an interval rests on.

    Attributes:
        samples: number of samples.
        groups: number of groups.
        freedom: degrees of freedom of an average over classes: the number of groups less one, or fewer where a class is
            rare. Of two classes these are twice Welch's (1947, doi:10.1093/biomet/34.1-2.28) for the numbers of groups
            that have them (once covers 98 to 99 % with 16 groups); of several, the median of those of one class against
            the rest.
    """

    samples: int
    groups: int
    freedom: float

    @classmethod
    def of(cls, group_of: np.ndarray, codes: np.ndarray | None = None) -> SampleSize:
        """Count samples and groups.

        Args:
            group_of: int64 [R] group of each sample.
            codes: int [R] class codes; None for numbers.
        """
        n_groups = len(np.unique(group_of))
        freedom = float(n_groups - 1)
        if codes is not None and len(codes):
            has = [(group_of[codes == code], group_of[codes != code]) for code in np.unique(codes)]
            each = [_welch(len(np.unique(own)), len(np.unique(rest))) for own, rest in has]
            freedom = min(freedom, float(np.median(each)))
        return cls(len(group_of), n_groups, freedom)

    def freedom_of(self, name: str, share: float) -> float:
        """Return a share of the degrees of freedom of a metric, at least 1 of them."""
        freedom = self.freedom if name in OF_CLASSES else self.groups - 1.0
        return min(freedom, max(1.0, share * freedom))


def _welch(n: int, m: int) -> float:
    if min(n, m) < 2:
        return 0.0
    return 2 * (1 / n + 1 / m) ** 2 / (1 / (n * n * (n - 1)) + 1 / (m * m * (m - 1)))


def interval_of(name: str, sampled: Sampled, size: SampleSize) -> Bounds:
    """Return the interval of a metric; ``name`` decides the scale."""
    freedom = size.freedom_of(name, _SHARE_OF_FREEDOM.get(name, 1.0))
    if name in _SHARES:
        least = 0.5 / max(size.samples, 1)  # a share cannot be nearer to 0 or 1 than half a sample
        bounds = _spread(sampled, size, freedom, lambda x: _logit(np.clip(x, least, 1 - least)), _expit)
        return _at_the_edge(bounds, sampled, freedom)
    if name in _AMOUNTS:
        floor = 1e-12 * max(abs(sampled.value), 1e-300)
        return _spread(sampled, size, freedom, lambda x: np.log(np.maximum(x, floor)), _exp)
    if name == "r2":
        return _spread(sampled, size, freedom, lambda x: -np.log(np.maximum(1 - x, 1e-9)), lambda x: 1 - _exp(-x))
    if name == "pearson_r":
        return _spread(sampled, size, freedom, lambda x: np.arctanh(np.clip(x, -1 + 1e-9, 1 - 1e-9)), math.tanh)
    return _spread(sampled, size, freedom)


def interval_of_difference(name: str, model: Sampled, other: Sampled, size: SampleSize) -> Bounds:
    """Return the interval of a paired difference; one to a figure that never varies is the model's own, shifted."""
    defined = other.draws[np.isfinite(other.draws)]
    if np.isfinite(other.value) and (defined == other.value).all():
        low, high = interval_of(name, model, size)
        return Bounds(low - other.value, high - other.value)
    freedom = size.freedom_of(name, 1.0 if name == "r2" else _SHARE_OF_FREEDOM.get(name, 1.0))
    return _spread(Sampled(model.value - other.value, model.draws - other.draws), size, freedom)


def _spread(
    sampled: Sampled,
    size: SampleSize,
    freedom: float,
    scale: Callable[[np.ndarray], np.ndarray] = np.asarray,
    back: Callable[[float], float] = float,
) -> Bounds:
    """Return value plus and minus t standard errors on a scale, in the metric's own units."""
    defined = sampled.draws[np.isfinite(sampled.draws)]
    enough = len(defined) >= max(2, _MIN_DEFINED * len(sampled.draws))
    if not (math.isfinite(sampled.value) and enough and freedom > 0 and size.groups >= MIN_GROUPS):
        return Bounds(math.nan, math.nan)
    middle = float(scale(np.array(sampled.value)))
    error = float(np.std(scale(defined), ddof=1)) * math.sqrt(size.groups / (size.groups - 1))
    reach = float(stdtrit(freedom, 1 - _TAIL)) * error
    return Bounds(back(middle - reach), back(middle + reach))


def _at_the_edge(bounds: Bounds, sampled: Sampled, freedom: float) -> Bounds:
    """Return what is known of a share that is 0 or 1: as much as of n successes of n (Clopper and Pearson 1934)."""
    if math.isnan(bounds.low) or sampled.value not in (0.0, 1.0):
        return bounds
    least = _TAIL ** (2 / (freedom + 1))
    if sampled.value == 1.0:
        return Bounds(min(least, bounds.low), 1.0)
    return Bounds(0.0, max(1 - least, bounds.high))


def _logit(share: np.ndarray) -> np.ndarray:
    logit: np.ndarray = np.log(share / (1 - share))
    return logit


def _expit(x: float) -> float:
    return 1 / (1 + _exp(-x))


def _exp(x: float) -> float:
    """Compute e to the power x, without an overflow for the ends of very wide intervals."""
    return math.exp(min(x, 700.0))
