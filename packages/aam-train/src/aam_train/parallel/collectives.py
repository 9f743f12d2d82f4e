"""Rows of all processes in one tensor, with a gradient. Axes: b rows of this process, N of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class _Gather(torch.autograd.Function):
    """Forward: everybody gets everybody's rows. Backward: what all of them owe to the rows of this process."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, sizes: tuple[int, ...], group: dist.ProcessGroup) -> Tensor:
        ctx.sizes, ctx.group = sizes, group
        return collect(rows, sizes, group)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        total = gradient.contiguous()
        dist.all_reduce(total, group=ctx.group)
        rank = dist.get_rank(ctx.group)
        first = sum(ctx.sizes[:rank])
        return total[first : first + ctx.sizes[rank]], None, None


def gather(rows: Tensor, sizes: Sequence[int], group: dist.ProcessGroup) -> Tensor:
    """Rows of all processes, in their order, [b, ...] -> [N, ...]; differentiable.

    Args:
        rows: as many as ``sizes`` says for this process, which may be none.
        sizes: rows of each process, the same on all of them.
        group: entered by all its processes, forward and backward.
    """
    gathered: Tensor = _Gather.apply(rows, tuple(sizes), group)
    return gathered


def collect(rows: Tensor, sizes: Sequence[int], group: dist.ProcessGroup) -> Tensor:
    """The same without a gradient: padded to the most rows, since collectives take equal shapes."""
    most = max(sizes)
    padded = rows.new_zeros((most, *rows.shape[1:]))
    padded[: rows.shape[0]] = rows
    parts = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(parts, padded, group=group)
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])
