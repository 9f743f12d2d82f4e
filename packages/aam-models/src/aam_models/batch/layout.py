"""Conversion between occurrences and padded samples. Axes: S slots, Z slots in all, N occurrences, D width."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from aam_models.batch.batch import Batch


def to_slots(values: Tensor, batch: Batch) -> list[Tensor]:
    """Lay out values of occurrences, [N] or [N, D], as padded samples: [B, S] or [B, S, D] of each group.

    Empty slots are zero. Only the [N, D] form is differentiated; its gradient is summed in a fixed order (`gather`).
    """
    padded = torch.cat([values, values.new_zeros((1, *values.shape[1:]))])
    return batch.by_group(padded[batch.slots] if values.dim() == 1 else gather(padded, batch.slots))


def from_slots(values: Sequence[Tensor], batch: Batch) -> Tensor:
    """Collect the values of occurrences, [N], from their slots, [B, S] of each group."""
    return gather(torch.cat([group.flatten() for group in values])[:, None], batch.slot_of)[:, 0]


def sample_sums(values: Tensor, batch: Batch) -> Tensor:
    """Sum over the occurrences of each sample, [N] -> [B], always in the same order."""
    return torch.cat([group.sum(dim=1) for group in to_slots(values, batch)])[batch.order]


def gather(rows: Tensor, index: Tensor) -> Tensor:
    """Return ``rows[index]`` of [R, D]. Unlike that of indexing, its gradient is summed in a fixed order."""
    return F.embedding(index, rows)
