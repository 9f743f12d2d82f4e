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


def hidden_count_loss(predicted: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Squared errors of hidden abundances, and how many were hidden; ``predicted`` [B, S]."""
    assert batch.hidden_counts is not None
    hidden = to_slots(batch.hidden_counts, batch)
    error = predicted - standardized_log_abundance(batch)
    return (error.square() * hidden).sum(), hidden.sum()


def residual_loss(kind: str, predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """mse, mae or huber over the known targets, and how many there are.

    Args:
        kind: "mse", "mae" or "huber".
        predicted, target: the same shape, in units where the training targets' standard deviation is 1; NaN targets
            are unknown.
    """
    known = torch.isfinite(target)
    residual = torch.where(known, predicted - torch.where(known, target, 0.0), 0.0)
    return (_RESIDUAL_LOSSES[kind](residual) * known).sum(), known.sum()


def class_loss(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy over the samples with a known class; logits [B, K], target float [B] of codes or NaN."""
    known = torch.isfinite(target)
    codes = torch.where(known, target, 0.0).long()
    return (F.cross_entropy(logits, codes, reduction="none") * known).sum(), known.sum()
