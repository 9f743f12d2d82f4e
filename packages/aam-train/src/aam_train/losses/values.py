"""Losses of single numbers: hidden abundances, Faith's PD, targets."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from aam_models.batch import Batch
from aam_models.sample_encoder import standardized_log_abundance, to_slots

_RESIDUAL_LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "mse": torch.square,
    "mae": torch.abs,
    # 0.5 r^2 up to 1, then linear; doubled, so that near 0 it is the mse
    "huber": lambda residual: 2 * F.huber_loss(residual, torch.zeros_like(residual), reduction="none"),
}


def hidden_count_loss(predicted: Tensor, batch: Batch) -> Tensor:
    """Squared errors of hidden abundances: their sum, a scalar; ``predicted`` [B, S]."""
    assert batch.hidden_counts is not None
    error = predicted - standardized_log_abundance(batch)
    return (error.square() * to_slots(batch.hidden_counts, batch)).sum()


def count_hidden(batch: Batch) -> int:
    """Occurrences whose abundance is hidden; ``batch`` is on the host."""
    return 0 if batch.hidden_counts is None else int(batch.hidden_counts.sum())


def residual_loss(kind: str, predicted: Tensor, target: Tensor) -> Tensor:
    """mse, mae or huber summed over the known targets, a scalar.

    Args:
        kind: "mse", "mae" or "huber".
        predicted, target: the same shape, in units where the training targets' standard deviation is 1; NaN targets
            are unknown.
    """
    known = torch.isfinite(target)
    residual = torch.where(known, predicted - torch.where(known, target, 0.0), 0.0)
    return (_RESIDUAL_LOSSES[kind](residual) * known).sum()


def class_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy summed over the samples with a known class; logits [B, K], target float [B] of codes or NaN."""
    known = torch.isfinite(target)
    codes = torch.where(known, target, 0.0).long()
    return (F.cross_entropy(logits, codes, reduction="none") * known).sum()


def count_known(target: Tensor) -> int:
    """Targets that are known (not NaN); ``target`` is on the host."""
    return int(torch.isfinite(target).sum())
