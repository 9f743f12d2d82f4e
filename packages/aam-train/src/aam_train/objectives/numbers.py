"""Shared by objectives that predict numbers: metrics, loss in units of the training spread, sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from aam_data.random_keys import Purpose, generator
from aam_train.evaluation.metrics import mean_absolute_error, mean_squared_error, pearson
from aam_train.objectives.base import Validated


def validated_numbers(name: str, truth: np.ndarray, predicted: np.ndarray, spread: Tensor) -> Validated:
    """Compare values where the truth is defined: Pearson's r, mean absolute error, and the loss of training.

    Args:
        name: prefix of the metrics.
        truth, predicted: [R] in own units, NaN where the truth is undefined.
        spread: standard deviation of the training values, the unit of the loss.
    """
    known = np.isfinite(truth)
    truth, predicted = truth[known], predicted[known]
    metrics = {f"{name}_r": pearson(truth, predicted), f"{name}_mae": mean_absolute_error(truth, predicted)}
    return Validated(metrics, mean_squared_error(truth, predicted) / float(spread) ** 2, truth, predicted)


def describe_numbers(name: str, label: str, results: Mapping[str, Any]) -> list[str]:
    """Report correlation and error next to the error of a constant; nothing when the objective was not learned."""
    aam, constant = results["aam"], results["constant"]
    if f"{name}_r" not in aam:
        return []
    return [
        f"{label}: Pearson r {aam[f'{name}_r']:.3f}, mean absolute error {aam[f'{name}_mae']:.4g} "
        f"(predicting the training mean: {constant[f'{name}_mae']:.4g})"
    ]


def seeded_subset(rows: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Choose at most ``size`` of the rows, the same ones for the same seed; int64, in their order."""
    if len(rows) <= size:
        return rows
    return np.sort(generator(seed, Purpose.CALIBRATION).choice(rows, size, replace=False))
