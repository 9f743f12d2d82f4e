"""Attention of vectors over other vectors. Axes: B samples, Q queries, K keys, D width, H heads."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from aam_models.flops import attention_flops


class CrossAttention(nn.Module):
    """Multi-head attention with LayerNorms before it, to be added to the queries.

    Args:
        zero: whether the output starts at zero.
    """

    def __init__(self, width: int, heads: int, *, zero: bool = False) -> None:
        super().__init__()
        self.width, self.heads = width, heads
        self.query_norm = nn.LayerNorm(width)
        self.key_norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)  # a bias would add the same to all scores: softmax ignores it
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        if zero:
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)

    def flops(self, queries: int, keys: int) -> int:
        """Count the operations for one sample: two maps of each query and each key, and attention."""
        return 4 * self.width**2 * (queries + keys) + attention_flops(self.width, queries, keys)

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Attend from [B, Q, D] over [B, K, D]; returns [B, Q, D]."""
        normed = self.key_norm(keys)
        query, key = self._split(self.query(self.query_norm(queries))), self._split(self.key(normed))
        attended = F.scaled_dot_product_attention(query, key, self._split(self.value(normed)))
        out: Tensor = self.out(attended.transpose(1, 2).reshape(queries.shape))
        return out

    def weights(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Return the attention weights [B, H, Q, K], which `forward` does not materialize, for inspecting a model."""
        query, key = self._split(self.query(self.query_norm(queries))), self._split(self.key(self.key_norm(keys)))
        scores: Tensor = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        return scores.softmax(dim=-1)

    def _split(self, x: Tensor) -> Tensor:
        """Split [B, Y, D] into heads, [B, H, Y, D / H]."""
        rows, positions, width = x.shape
        return x.view(rows, positions, self.heads, width // self.heads).transpose(1, 2)
