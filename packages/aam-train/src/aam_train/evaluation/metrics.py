"""Figures of merit, on whole sets of samples at once (scikit-learn's definitions)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from sklearn import metrics as sk


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Class probabilities, float64 [R, K], of logits."""
    exponents = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    shares: np.ndarray = exponents / exponents.sum(axis=1, keepdims=True)
    return shares


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Correlation; NaN for fewer than two values or without spread."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def mean_absolute_error(truth: np.ndarray, prediction: np.ndarray | float) -> float:
    """Mean absolute difference of [R] values from predictions or from one constant; NaN without values."""
    return float(np.abs(truth - prediction).mean()) if len(truth) else float("nan")


def mean_squared_error(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Mean squared difference of [R] values; NaN without values."""
    return float(np.square(truth - prediction).mean()) if len(truth) else float("nan")


def mean_of_defined(values: Sequence[float]) -> float:
    """Mean of the values that are not NaN; NaN when all are."""
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else float("nan")


def regression_metrics(truth: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    """r2, mae, rmse and pearson_r of [R] values; NaN where there are too few of them (R2 needs two)."""
    return {
        "r2": float(sk.r2_score(truth, prediction)) if len(truth) > 1 else float("nan"),
        "mae": mean_absolute_error(truth, prediction),
        "rmse": math.sqrt(mean_squared_error(truth, prediction)),
        "pearson_r": pearson(truth, prediction),
    }


def interval_metrics(truth: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> dict[str, float]:
    """coverage, the share of [R] values within their intervals (ends included), and interval_width, the mean width."""
    if len(truth) == 0:
        return {"coverage": float("nan"), "interval_width": float("nan")}
    inside = (lower <= truth) & (truth <= upper)
    return {"coverage": float(inside.mean()), "interval_width": float((upper - lower).mean())}


def classification_metrics(truth: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """accuracy, balanced_accuracy, f1 (macro) and auc (macro, one class against the rest).

    Args:
        truth: int [R] codes.
        probabilities: [R, K].

    F1 and recall are averaged over the classes that occur; AUC over those that have both members and others among
    the samples, NaN when none has. Without samples everything is NaN.
    """
    if len(truth) == 0:
        return dict.fromkeys(("accuracy", "balanced_accuracy", "f1", "auc"), float("nan"))
    prediction = probabilities.argmax(axis=1)
    present = np.unique(truth)
    recalls = [float((prediction[truth == code] == code).mean()) for code in present]
    return {
        "accuracy": float(sk.accuracy_score(truth, prediction)),
        "balanced_accuracy": float(np.mean(recalls)),
        "f1": float(sk.f1_score(truth, prediction, average="macro", labels=present, zero_division=0.0)),
        "auc": _macro_auc(truth, probabilities),
    }


def _macro_auc(truth: np.ndarray, probabilities: np.ndarray) -> float:
    if probabilities.shape[1] == 2:
        both = 0 < truth.mean() < 1
        return float(sk.roc_auc_score(truth, probabilities[:, 1])) if both else float("nan")
    areas = [
        sk.roc_auc_score(truth == code, probabilities[:, code])
        for code in range(probabilities.shape[1])
        if 0 < (truth == code).mean() < 1
    ]
    return float(np.mean(areas)) if areas else float("nan")
