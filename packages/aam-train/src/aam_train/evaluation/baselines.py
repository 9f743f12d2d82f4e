"""Baselines to compare a model with, on the same samples of the same split: a constant and a random forest.

The forest reads relative abundances of the fixed rarefaction draw, and the metadata that the model reads. It is trained
on training, validation and calibration samples together, since it needs none for early stopping. If the model reads
metadata, a second forest reads the metadata alone: its score shows how much of the signal is not in the microbes.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array, hstack

from aam_data.preprocessing.metadata_inputs import InputValues, MetadataInputs
from aam_train.data.run_data import RunData
from aam_train.evaluation.random_forest import ForestOptions, fit_classes, fit_numbers, relative_abundances


def baseline_outputs(data: RunData, targets: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Predict the test samples with the baselines; predictions have the form of the model's outputs.

    Args:
        data: the run's split.
        targets: float32 [B, T] transformed values or class codes of all samples of the study, NaN = missing.
        seed: random seed of the forest.

    Returns:
        "constant", "random_forest" and, if the model reads metadata, "metadata_forest": float [R, T] transformed
        values, or [R, K] class probabilities.
    """
    learn = np.concatenate([rows for part, rows in data.rows.items() if part != "test"])
    options = ForestOptions(seed)
    rows = np.concatenate([learn, data.rows["test"]])
    features = {"random_forest": relative_abundances(data.maker.samples.rarefier, rows)}
    if data.maker.collator.inputs is not None:
        metadata = metadata_features(data.preprocessor.inputs, data.maker.collator.inputs, rows)
        features = {"random_forest": hstack([features["random_forest"], metadata], "csr"), "metadata_forest": metadata}
    n_new = len(rows) - len(learn)
    if data.preprocessor.labels is not None:
        codes, n_classes = targets[learn, 0], data.preprocessor.targets[0].spec.width
        prior = np.bincount(codes[np.isfinite(codes)].astype(np.int64), minlength=n_classes)
        predictions = {"constant": np.tile(prior / prior.sum(), (n_new, 1))}
        for name, x in features.items():
            predictions[name] = fit_classes(x[: len(learn)], codes, x[len(learn) :], n_classes, options).outputs
        return predictions
    predictions = {"constant": np.tile(np.nanmean(targets[learn], axis=0, dtype=np.float64), (n_new, 1))}
    for name, x in features.items():
        known, new = x[: len(learn)], x[len(learn) :]
        each = [fit_numbers(known, targets[learn, t], new, options).outputs for t in range(targets.shape[1])]
        predictions[name] = np.stack(each, axis=1)
    return predictions


def metadata_features(fitted: MetadataInputs, inputs: InputValues, rows: np.ndarray) -> csr_array:
    """Return the metadata that the model reads of samples ``rows``, [R, X]: one-hot categories, and covariates."""
    pairs = zip(inputs.codes[rows].T, fitted.categories.sizes, strict=True)
    ones = [codes[:, None] == np.arange(1, size) for codes, size in pairs]
    return csr_array(np.concatenate([*ones, inputs.covariates[rows]], axis=1).astype(np.float64))
