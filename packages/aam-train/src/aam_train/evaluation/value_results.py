"""Metrics of a model that is tested on one value of a metadata column at a time: each value, their mean, pooled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aam_train.evaluation.comparison import Comparison
from aam_train.evaluation.metrics import mean_of_defined
from aam_train.evaluation.results import Measured, held_out_results, results_of_folds, uncertainty
from aam_train.statistics.bootstrap import GroupBootstrap, Sampled, SampleSize

_SHARED = ("samples", "targets", "intervals", "differences")


def results_of_values(pooled: Comparison, folds: Mapping[str, Comparison], column: str, seed: int) -> dict[str, Any]:
    """Compute the metrics of each value, of all held-out samples pooled, and the mean over the values.

    The verdict is about the mean, with the values as what is drawn: it says what to expect of another value, such as a
    new study. Pooled metrics compare samples of models that were trained on different values.

    Args:
        pooled: held-out samples of all values.
        folds: by value.
        column: of the values.
        seed: random seed of the run.
    """
    each = {value: held_out_results(fold, seed) for value, fold in folds.items()}
    results = results_of_folds([(pooled, list(folds.values()))], seed)
    means = {
        target: Measured(
            {model: _mean_metrics([one["targets"][target][model] for one in each.values()], seed) for model in models},
            SampleSize(len(pooled.predictions.sample_ids), len(folds), len(folds) - 1.0),
            has_groups=True,
        )
        for target, models in results["targets"].items()
    }
    over = uncertainty(means, is_classes=bool(pooled.predictions.classes), of=f"values of {column}", one_split=False)
    results["values"] = {
        "column": column,
        "each": {value: {key: one[key] for key in _SHARED} for value, one in each.items()},
        "mean": {"targets": {target: one.values() for target, one in means.items()}, **over},
    }
    return results | {"verdict": over["verdict"]}


def _mean_metrics(metrics: Sequence[Mapping[str, float]], seed: int) -> dict[str, Sampled]:
    """Return the mean of each metric over values, on all of them and in draws of values with replacement."""
    names = [f"{number:09d}" for number in range(len(metrics))]
    counts = GroupBootstrap.draw(names, names, seed).counts.astype(np.float64)
    found = {}
    for name in metrics[0]:
        values = np.array([each[name] for each in metrics])
        known = np.isfinite(values)
        with np.errstate(invalid="ignore"):
            draws = counts[:, known] @ values[known] / counts[:, known].sum(axis=1)
        found[name] = Sampled(mean_of_defined(values.tolist()), draws)
    return found


def value_lines(values: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    """Describe the main metric of each value and model in a line per value; ``names`` of the models."""
    lines = []
    for target in values["mean"]["targets"]:
        for value, each in values["each"].items():
            models = each["targets"][target]
            metric = "auc" if "auc" in models["aam"] else "r2"
            words = ", ".join(f"{names[model]} {found[metric]:.3g}" for model, found in models.items())
            lines.append(f"  {value} ({each['samples']:,} samples): {metric} {words}")
    return lines
