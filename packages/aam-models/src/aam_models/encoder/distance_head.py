"""Sample embeddings -> UniFrac distances, through a monotone map that is calibrated before training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aam_models.errors import ModelError

MIN_SLOPE = 0.05
_EPS = 1e-6  # added to d^2: keeps the logarithm and its gradient finite for equal embeddings


class DistanceHead(nn.Module):
    """``sigmoid(a/2 * log(d^2 + eps) + b)`` with d the Euclidean distance of two embeddings, a > 0.

    That is d^a / (d^a + e^-b): 0 for equal samples, 1 far apart, and a power law between. UniFrac values crowd in a
    narrow band; without calibration the first hundreds of steps go into finding it.

    Attributes:
        spread: standard deviation of the training distances, the unit of the loss.
    """

    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(()))  # a = MIN_SLOPE + exp(slope)
        self.offset = nn.Parameter(torch.zeros(()))  # b
        self.register_buffer("spread", torch.ones(()))

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Map embeddings of pairs, [P, D] each, to distances in (0, 1), [P]."""
        return torch.sigmoid(self._a() * _half_log_square(left, right) + self.offset)

    def _a(self) -> Tensor:
        return MIN_SLOPE + self.slope.exp()

    @torch.no_grad()
    def calibrate(self, left: Tensor, right: Tensor, targets: Tensor) -> None:
        """Set a and b so that the distances of these pairs have their targets' mean and spread (as logits).

        Args:
            left, right: embeddings of training pairs [P, D].
            targets: their true distances [P], NaN where undefined.

        Raises:
            ModelError: fewer than two pairs have a true distance, so there is no spread.
        """
        known = torch.isfinite(targets)
        if (n_known := int(known.sum())) < 2:
            raise ModelError(f"{n_known} of {len(targets)} pairs of training samples have a distance: 2 are needed")
        self.spread.copy_(targets[known].std().clamp_min(1e-3))
        logits = torch.logit(targets[known], eps=1e-3)
        x = _half_log_square(left[known], right[known])
        a = (logits.std() / x.std().clamp_min(1e-6)).clamp(2 * MIN_SLOPE, 4.0)
        self.slope.copy_((a - MIN_SLOPE).log())
        self.offset.copy_(logits.mean() - a * x.mean())


def _half_log_square(left: Tensor, right: Tensor) -> Tensor:
    """Return the log of the Euclidean distance, from differences: |x|^2 + |y|^2 - 2xy loses 1e-2 here in float32."""
    return 0.5 * torch.log((left - right).square().sum(dim=-1) + _EPS)
