"""Outputs of a target that are its quantiles: they ascend, whatever the head gives. Axes: W outputs, T targets."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class AscendingQuantiles(nn.Module):
    """The anchor of each target is taken as it is; from it, quantiles go up and down by positive steps (softplus).

    A target with one output is its anchor.

    Args:
        widths: outputs of each target; they sum to W.
        anchors: of each target the place of its median among its outputs.
    """

    def __init__(self, widths: tuple[int, ...], anchors: tuple[int, ...]) -> None:
        super().__init__()
        self.widths, self.anchors = widths, anchors

    def forward(self, outputs: Tensor) -> Tensor:
        """Free numbers [B, W] -> quantiles [B, W], ascending within each target."""
        parts = zip(outputs.split(self.widths, dim=1), self.anchors, strict=True)
        return torch.cat([self._ascend(part, anchor) for part, anchor in parts], dim=1)

    def invert(self, quantiles: Tensor) -> Tensor:
        """The free numbers [W] that give these quantiles [W]; equal ones become a thousandth apart."""
        parts = []
        for part, anchor in zip(quantiles.split(self.widths), self.anchors, strict=True):
            steps = part.diff().clamp_min(1e-3)
            free = steps + torch.log(-torch.expm1(-steps))  # the inverse of softplus
            parts += [free[:anchor], part[anchor : anchor + 1], free[anchor:]]
        return torch.cat(parts)

    def _ascend(self, part: Tensor, anchor: int) -> Tensor:
        middle = part[:, anchor : anchor + 1]
        down = middle - F.softplus(part[:, :anchor]).flip(1).cumsum(1).flip(1)
        up = middle + F.softplus(part[:, anchor + 1 :]).cumsum(1)
        return torch.cat([down, middle, up], dim=1)
