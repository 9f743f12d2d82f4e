"""Taxa of ASVs. Axes: U distinct ASVs, R ranks."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from aam_models.batch.batch import Batch
from aam_train.losses.occurrences import occurrences


def taxonomy_loss(logits: Tensor, widths: tuple[int, ...], batch: Batch) -> Tensor:
    """Cross-entropy of known taxa at all ranks, each ASV weighted by the samples it occurs in: the sum, a scalar.

    Args:
        logits: [U, sum of widths], the taxa of all ranks one after the other.
        widths: number of taxa by rank.
        batch: its ``taxa`` are int64 [U, R], -1 = unknown.
    """
    assert batch.taxa is not None
    weights = occurrences(batch)
    total = logits.new_zeros(())
    for rank, scores in enumerate(logits.split(widths, dim=1)):
        each = F.cross_entropy(scores, batch.taxa[:, rank], ignore_index=-1, reduction="none")
        total = total + (each * weights).sum()
    return total


def count_taxa(batch: Batch) -> float:
    """Known taxa of all occurrences and ranks; ``batch`` is on the host."""
    if batch.taxa is None:
        return 0.0
    return float(((batch.taxa >= 0) * occurrences(batch)[:, None]).sum())
