"""What a baseline is, and the data that all of them read: the same samples, split and draw as the model.

Baselines learn from training, validation and calibration samples together, since they need none to stop early. Needs
no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.sparse import csr_array, hstack

from aam_data.preprocessing.metadata_inputs import InputValues, MetadataInputs
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.preprocessing.rarefaction import FIXED_DRAW, Rarefier
from aam_data.unifrac.pair_targets import PairTargets


@dataclass(frozen=True, eq=False)
class BaselineData:
    """A split of a study as the baselines read it.

    Attributes:
        preprocessor: the run's.
        rows: int64 rows of the study by part; those of "test" are predicted, all others are learned from.
        rarefier: draws the reads.
        inputs: metadata of all samples that the model reads; None for none.
        targets: float32 [B, T] transformed values or class codes of all samples of the study, NaN = missing.
        groups: int64 [B] group of all samples of the study, for inner folds.
        pairs: true distances of a tree or a matrix; None without either.
    """

    preprocessor: Preprocessor
    rows: Mapping[str, np.ndarray]
    rarefier: Rarefier
    inputs: InputValues | None
    targets: np.ndarray
    groups: np.ndarray
    pairs: PairTargets | None = None

    @property
    def learned(self) -> np.ndarray:
        """Rows to learn from, in the order of the parts, int64."""
        return np.concatenate([rows for part, rows in self.rows.items() if part != "test"])

    @property
    def n_classes(self) -> int | None:
        """Number of classes; None for numbers."""
        return None if self.preprocessor.labels is None else self.preprocessor.targets[0].spec.width

    def metadata(self, rows: np.ndarray) -> csr_array | None:
        """Return the metadata that the model reads of samples ``rows``, [R, X]; None if it reads none."""
        return None if self.inputs is None else metadata_features(self.preprocessor.inputs, self.inputs, rows)

    def abundances(self, rows: np.ndarray) -> csr_array:
        """Return relative abundances of samples ``rows``, [R, A], followed by the metadata that the model reads."""
        shares, metadata = relative_abundances(self.rarefier, rows), self.metadata(rows)
        return shares if metadata is None else hstack([shares, metadata], "csr")


class Fitted(Protocol):
    """A fitted baseline."""

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Predict samples ``rows`` (int64 [R]) of the study.

        Returns:
            float64 [R, T] transformed values, or [R, K] class probabilities.
        """
        ...


class Baseline(Protocol):
    """A baseline: what it needs, and how it is fitted."""

    @property
    def name(self) -> str:
        """Its name in `aam_train.options.baselines.BASELINES`."""
        ...

    def lacks(self, data: BaselineData) -> str | None:
        """Return what the run does not have and the baseline needs; None if it has everything."""
        ...

    def too_large(self, data: BaselineData) -> str | None:
        """Return why the baseline would not fit in memory; None if it would."""
        ...

    def fit(self, data: BaselineData, rows: np.ndarray) -> Fitted:
        """Fit to samples ``rows`` (int64 [N]) of the study; targets that are missing are skipped."""
        ...


def counts_matrix(rarefier: Rarefier, rows: np.ndarray) -> csr_array:
    """Return the reads (or fractions) [R, A] of samples in the fixed draw."""
    counts = rarefier.draw(rows, FIXED_DRAW)
    shape = (len(rows), rarefier.table.n_features)
    # scikit-learn's trees need 32-bit indices
    indices, indptr = counts.indices.astype(np.int32), counts.indptr.astype(np.int32)
    return csr_array((counts.counts.astype(np.float64), indices, indptr), shape=shape)


def relative_abundances(rarefier: Rarefier, rows: np.ndarray) -> csr_array:
    """Compute the relative abundances [R, A] of samples in the fixed draw; each row sums to 1."""
    matrix = counts_matrix(rarefier, rows)
    depth = np.asarray(matrix.sum(axis=1)).ravel()
    matrix.data /= np.repeat(depth, np.diff(matrix.indptr))
    return matrix


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
