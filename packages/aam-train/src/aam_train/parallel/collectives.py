"""Gathering tensor rows over processes, with and without a gradient.

Axes: b rows of this process, N rows of all processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class _Gather(torch.autograd.Function):
    """All-gather of rows; the backward pass sums the gradients of all processes for this process's rows."""

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
    """Gather the rows of all processes in rank order, [b, ...] -> [N, ...]; differentiable.

    A collective: all processes of the group must call it, and run its backward pass.

    Args:
        rows: as many as ``sizes`` lists for this process; may be empty.
        sizes: number of rows of each process, the same on all of them.
        group: processes to gather from.
    """
    gathered: Tensor = _Gather.apply(rows, tuple(sizes), group)
    return gathered


def collect(rows: Tensor, sizes: Sequence[int], group: dist.ProcessGroup) -> Tensor:
    """Gather rows as `gather` does, without a gradient; pads to equal shapes, which collectives need."""
    padded = rows.new_zeros((max(sizes), *rows.shape[1:]))
    padded[: rows.shape[0]] = rows
    parts = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(parts, padded, group=group)
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])
