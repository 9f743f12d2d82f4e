"""What a model must beat: a constant and a random forest, on the same samples of the same split.

The forest sees relative abundances of the fixed rarefaction draw, and the metadata that the model reads, and learns
from training, validation and calibration samples together: it needs nothing to stop early on. Where the model reads
metadata, a second forest sees these alone: what it knows is no merit of the microbes.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array, hstack

from aam_data.preprocessing.metadata_inputs import InputValues, MetadataInputs
from aam_train.data.run_data import RunData
from aam_train.evaluation.random_forest import ForestOptions, fit_classes, fit_numbers, relative_abundances


def baseline_outputs(data: RunData, targets: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Predictions of the baselines for the test samples, in the form of the model's own.

    Args:
        data: the run's split.
        targets: float32 [B of the study, T] transformed values or class codes, NaN = missing.
        seed: of the forest.

    Returns:
        "constant", "random_forest" and, where the model reads metadata, "metadata_forest": float [R, T] transformed
        values, or [R, K] class probabilities.
    """
    learn = np.concatenate([rows for part, rows in data.rows.items() if part != "test"])
    options = ForestOptions(seed)
    rows = np.concatenate([learn, data.rows["test"]])
    seen = {"random_forest": relative_abundances(data.maker.samples.rarefier, rows)}
    if data.maker.collator.inputs is not None:
        metadata = metadata_features(data.preprocessor.inputs, data.maker.collator.inputs, rows)
        seen = {"random_forest": hstack([seen["random_forest"], metadata], "csr"), "metadata_forest": metadata}
    n_new = len(rows) - len(learn)
    if data.preprocessor.labels is not None:
        codes, n_classes = targets[learn, 0], data.preprocessor.targets[0].spec.width
        prior = np.bincount(codes[np.isfinite(codes)].astype(np.int64), minlength=n_classes)
        found = {"constant": np.tile(prior / prior.sum(), (n_new, 1))}
        for name, features in seen.items():
            found[name] = fit_classes(features[: len(learn)], codes, features[len(learn) :], n_classes, options).outputs
        return found
    found = {"constant": np.tile(np.nanmean(targets[learn], axis=0, dtype=np.float64), (n_new, 1))}
    for name, features in seen.items():
        known, new = features[: len(learn)], features[len(learn) :]
        each = [fit_numbers(known, targets[learn, t], new, options).outputs for t in range(targets.shape[1])]
        found[name] = np.stack(each, axis=1)
    return found


def metadata_features(fitted: MetadataInputs, inputs: InputValues, rows: np.ndarray) -> csr_array:
    """What the model reads of the metadata of samples ``rows``, [R, X]: a 0 or 1 for each category, and covariates."""
    pairs = zip(inputs.codes[rows].T, fitted.categories.sizes, strict=True)
    ones = [codes[:, None] == np.arange(1, size) for codes, size in pairs]
    return csr_array(np.concatenate([*ones, inputs.covariates[rows]], axis=1).astype(np.float64))
