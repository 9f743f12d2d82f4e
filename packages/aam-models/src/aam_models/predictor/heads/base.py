"""What all heads have in common. Axes: B samples, D width, W outputs of all targets, E of a category's embedding."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from aam_models.predictor.conditioning.conditions import Conditions


class HeadOutput(NamedTuple):
    """Of a head."""

    outputs: Tensor  # [B, W]
    routing: Tensor | None = None  # [B, K] share of each expert, of a mixture of experts


class Head(nn.Module):
    """From a sample's vector to its outputs, before the output link."""

    @abstractmethod
    def forward(self, x: Tensor, conditions: Conditions) -> HeadOutput:
        """Outputs of samples ``x`` [B, D] of these categories."""

    @abstractmethod
    def start_at(self, outputs: Tensor) -> None:
        """Let the head begin around these outputs [W] for every sample."""
