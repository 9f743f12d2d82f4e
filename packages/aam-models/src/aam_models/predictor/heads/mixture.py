"""Several heads, of which a sample's category takes its share (a soft mixture of experts). Axes: K experts."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aam_models.predictor.conditioning.conditions import Conditions
from aam_models.predictor.heads.base import Head, HeadOutput
from aam_models.predictor.heads.film import FilmHead
from aam_models.predictor.heads.mlp import MlpHead


class MixtureHead(Head):
    """``sum_k share_k(category) * expert_k(x)``, shares a softmax of a linear map of the category's embedding.

    All experts start as copies of one, so it starts equal to that head whatever the shares; the shares of the
    categories start apart, and so the experts part. Unknown categories start with equal shares.

    Args:
        expert: what each expert starts as.
        n_experts: K.
        column: of the categories that choose.
        embed_dim: E.
    """

    def __init__(self, expert: MlpHead | FilmHead, n_experts: int, column: int, embed_dim: int) -> None:
        super().__init__()
        self.column = column
        self.experts = nn.ModuleList(copy.deepcopy(expert) for _ in range(n_experts))
        self.gate = nn.Linear(embed_dim, n_experts)
        nn.init.normal_(self.gate.weight, std=embed_dim**-0.5)
        nn.init.zeros_(self.gate.bias)

    def forward(self, x: Tensor, conditions: Conditions) -> HeadOutput:
        embedded = conditions.embedded[:, self.column]
        shares = self.gate(F.layer_norm(embedded, embedded.shape[-1:])).softmax(dim=1)
        each = torch.stack([expert(x, conditions).outputs for expert in self.experts], dim=1)
        return HeadOutput((shares[:, :, None] * each).sum(dim=1), shares)

    @torch.no_grad()
    def start_at(self, outputs: Tensor) -> None:
        for expert in self.experts:
            assert isinstance(expert, MlpHead | FilmHead)
            expert.start_at(outputs)
