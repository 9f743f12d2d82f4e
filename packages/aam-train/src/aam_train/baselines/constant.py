"""Constant baseline: the training mean of each target, or the share of each class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aam_train.baselines.protocol import BaselineData


@dataclass(frozen=True, eq=False)
class FittedConstant:
    """A constant: float64 [T] means, or [K] shares of classes."""

    value: np.ndarray

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """See `Fitted`."""
        return np.tile(self.value, (len(rows), 1))


class Constant:
    """Predicts the same for every sample."""

    name = "constant"

    def lacks(self, data: BaselineData) -> None:
        """See `Baseline`."""

    def too_large(self, data: BaselineData) -> None:
        """See `Baseline`."""

    def fit(self, data: BaselineData, rows: np.ndarray) -> FittedConstant:
        """See `Baseline`."""
        known = data.targets[rows]
        if data.n_classes is None:
            return FittedConstant(np.asarray(np.nanmean(known, axis=0, dtype=np.float64)))
        codes = known[np.isfinite(known[:, 0]), 0].astype(np.int64)
        counts = np.bincount(codes, minlength=data.n_classes)
        return FittedConstant(counts / counts.sum())
