"""A linear head, and one with hidden layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from aam_models.config.predictor import PredictorConfig
from aam_models.predictor.conditioning.conditions import Conditions
from aam_models.predictor.heads.base import HeadOutput, SingleHead


class MlpHead(nn.Sequential, SingleHead):
    """Linear layers with GELU and dropout in between; without hidden layers one linear map.

    Args:
        width: D.
        hidden_dims: widths of the hidden layers.
        dropout: after each of them.
        out_width: W.
    """

    kind = "mlp"

    def __init__(self, width: int, hidden_dims: tuple[int, ...], dropout: float, out_width: int) -> None:
        layers: list[nn.Module] = []
        for hidden in hidden_dims:
            layers += [nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout)]
            width = hidden
        super().__init__(*layers, nn.Linear(width, out_width))

    @classmethod
    def from_config(cls, config: PredictorConfig) -> Self:
        return cls(config.head_width, config.hidden_dims, config.dropout, config.out_width)

    @classmethod
    def describe(cls, config: PredictorConfig, columns: Sequence[str]) -> str:
        return f"hidden layers {'-'.join(map(str, config.hidden_dims))}" if config.hidden_dims else "one linear layer"

    def forward(self, x: Tensor, conditions: Conditions) -> HeadOutput:  # type: ignore[override]
        return HeadOutput(nn.Sequential.forward(self, x))

    @property
    def last(self) -> nn.Linear:
        """The layer that computes the outputs."""
        layer = self[-1]
        assert isinstance(layer, nn.Linear)
        return layer

    @torch.no_grad()
    def initialize_output(self, outputs: Tensor) -> None:
        self.last.bias.copy_(outputs)

    def zero_output(self) -> None:
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
