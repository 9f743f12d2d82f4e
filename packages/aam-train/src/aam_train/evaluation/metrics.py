"""Metrics of whole sets of samples (scikit-learn's definitions)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import ModuleType

import numpy as np

from aam_train.options.metrics import METRICS, Kind, metric_names


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Compute class probabilities, float64 [R, K], from logits."""
    exponents = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    shares: np.ndarray = exponents / exponents.sum(axis=1, keepdims=True)
    return shares


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Compute the Pearson correlation; NaN for fewer than two values or without spread."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def mean_absolute_error(truth: np.ndarray, prediction: np.ndarray | float) -> float:
    """Compute the mean absolute error of [R] values from predictions or from a constant; NaN without values."""
    return float(np.abs(truth - prediction).mean()) if len(truth) else float("nan")


def mean_squared_error(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Compute the mean squared error of [R] values; NaN without values."""
    return float(np.square(truth - prediction).mean()) if len(truth) else float("nan")


def mean_of_defined(values: Sequence[float]) -> float:
    """Compute the mean of the values that are not NaN; NaN if all are."""
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else float("nan")


def regression_metrics(truth: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    """Compute r2, mae, rmse and pearson_r of [R] values; NaN for too few values (R2 needs two)."""
    return {
        **_sklearn_metrics("number", truth, prediction),
        "mae": mean_absolute_error(truth, prediction),
        "rmse": math.sqrt(mean_squared_error(truth, prediction)),
        "pearson_r": pearson(truth, prediction),
    }


def _sklearn_metrics(kind: Kind, truth: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    """Compute the metrics of a kind that scikit-learn has a function for."""
    sk = _sklearn()
    return {
        name: float(getattr(sk, metric.sklearn)(truth, prediction)) if len(truth) >= metric.min_samples else math.nan
        for name, metric in METRICS.items()
        if metric.kind == kind and metric.sklearn
    }


def _sklearn() -> ModuleType:
    """Import scikit-learn on first use: it takes two seconds, which wrong options and files need not wait for."""
    from sklearn import metrics

    return metrics


def interval_metrics(truth: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> dict[str, float]:
    """Compute coverage, the share of [R] values within intervals (ends included), and the mean interval_width."""
    if len(truth) == 0:
        return {"coverage": float("nan"), "interval_width": float("nan")}
    inside = (lower <= truth) & (truth <= upper)
    return {"coverage": float(inside.mean()), "interval_width": float((upper - lower).mean())}


def classification_metrics(truth: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Compute accuracy, balanced_accuracy, f1 (macro) and auc (macro, one class against the rest).

    F1 and recall are averaged over the classes that occur, AUC over those that some samples have and others have not
    (NaN if there is none). Without samples all metrics are NaN.

    Args:
        truth: int [R] class codes.
        probabilities: [R, K].
    """
    if len(truth) == 0:
        return dict.fromkeys(metric_names("class"), float("nan"))
    prediction = probabilities.argmax(axis=1)
    present = np.unique(truth)
    recalls = [float((prediction[truth == code] == code).mean()) for code in present]
    f1 = _sklearn().f1_score(truth, prediction, average="macro", labels=present, zero_division=0.0)
    return {
        **_sklearn_metrics("class", truth, prediction),
        "balanced_accuracy": float(np.mean(recalls)),
        "f1": float(f1),
        "auc": _macro_auc(truth, probabilities),
    }


def _macro_auc(truth: np.ndarray, probabilities: np.ndarray) -> float:
    sk = _sklearn()
    if probabilities.shape[1] == 2:
        both = 0 < truth.mean() < 1
        return float(sk.roc_auc_score(truth, probabilities[:, 1])) if both else float("nan")
    areas = [
        sk.roc_auc_score(truth == code, probabilities[:, code])
        for code in range(probabilities.shape[1])
        if 0 < (truth == code).mean() < 1
    ]
    return float(np.mean(areas)) if areas else float("nan")
