"""Masked bases. Axes: M masked bases, U distinct ASVs."""

from __future__ import annotations

import torch
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
    occurrences = torch.zeros(batch.n_asvs, device=logits.device)
    occurrences.index_add_(0, batch.asv_index, torch.ones_like(batch.counts))
    weights = occurrences[batch.masked_rows]
    return (F.cross_entropy(logits, batch.masked_bases, reduction="none") * weights).sum(), weights.sum()


def nucleotide_hits(logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Masked bases guessed right, and masked bases, each distinct ASV once."""
    return (logits.argmax(dim=-1) == batch.masked_bases).sum(), torch.tensor(len(batch.masked_bases))
