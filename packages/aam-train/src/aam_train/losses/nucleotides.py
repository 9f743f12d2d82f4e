"""Masked bases. Axes: M masked bases, U distinct ASVs."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from aam_models.batch import Batch


def nucleotide_loss(logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Cross-entropy of masked bases, each ASV weighted by the samples it occurs in.

    So the loss is that of encoding every occurrence, whoever shares the ASV.

    Args:
        logits: [M, n_bases].

    Returns:
        Sum over masked bases and sum of their weights, scalars.
    """
    occurrences = logits.new_zeros(batch.n_asvs).index_add(0, batch.asv_index, logits.new_ones(batch.n_occurrences))
    weights = occurrences[batch.masked_rows]
    return (F.cross_entropy(logits, batch.masked_bases, reduction="none") * weights).sum(), weights.sum()
