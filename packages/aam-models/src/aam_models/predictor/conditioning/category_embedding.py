"""Categories as vectors, one table per column. Axes: B samples, C columns, E width."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from aam_models.config.conditioning import CategoryConfig

STD = 0.3  # of a new table, as of the encoder's embeddings


class NoVectors(nn.Module):
    """A replacement for a table that nothing reads, because it would never learn."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, code: Tensor) -> Tensor:
        """Map int64 [B] to zeros [B, E]."""
        return torch.zeros((len(code), self.width), device=code.device)


class CategoryEmbedding(nn.Module):
    """Codes -> vectors. A child's vector is its own plus that of its parent.

    The vector of the unknown category (code 0) starts at zero and stays there unless training samples miss values; in a
    hierarchy it is then that of its parent, which the sample's own column names. The tables start at random, so that
    the modules that read them may start at zero.
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
        for column, category in enumerate(categories):
            if category.parent >= 0:
                self.register_buffer(f"parent_codes_{column}", torch.tensor(category.parent_codes))

    def forward(self, codes: Tensor) -> Tensor:
        """Map int64 [B, C] to [B, C, E]."""
        vectors = [self._embed(column, codes[:, column], codes) for column in range(len(self.parents))]
        return torch.stack(vectors, dim=1)

    def _embed(self, column: int, code: Tensor, codes: Tensor) -> Tensor:
        """Return vectors [B, E] for the codes [B] of one column."""
        vectors: Tensor = self.tables[column](code)
        parent = self.parents[column]
        if parent < 0:
            return vectors
        parent_code = self.get_buffer(f"parent_codes_{column}")[code]
        parent_code = torch.where(parent_code == 0, codes[:, parent], parent_code)
        return vectors + self._embed(parent, parent_code, codes)
