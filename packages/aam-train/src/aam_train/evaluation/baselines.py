"""Baselines to compare a model with, on the same samples of the same split: a constant and a random forest.

The forest reads relative abundances of the fixed rarefaction draw, and the metadata that the model reads. It is trained
on training, validation and calibration samples together, since it needs none for early stopping. If the model reads
metadata, a second forest reads the metadata alone: its score shows how much of the signal is not in the microbes.
Needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, hstack

from aam_data.preprocessing.metadata_inputs import InputValues, MetadataInputs
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.preprocessing.rarefaction import Rarefier
from aam_train.evaluation.random_forest import (
    ForestOptions,
    ForestResult,
    fit_classes,
    fit_numbers,
    relative_abundances,
    too_large,
)


@dataclass(frozen=True, eq=False)
class BaselineData:
    """A split of a study as the baselines read it.

    Attributes:
        preprocessor: the run's.
        rows: int64 rows of the study by part; those of "test" are predicted, all others are learned from.
        rarefier: draws the reads.
        inputs: metadata of all samples that the model reads; None for none.
        targets: float32 [B, T] transformed values or class codes of all samples of the study, NaN = missing.
    """

    preprocessor: Preprocessor
    rows: Mapping[str, np.ndarray]
    rarefier: Rarefier
    inputs: InputValues | None
    targets: np.ndarray

    @property
    def learned(self) -> np.ndarray:
        """Rows to learn from, in the order of the parts, int64."""
        return np.concatenate([rows for part, rows in self.rows.items() if part != "test"])

    def features(self) -> dict[str, csr_array]:
        """Return what each forest reads, first of the samples to learn from, then of those to predict."""
        rows = np.concatenate([self.learned, self.rows["test"]])
        abundances = relative_abundances(self.rarefier, rows)
        if self.inputs is None:
            return {"random_forest": abundances}
        metadata = metadata_features(self.preprocessor.inputs, self.inputs, rows)
        return {"random_forest": hstack([abundances, metadata], "csr"), "metadata_forest": metadata}


@dataclass(frozen=True, eq=False)
class Baselines:
    """Predictions of the test samples.

    Attributes:
        outputs: by baseline ("constant", "random_forest" and, if the model reads metadata, "metadata_forest"), float
            [R, T] transformed values, or [R, K] class probabilities.
        left_out: reason for each baseline that was not computed.
        importance: float64 [A] importance of each feature of the random forest, the mean over targets; None if it was
            left out.
    """

    outputs: dict[str, np.ndarray]
    left_out: dict[str, str]
    importance: np.ndarray | None


def compute_baselines(data: BaselineData, options: ForestOptions) -> Baselines:
    """Predict the test samples with the baselines; a forest that does not fit in memory is left out."""
    n_known = len(data.learned)
    known = data.targets[data.learned]
    labels = data.preprocessor.labels
    n_classes = None if labels is None else data.preprocessor.targets[0].spec.width
    if n_classes is None:
        constant = np.nanmean(known, axis=0, dtype=np.float64)
    else:
        prior = np.bincount(known[np.isfinite(known[:, 0]), 0].astype(np.int64), minlength=n_classes)
        constant = prior / prior.sum()
    outputs = {"constant": np.tile(constant, (len(data.rows["test"]), 1))}
    if reason := too_large(n_known, n_classes or 1, options):
        names = ["random_forest", *(["metadata_forest"] if data.inputs is not None else [])]
        return Baselines(outputs, dict.fromkeys(names, reason), None)
    importance: dict[str, np.ndarray] = {}
    for name, x in data.features().items():
        old, new = x[:n_known], x[n_known:]
        if n_classes is not None:
            fitted = [fit_classes(old, known[:, 0], new, n_classes, options)]
            outputs[name] = fitted[0].outputs
        else:
            fitted = [fit_numbers(old, known[:, t], new, options) for t in range(known.shape[1])]
            outputs[name] = np.stack([each.outputs for each in fitted], axis=1)
        importance[name] = _mean_importance(fitted)
    return Baselines(outputs, {}, importance["random_forest"])


def _mean_importance(fitted: list[ForestResult]) -> np.ndarray:
    mean: np.ndarray = np.mean([each.importance for each in fitted], axis=0)
    return mean


def metadata_features(fitted: MetadataInputs, inputs: InputValues, rows: np.ndarray) -> csr_array:
    """Return the metadata that the model reads of samples ``rows``, [R, X]: one-hot categories, and covariates."""
    pairs = zip(inputs.codes[rows].T, fitted.categories.sizes, strict=True)
    ones = [codes[:, None] == np.arange(1, size) for codes, size in pairs]
    return csr_array(np.concatenate([*ones, inputs.covariates[rows]], axis=1).astype(np.float64))


def metadata_names(fitted: MetadataInputs) -> list[str]:
    """Return the names of the columns of `metadata_features`: ``column=category``, and covariates."""
    categories = fitted.categories
    names = [
        f"{column}={name}" for column, each in zip(categories.columns, categories.names, strict=True) for name in each
    ]
    columns = fitted.covariates.columns
    return [*names, *columns, *(f"{column} is missing" for column in columns)]
