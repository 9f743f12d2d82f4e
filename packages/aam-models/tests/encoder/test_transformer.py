"""Block and stack against the same written with plain operations."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from aam_models.encoder.transformer import Block, Transformer

ROWS, POSITIONS, WIDTH, HEADS = 4, 7, 12, 3


def randomize(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return module


def layer_norm(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    centred = x - x.mean(dim=-1, keepdim=True)
    return centred / (centred.square().mean(dim=-1, keepdim=True) + norm.eps).sqrt() * norm.weight + norm.bias


def block_by_hand(block: Block, x: Tensor, mask: Tensor | None) -> Tensor:
    """One row and one head at a time, explicit softmax over the positions that may be seen."""
    dim = WIDTH // HEADS
    attended = []
    for row in range(x.shape[0]):
        seen = slice(None) if mask is None else mask[row]
        normed = layer_norm(block.attention_norm, x[row])
        query, key, value = (normed @ block.qkv.weight.T + block.qkv.bias).chunk(3, dim=-1)
        heads = []
        for head in range(HEADS):
            part = slice(head * dim, (head + 1) * dim)
            scores = (query[:, part] @ key[seen, part].T / math.sqrt(dim)).exp()
            heads.append(scores / scores.sum(dim=1, keepdim=True) @ value[seen, part])
        attended.append(torch.cat(heads, dim=1) @ block.attention_out.weight.T + block.attention_out.bias)
    x = x + torch.stack(attended)
    hidden = layer_norm(block.mlp_norm, x) @ block.mlp[0].weight.T + block.mlp[0].bias
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))  # GELU
    return x + hidden @ block.mlp[2].weight.T + block.mlp[2].bias


def some_mask() -> Tensor:
    return torch.arange(POSITIONS) < torch.tensor([[7], [4], [1], [6]])


@pytest.mark.parametrize("masked", [False, True])
def test_block_is_pre_norm_attention_and_mlp(masked: bool) -> None:
    block = randomize(Block(WIDTH, HEADS))
    mask = some_mask() if masked else None
    x = torch.randn(ROWS, POSITIONS, WIDTH, dtype=torch.float64, requires_grad=True)
    inputs = [x, *block.parameters()]
    ours, plain = block(x, mask), block_by_hand(block, x, mask)
    torch.testing.assert_close(ours, plain, rtol=1e-10, atol=1e-12)
    gradients = torch.autograd.grad(ours.sin().sum(), inputs)
    torch.testing.assert_close(gradients, torch.autograd.grad(plain.sin().sum(), inputs), rtol=1e-10, atol=1e-12)


def test_what_is_masked_has_no_influence_and_no_gradient() -> None:
    stack = randomize(Transformer(WIDTH, HEADS, layers=2))
    mask = some_mask()
    x = torch.randn(ROWS, POSITIONS, WIDTH, dtype=torch.float64, requires_grad=True)
    changed = torch.where(mask[..., None], x, 1e3 * torch.randn_like(x))
    torch.testing.assert_close(stack(x, mask)[mask], stack(changed, mask)[mask], rtol=1e-10, atol=1e-12)
    (gradient,) = torch.autograd.grad(stack(x, mask)[mask].sin().sum(), x)
    assert torch.isfinite(gradient).all()
    assert (gradient[~mask] == 0).all()


def test_full_mask_is_no_mask() -> None:
    stack = randomize(Transformer(WIDTH, HEADS, layers=2))
    x = torch.randn(ROWS, POSITIONS, WIDTH, dtype=torch.float64)
    full = torch.ones(ROWS, POSITIONS, dtype=torch.bool)
    torch.testing.assert_close(stack(x, full), stack(x), rtol=1e-10, atol=1e-12)


def test_training_and_evaluation_are_the_same_arithmetic() -> None:
    stack = randomize(Transformer(WIDTH, HEADS, layers=2))
    x, mask = torch.randn(ROWS, POSITIONS, WIDTH, dtype=torch.float64), some_mask()
    trained = stack.train()(x, mask)
    with torch.no_grad():
        torch.testing.assert_close(stack.eval()(x, mask), trained.detach(), rtol=1e-10, atol=1e-12)
