"""Addition: a vector for each category and one for the covariates are added to the sample's."""

from __future__ import annotations

from torch import Tensor

from aam_models.config.conditioning import ConditioningConfig
from aam_models.predictor.conditioning.conditions import Conditions
from aam_models.predictor.fusion.base import Fusion
from aam_models.predictor.fusion.tokens import ConditionTokens


class AddFusion(Fusion):
    """``x + sum of tokens``; their maps start at zero, so the model starts as the one without conditions."""

    kind = "add"

    def __init__(self, config: ConditioningConfig, width: int, heads: int) -> None:
        super().__init__(config, width, heads)
        self.tokens = ConditionTokens(config, width, zero=True)

    def forward(self, samples: Tensor, conditions: Conditions) -> Tensor:
        tokens: Tensor = self.tokens(conditions)
        return samples + tokens.sum(dim=1)
