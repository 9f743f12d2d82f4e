"""Metrics of targets for many weightings of the same samples at once, as a bootstrap needs them.

Each metric equals that of `aam_train.evaluation.metrics` on samples that are repeated as often as their weight says, so
a draw of 5,000 samples costs a few sums and no sorting. Undefined metrics are NaN: an AUC of one class, an R2 of equal
values. Metrics of `aam_train.options.metrics` without a formula here are scikit-learn's, one call for each draw.

Axes: D draws, R samples, K classes, L distinct scores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from aam_train.options.metrics import METRICS, Kind

Draws = dict[str, np.ndarray]  # by metric, float64 [D]


def weighted_regression(weights: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> Draws:
    """Compute r2, mae, rmse and pearson_r of numbers.

    Args:
        weights: float64 [D, R] of the samples, 0 or more.
        truth, prediction: [R].
    """
    total = weights.sum(axis=1)
    error = truth - prediction
    with np.errstate(divide="ignore", invalid="ignore"):
        y, p = _Moments(weights, total, truth), _Moments(weights, total, prediction)
        squared = weights @ np.square(error)
        scaled = np.sqrt(y.spread * p.spread)
        shared = weights @ (y.centred * p.centred) - total * y.mean * p.mean
        draws = {
            "r2": np.where(y.spread > 0, 1.0 - squared / y.spread, np.nan),
            "mae": weights @ np.abs(error) / total,
            "rmse": np.sqrt(squared / total),
            "pearson_r": np.where(scaled > 0, shared / scaled, np.nan),
        }
    return draws | _sklearn_draws("number", draws, weights, truth, prediction)


class _Moments:
    """Weighted mean and sum of squares about it of values [R], centred first so that large offsets cost no digits."""

    def __init__(self, weights: np.ndarray, total: np.ndarray, values: np.ndarray) -> None:
        values = values.astype(np.float64)
        self.centred = values - values.mean() if len(values) else values
        self.mean = weights @ self.centred / total
        spread = weights @ np.square(self.centred) - total * np.square(self.mean)
        rounding = 1e-12 * (weights @ np.square(self.centred))
        self.spread = np.where(spread > rounding, spread, 0.0)


def weighted_intervals(weights: np.ndarray, truth: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> Draws:
    """Compute coverage and interval_width; arguments as for `weighted_regression`, intervals [R] with their ends."""
    total = weights.sum(axis=1)
    inside = ((lower <= truth) & (truth <= upper)).astype(np.float64)
    with np.errstate(invalid="ignore"):
        return {"coverage": weights @ inside / total, "interval_width": weights @ (upper - lower) / total}


def weighted_classification(weights: np.ndarray, truth: np.ndarray, probabilities: np.ndarray) -> Draws:
    """Compute accuracy, balanced_accuracy, f1 (macro) and auc (macro, one class against the rest).

    As in `aam_train.evaluation.metrics.classification_metrics`, averages are over the classes of each draw.

    Args:
        weights: float64 [D, R].
        truth: int [R] class codes.
        probabilities: [R, K].
    """
    prediction, n_classes = probabilities.argmax(axis=1), probabilities.shape[1]
    one_hot = (truth[:, None] == np.arange(n_classes)).astype(np.float64)
    chosen = (prediction[:, None] == np.arange(n_classes)).astype(np.float64)
    of_class, of_choice, right = weights @ one_hot, weights @ chosen, weights @ (one_hot * chosen)
    present = of_class > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = {
            "accuracy": right.sum(axis=1) / weights.sum(axis=1),
            "balanced_accuracy": _mean_where(present, right / of_class),
            "f1": _mean_where(present, 2 * right / (of_class + of_choice)),
            "auc": _macro_auc(weights, one_hot, probabilities),
        }
    return draws | _sklearn_draws("class", draws, weights, truth, prediction)


def _sklearn_draws(
    kind: Kind, known: Mapping[str, np.ndarray], weights: np.ndarray, truth: np.ndarray, prediction: np.ndarray
) -> Draws:
    """Compute the other metrics of a kind, which scikit-learn has a function for, draw by draw."""
    names = {name: each for name, each in METRICS.items() if each.kind == kind and each.sklearn and name not in known}
    if not names:
        return {}
    from sklearn import metrics

    functions = {name: getattr(metrics, each.sklearn) for name, each in names.items()}
    return {
        name: np.array(
            [
                function(truth[row > 0], prediction[row > 0], sample_weight=row[row > 0])
                if (row > 0).sum() > 1
                else math.nan
                for row in weights
            ]
        )
        for name, function in functions.items()
    }


def _macro_auc(weights: np.ndarray, one_hot: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    classes = [1] if one_hot.shape[1] == 2 else range(one_hot.shape[1])
    areas = np.stack([weighted_auc(weights, one_hot[:, k], probabilities[:, k]) for k in classes], axis=1)
    return _mean_where(np.isfinite(areas), areas)


def _mean_where(defined: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Compute the mean of the defined values of each row, float64 [D]; NaN where there is none."""
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = np.where(defined, values, 0.0).sum(axis=1) / defined.sum(axis=1)
    return mean


def weighted_auc(weights: np.ndarray, positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Compute the area under the ROC curve, the weighted share of pairs in the right order; ties count one half.

    Args:
        weights: float64 [D, R].
        positive: [R] 1 or 0.
        scores: [R].

    Returns:
        float64 [D], NaN where one of the classes has no weight.
    """
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    sorted_weights = weights[:, order]
    positives = sorted_weights * positive[order]
    negatives = sorted_weights - positives
    if len(starts) < len(order):  # samples of equal scores are summed
        positives = np.add.reduceat(positives, starts, axis=1)
        negatives = np.add.reduceat(negatives, starts, axis=1)
    below = np.cumsum(negatives, axis=1)
    total = positives.sum(axis=1) * below[:, -1]
    below -= negatives / 2
    with np.errstate(invalid="ignore"):
        area: np.ndarray = np.einsum("dl,dl->d", positives, below) / total
    return area


def stack_draws(parts: list[Mapping[str, np.ndarray]]) -> Draws:
    """Join the draws of several chunks, by metric."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
