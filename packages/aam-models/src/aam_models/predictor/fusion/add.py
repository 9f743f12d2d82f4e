"""Addition: a vector for each category and for the covariates is added to the sample's."""

from __future__ import annotations

from torch import Tensor, nn

from aam_models.config.conditioning import ConditioningConfig
from aam_models.predictor.conditioning.conditions import Conditions
from aam_models.predictor.fusion.tokens import ConditionTokens


class AddFusion(nn.Module):
    """``x + sum of tokens``; their maps start at zero, so the model starts as the one without conditions."""

    def __init__(self, config: ConditioningConfig, width: int, heads: int) -> None:
        super().__init__()
        self.tokens = ConditionTokens(config, width, zero=True)

    def forward(self, samples: Tensor, conditions: Conditions) -> Tensor:
        """[B, D] -> [B, D]."""
        tokens: Tensor = self.tokens(conditions)
        return samples + tokens.sum(dim=1)
