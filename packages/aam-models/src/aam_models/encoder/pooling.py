"""Attention pooling: from a set of vectors to one."""

from __future__ import annotations

from torch import Tensor, nn

from aam_models.flops import linear_flops


class AttentionPooling(nn.Module):
    """A weighted mean over positions; every head has a learned query and its own share of the width.

    The query starts at zero, which makes it a plain mean.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.score = nn.Linear(width, heads, bias=False)  # a bias would shift all positions alike: softmax ignores it
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.score.weight)

    def flops(self, positions: int, rows: int) -> int:
        """Count the operations of pooling ``positions`` vectors into ``rows``."""
        return positions * linear_flops(self.score) + rows * linear_flops(self.out)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Pool [X, Y, D] to [X, D]; ``mask`` bool [X, Y], True = real; every row needs at least one real position."""
        rows, positions, width = x.shape
        scores = self.score(x)  # [X, Y, H]
        if mask is not None:
            scores = scores.masked_fill(~mask[:, :, None], float("-inf"))
        weights = scores.softmax(dim=1)[..., None]  # [X, Y, H, 1]
        pooled = (weights * x.view(rows, positions, self.heads, width // self.heads)).sum(dim=1)
        return self.out(pooled.reshape(rows, width))
