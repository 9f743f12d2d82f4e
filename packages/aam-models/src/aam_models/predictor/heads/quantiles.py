"""Quantiles of a target as outputs that ascend for any input. Axes: W outputs, T targets."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class NoQuantiles(nn.Identity):
    """Outputs that are no quantiles pass unchanged."""

    def invert(self, outputs: Tensor) -> Tensor:
        """Return the outputs."""
        return outputs


class AscendingQuantiles(nn.Module):
    """The anchor of each target is its input; from it, quantiles go up and down by positive steps (softplus).

    A target with one output is its anchor.

    Args:
        widths: outputs of each target; they sum to W.
        anchors: index of each target's median among its outputs.
    """

    def __init__(self, widths: tuple[int, ...], anchors: tuple[int, ...]) -> None:
        super().__init__()
        self.widths, self.anchors = widths, anchors

    def forward(self, outputs: Tensor) -> Tensor:
        """Map any numbers [B, W] to quantiles [B, W] that ascend within each target."""
        targets = zip(outputs.split(self.widths, dim=1), self.anchors, strict=True)
        return torch.cat([self._ascend(target, anchor) for target, anchor in targets], dim=1)

    def invert(self, quantiles: Tensor) -> Tensor:
        """Return the numbers [W] that map to these quantiles [W]; equal ones become a thousandth apart."""
        parts = []
        for target, anchor in zip(quantiles.split(self.widths), self.anchors, strict=True):
            steps = target.diff().clamp_min(1e-3)
            free = steps + torch.log(-torch.expm1(-steps))  # the inverse of softplus
            parts += [free[:anchor], target[anchor : anchor + 1], free[anchor:]]
        return torch.cat(parts)

    def _ascend(self, target: Tensor, anchor: int) -> Tensor:
        middle = target[:, anchor : anchor + 1]
        down = middle - F.softplus(target[:, :anchor]).flip(1).cumsum(1).flip(1)
        up = middle + F.softplus(target[:, anchor + 1 :]).cumsum(1)
        return torch.cat([down, middle, up], dim=1)
