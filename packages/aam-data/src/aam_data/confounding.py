"""How well something that is no biology (a study, a plate, the number of reads) tells a target on its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import mannwhitneyu, spearmanr

FEWEST_SAMPLES = 20  # fewer say little about anything


@dataclass(frozen=True)
class Association:
    """How a number goes with a target.

    Attributes:
        measure: "AUC" (of a class against all others) or "Spearman" (of a numeric target).
        value: AUC between 0 and 1, or the rank correlation.
        p_value: of no association, samples taken as independent.
        class_name: the class; empty for a numeric target.
        medians: of the number in the class and in the others.
    """

    measure: str
    value: float
    p_value: float
    class_name: str = ""
    medians: tuple[float, float] = (float("nan"), float("nan"))

    @property
    def strength(self) -> float:
        """Between 0 and 1: the size of the rank correlation, or of 2 AUC - 1 (the rank-biserial correlation)."""
        return abs(self.value if self.measure == "Spearman" else 2 * self.value - 1)


def explained_by(target: np.ndarray, groups: np.ndarray, exclude: np.ndarray) -> float:
    """The share of a target that the groups explain, each sample being predicted from others of its group.

    The prediction for a sample is the mean (or the most frequent class) of the samples of its group that do not
    share its ``exclude`` label; where there is none, the overall mean or class. Predicting from other samples makes
    up for the number of groups: groups that mean nothing explain 0 or less, however many they are.

    Args:
        target: float64 [B] of a numeric target, or int64 [B] class numbers.
        groups: int64 [B].
        exclude: int64 [B] what stays together in splits, such as hosts; each sample's own number where nothing does.

    Returns:
        R2 for numbers; for classes, the share of the errors of always guessing the most frequent class that are
        avoided. At most 1; NaN for a constant target.
    """
    pair = np.unique(np.stack([groups, exclude]), axis=1, return_inverse=True)[1].ravel()
    if np.issubdtype(target.dtype, np.integer):
        one_hot = np.eye(int(target.max()) + 1)[target]
        others = _sums(one_hot, groups) - _sums(one_hot, pair)
        frequent = one_hot.sum(axis=0).argmax()
        predicted = np.where(others.any(axis=1), others.argmax(axis=1), frequent)
        errors, guessing = (predicted != target).sum(), (target != frequent).sum()
    else:
        values = np.stack([target - target.mean(), np.ones(len(target))], axis=1)
        total, n = (_sums(values, groups) - _sums(values, pair)).T
        predicted = np.divide(total, n, out=np.zeros(len(target)), where=n > 0.5)
        errors, guessing = ((values[:, 0] - predicted) ** 2).sum(), (values[:, 0] ** 2).sum()
    return float(1 - errors / guessing) if guessing > 0 else float("nan")


def _sums(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """For each sample, the sums [B, K] of the values [B, K] of all samples with its code."""
    by_code = np.stack([np.bincount(codes, weights=column) for column in values.T], axis=1)
    return by_code[codes]


def association(number: np.ndarray, target: np.ndarray, classes: Sequence[str] = ()) -> Association | None:
    """How a number goes with a target, or None where one of them does not vary.

    Args:
        number: float64 [B].
        target: float64 [B] values, or int64 [B] class numbers, of which the one that differs most from all others
            is taken.
        classes: names of the classes; empty for a numeric target.
    """
    if (number == number[0]).all() or (target == target[0]).all():
        return None
    if not classes:
        rho, p_value = spearmanr(number, target)
        return Association("Spearman", float(rho), float(p_value))
    found = []
    for code in np.unique(target):
        here, rest = number[target == code], number[target != code]
        test = mannwhitneyu(here, rest, method="asymptotic")
        auc = float(test.statistic / (len(here) * len(rest)))
        medians = float(np.median(here)), float(np.median(rest))
        found.append(Association("AUC", auc, float(test.pvalue), classes[code], medians))
    return max(found, key=lambda each: each.strength)
