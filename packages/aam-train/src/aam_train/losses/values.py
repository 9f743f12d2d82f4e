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


def residuals(predicted: Tensor, target: Tensor) -> Tensor:
    """``predicted - target``, 0 where the target is unknown (NaN); the same shape."""
    known = torch.isfinite(target)
    return torch.where(known, predicted - torch.where(known, target, 0.0), 0.0)


def residual_loss(kind: str, residual: Tensor, delta: Tensor | float = 1.0) -> Tensor:
    """mse, mae or huber of each residual; the same shape.

    Args:
        kind: "mse", "mae" or "huber".
        residual: in units where the training targets' standard deviation is 1.
        delta: where huber bends, in these units; it is ``r^2`` up to there, then ``delta (2 |r| - delta)``.
    """
    if kind == "mse":
        return residual.square()
    if kind == "mae":
        return residual.abs()
    size = residual.abs()
    return torch.where(size <= delta, residual.square(), delta * (2 * size - delta))


def class_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of each sample [B], 0 without a known class; logits [B, K], target float [B] of codes or NaN."""
    known = torch.isfinite(target)
    codes = torch.where(known, target, 0.0).long()
    return F.cross_entropy(logits, codes, reduction="none") * known


def count_known(target: Tensor, weights: Tensor | None = None) -> float:
    """Targets that are known (not NaN), or the sum of their samples' weights [B]; on the host."""
    known = torch.isfinite(target)
    if weights is None:
        return int(known.sum())
    return float((known.double() * weights.double()[:, None]).sum())
