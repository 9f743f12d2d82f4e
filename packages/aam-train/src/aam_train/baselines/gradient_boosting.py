"""LightGBM baseline (Ke et al. 2017, https://papers.nips.cc/paper/6907), an extra: pip install aam-train[lightgbm]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix  # LightGBM reads no csr_array

from aam_train.baselines.protocol import BaselineData

TREES, RATE, LEAVES, SAMPLES_PER_LEAF = 150, 0.02, 7, 5
FEATURES, SAMPLES = 0.1, 0.6  # shares that each tree sees
INSTALL = "LightGBM is not installed: pip install 'aam-train[lightgbm]'"


@dataclass(frozen=True, eq=False)
class FittedBoosting:
    """A model for each target, or one for all classes."""

    data: BaselineData
    models: Sequence[Any]

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """See `Fitted`."""
        x, n_classes = csr_matrix(self.data.abundances(rows)), self.data.n_classes
        if n_classes is None:
            return np.stack([model.predict(x) for model in self.models], axis=1)
        probabilities = np.zeros((len(rows), n_classes))
        probabilities[:, self.models[0].classes_] = self.models[0].predict_proba(x)
        return probabilities


@dataclass(frozen=True)
class GradientBoosting:
    """LightGBM on what the random forest reads."""

    seed: int
    name: str = "lightgbm"

    def lacks(self, data: BaselineData) -> str | None:
        """See `Baseline`."""
        return None if find_spec("lightgbm") is not None else INSTALL

    def too_large(self, data: BaselineData) -> str | None:
        """See `Baseline`."""
        return None

    def fit(self, data: BaselineData, rows: np.ndarray) -> FittedBoosting:
        """See `Baseline`."""
        from lightgbm import LGBMClassifier, LGBMRegressor

        x, targets, n_classes, models = csr_matrix(data.abundances(rows)), data.targets[rows], data.n_classes, []
        for t in range(1 if n_classes is not None else targets.shape[1]):
            known = np.isfinite(targets[:, t])
            values = targets[known, t] if n_classes is None else targets[known, t].astype(np.int64)
            model = (LGBMRegressor if n_classes is None else LGBMClassifier)(
                n_estimators=TREES,
                learning_rate=RATE,
                num_leaves=LEAVES,
                min_child_samples=SAMPLES_PER_LEAF,
                feature_fraction=FEATURES,
                subsample=SAMPLES,
                subsample_freq=1,
                reg_lambda=1.0,
                random_state=self.seed % 2**31,
                deterministic=True,
                force_row_wise=True,
                verbose=-1,
            )
            models.append(model.fit(x[known], values))
        return FittedBoosting(data, models)
