"""The metrics by which a best checkpoint is chosen. Standard library only."""

from __future__ import annotations

import math

HIGHER_IS_BETTER = {
    "val_loss": False,
    # of targets
    "r2": True,
    "mae": False,
    "accuracy": True,
    "balanced_accuracy": True,
    "f1": True,
    "auc": True,
    # of pretraining
    "unifrac_r": True,
    "unifrac_mae": False,
    "faith_pd_r": True,
    "faith_pd_mae": False,
    "nucleotide_accuracy": True,
    "count_mse": False,
    "taxonomy_accuracy": True,
}


def is_better(value: float, best: float, *, higher_is_better: bool) -> bool:
    """Whether a metric is better than the best so far; NaN (undefined) is better than nothing, and nothing's best."""
    if not math.isfinite(value):
        return False
    return math.isnan(best) or (value > best if higher_is_better else value < best)
