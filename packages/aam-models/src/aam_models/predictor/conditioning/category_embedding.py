"""Categories as vectors, one table a column. Axes: B samples, C columns, E width."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from aam_models.config.conditioning import CategoryConfig

STD = 0.3  # of a new table, as of the encoder's embeddings


class NoVectors(nn.Module):
    """In place of a table that nothing reads: it would never learn."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, code: Tensor) -> Tensor:
        """int64 [B] -> zeros [B, E]."""
        return torch.zeros((len(code), self.width), device=code.device)


class CategoryEmbedding(nn.Module):
    """Codes -> vectors. A child's vector is its own plus that of its parent.

    The unknown category (code 0) starts as nothing and stays so unless training samples miss values; in a hierarchy
    it is then its parent, which the sample's own column names. The tables start at random, so that whatever reads
    them may start at zero.
    """

    def __init__(self, categories: Sequence[CategoryConfig], width: int) -> None:
        super().__init__()
        self.parents = tuple(category.parent for category in categories)
        self.tables = nn.ModuleList(
            nn.Embedding(category.size, width) if category.embedded else NoVectors(width) for category in categories
        )
        for table in self.tables:
            if isinstance(table, nn.Embedding):
                nn.init.normal_(table.weight, std=STD)
                nn.init.zeros_(table.weight[0])
        for place, category in enumerate(categories):
            if category.parent >= 0:
                self.register_buffer(f"parent_codes_{place}", torch.tensor(category.parent_codes))

    def forward(self, codes: Tensor) -> Tensor:
        """int64 [B, C] -> [B, C, E]."""
        columns = [self._embed(place, codes[:, place], codes) for place in range(len(self.parents))]
        return torch.stack(columns, dim=1)

    def _embed(self, place: int, code: Tensor, codes: Tensor) -> Tensor:
        """Vectors [B, E] of the codes [B] of one column."""
        vectors: Tensor = self.tables[place](code)
        parent = self.parents[place]
        if parent < 0:
            return vectors
        above = self.get_buffer(f"parent_codes_{place}")[code]
        above = torch.where(above == 0, codes[:, parent], above)
        return vectors + self._embed(parent, above, codes)
