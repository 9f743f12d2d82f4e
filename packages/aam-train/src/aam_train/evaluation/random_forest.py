"""Random-forest baseline: scikit-learn's forest on relative abundances. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import parallel_config
from scipy.sparse import csr_array

from aam_data.preprocessing.rarefaction import FIXED_DRAW, Rarefier
from aam_train.device.host_memory import host_memory

TREES = 500
NODE_BYTES = 64  # of a node in scikit-learn's trees, without its values
MAX_MEMORY_SHARE = 0.8  # that a forest may use, of what the process may use


@dataclass(frozen=True)
class ForestOptions:
    """Options of the forest; the defaults are those of every run's baseline.

    Attributes:
        trees: number of trees; None = 500.
        max_features: number, share or rule of the features to consider at each split, as in scikit-learn.
        jobs: number of threads; -1 = all cores.
    """

    seed: int
    trees: int | None = None
    max_features: str | float | int | None = "sqrt"
    jobs: int = -1

    def arguments(self) -> dict[str, Any]:
        """Return the arguments for scikit-learn."""
        return {
            "n_estimators": self.trees or TREES,
            "max_features": self.max_features,
            "random_state": self.seed % 2**32,
            "n_jobs": self.jobs,
        }


@dataclass(frozen=True, eq=False)
class ForestResult:
    """Predictions and feature importance of a forest.

    Attributes:
        outputs: float64 [R] numbers, or [R, K] class probabilities, of the new samples.
        importance: float64 [A] mean decrease in impurity of each feature; the values sum to 1.
    """

    outputs: np.ndarray
    importance: np.ndarray


def relative_abundances(rarefier: Rarefier, rows: np.ndarray) -> csr_array:
    """Compute the relative abundances [R, A] of samples in the fixed draw; each row sums to 1."""
    counts = rarefier.draw(rows, FIXED_DRAW)
    shape = (len(rows), rarefier.table.n_features)
    # scikit-learn's trees need 32-bit indices
    indices, indptr = counts.indices.astype(np.int32), counts.indptr.astype(np.int32)
    matrix = csr_array((counts.counts.astype(np.float64), indices, indptr), shape=shape)
    depth = np.asarray(matrix.sum(axis=1)).ravel()
    matrix.data /= np.repeat(depth, np.diff(counts.indptr))
    return matrix


def too_large(n_known: int, width: int, options: ForestOptions) -> str | None:
    """Return why a forest would not fit in memory, None if it would.

    Args:
        n_known: number of samples to learn from.
        width: numbers of a node: the number of classes, or 1.
    """
    needed, free = forest_bytes(n_known, width, options.trees or TREES), host_memory(MAX_MEMORY_SHARE)
    if needed <= free:
        return None
    of_classes = f" with {width:,} classes" if width > 1 else ""
    return (
        f"a forest of {options.trees or TREES:,} trees on {n_known:,} samples{of_classes} needs about "
        f"{needed / 1e9:,.1f} GB of memory, and {max(free, 0) / 1e9:,.1f} GB may be used"
    )


def forest_bytes(n_known: int, width: int, trees: int) -> int:
    """Estimate the memory of a fitted forest whose trees grow until every leaf is pure.

    A bootstrap sample has about 63 % of the samples; a tree of so many leaves has twice as many nodes, each with its
    fields and ``width`` numbers of 8 bytes.
    """
    return int(trees * 2 * 0.632 * n_known * (NODE_BYTES + 8 * width))


def fit_numbers(known: csr_array, target: np.ndarray, new: csr_array, options: ForestOptions) -> ForestResult:
    """Fit a regressor to numbers [R'] (NaN = unknown, skipped) of the samples ``known``, and predict ``new``."""
    from sklearn.ensemble import RandomForestRegressor  # two seconds, which wrong files need not wait for

    has_value = np.isfinite(target)
    forest = RandomForestRegressor(**options.arguments())
    with parallel_config("threading"):
        forest.fit(known[has_value], target[has_value])
        forest.n_jobs = 1  # threads would add up the trees in any order, and the last digits would differ
        return ForestResult(forest.predict(new), forest.feature_importances_)


def fit_classes(
    known: csr_array, target: np.ndarray, new: csr_array, n_classes: int, options: ForestOptions
) -> ForestResult:
    """Fit a classifier to class codes [R'] (NaN = unknown, skipped), and predict all class probabilities of ``new``."""
    from sklearn.ensemble import RandomForestClassifier

    has_value = np.isfinite(target)
    forest = RandomForestClassifier(**options.arguments())
    with parallel_config("threading"):
        forest.fit(known[has_value], target[has_value].astype(np.int64))
        forest.n_jobs = 1
        probabilities = np.zeros((new.shape[0], n_classes))
        probabilities[:, forest.classes_] = forest.predict_proba(new)
        return ForestResult(probabilities, forest.feature_importances_)
