"""Losses of numeric targets on residuals (prediction minus truth), in standard deviations of the training targets.

`REGRESSION_LOSSES` has one function for each loss of `aam_train.options.losses.LOSSES`. Axes: B samples, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor


def mse(residual: Tensor) -> Tensor:
    """Return squared residuals."""
    return residual.square()


def mae(residual: Tensor) -> Tensor:
    """Return absolute residuals."""
    return residual.abs()


def huber(residual: Tensor, delta: Tensor | float) -> Tensor:
    """Return ``r^2`` up to ``delta``, then ``delta (2 |r| - delta)`` (Huber 1964, times 2)."""
    size = residual.abs()
    return torch.where(size <= delta, residual.square(), delta * (2 * size - delta))


def asymmetric(residual: Tensor, over: float, under: float) -> Tensor:
    """Return ``over * r`` for predictions that are too high, ``under * |r|`` for those too low; both 1 = `mae`.

    The optimal prediction is the quantile ``under / (over + under)`` of the target.
    """
    return torch.where(residual > 0, over * residual, -under * residual)


def pinball(residuals: Tensor, quantiles: Sequence[float]) -> Tensor:
    """Return the pinball loss [B] of residuals [B, Q], averaged over quantiles (Koenker & Bassett 1978).

    For quantile ``q``: ``(1 - q) r`` if the prediction is too high, ``q |r|`` if it is too low.
    """
    each = zip(quantiles, residuals.unbind(dim=-1), strict=True)
    return torch.stack([torch.maximum((1 - q) * r, -q * r) for q, r in each]).mean(dim=0)


class LossParameters(Protocol):
    """Parameters of the losses, see `aam_train.losses.targets.NumberLoss`."""

    @property
    def delta(self) -> float:
        """Residual at which huber turns linear."""

    @property
    def quantiles(self) -> tuple[float, ...]:
        """Levels of the quantiles."""

    @property
    def over(self) -> float:
        """Cost of a prediction that is too high."""

    @property
    def under(self) -> float:
        """Cost of a prediction that is too low."""


# Functions of residuals [B, W] and parameters that return losses [B]; W is 1 except for quantiles.
REGRESSION_LOSSES: dict[str, Callable[[Tensor, LossParameters], Tensor]] = {
    "mse": lambda residuals, parameters: mse(residuals.squeeze(1)),
    "mae": lambda residuals, parameters: mae(residuals.squeeze(1)),
    "huber": lambda residuals, parameters: huber(residuals.squeeze(1), parameters.delta),
    "quantile": lambda residuals, parameters: pinball(residuals, parameters.quantiles),
    "asymmetric": lambda residuals, parameters: asymmetric(residuals.squeeze(1), parameters.over, parameters.under),
}
