"""UniFrac baseline: ridge or logistic regression on the principal coordinates of the UniFrac distances.

The kernel of squared distances is that of MiRKAT (Zhao et al. 2015, doi:10.1016/j.ajhg.2015.04.003). The distances are
those of the run's tree or matrix, in its metric, of the same reads.
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
    """Minus half the squared distance, which is a product after centring; missing distances are the largest."""

    pairs: PairTargets

    def values(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """See `KernelSource`."""
        distances = self.pairs.pairs(rows, columns, FIXED_DRAW).astype(np.float64)
        distances = np.nan_to_num(distances, nan=float(np.nanmax(distances, initial=0.0)))
        kernel: np.ndarray = -np.square(distances) / 2
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
        return fit_kernel(_DistanceKernel(data.pairs), data, rows, self.seed)
