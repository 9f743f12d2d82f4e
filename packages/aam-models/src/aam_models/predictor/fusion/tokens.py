"""Categories and covariates as vectors of the sample embedding's width. Axes: B samples, C fused columns, D width."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aam_models.config.conditioning import ConditioningConfig
from aam_models.predictor.conditioning.conditions import Conditions


class ConditionTokens(nn.Module):
    """One token for each fused category column, and one for all covariates together, each with its own linear map.

    Args:
        zero: whether the maps start at zero.
    """

    def __init__(self, config: ConditioningConfig, width: int, *, zero: bool = False) -> None:
        super().__init__()
        self.columns = config.fused
        self.categories = nn.ModuleList(nn.Linear(config.embed_dim, width) for _ in self.columns)
        self.covariates = nn.Linear(2 * config.covariates, width) if config.covariates else None
        if zero:
            for parameter in self.parameters():
                nn.init.zeros_(parameter)

    @property
    def n_tokens(self) -> int:
        """Tokens of a sample."""
        return len(self.columns) + (self.covariates is not None)

    def forward(self, conditions: Conditions) -> Tensor:
        """Return the tokens, [B, C (+ 1 with covariates), D]."""
        pairs = zip(self.columns, self.categories, strict=True)
        tokens = [linear(conditions.embedded[:, column]) for column, linear in pairs]
        if self.covariates is not None:
            tokens.append(self.covariates(conditions.covariates))
        return torch.stack(tokens, dim=1)
