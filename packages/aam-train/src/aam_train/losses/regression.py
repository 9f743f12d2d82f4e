"""Losses of numbers, value by value, on residuals in standard deviations of the training targets.

A residual is prediction minus truth. Axes: B samples, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def mse(residual: Tensor) -> Tensor:
    """Squares."""
    return residual.square()


def mae(residual: Tensor) -> Tensor:
    """Sizes."""
    return residual.abs()


def huber(residual: Tensor, delta: Tensor | float) -> Tensor:
    """``r^2`` up to ``delta``, then ``delta (2 |r| - delta)`` (Huber 1964, times 2)."""
    size = residual.abs()
    return torch.where(size <= delta, residual.square(), delta * (2 * size - delta))


def asymmetric(residual: Tensor, over: float, under: float) -> Tensor:
    """``over * r`` of predictions that are too high, ``under * |r|`` of those too low; both 1 = `mae`.

    Its best prediction is the quantile ``under / (over + under)`` of the target.
    """
    return torch.where(residual > 0, over * residual, -under * residual)


def pinball(residuals: Tensor, quantiles: Sequence[float]) -> Tensor:
    """Pinball loss [B] of quantiles' residuals [B, Q], their mean (Koenker & Bassett 1978).

    Of quantile ``q``: ``(1 - q) r`` where the prediction is too high, ``q |r|`` where it is too low.
    """
    each = zip(quantiles, residuals.unbind(dim=-1), strict=True)
    return torch.stack([torch.maximum((1 - q) * r, -q * r) for q, r in each]).mean(dim=0)
