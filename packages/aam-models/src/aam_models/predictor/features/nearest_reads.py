"""Missing bases, taken from the most similar training ASV. Axes: U ASVs, R stored reads, L positions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ASVS_AT_ONCE = 512  # of which agreements with all stored reads are in memory


class NearestReads(nn.Module):
    """The commonest training ASVs, and the bases that other reads lack in comparison.

    Without them a read that starts later or ends earlier has other features than the whole read. Hot-deck imputation
    by the nearest neighbour (Andridge and Little 2010, doi:10.1111/j.1751-5823.2010.00103.x).

    Args:
        n_reads: R, the most reads that are stored.
        max_bp: L.
        n_bases: number of bases of the alphabet.
    """

    reads: Tensor

    def __init__(self, n_reads: int, max_bp: int, n_bases: int) -> None:
        super().__init__()
        self.n_bases = n_bases
        self.register_buffer("reads", torch.zeros((n_reads, max_bp), dtype=torch.uint8))

    def set(self, bases: Tensor) -> None:
        """Store reads.

        Args:
            bases: int64 [any number, L] indices of bases, -1 = none; the commonest ASV first. The first R are stored.
        """
        first = bases[: len(self.reads)]
        self.reads.zero_()
        self.reads[: len(first)] = (first + 1).to(torch.uint8)

    def fill(self, bases: Tensor) -> Tensor:
        """Return bases with the missing ones filled in, as far as the nearest read has them.

        The nearest read is the one that differs from an ASV in the fewest of its known bases, and of several the
        commonest. An ASV that is stored itself stays as it is: it is not cut, even if others are longer. So does one
        without any known base.

        Args:
            bases: int64 [U, L] indices of bases, -1 = missing.
        """
        stored = self.reads.long() - 1
        is_fillable = (bases < 0) & (stored >= 0).any(dim=0)
        unfinished = (is_fillable.any(dim=1) & (bases >= 0).any(dim=1)).nonzero()[:, 0]
        filled = bases.clone()
        for rows in unfinished.split(ASVS_AT_ONCE):
            some = bases[rows]
            filled[rows] = torch.where(some < 0, stored[self._nearest(some, stored)], some)
        return filled

    def one_hot(self, most: int) -> Tensor:
        """Return the ``most`` commonest stored reads as one-hot bases, float32 [most, L * n_bases]; 0 where missing."""
        return self._one_hot(self.reads[:most].long() - 1)

    def _nearest(self, bases: Tensor, stored: Tensor) -> Tensor:
        """Return the index of the nearest stored read of each ASV, int64 [U]."""
        n_stored, known = len(stored), bases >= 0
        agreements = (self._one_hot(bases) @ self._one_hot(stored).T).long()
        differences = known.sum(dim=1, keepdim=True) - agreements
        sizes = (stored >= 0).sum(dim=1)
        is_same = (differences == 0) & (sizes == known.sum(dim=1, keepdim=True))
        # one number that orders by differences, then identity, then frequency: argmin of equal values may be any
        rank = (2 * differences + ~is_same) * n_stored + torch.arange(n_stored, device=bases.device)
        return rank.argmin(dim=1)

    def _one_hot(self, bases: Tensor) -> Tensor:
        """Return float32 [n, L * n_bases], 0 where a base is missing; their products are exact integers."""
        one_hot = F.one_hot(bases + 1, self.n_bases + 1)[..., 1:]
        return one_hot.flatten(1).float()
