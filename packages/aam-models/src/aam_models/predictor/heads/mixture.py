"""Several heads, mixed by the category of a sample (a soft mixture of experts). Axes: K experts."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aam_models.predictor.conditioning.conditions import Conditions
from aam_models.predictor.heads.base import Head, HeadOutput


class MixtureHead(Head):
    """``sum_k share_k(category) * expert_k(x)``, shares a softmax of a linear map of the category's embedding.

    All experts start as copies of one, so the mixture starts equal to that head whatever the shares. The shares of
    categories start different, and so the experts diverge. Unknown categories start with equal shares.

    Args:
        expert: the head that each expert starts as.
        n_experts: K.
        column: index of the categorical column that sets the shares.
        embed_dim: E.
    """

    def __init__(self, expert: Head, n_experts: int, column: int, embed_dim: int) -> None:
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

    def initialize_output(self, outputs: Tensor) -> None:
        for expert in self._heads():
            expert.initialize_output(outputs)

    def zero_output(self) -> None:
        for expert in self._heads():
            expert.zero_output()

    def _heads(self) -> Iterator[Head]:
        return (cast(Head, expert) for expert in self.experts)
