"""What a model must beat: a constant and a random forest, on the same samples of the same split.

The forest sees relative abundances of the fixed rarefaction draw and learns from training, validation and calibration
samples together: it needs nothing to stop early on.
"""

from __future__ import annotations

import numpy as np

from aam_train.forest import ForestOptions, fit_classes, fit_numbers, relative_abundances
from aam_train.run_data import RunData


def baseline_outputs(data: RunData, targets: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Predictions of the baselines for the test samples, in the form of the model's own.

    Args:
        data: the run's split.
        targets: float32 [B of the study, T] transformed values or class codes, NaN = missing.
        seed: of the forest.

    Returns:
        "constant" and "random_forest": float [R, T] transformed values, or [R, K] class probabilities.
    """
    learn = np.concatenate([rows for part, rows in data.rows.items() if part != "test"])
    options = ForestOptions(seed)
    abundances = relative_abundances(data.maker.samples.rarefier, np.concatenate([learn, data.rows["test"]]))
    known, new = abundances[: len(learn)], abundances[len(learn) :]
    n_new = new.shape[0]
    if data.preprocessor.labels is not None:
        codes, n_classes = targets[learn, 0], data.preprocessor.targets[0].spec.width
        fitted = fit_classes(known, codes, new, n_classes, options)
        prior = np.bincount(codes[np.isfinite(codes)].astype(np.int64), minlength=n_classes)
        return {"constant": np.tile(prior / prior.sum(), (n_new, 1)), "random_forest": fitted.outputs}
    forests = [fit_numbers(known, targets[learn, t], new, options).outputs for t in range(targets.shape[1])]
    constant = np.nanmean(targets[learn], axis=0, dtype=np.float64)
    return {"constant": np.tile(constant, (n_new, 1)), "random_forest": np.stack(forests, axis=1)}
