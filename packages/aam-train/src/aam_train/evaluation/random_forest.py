"""The random forest that AAM is compared with: relative abundances in, scikit-learn's forest. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import parallel_config
from scipy.sparse import csr_array
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from aam_data.preprocessing.rarefaction import FIXED_DRAW, Rarefier

TREES = 500


@dataclass(frozen=True)
class ForestOptions:
    """How the forest grows; the defaults are those of every run's baseline.

    Attributes:
        trees: how many; None = 500.
        max_features: share or rule of the features that each split looks at, as scikit-learn takes it.
        jobs: threads; -1 = all cores.
    """

    seed: int
    trees: int | None = None
    max_features: str | float | int | None = "sqrt"
    jobs: int = -1

    def arguments(self) -> dict[str, Any]:
        """For scikit-learn."""
        return {
            "n_estimators": self.trees or TREES,
            "max_features": self.max_features,
            "random_state": self.seed % 2**32,
            "n_jobs": self.jobs,
        }


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a forest says.

    Attributes:
        outputs: float64 [R] numbers, or [R, K] class probabilities, of the new samples.
        importance: float64 [A] of the features, mean decrease in impurity; they sum to 1.
    """

    outputs: np.ndarray
    importance: np.ndarray


def relative_abundances(rarefier: Rarefier, rows: np.ndarray) -> csr_array:
    """Samples by ASVs [R, A], each sample summing to 1, fixed draw."""
    counts = rarefier.draw(rows, FIXED_DRAW)
    shape = (len(rows), rarefier.table.n_features)
    # scikit-learn's trees want 32-bit indices
    indices, indptr = counts.indices.astype(np.int32), counts.indptr.astype(np.int32)
    matrix = csr_array((counts.counts.astype(np.float64), indices, indptr), shape=shape)
    depth = np.asarray(matrix.sum(axis=1)).ravel()
    matrix.data /= np.repeat(depth, np.diff(counts.indptr))
    return matrix


def fit_numbers(known: csr_array, target: np.ndarray, new: csr_array, options: ForestOptions) -> Fitted:
    """Learn numbers [R'] (NaN = unknown, left out) of the samples ``known`` and predict those of ``new``."""
    have = np.isfinite(target)
    forest = RandomForestRegressor(**options.arguments())
    with parallel_config("threading"):
        forest.fit(known[have], target[have])
        return Fitted(forest.predict(new), forest.feature_importances_)


def fit_classes(known: csr_array, target: np.ndarray, new: csr_array, n_classes: int, options: ForestOptions) -> Fitted:
    """Learn class codes [R'] (NaN = unknown, left out) and give the probabilities of all classes for ``new``."""
    have = np.isfinite(target)
    forest = RandomForestClassifier(**options.arguments())
    with parallel_config("threading"):
        forest.fit(known[have], target[have].astype(np.int64))
        probabilities = np.zeros((new.shape[0], n_classes))
        probabilities[:, forest.classes_] = forest.predict_proba(new)
        return Fitted(probabilities, forest.feature_importances_)
