"""From occurrences to padded samples. Axes: B samples, S slots, N occurrences, D width."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from aam_models.batch import Batch


def to_slots(values: Tensor, batch: Batch) -> Tensor:
    """Values of occurrences, [N] or [N, D], laid out as padded samples, [B, S] or [B, S, D]; empty slots are zero.

    Only the [N, D] form is differentiated (see `gather`).
    """
    padded = torch.cat([values, values.new_zeros((1, *values.shape[1:]))])
    return padded[batch.slots] if values.dim() == 1 else gather(padded, batch.slots)


def gather(rows: Tensor, index: Tensor) -> Tensor:
    """``rows[index]`` for [R, D] rows: the gradient of F.embedding is summed in a fixed order, that of indexing not."""
    return F.embedding(index, rows)
