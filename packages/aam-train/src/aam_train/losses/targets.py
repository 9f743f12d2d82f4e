"""How outputs are compared with targets. Axes: B samples, T targets, W outputs, K classes.

A loss gives a value for each sample and target. What a value counts is a weight, 0 where the truth is unknown; weights
are applied here and nowhere else.
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
    """The loss of all targets: a weighted mean of values, whose sum and whose divisor are known apart."""

    @abstractmethod
    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """[B, W] and [B, T] (NaN = unknown) -> losses [B, T]; finite, of no meaning where the truth is unknown."""

    @abstractmethod
    def weights(self, targets: Tensor) -> Tensor:
        """Weights [B, T] of the values by what is predicted, 0 where the truth is unknown."""

    def sum(self, outputs: Tensor, targets: Tensor, sample_weights: Tensor | None = None) -> Tensor:
        """Weighted sum of all values, a scalar; ``sample_weights`` [B]."""
        return (self.values(outputs, targets) * self._weights(targets, sample_weights)).sum()

    def count(self, targets: Tensor, sample_weights: Tensor | None = None) -> float:
        """What the sum is divided by: the sum of all weights. Everything is on the host."""
        return float(self._weights(targets, sample_weights).sum())

    def _weights(self, targets: Tensor, sample_weights: Tensor | None) -> Tensor:
        weights = self.weights(targets)
        return weights if sample_weights is None else weights * sample_weights[:, None]


@dataclass(frozen=True)
class NumberLoss:
    """The loss of one numeric target.

    Attributes:
        kind: a key of `REGRESSION_LOSSES`.
        spread: standard deviation of its training values in transformed units: residuals are in units of it.
        delta: where huber bends, in these units.
        quantiles: of "quantile", those of its outputs.
        over, under: of "asymmetric", what a prediction that is too high or too low costs.
        weight: of this target among the others.
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
        """Outputs of the target."""
        return max(len(self.quantiles), 1)

    def __call__(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Outputs [B, width] and truth [B] in transformed units, NaN = unknown -> losses [B]."""
        known = torch.isfinite(target)[:, None]
        residuals = torch.where(known, outputs - torch.nan_to_num(target)[:, None], 0.0) / self.spread
        return REGRESSION_LOSSES[self.kind](residuals, self)


@dataclass(frozen=True, eq=False)
class NumberLosses(TargetLoss):
    """The loss of numeric targets, each with its own.

    Attributes:
        targets: of the T targets, in the order of their outputs.
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
        weights: [K] of the classes; None for 1 each.
        device: of the model.
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
