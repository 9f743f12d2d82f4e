"""A linear head, and one with hidden layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aam_models.predictor.conditioning.conditions import Conditions
from aam_models.predictor.heads.base import Head, HeadOutput


class MlpHead(nn.Sequential, Head):
    """Linear layers with GELU and dropout between; without hidden layers one linear map.

    Args:
        width: D.
        hidden_dims: widths of the hidden layers.
        dropout: after each of them.
        out_width: W.
    """

    def __init__(self, width: int, hidden_dims: tuple[int, ...], dropout: float, out_width: int) -> None:
        layers: list[nn.Module] = []
        for hidden in hidden_dims:
            layers += [nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout)]
            width = hidden
        super().__init__(*layers, nn.Linear(width, out_width))

    def forward(self, x: Tensor, conditions: Conditions) -> HeadOutput:  # type: ignore[override]
        return HeadOutput(nn.Sequential.forward(self, x))

    @property
    def last(self) -> nn.Linear:
        """The layer that gives the outputs."""
        layer = self[-1]
        assert isinstance(layer, nn.Linear)
        return layer

    @torch.no_grad()
    def start_at(self, outputs: Tensor) -> None:
        self.last.bias.copy_(outputs)
