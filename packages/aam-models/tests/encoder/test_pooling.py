"""Attention pooling against an explicit loop."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aam_models.encoder.pooling import AttentionPooling

ROWS, POSITIONS, WIDTH, HEADS = 4, 6, 12, 3


def random_pooling() -> AttentionPooling:
    generator = torch.Generator().manual_seed(2)
    pooling = AttentionPooling(WIDTH, HEADS).double()
    with torch.no_grad():
        for parameter in pooling.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return pooling


def pool_by_hand(pooling: AttentionPooling, x: Tensor, mask: Tensor | None) -> Tensor:
    dim = WIDTH // HEADS
    rows = []
    for row in range(ROWS):
        real = [p for p in range(POSITIONS) if mask is None or mask[row, p]]
        parts = []
        for head in range(HEADS):
            weights = torch.stack([(pooling.score.weight[head] @ x[row, p]).exp() for p in real])
            values = torch.stack([x[row, p, head * dim : (head + 1) * dim] for p in real])
            parts.append((weights[:, None] * values).sum(dim=0) / weights.sum())
        rows.append(pooling.out.weight @ torch.cat(parts) + pooling.out.bias)
    return torch.stack(rows)


@pytest.mark.parametrize("masked", [False, True])
def test_every_head_is_a_weighted_mean_of_its_share(masked: bool) -> None:
    pooling = random_pooling()
    mask = torch.arange(POSITIONS) < torch.tensor([[6], [1], [3], [5]]) if masked else None
    x = torch.randn(ROWS, POSITIONS, WIDTH, dtype=torch.float64, requires_grad=True)
    inputs = [x, *pooling.parameters()]
    ours, plain = pooling(x, mask), pool_by_hand(pooling, x, mask)
    torch.testing.assert_close(ours, plain, rtol=1e-10, atol=1e-12)
    gradients = torch.autograd.grad(ours.sin().sum(), inputs)
    torch.testing.assert_close(gradients, torch.autograd.grad(plain.sin().sum(), inputs), rtol=1e-10, atol=1e-12)


def test_a_new_pooling_is_a_plain_mean() -> None:
    pooling = AttentionPooling(WIDTH, HEADS).double()
    x = torch.randn(ROWS, POSITIONS, WIDTH, dtype=torch.float64)
    torch.testing.assert_close(pooling(x), pooling.out(x.mean(dim=1)), rtol=1e-10, atol=1e-12)


def test_order_of_positions_does_not_matter() -> None:
    pooling = random_pooling()
    x = torch.randn(ROWS, POSITIONS, WIDTH, dtype=torch.float64)
    torch.testing.assert_close(pooling(x.flip(1)), pooling(x), rtol=1e-10, atol=1e-12)
