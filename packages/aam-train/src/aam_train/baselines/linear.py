"""CLR baseline: ridge or L2 logistic regression on centred log-ratios of the reads.

The centred log-ratio (Aitchison 1982, doi:10.1111/j.2517-6161.1982.tb01195.x) of a sample is the logarithm of its
reads, plus a pseudocount for the ASVs that it does not have, less the mean over all ASVs. Products of samples are
computed from the ASVs that they have, so that the matrix is never dense.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from aam_train.baselines.kernel import FittedKernel, KernelSource, fit_kernel, kernel_too_large
from aam_train.baselines.protocol import BaselineData, counts_matrix

PSEUDOCOUNT = 0.1  # of the smallest number in the table: a tenth of a read


@dataclass(frozen=True, eq=False)
class _ClrKernel:
    """Products of centred log-ratios, and of the metadata that the model reads.

    Attributes:
        pseudocount: added to all reads.
        weight: of the metadata, which gives them the variance of the log-ratios; 0 without any.
        means, scales: [X] of the metadata.
    """

    data: BaselineData
    pseudocount: float
    weight: float = 0.0
    means: np.ndarray | None = None
    scales: np.ndarray | None = None

    @classmethod
    def of(cls, data: BaselineData, rows: np.ndarray) -> _ClrKernel:
        reads = counts_matrix(data.rarefier, rows).data
        kernel = cls(data, PSEUDOCOUNT * float(reads.min(initial=1.0)))
        metadata = data.metadata(rows)
        if metadata is None:
            return kernel
        dense = metadata.toarray()
        spread = dense.std(axis=0)
        means, scales = dense.mean(axis=0), np.where(spread > 0, spread, 1.0)
        own = np.square((dense - means) / scales).sum(axis=1).mean()
        logs, log_means = kernel.logarithms(rows)
        squares = np.asarray(logs.multiply(logs).sum(axis=1)).ravel() - logs.shape[1] * np.square(log_means)
        return cls(data, kernel.pseudocount, float(squares.mean() / own) if own > 0 else 0.0, means, scales)

    def logarithms(self, rows: np.ndarray) -> tuple[csr_array, np.ndarray]:
        """Return log-ratios to an absent ASV [R, A], which are 0 for absent ones, and their means [R]."""
        logs = counts_matrix(self.data.rarefier, rows)
        logs.data = np.log1p(logs.data / self.pseudocount)
        return logs, np.asarray(logs.sum(axis=1)).ravel() / logs.shape[1]

    def values(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """See `KernelSource`."""
        (left, left_means), (right, right_means) = self.logarithms(rows), self.logarithms(columns)
        products: np.ndarray = (left @ right.T).toarray() - left.shape[1] * np.outer(left_means, right_means)
        if self.weight:
            products += self.weight * self._metadata(rows) @ self._metadata(columns).T
        return products

    def _metadata(self, rows: np.ndarray) -> np.ndarray:
        metadata = self.data.metadata(rows)
        assert metadata is not None
        assert self.means is not None
        standardised: np.ndarray = (metadata.toarray() - self.means) / self.scales
        return standardised


@dataclass(frozen=True)
class ClrLinear:
    """Ridge (numbers) or L2 logistic regression (classes) on centred log-ratios."""

    seed: int
    name: str = "clr_linear"

    def lacks(self, data: BaselineData) -> str | None:
        """See `Baseline`."""
        return None

    def too_large(self, data: BaselineData) -> str | None:
        """See `Baseline`."""
        return kernel_too_large(data)

    def fit(self, data: BaselineData, rows: np.ndarray) -> FittedKernel:
        """See `Baseline`."""
        source: KernelSource = _ClrKernel.of(data, rows)
        return fit_kernel(source, data, rows, self.seed)
