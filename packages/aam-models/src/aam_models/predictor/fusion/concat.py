"""Concatenation: sample, categories and covariates side by side, through one linear map."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aam_models.config.conditioning import ConditioningConfig
from aam_models.predictor.conditioning.conditions import Conditions
from aam_models.predictor.fusion.base import Fusion


class ConcatFusion(Fusion):
    """``x + W [x, categories, covariates]``; W starts at zero, so the model starts as the one without conditions."""

    kind = "concat"

    def __init__(self, config: ConditioningConfig, width: int, heads: int) -> None:
        super().__init__(config, width, heads)
        self.columns = config.fused
        wide = width + len(self.columns) * config.embed_dim + 2 * config.covariates
        self.linear = nn.Linear(wide, width)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, samples: Tensor, conditions: Conditions) -> Tensor:
        categories = [conditions.embedded[:, column] for column in self.columns]
        together = torch.cat([samples, *categories, conditions.covariates], dim=1)
        fused: Tensor = samples + self.linear(together)
        return fused
