"""How well something that is no biology (a study, a plate, the number of reads) tells a target on its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEWEST_SAMPLES = 20  # fewer say little about anything
MOST_P_VALUE = 1e-3  # of an association
_MOST_CLASSES = 200  # looked at one by one


@dataclass(frozen=True)
class Association:
    """How a number goes with a target.

    Attributes:
        measure: "AUC" (of a class against all others) or "Spearman" (of a numeric target).
        value: AUC between 0 and 1, or the rank correlation.
        p_value: of no association, samples taken as independent; times the number of classes where several are
            compared with all others (Bonferroni).
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

    Of more than 200 classes only the samples of the 200 most frequent are looked at.

    Args:
        target: float64 [B] of a numeric target, or int64 [B] class numbers from 0.
        groups: int64 [B].
        exclude: int64 [B] what stays together in splits, such as hosts; each sample's own number where nothing does.

    Returns:
        R2 for numbers; for classes, the share of the errors of always guessing the most frequent class that are
        avoided. At most 1; NaN for a constant target.
    """
    of_classes = np.issubdtype(target.dtype, np.integer)
    if of_classes:
        sizes = np.bincount(target)
        chosen = np.sort(np.argsort(-sizes, kind="stable")[:_MOST_CLASSES])
        looked_at = np.isin(target, chosen)
        target, groups, exclude = target[looked_at], groups[looked_at], exclude[looked_at]
    group = np.unique(groups, return_inverse=True)[1]
    pair = np.unique(np.stack([groups, exclude]), axis=1, return_inverse=True)[1].ravel()

    def of_others(values: np.ndarray) -> np.ndarray:
        """For each sample, the sum of the values [B] of the samples it is predicted from."""
        by_group, by_pair = np.bincount(group, weights=values), np.bincount(pair, weights=values)
        return by_group[group] - by_pair[pair]

    if of_classes:
        frequent = sizes.argmax()
        predicted, most = np.full(len(target), frequent), np.full(len(target), 0.5)
        for code in chosen.tolist():
            times = of_others(target == code)
            predicted, most = np.where(times > most, code, predicted), np.maximum(times, most)
        errors, guessing = (predicted != target).sum(), (target != frequent).sum()
    else:
        centred = target - target.mean()
        n = of_others(np.ones(len(target)))
        predicted = np.divide(of_others(centred), n, out=np.zeros(len(target)), where=n > 0.5)
        errors, guessing = ((centred - predicted) ** 2).sum(), (centred**2).sum()
    return float(1 - errors / guessing) if guessing > 0 else float("nan")


def association(number: np.ndarray, target: np.ndarray, classes: Sequence[str] = ()) -> Association | None:
    """How a number goes with a target, or None where that may be chance (p > 0.001) or one of them does not vary.

    Args:
        number: float64 [B].
        target: float64 [B] values, or int64 [B] class numbers; of the classes that differ from all others by more
            than chance, the one that differs most is taken.
        classes: names of the classes; empty for a numeric target.
    """
    if (number == number[0]).all() or (target == target[0]).all():
        return None
    found = _of_classes(number, target, classes) if classes else _rank_correlation(number, target)
    return found if found is not None and found.p_value <= MOST_P_VALUE else None


def _rank_correlation(number: np.ndarray, target: np.ndarray) -> Association:
    """Spearman's rho; its p-value from Student's t, like ``scipy.stats.spearmanr``, which takes a second to import."""
    from scipy.special import stdtr  # 0.3 s, which a study without a target need not wait for

    rho = float(np.clip(np.corrcoef(_ranks(number), _ranks(target))[0, 1], -1, 1))
    freedom = len(number) - 2
    with np.errstate(divide="ignore"):  # rho of 1: t is infinite, and p 0
        t = np.abs(rho) * np.sqrt(np.float64(freedom) / (1 - rho**2))
    return Association("Spearman", rho, float(2 * stdtr(freedom, -t)))


def _of_classes(number: np.ndarray, target: np.ndarray, classes: Sequence[str]) -> Association | None:
    """The strongest AUC of a class against all others that is no chance.

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
    strengths[p_values > MOST_P_VALUE] = -1
    best = int(strengths.argmax())
    if strengths[best] < 0:
        return None
    inside = class_of == best
    medians = float(np.median(number[inside])), float(np.median(number[~inside]))
    return Association("AUC", float(u[best] / pairs[best]), float(p_values[best]), classes[codes[best]], medians)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, float64 [B]; equal values share the mean of theirs."""
    _, code, times = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(times) - (times - 1) / 2)[code]
