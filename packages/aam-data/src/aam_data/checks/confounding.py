"""Prediction of a target from technical variables alone: a study, a plate, the number of reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MIN_SAMPLES = 20  # fewer are too few for any conclusion
MAX_P_VALUE = 1e-3  # of an association
_MAX_CLASSES = 200  # compared one by one


@dataclass(frozen=True)
class Association:
    """Association of a number with a target.

    Attributes:
        measure: "AUC" (of a class against all others) or "Spearman" (of a numeric target).
        value: AUC between 0 and 1, or the rank correlation.
        p_value: under independence, with samples taken as independent; multiplied by the number of classes if several
            are compared with all others (Bonferroni).
        class_name: the class; empty for a numeric target.
        medians: medians of the number in the class and in the others.
    """

    measure: str
    value: float
    p_value: float
    class_name: str = ""
    medians: tuple[float, float] = (float("nan"), float("nan"))

    @property
    def strength(self) -> float:
        """Absolute rank correlation, or absolute 2 AUC - 1 (the rank-biserial correlation); between 0 and 1."""
        return abs(self.value if self.measure == "Spearman" else 2 * self.value - 1)


def explained_by(target: np.ndarray, groups: np.ndarray, exclude: np.ndarray) -> float:
    """Compute the share of a target that the groups explain when each sample is predicted from others of its group.

    The prediction for a sample is the mean (or the most frequent class) of the samples of its group with another
    ``exclude`` label, or the overall mean or class if there are none. Because each prediction comes from other
    samples, the number of groups does not inflate the result: meaningless groups explain 0 or less, however many
    there are.

    If there are more than 200 classes, only the samples of the 200 most frequent classes count.

    Args:
        target: float64 [B] of a numeric target, or int64 [B] class numbers from 0.
        groups: int64 [B].
        exclude: int64 [B] label of samples that stay together in splits, such as the host; unique numbers if there
            are none.

    Returns:
        R2 for numbers; for classes, the share of the errors of always guessing the most frequent class that are
        avoided. At most 1; NaN for a constant target.
    """
    is_classes = np.issubdtype(target.dtype, np.integer)
    if is_classes:
        sizes = np.bincount(target)
        chosen = np.sort(np.argsort(-sizes, kind="stable")[:_MAX_CLASSES])
        used = np.isin(target, chosen)
        target, groups, exclude = target[used], groups[used], exclude[used]
    group = np.unique(groups, return_inverse=True)[1]
    pair = np.unique(np.stack([groups, exclude]), axis=1, return_inverse=True)[1].ravel()

    def sum_of_others(values: np.ndarray) -> np.ndarray:
        """Sum the values [B] of the samples that each sample is predicted from."""
        by_group, by_pair = np.bincount(group, weights=values), np.bincount(pair, weights=values)
        return by_group[group] - by_pair[pair]

    if is_classes:
        frequent = sizes.argmax()
        predicted, highest = np.full(len(target), frequent), np.full(len(target), 0.5)
        for code in chosen.tolist():
            times = sum_of_others(target == code)
            predicted, highest = np.where(times > highest, code, predicted), np.maximum(times, highest)
        errors, guessing = (predicted != target).sum(), (target != frequent).sum()
    else:
        centred = target - target.mean()
        n = sum_of_others(np.ones(len(target)))
        predicted = np.divide(sum_of_others(centred), n, out=np.zeros(len(target)), where=n > 0.5)
        errors, guessing = ((centred - predicted) ** 2).sum(), (centred**2).sum()
    return float(1 - errors / guessing) if guessing > 0 else float("nan")


def association(number: np.ndarray, target: np.ndarray, classes: Sequence[str] = ()) -> Association | None:
    """Measure the association of a number with a target.

    Args:
        number: float64 [B].
        target: float64 [B] values, or int64 [B] class numbers.
        classes: names of the classes; empty for a numeric target.

    Returns:
        The association, with classes that of the significant class that differs most from all others; None if it may
        be chance (p > 0.001) or one of the two is constant.
    """
    if (number == number[0]).all() or (target == target[0]).all():
        return None
    result = _strongest_auc(number, target, classes) if classes else _rank_correlation(number, target)
    return result if result is not None and result.p_value <= MAX_P_VALUE else None


def _rank_correlation(number: np.ndarray, target: np.ndarray) -> Association:
    """Compute Spearman's rho and its p-value.

    The p-value is from Student's t, as in ``scipy.stats.spearmanr``, which takes a second to import.
    """
    from scipy.special import stdtr  # 0.3 s to import, which a study without a target does not need

    rho = float(np.clip(np.corrcoef(_ranks(number), _ranks(target))[0, 1], -1, 1))
    freedom = len(number) - 2
    with np.errstate(divide="ignore"):  # rho of 1: t is infinite, and p 0
        t = np.abs(rho) * np.sqrt(np.float64(freedom) / (1 - rho**2))
    return Association("Spearman", rho, float(2 * stdtr(freedom, -t)))


def _strongest_auc(number: np.ndarray, target: np.ndarray, classes: Sequence[str]) -> Association | None:
    """Find the strongest significant AUC of a class against all others.

    The p-values are those of ``scipy.stats.mannwhitneyu(method="asymptotic")``: normal, with corrections for ties
    and for continuity.
    """
    from scipy.special import ndtr

    codes, class_of, here = np.unique(target, return_inverse=True, return_counts=True)
    n, rest = len(number), len(number) - here
    pairs = here * rest.astype(np.float64)
    u = np.bincount(class_of, weights=_ranks(number)) - here * (here + 1) / 2
    ties = np.unique(number, return_counts=True)[1].astype(np.float64)
    spread = np.sqrt(pairs / 12 * (n + 1 - (ties**3 - ties).sum() / (n * (n - 1))))
    p_values = 2 * ndtr(-(np.maximum(u, pairs - u) - pairs / 2 - 0.5) / spread)
    tests = len(codes) if len(codes) > 2 else 1  # of two classes, both tests are the same
    p_values, strengths = np.minimum(p_values * tests, 1), np.abs(2 * u / pairs - 1)
    strengths[p_values > MAX_P_VALUE] = -1
    best = int(strengths.argmax())
    if strengths[best] < 0:
        return None
    inside = class_of == best
    medians = float(np.median(number[inside])), float(np.median(number[~inside]))
    return Association("AUC", float(u[best] / pairs[best]), float(p_values[best]), classes[codes[best]], medians)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Rank values from 1, float64 [B]; equal values share the mean of their ranks."""
    _, code, times = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(times) - (times - 1) / 2)[code]
