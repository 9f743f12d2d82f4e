"""Random-forest baselines: scikit-learn's forest on relative abundances and metadata. Needs no torch.

If the model reads metadata, the forest reads them too, and a second forest reads the metadata alone: its score shows
how much of the signal is not in the microbes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import parallel_config
from scipy.sparse import csr_array

from aam_train.baselines.protocol import BaselineData
from aam_train.device.host_memory import host_memory

TREES = 500
# At least: better than 1 with 40 samples or more, and faster. With fewer, most ASVs are in a single sample, and trees
# that may not split it off do not split at all (tadpole, 12 training samples: every prediction was the same).
SAMPLES_PER_LEAF, FEW_SAMPLES = 2, 40
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

    def arguments(self, n_known: int) -> dict[str, Any]:
        """Return the arguments for scikit-learn with this number of samples to learn from."""
        return {
            "n_estimators": self.trees or TREES,
            "max_features": self.max_features,
            "min_samples_leaf": SAMPLES_PER_LEAF if n_known >= FEW_SAMPLES else 1,
            "random_state": self.seed % 2**32,
            "n_jobs": self.jobs,
        }


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
    """Estimate the most memory of a fitted forest: of trees that grow until every leaf is pure.

    A bootstrap sample has about 63 % of the samples; a tree of so many leaves has twice as many nodes, each with its
    fields and ``width`` numbers of 8 bytes.
    """
    return int(trees * 2 * 0.632 * n_known * (NODE_BYTES + 8 * width))


@dataclass(frozen=True, eq=False)
class Forest:
    """A fitted forest of one target.

    Attributes:
        model: scikit-learn's.
        n_classes: number of classes; None for numbers.
    """

    model: Any
    n_classes: int | None

    def predict(self, new: csr_array) -> np.ndarray:
        """Return float64 [R] numbers, or [R, K] probabilities of all classes."""
        with parallel_config("threading"):
            if self.n_classes is None:
                values: np.ndarray = self.model.predict(new)
                return values
            probabilities = np.zeros((new.shape[0], self.n_classes))
            probabilities[:, self.model.classes_] = self.model.predict_proba(new)
            return probabilities

    @property
    def importance(self) -> np.ndarray:
        """Mean decrease in impurity of each feature, float64 [A]; the values sum to 1."""
        importance: np.ndarray = self.model.feature_importances_
        return importance


def fit_forest(known: csr_array, target: np.ndarray, n_classes: int | None, options: ForestOptions) -> Forest:
    """Fit a forest to numbers or class codes [N] (NaN = unknown, skipped) of the samples ``known`` [N, A]."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor  # two seconds: wrong files need not wait

    has_value = np.isfinite(target)
    values = target[has_value] if n_classes is None else target[has_value].astype(np.int64)
    model = (RandomForestRegressor if n_classes is None else RandomForestClassifier)(**options.arguments(len(values)))
    with parallel_config("threading"):
        model.fit(known[has_value], values)
    model.n_jobs = 1  # threads would add up the trees in any order, and the last digits would differ
    return Forest(model, n_classes)


@dataclass(frozen=True, eq=False)
class FittedForests:
    """A forest for each target, or one for all classes."""

    baseline: RandomForest
    data: BaselineData
    forests: Sequence[Forest]

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """See `Fitted`."""
        x = self.baseline.features(self.data, rows)
        outputs = [forest.predict(x) for forest in self.forests]
        return outputs[0] if self.data.n_classes is not None else np.stack(outputs, axis=1)

    @property
    def importance(self) -> np.ndarray:
        """Importance of each feature, the mean over targets, float64 [A]."""
        mean: np.ndarray = np.mean([forest.importance for forest in self.forests], axis=0)
        return mean


@dataclass(frozen=True)
class RandomForest:
    """The forest on relative abundances, and on the metadata that the model reads."""

    options: ForestOptions
    name: str = "random_forest"

    def features(self, data: BaselineData, rows: np.ndarray) -> csr_array:
        """Return what the forest reads of samples ``rows``, [R, A]."""
        return data.abundances(rows)

    def lacks(self, data: BaselineData) -> str | None:
        """See `Baseline`."""
        return None

    def too_large(self, data: BaselineData) -> str | None:
        """See `Baseline`."""
        return too_large(len(data.learned), data.n_classes or 1, self.options)

    def fit(self, data: BaselineData, rows: np.ndarray) -> FittedForests:
        """See `Baseline`."""
        x, known, n_classes = self.features(data, rows), data.targets[rows], data.n_classes
        columns = range(1 if n_classes is not None else known.shape[1])
        return FittedForests(self, data, [fit_forest(x, known[:, t], n_classes, self.options) for t in columns])


@dataclass(frozen=True)
class MetadataForest(RandomForest):
    """The forest on the metadata alone that the model reads."""

    name: str = "metadata_forest"

    def features(self, data: BaselineData, rows: np.ndarray) -> csr_array:
        """See `RandomForest`."""
        metadata = data.metadata(rows)
        assert metadata is not None
        return metadata

    def lacks(self, data: BaselineData) -> str | None:
        """See `Baseline`."""
        return "the model reads no metadata" if data.inputs is None else None
