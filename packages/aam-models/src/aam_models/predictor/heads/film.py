"""Hidden layers that categories scale and shift (FiLM: Perez et al. 2018, arXiv:1709.07871)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from aam_models.config.predictor import PredictorConfig
from aam_models.predictor.conditioning.conditions import Conditions
from aam_models.predictor.heads.base import HeadOutput, SingleHead


class FilmHead(SingleHead):
    """Each hidden layer ``h`` becomes ``gamma * h + beta``, both linear in the embeddings of the sample's categories.

    ``gamma`` starts at 1 and ``beta`` at 0, so it starts equal to the same head without categories.

    Args:
        width: D.
        hidden_dims: widths of the hidden layers, at least one.
        dropout: after each of them.
        out_width: W.
        columns: indices of the categorical columns that condition it.
        embed_dim: E.
    """

    kind = "film"

    def __init__(
        self,
        width: int,
        hidden_dims: tuple[int, ...],
        dropout: float,
        out_width: int,
        columns: tuple[int, ...],
        embed_dim: int,
    ) -> None:
        super().__init__()
        self.columns = list(columns)
        widths = [width, *hidden_dims]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, hidden_dims, strict=False))
        self.films = nn.ModuleList(nn.Linear(len(columns) * embed_dim, 2 * hidden) for hidden in hidden_dims)
        for film in self.films:
            assert isinstance(film, nn.Linear)
            nn.init.zeros_(film.weight)
            nn.init.zeros_(film.bias)
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(widths[-1], out_width)

    @classmethod
    def from_config(cls, config: PredictorConfig) -> Self:
        sizes = config.head_width, config.hidden_dims, config.dropout, config.out_width
        return cls(*sizes, config.film_columns, config.conditioning.embed_dim)

    @classmethod
    def describe(cls, config: PredictorConfig, columns: Sequence[str]) -> str:
        names = ", ".join(columns[column] for column in config.film_columns)
        return f"hidden layers {'-'.join(map(str, config.hidden_dims))}, scaled and shifted by {names} (FiLM)"

    def forward(self, x: Tensor, conditions: Conditions) -> HeadOutput:
        categories = conditions.embedded[:, self.columns].flatten(1)
        for layer, film in zip(self.layers, self.films, strict=True):
            gamma, beta = film(categories).chunk(2, dim=1)
            x = self.dropout(nn.functional.gelu((1 + gamma) * layer(x) + beta))
        return HeadOutput(self.last(x))

    @torch.no_grad()
    def initialize_output(self, outputs: Tensor) -> None:
        self.last.bias.copy_(outputs)

    def zero_output(self) -> None:
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
