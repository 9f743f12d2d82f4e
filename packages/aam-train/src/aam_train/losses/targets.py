"""Losses of targets. Axes: B samples, T targets, W outputs, K classes.

A loss has a value for each sample and target. Each value has a weight, 0 if the truth is unknown; weights are applied
only here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from aam_train.losses.regression import REGRESSION_LOSSES


class TargetLoss(ABC):
    """Loss of all targets: a weighted mean of values, with its sum and its divisor available separately."""

    @abstractmethod
    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Compute losses [B, T]; they are finite but meaningless where ``targets`` [B, T] are NaN (unknown)."""

    @abstractmethod
    def weights(self, targets: Tensor) -> Tensor:
        """Compute the weights [B, T] of the values from the targets, 0 if the truth is unknown."""

    def sum(self, outputs: Tensor, targets: Tensor, sample_weights: Tensor | None = None) -> Tensor:
        """Compute the weighted sum of all values, a scalar; ``sample_weights`` [B]."""
        return (self.values(outputs, targets) * self._weights(targets, sample_weights)).sum()

    def count(self, targets: Tensor, sample_weights: Tensor | None = None) -> float:
        """Compute the divisor of the sum: the sum of all weights. All tensors are on the host."""
        return float(self._weights(targets, sample_weights).sum())

    def _weights(self, targets: Tensor, sample_weights: Tensor | None) -> Tensor:
        weights = self.weights(targets)
        return weights if sample_weights is None else weights * sample_weights[:, None]


@dataclass(frozen=True)
class NumberLoss:
    """Loss of one numeric target.

    Attributes:
        kind: a key of `REGRESSION_LOSSES`.
        spread: standard deviation of its training values in transformed units; residuals are in this unit.
        delta: residual at which huber turns linear, in units of ``spread``.
        quantiles: levels of the outputs of "quantile".
        over, under: costs of "asymmetric" for predictions that are too high and too low.
        weight: weight of this target among all targets.
    """

    kind: str
    spread: float = 1.0
    delta: float = 1.0
    quantiles: tuple[float, ...] = ()
    over: float = 1.0
    under: float = 1.0
    weight: float = 1.0

    @property
    def width(self) -> int:
        """Number of outputs of the target."""
        return max(len(self.quantiles), 1)

    def __call__(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Compute losses [B] from outputs [B, width] and truth [B] in transformed units (NaN = unknown)."""
        known = torch.isfinite(target)[:, None]
        residuals = torch.where(known, outputs - torch.nan_to_num(target)[:, None], 0.0) / self.spread
        return REGRESSION_LOSSES[self.kind](residuals, self)


@dataclass(frozen=True, eq=False)
class NumberLosses(TargetLoss):
    """Loss of numeric targets.

    Attributes:
        targets: loss of each of the T targets, in the order of their outputs.
    """

    targets: tuple[NumberLoss, ...]

    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        parts = outputs.split([loss.width for loss in self.targets], dim=1)
        each = zip(self.targets, parts, targets.unbind(dim=1), strict=True)
        return torch.stack([loss(part, truth) for loss, part, truth in each], dim=1)

    def weights(self, targets: Tensor) -> Tensor:
        columns = zip(self.targets, torch.isfinite(targets).to(targets.dtype).unbind(dim=1), strict=True)
        return torch.stack([loss.weight * known for loss, known in columns], dim=1)


class ClassLoss(TargetLoss):
    """Cross-entropy of classes.

    Args:
        weights: [K] weights of the classes; None if all are 1.
        device: device of the model.
    """

    def __init__(self, weights: Sequence[float] | None = None, device: torch.device | None = None) -> None:
        host = None if weights is None else torch.tensor(weights, dtype=torch.float32)
        self._on_host, self._on_device = host, None if host is None or device is None else host.to(device)

    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, torch.nan_to_num(targets[:, 0]).long(), reduction="none")[:, None]

    def weights(self, targets: Tensor) -> Tensor:
        known = torch.isfinite(targets).to(targets.dtype)
        table = self._on_host if targets.device.type == "cpu" or self._on_device is None else self._on_device
        if table is None:
            return known
        return known * table.to(targets.dtype)[torch.nan_to_num(targets).long()]
