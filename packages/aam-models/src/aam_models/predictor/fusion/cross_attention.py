"""Cross-attention: the sample attends to its categories and covariates, and to itself. Axes: B samples, D width."""

from __future__ import annotations

import torch
from torch import Tensor

from aam_models.config.conditioning import ConditioningConfig, FusionConfig
from aam_models.flops import linear_flops
from aam_models.predictor.conditioning.conditions import Conditions
from aam_models.predictor.fusion.attention import CrossAttention
from aam_models.predictor.fusion.base import Fusion
from aam_models.predictor.fusion.tokens import ConditionTokens


class CrossAttentionFusion(Fusion):
    """``x + attention of x over [x, tokens]``; it starts at zero, so the model starts as the one without conditions.

    The sample is among the keys so that it can ignore its metadata; with a single token and no other key the weights
    would always be 1.
    """

    kind = "cross-attention"

    def __init__(self, config: ConditioningConfig, width: int, heads: int) -> None:
        super().__init__(config, width, heads)
        self.tokens = ConditionTokens(config, width)
        self.attend = CrossAttention(width, config.fusion.heads, zero=True)

    def forward(self, samples: Tensor, conditions: Conditions) -> Tensor:
        fused: Tensor = samples + self.attend(samples[:, None], self._keys(samples, conditions)).squeeze(1)
        return fused

    def flops(self) -> int:
        return linear_flops(self.tokens) + self.attend.flops(1, 1 + self.tokens.n_tokens)

    @classmethod
    def describe(cls, config: FusionConfig) -> str:
        return f"{cls.kind}, {config.heads} heads"

    def weights(self, samples: Tensor, conditions: Conditions) -> Tensor:
        """Return attention [B, H, 1 + C (+ 1)] over the sample itself, the fused columns in order, and covariates."""
        return self.attend.weights(samples[:, None], self._keys(samples, conditions)).squeeze(2)

    def _keys(self, samples: Tensor, conditions: Conditions) -> Tensor:
        return torch.cat([samples[:, None], self.tokens(conditions)], dim=1)
