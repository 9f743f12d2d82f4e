"""Losses of single numbers of the encoder: hidden abundances, Faith's PD."""

from __future__ import annotations

import torch
from torch import Tensor

from aam_models.batch.batch import Batch
from aam_models.encoder.abundance import standardized_log_abundance


def hidden_count_loss(predicted: Tensor, batch: Batch) -> Tensor:
    """Squared errors of hidden abundances: their sum, a scalar; ``predicted`` [N]."""
    assert batch.hidden_counts is not None
    error = predicted - standardized_log_abundance(batch)
    return (error.square() * batch.hidden_counts).sum()


def count_hidden(batch: Batch) -> int:
    """Occurrences whose abundance is hidden; ``batch`` is on the host."""
    return 0 if batch.hidden_counts is None else int(batch.hidden_counts.sum())


def squared_errors(predicted: Tensor, target: Tensor) -> Tensor:
    """Squared errors summed over the known targets, a scalar; NaN targets are unknown."""
    known = torch.isfinite(target)
    return torch.where(known, predicted - torch.where(known, target, 0.0), 0.0).square().sum()


def count_known(target: Tensor) -> int:
    """Targets that are known (not NaN); ``target`` is on the host."""
    return int(torch.isfinite(target).sum())
