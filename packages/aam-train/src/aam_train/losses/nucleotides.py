"""Masked bases. Axes: M masked bases, U distinct ASVs."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from aam_models.batch import Batch


def nucleotide_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of masked bases, each ASV weighted by the samples it occurs in: the sum, a scalar.

    So the loss is that of encoding every occurrence, whoever shares the ASV.

    Args:
        logits: [M, n_bases].
    """
    return (F.cross_entropy(logits, batch.masked_bases, reduction="none") * _occurrences(batch)).sum()


def count_masked(batch: Batch) -> float:
    """Masked bases of all occurrences; ``batch`` is on the host."""
    return float(_occurrences(batch).sum())


def _occurrences(batch: Batch) -> Tensor:
    """How many samples each masked base occurs in, float [M]."""
    ones = batch.counts.new_ones(batch.n_occurrences)
    return ones.new_zeros(batch.n_asvs).index_add(0, batch.asv_index, ones)[batch.masked_rows]
