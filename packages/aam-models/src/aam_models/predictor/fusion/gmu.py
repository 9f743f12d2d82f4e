"""Gated multimodal unit (Arevalo et al. 2017, arXiv:1702.01992): a gate decides between sample and metadata."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aam_models.config.conditioning import ConditioningConfig
from aam_models.predictor.conditioning.conditions import Conditions
from aam_models.predictor.fusion.base import Fusion


class GmuFusion(Fusion):
    """``2 (z x + (1 - z) tanh(V m))`` with the gate ``z = sigmoid(W [x, m])`` and the metadata m.

    The sample's side keeps the encoder's embedding; in the paper it has a map and a tanh of its own. W and V start at
    zero: z is then a half, and the model the one without conditions.
    """

    kind = "gmu"

    def __init__(self, config: ConditioningConfig, width: int, heads: int) -> None:
        super().__init__(config, width, heads)
        self.columns = config.fused
        wide = len(self.columns) * config.embed_dim + 2 * config.covariates
        self.gate = nn.Linear(width + wide, width)
        self.metadata = nn.Linear(wide, width)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, samples: Tensor, conditions: Conditions) -> Tensor:
        categories = [conditions.embedded[:, column] for column in self.columns]
        metadata = torch.cat([*categories, conditions.covariates], dim=1)
        gate = torch.sigmoid(self.gate(torch.cat([samples, metadata], dim=1)))
        fused: Tensor = 2 * (gate * samples + (1 - gate) * torch.tanh(self.metadata(metadata)))
        return fused
