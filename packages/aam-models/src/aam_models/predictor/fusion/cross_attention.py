"""Cross-attention: the sample looks at its categories and covariates, and at itself. Axes: B samples, D width."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aam_models.config.conditioning import ConditioningConfig
from aam_models.predictor.conditioning.conditions import Conditions
from aam_models.predictor.fusion.attention import Attend
from aam_models.predictor.fusion.tokens import ConditionTokens


class CrossAttentionFusion(nn.Module):
    """``x + attention of x over [x, tokens]``; it starts at zero, so the model starts as the one without conditions.

    The sample is among the keys so that it may look away from its metadata; with a single token and no other key the
    weights would always be 1.
    """

    def __init__(self, config: ConditioningConfig, width: int, heads: int) -> None:
        super().__init__()
        self.tokens = ConditionTokens(config, width)
        self.attend = Attend(width, config.fusion.heads, zero=True)

    def forward(self, samples: Tensor, conditions: Conditions) -> Tensor:
        """[B, D] -> [B, D]."""
        fused: Tensor = samples + self.attend(samples[:, None], self._keys(samples, conditions)).squeeze(1)
        return fused

    def weights(self, samples: Tensor, conditions: Conditions) -> Tensor:
        """Attention [B, H, 1 + C (+ 1)] over the sample itself, the fused columns in order, and all covariates."""
        return self.attend.weights(samples[:, None], self._keys(samples, conditions)).squeeze(2)

    def _keys(self, samples: Tensor, conditions: Conditions) -> Tensor:
        return torch.cat([samples[:, None], self.tokens(conditions)], dim=1)
