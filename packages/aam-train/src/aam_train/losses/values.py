"""Losses of single numbers: hidden abundances, Faith's PD, targets."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from aam_models.abundance import standardized_log_abundance
from aam_models.batch import Batch
from aam_models.slots import to_slots


def hidden_count_loss(predicted: Tensor, batch: Batch) -> Tensor:
    """Squared errors of hidden abundances: their sum, a scalar; ``predicted`` [B, S]."""
    assert batch.hidden_counts is not None
    error = predicted - standardized_log_abundance(batch)
    return (error.square() * to_slots(batch.hidden_counts, batch)).sum()


def count_hidden(batch: Batch) -> int:
    """Occurrences whose abundance is hidden; ``batch`` is on the host."""
    return 0 if batch.hidden_counts is None else int(batch.hidden_counts.sum())


def residual_loss(kind: str, predicted: Tensor, target: Tensor, delta: Tensor | float = 1.0) -> Tensor:
    """mse, mae or huber summed over the known targets, a scalar.

    Args:
        kind: "mse", "mae" or "huber".
        predicted, target: the same shape, in units where the training targets' standard deviation is 1; NaN targets
            are unknown.
        delta: where huber bends, in these units; it is ``r^2`` up to there, then ``delta (2 |r| - delta)``.
    """
    known = torch.isfinite(target)
    residual = torch.where(known, predicted - torch.where(known, target, 0.0), 0.0)
    if kind == "mse":
        loss = residual.square()
    elif kind == "mae":
        loss = residual.abs()
    else:
        size = residual.abs()
        loss = torch.where(size <= delta, residual.square(), delta * (2 * size - delta))
    return (loss * known).sum()


def class_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy summed over the samples with a known class; logits [B, K], target float [B] of codes or NaN."""
    known = torch.isfinite(target)
    codes = torch.where(known, target, 0.0).long()
    return (F.cross_entropy(logits, codes, reduction="none") * known).sum()


def count_known(target: Tensor) -> int:
    """Targets that are known (not NaN); ``target`` is on the host."""
    return int(torch.isfinite(target).sum())
