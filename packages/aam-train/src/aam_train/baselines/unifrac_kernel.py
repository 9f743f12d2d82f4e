"""UniFrac baseline: ridge or logistic regression on a kernel of the UniFrac distances.

Kernels of distances between communities as in MiRKAT (Zhao et al. 2015, doi:10.1016/j.ajhg.2015.04.003). The distances
are those of the run's tree or matrix, in its metric, of the same reads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aam_data.preprocessing.rarefaction import FIXED_DRAW
from aam_data.unifrac.pair_targets import PairTargets
from aam_train.baselines.kernel import FittedKernel, fit_kernel, kernel_too_large
from aam_train.baselines.protocol import BaselineData


@dataclass(frozen=True, eq=False)
class _DistanceKernel:
    """exp(-d^2 / 2 s^2); samples without distances are as far as the farthest, and so have a value near 0.

    Attributes:
        pairs: distances.
        width: s, the median distance of the samples to learn from.
    """

    pairs: PairTargets
    width: float

    @classmethod
    def of(cls, pairs: PairTargets, rows: np.ndarray) -> _DistanceKernel:
        distances = pairs.pairs(rows, rows, FIXED_DRAW)[np.triu_indices(len(rows), 1)]
        median = float(np.median(distances[np.isfinite(distances)])) if np.isfinite(distances).any() else 0.0
        return cls(pairs, median or 1.0)

    def values(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """See `KernelSource`."""
        distances = self.pairs.pairs(rows, columns, FIXED_DRAW).astype(np.float64)
        distances = np.nan_to_num(distances, nan=float(np.nanmax(distances, initial=0.0)))
        kernel: np.ndarray = np.exp(-np.square(distances / self.width) / 2)
        return kernel


@dataclass(frozen=True)
class UnifracKernel:
    """Kernel ridge (numbers) or kernel logistic regression (classes) on UniFrac distances."""

    seed: int
    name: str = "unifrac_kernel"

    def lacks(self, data: BaselineData) -> str | None:
        """See `Baseline`."""
        return "it needs --tree or --unifrac-matrix" if data.pairs is None else None

    def too_large(self, data: BaselineData) -> str | None:
        """See `Baseline`."""
        return kernel_too_large(data)

    def fit(self, data: BaselineData, rows: np.ndarray) -> FittedKernel:
        """See `Baseline`."""
        assert data.pairs is not None
        return fit_kernel(_DistanceKernel.of(data.pairs, rows), data, rows, self.seed)
