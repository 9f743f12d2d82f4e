"""Masked bases. Axes: M masked bases, U distinct ASVs."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from aam_models.batch.batch import Batch
from aam_train.losses.occurrences import occurrences


def nucleotide_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of masked bases, each ASV weighted by the samples it occurs in: the sum, a scalar.

    So the loss is that of encoding every occurrence, whoever shares the ASV.

    Args:
        logits: [M, n_bases].
    """
    weights = occurrences(batch)[batch.masked_rows]
    return (F.cross_entropy(logits, batch.masked_bases, reduction="none") * weights).sum()


def count_masked(batch: Batch) -> float:
    """Masked bases of all occurrences; ``batch`` is on the host."""
    return float(occurrences(batch)[batch.masked_rows].sum())
