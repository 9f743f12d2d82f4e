"""Occurrences of each distinct ASV in a batch: the weight of what is computed once for all of them."""

from __future__ import annotations

from torch import Tensor

from aam_models.batch.batch import Batch


def occurrences(batch: Batch) -> Tensor:
    """Count the samples that have each distinct ASV, float [U]; on the batch's device."""
    ones = batch.counts.new_ones(batch.n_occurrences)
    return ones.new_zeros(batch.n_asvs).index_add(0, batch.asv_index, ones)
