"""Perceiver (Jaegle et al. 2021, arXiv:2103.03206): learned latents read sample and metadata, then each other.

Axes: B samples, P latents, D width.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from aam_models.config.conditioning import ConditioningConfig, FusionConfig
from aam_models.encoder.transformer import Block
from aam_models.flops import linear_flops
from aam_models.predictor.conditioning.conditions import Conditions
from aam_models.predictor.fusion.attention import CrossAttention
from aam_models.predictor.fusion.base import Fusion
from aam_models.predictor.fusion.tokens import ConditionTokens

STD = 0.3  # of new latents, as of the encoder's embeddings


class PerceiverFusion(Fusion):
    """``x + map(mean of the latents)``; the map starts at zero, so the model starts as the one without conditions."""

    kind = "perceiver"

    def __init__(self, config: ConditioningConfig, width: int, heads: int) -> None:
        super().__init__(config, width, heads)
        self.tokens = ConditionTokens(config, width)
        self.latents = nn.Parameter(torch.empty(config.fusion.latents, width))
        nn.init.normal_(self.latents, std=STD)
        self.reads = nn.ModuleList(CrossAttention(width, heads) for _ in range(config.fusion.layers))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(config.fusion.layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, samples: Tensor, conditions: Conditions) -> Tensor:
        inputs = torch.cat([samples[:, None], self.tokens(conditions)], dim=1)
        latents = self.latents.expand(len(samples), -1, -1)
        for read, block in zip(self.reads, self.blocks, strict=True):
            latents = block(latents + read(latents, inputs))
        fused: Tensor = samples + self.out(self.norm(latents).mean(dim=1))
        return fused

    def flops(self) -> int:
        latents, keys = self.latents.shape[0], 1 + self.tokens.n_tokens
        reads = sum(cast(CrossAttention, read).flops(latents, keys) for read in self.reads)
        blocks = sum(cast(Block, block).flops(1, latents) for block in self.blocks)
        return linear_flops(self.tokens, self.out) + reads + blocks

    @classmethod
    def describe(cls, config: FusionConfig) -> str:
        return f"{cls.kind}, {config.latents} latents, {config.layers} layers"
