"""A linear head and one with hidden layers beside it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aam_models.predictor.conditioning.conditions import Conditions
from aam_models.predictor.heads.base import Head, HeadOutput
from aam_models.predictor.heads.film import FilmHead
from aam_models.predictor.heads.mixture import MixtureHead
from aam_models.predictor.heads.mlp import MlpHead


class ResidualHead(Head):
    """``linear(x) + body(x)``; the body's last layer starts at 0, so it starts equal to the linear head.

    Args:
        linear: one linear layer.
        body: has hidden layers; its outputs become 0.
    """

    def __init__(self, linear: MlpHead, body: MlpHead | FilmHead | MixtureHead) -> None:
        super().__init__()
        self.linear, self.body = linear, body
        for head in body.experts if isinstance(body, MixtureHead) else [body]:
            assert isinstance(head, MlpHead | FilmHead)
            nn.init.zeros_(head.last.weight)
            nn.init.zeros_(head.last.bias)

    def forward(self, x: Tensor, conditions: Conditions) -> HeadOutput:
        body: HeadOutput = self.body(x, conditions)
        return HeadOutput(self.linear(x, conditions).outputs + body.outputs, body.routing)

    @torch.no_grad()
    def start_at(self, outputs: Tensor) -> None:
        self.linear.start_at(outputs)
