"""Attention of some vectors over others. Axes: B samples, Q queries, K keys, D width, H heads."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class Attend(nn.Module):
    """Multi-head attention with LayerNorms before it, to be added to the queries.

    Args:
        zero: whether what is added starts at zero.
    """

    def __init__(self, width: int, heads: int, *, zero: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.query_norm = nn.LayerNorm(width)
        self.key_norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)  # a bias would add the same to all scores: softmax ignores it
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        if zero:
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """[B, Q, D] over [B, K, D] -> [B, Q, D]."""
        normed = self.key_norm(keys)
        query, key = self._split(self.query(self.query_norm(queries))), self._split(self.key(normed))
        attended = F.scaled_dot_product_attention(query, key, self._split(self.value(normed)))
        out: Tensor = self.out(attended.transpose(1, 2).reshape(queries.shape))
        return out

    def weights(self, queries: Tensor, keys: Tensor) -> Tensor:
        """The attention weights [B, H, Q, K], which `forward` does not form; for looking at a model."""
        query, key = self._split(self.query(self.query_norm(queries))), self._split(self.key(self.key_norm(keys)))
        scores: Tensor = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        return scores.softmax(dim=-1)

    def _split(self, x: Tensor) -> Tensor:
        """[B, Y, D] -> [B, H, Y, D / H]."""
        rows, positions, width = x.shape
        return x.view(rows, positions, self.heads, width // self.heads).transpose(1, 2)
