"""Metrics that can select the best checkpoint. Standard library only.

This table is the only list of their names. A new metric needs its name in a Literal and its entry in `METRICS`; if
scikit-learn does not have it, also code that computes it: in `aam_train.evaluation.metrics` for targets, in its
objective for encoders.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

TargetMetric = Literal["val_loss", "r2", "mae", "accuracy", "balanced_accuracy", "f1", "auc"]
EncoderMetric = Literal[
    "val_loss",
    "unifrac_r",
    "unifrac_mae",
    "faith_pd_r",
    "faith_pd_mae",
    "nucleotide_accuracy",
    "count_mse",
    "taxonomy_accuracy",
]
Kind = Literal["loss", "number", "class", "encoder"]


class Metric(NamedTuple):
    """A validation metric.

    Attributes:
        kind: "number" or "class" for the metrics of targets, "encoder" for those of pretraining, "loss" for both.
        higher_is_better: whether larger values are better.
        objective: name of the pretraining objective that computes it, for metrics of kind "encoder".
        sklearn: name of the function of sklearn.metrics that computes it from true and predicted values; empty for
            metrics with code of their own.
        min_samples: number of samples below which a metric of scikit-learn is undefined (NaN).
    """

    kind: Kind
    higher_is_better: bool
    objective: str = ""
    sklearn: str = ""
    min_samples: int = 1


METRICS = {
    "val_loss": Metric("loss", higher_is_better=False),
    "r2": Metric("number", higher_is_better=True, sklearn="r2_score", min_samples=2),
    "mae": Metric("number", higher_is_better=False),
    "accuracy": Metric("class", higher_is_better=True, sklearn="accuracy_score"),
    "balanced_accuracy": Metric("class", higher_is_better=True),
    "f1": Metric("class", higher_is_better=True),
    "auc": Metric("class", higher_is_better=True),
    "unifrac_r": Metric("encoder", higher_is_better=True, objective="unifrac"),
    "unifrac_mae": Metric("encoder", higher_is_better=False, objective="unifrac"),
    "faith_pd_r": Metric("encoder", higher_is_better=True, objective="faith_pd"),
    "faith_pd_mae": Metric("encoder", higher_is_better=False, objective="faith_pd"),
    "nucleotide_accuracy": Metric("encoder", higher_is_better=True, objective="nucleotides"),
    "count_mse": Metric("encoder", higher_is_better=False, objective="counts"),
    "taxonomy_accuracy": Metric("encoder", higher_is_better=True, objective="taxonomy"),
}
HIGHER_IS_BETTER = {name: metric.higher_is_better for name, metric in METRICS.items()}


def metric_names(*kinds: Kind) -> tuple[str, ...]:
    """Return the names of the metrics of these kinds, in the order of the table.

    Example:
        >>> metric_names("loss", "number")
        ('val_loss', 'r2', 'mae')
    """
    return tuple(name for name, metric in METRICS.items() if metric.kind in kinds)


assert get_args(TargetMetric) == metric_names("loss", "number", "class")
assert get_args(EncoderMetric) == metric_names("loss", "encoder")


def is_better(value: float, best: float, *, higher_is_better: bool) -> bool:
    """Return whether a metric improved on the best value so far.

    NaN (undefined) is never an improvement, and any number improves on a best value of NaN.
    """
    if not math.isfinite(value):
        return False
    return math.isnan(best) or (value > best if higher_is_better else value < best)
