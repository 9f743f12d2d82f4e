"""What a model must beat: a constant and a random forest, on the same samples of the same split.

The forest sees relative abundances of the fixed rarefaction draw and learns from training and validation samples
together: it needs nothing to stop early on.
"""

from __future__ import annotations

import numpy as np
from joblib import parallel_config
from scipy.sparse import csr_array
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from aam_data.preprocessor import Preprocessor
from aam_data.table import SampleCounts
from aam_train.loading import FIXED_DRAW
from aam_train.run_data import RunData

TREES = 500


def baseline_outputs(data: RunData, targets: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Predictions of the baselines for the test samples, in the form of the model's own.

    Args:
        data: the run's split.
        targets: float32 [B of the study, T] transformed values or class codes, NaN = missing.
        seed: of the forest.

    Returns:
        "constant" and "random_forest": float [R, T] transformed values, or [R, K] class probabilities.
    """
    learn = np.concatenate([data.rows["train"], data.rows["validation"]])
    abundances = relative_abundances(data, np.concatenate([learn, data.rows["test"]]))
    known, new = abundances[: len(learn)], abundances[len(learn) :]
    if data.preprocessor.labels is not None:
        return _classes(known, targets[learn, 0], new, data.preprocessor, seed)
    found = [_numbers(known, targets[learn, t], new, seed) for t in range(targets.shape[1])]
    return {name: np.stack([each[name] for each in found], axis=1) for name in found[0]}


def relative_abundances(data: RunData, rows: np.ndarray) -> csr_array:
    """Samples by ASVs [R, A], each sample summing to 1, fixed draw."""
    counts: SampleCounts = data.maker.samples.rarefier.draw(rows, FIXED_DRAW)
    shape = (len(rows), data.study.table.n_features)
    # scikit-learn's trees want 32-bit indices
    indices, indptr = counts.indices.astype(np.int32), counts.indptr.astype(np.int32)
    matrix = csr_array((counts.counts.astype(np.float64), indices, indptr), shape=shape)
    depth = np.asarray(matrix.sum(axis=1)).ravel()
    matrix.data /= np.repeat(depth, np.diff(counts.indptr))
    return matrix


def _numbers(known: csr_array, target: np.ndarray, new: csr_array, seed: int) -> dict[str, np.ndarray]:
    have = np.isfinite(target)
    forest = RandomForestRegressor(TREES, max_features="sqrt", random_state=seed % 2**32, n_jobs=-1)
    with parallel_config("threading"):
        forest.fit(known[have], target[have])
    return {"constant": np.full(new.shape[0], target[have].mean()), "random_forest": forest.predict(new)}


def _classes(
    known: csr_array, target: np.ndarray, new: csr_array, preprocessor: Preprocessor, seed: int
) -> dict[str, np.ndarray]:
    have = np.isfinite(target)
    codes = target[have].astype(np.int64)
    n_classes = preprocessor.targets[0].spec.width
    forest = RandomForestClassifier(TREES, max_features="sqrt", random_state=seed % 2**32, n_jobs=-1)
    with parallel_config("threading"):
        forest.fit(known[have], codes)
    probabilities = np.zeros((new.shape[0], n_classes))
    probabilities[:, forest.classes_] = forest.predict_proba(new)
    prior = np.bincount(codes, minlength=n_classes) / len(codes)
    return {"constant": np.tile(prior, (new.shape[0], 1)), "random_forest": probabilities}
