"""Pre-norm transformer blocks. Axes: X sequences, Y positions, D width, H heads."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from aam_models.encoder.recompute import gelu_linear, norm_linear
from aam_models.flops import attention_flops

# Vectors of width D that a block keeps for the backward pass for each position, and those of one that learns nothing.
KEPT_VECTORS, KEPT_VECTORS_FROZEN = 16.0, 2.0


class Block(nn.Module):
    """``x + attention(norm(x))``, then ``x + mlp(norm(x))`` (pre-norm, Xiong et al. 2020, arXiv:2002.04745).

    Not nn.TransformerEncoderLayer: its evaluation path returns NaN for fully padded rows and differs from training.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.width, self.heads = width, heads
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        # an nn.Sequential for the names of its weights, which published models have
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def flops(self, rows: int, positions: int) -> int:
        """Count the operations for ``rows`` sequences of ``positions``."""
        return rows * (positions * 24 * self.width**2 + attention_flops(self.width, positions, positions))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map [X, Y, D] to [X, Y, D]; ``mask`` bool [X, Y] is True where a position may be attended to."""
        rows, positions, width = x.shape
        qkv = norm_linear(x, self.attention_norm, self.qkv)
        # split, whose gradient is one concatenation: that of unbinding a [3, X, H, Y, D / H] view is copied twice
        query, key, value = (
            part.view(rows, positions, self.heads, width // self.heads).transpose(1, 2)
            for part in qkv.split(width, dim=-1)
        )
        attention_mask = None if mask is None else mask[:, None, None, :]
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask)
        x = x + self.attention_out(attended.transpose(1, 2).reshape(rows, positions, width))
        first, last = cast(nn.Linear, self.mlp[0]), cast(nn.Linear, self.mlp[2])
        return x + gelu_linear(norm_linear(x, self.mlp_norm, first), last)


class Transformer(nn.Module):
    """A stack of blocks with a final LayerNorm.

    Attributes:
        compiled: replacement for `Block.forward` in training; None = no replacement. Evaluation does not use it, so
            that its results are those of a model that was loaded.
    """

    compiled: Callable[[Block, Tensor, Tensor | None], Tensor] | None = None

    def __init__(self, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.width, self.heads, self.layers = width, heads, layers
        self.blocks = nn.ModuleList(self.new_block() for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def new_block(self) -> Block:
        """Build one more block like those of the stack, with random initial weights."""
        return Block(self.width, self.heads)

    def flops(self, rows: int, positions: int) -> int:
        """Count the operations for ``rows`` sequences of ``positions``."""
        return sum(cast(Block, block).flops(rows, positions) for block in self.blocks)

    def kept_vectors(self, *, frozen: bool) -> float:
        """Estimate the vectors of width D that the blocks keep for the backward pass, for each position.

        Args:
            frozen: whether no parameter learns.
        """
        return self.layers * (KEPT_VECTORS_FROZEN if frozen else KEPT_VECTORS)

    def recomputed_vectors(self, *, frozen: bool) -> float:
        """Estimate the same for ``recompute``: the inputs of all blocks, and the vectors of one block at a time."""
        return self.layers + (KEPT_VECTORS_FROZEN if frozen else KEPT_VECTORS)

    def forward(self, x: Tensor, mask: Tensor | None = None, *, recompute: bool = False) -> Tensor:
        """Map [X, Y, D] to [X, Y, D].

        Args:
            mask: bool [X, Y], True = real.
            recompute: drop the activations inside the blocks in training, and compute them again in the backward pass:
                less memory, more time, the same results.
        """
        run = self._compiled_for(x) or _run
        for block in self.blocks:
            assert isinstance(block, Block)
            if recompute and self.training:
                x = checkpoint(run, block, x, mask, use_reentrant=False, preserve_rng_state=False)  # no dropout
            else:
                x = run(block, x, mask)
        return self.norm(x)

    def _compiled_for(self, x: Tensor) -> Callable[[Block, Tensor, Tensor | None], Tensor] | None:
        """Return ``compiled`` in training, unless a size is 1: torch.compile would make a graph of its own for it."""
        return self.compiled if self.training and torch.is_grad_enabled() and min(x.shape[:2]) > 1 else None


def _run(block: Block, x: Tensor, mask: Tensor | None) -> Tensor:
    return block(x, mask)
