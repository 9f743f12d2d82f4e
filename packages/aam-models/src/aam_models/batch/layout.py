"""From occurrences to padded samples and back. Axes: S slots, Z slots in all, N occurrences, D width."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from aam_models.batch.batch import Batch


def to_slots(values: Tensor, batch: Batch) -> list[Tensor]:
    """Values of occurrences, [N] or [N, D], laid out as padded samples: [B, S] or [B, S, D] of each group; empty slots
    are zero.

    Only the [N, D] form is differentiated (see `gather`).
    """
    padded = torch.cat([values, values.new_zeros((1, *values.shape[1:]))])
    return batch.by_group(padded[batch.slots] if values.dim() == 1 else gather(padded, batch.slots))


def from_slots(values: Sequence[Tensor], batch: Batch) -> Tensor:
    """Values in the slots, [B, S] of each group, as those of occurrences, [N]."""
    return gather(torch.cat([of_group.flatten() for of_group in values])[:, None], batch.slot_of)[:, 0]


def sample_sums(values: Tensor, batch: Batch) -> Tensor:
    """Sums over the occurrences of each sample, [N] -> [B]; always added up in the same order."""
    return torch.cat([of_group.sum(dim=1) for of_group in to_slots(values, batch)])[batch.places]


def gather(rows: Tensor, index: Tensor) -> Tensor:
    """``rows[index]`` for [R, D] rows: the gradient of F.embedding is summed in a fixed order, that of indexing not."""
    return F.embedding(index, rows)
