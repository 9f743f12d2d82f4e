"""Perceiver (Jaegle et al. 2021, arXiv:2103.03206): learned latents read sample and metadata, then each other.

Axes: B samples, P latents, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aam_models.config.conditioning import ConditioningConfig
from aam_models.encoder.transformer import Block
from aam_models.predictor.conditioning.conditions import Conditions
from aam_models.predictor.fusion.attention import Attend
from aam_models.predictor.fusion.tokens import ConditionTokens

STD = 0.3  # of new latents, as of the encoder's embeddings


class PerceiverFusion(nn.Module):
    """``x + map(mean of the latents)``; the map starts at zero, so the model starts as the one without conditions."""

    def __init__(self, config: ConditioningConfig, width: int, heads: int) -> None:
        super().__init__()
        self.tokens = ConditionTokens(config, width)
        self.latents = nn.Parameter(torch.empty(config.fusion.latents, width))
        nn.init.normal_(self.latents, std=STD)
        self.reads = nn.ModuleList(Attend(width, heads) for _ in range(config.fusion.layers))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(config.fusion.layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, samples: Tensor, conditions: Conditions) -> Tensor:
        """[B, D] -> [B, D]."""
        inputs = torch.cat([samples[:, None], self.tokens(conditions)], dim=1)
        latents = self.latents.expand(len(samples), -1, -1)
        for read, block in zip(self.reads, self.blocks, strict=True):
            latents = block(latents + read(latents, inputs))
        fused: Tensor = samples + self.out(self.norm(latents).mean(dim=1))
        return fused
