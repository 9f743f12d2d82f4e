"""Linear maps that keep less, against the plain operations: numbers, gradients, types, and what is kept."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from aam_models.encoder.recompute import gelu_linear, norm_linear
from aam_models.encoder.transformer import Block

ROWS, POSITIONS, WIDTH, OUT = 3, 5, 8, 6
Map = Callable[[Tensor], Tensor]


def parts(kind: torch.dtype = torch.float64) -> tuple[Tensor, nn.LayerNorm, nn.Linear]:
    torch.manual_seed(0)
    norm, linear = nn.LayerNorm(WIDTH, dtype=kind), nn.Linear(WIDTH, OUT, dtype=kind)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    return torch.randn(ROWS, POSITIONS, WIDTH, dtype=kind, requires_grad=True), norm, linear


def maps(norm: nn.LayerNorm, linear: nn.Linear) -> list[tuple[Map, Map, list[Tensor]]]:
    """Ours, the plain one, and the weights of both."""
    return [
        (lambda x: norm_linear(x, norm, linear), lambda x: linear(norm(x)), [*norm.parameters(), *linear.parameters()]),
        (lambda x: gelu_linear(x, linear), lambda x: linear(F.gelu(x)), list(linear.parameters())),
    ]


def kept(run: Callable[[], Tensor], weights: list[Tensor]) -> int:
    """Numbers that autograd keeps for the backward pass, each tensor once, without weights."""
    found = {}

    def pack(tensor: Tensor) -> Tensor:
        found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes() // tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = run()
    for weight in weights:
        found.pop(weight.untyped_storage().data_ptr(), None)
    found.pop(output.untyped_storage().data_ptr(), None)
    return sum(found.values())


@pytest.mark.parametrize("which", [0, 1])
def test_gradients_are_those_of_differences(which: int) -> None:
    x, norm, linear = parts()
    ours, _, weights = maps(norm, linear)[which]
    assert torch.autograd.gradcheck(lambda x, *_: ours(x), (x, *weights))


@pytest.mark.parametrize("which", [0, 1])
def test_plain_operations_give_the_same(which: int) -> None:
    x, norm, linear = parts(torch.float32)
    ours, plain, weights = maps(norm, linear)[which]
    found, expected = ours(x), plain(x)
    assert torch.equal(found, expected)
    upstream = torch.randn(POSITIONS, ROWS, OUT).transpose(0, 1)  # as attention returns it: not contiguous
    gradients = torch.autograd.grad(found, [x, *weights], upstream)
    torch.testing.assert_close(gradients, torch.autograd.grad(expected, [x, *weights], upstream), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_autocast_multiplies_in_16_bits_and_returns_gradients_of_32(which: int, kind: torch.dtype) -> None:
    x, norm, linear = parts(torch.float32)
    ours, plain, weights = maps(norm, linear)[which]
    with torch.autocast("cpu", kind):
        found, expected = ours(x), plain(x)
    assert found.dtype == expected.dtype == kind
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)
    gradients = torch.autograd.grad(found.float().sin().sum(), [x, *weights])  # outside autocast, as a step does
    assert {gradient.dtype for gradient in gradients} == {torch.float32}
    exact = torch.autograd.grad(plain(x).sin().sum(), [x, *weights])
    torch.testing.assert_close(gradients, exact, rtol=0.05, atol=0.05)


def test_a_16_bit_input_of_autocast_is_normed_in_the_type_of_the_weights() -> None:
    x, norm, linear = parts(torch.float32)
    rounded = x.detach().bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found = norm_linear(rounded, norm, linear)
    (gradient,) = torch.autograd.grad(found.float().sum(), [rounded])
    assert (found.dtype, gradient.dtype) == (torch.bfloat16, torch.bfloat16)
    torch.testing.assert_close(found.float(), linear(norm(rounded.float())), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("which", [0, 1])
def test_only_the_input_is_kept(which: int) -> None:
    x, norm, linear = parts(torch.float32)
    ours, plain, weights = maps(norm, linear)[which]
    of_plain = 2 * x.numel() + (2 * ROWS * POSITIONS if which == 0 else 0)  # mean and deviation of the LayerNorm
    assert kept(lambda: ours(x), weights) == x.numel()
    assert kept(lambda: plain(x), weights) == of_plain


def test_nothing_is_kept_without_gradients() -> None:
    x, norm, linear = parts(torch.float32)
    for ours, plain, weights in maps(norm, linear):
        with torch.no_grad():
            assert kept(lambda ours=ours: ours(x), weights) == 0  # type: ignore[misc]
            assert torch.equal(ours(x), plain(x))


def test_a_block_keeps_ten_widths_a_token() -> None:
    block = Block(WIDTH, 2)
    x = torch.randn(4, 64, WIDTH, requires_grad=True)
    numbers = kept(lambda: block(x), list(block.parameters()))
    per_token = numbers / (4 * 64)
    # and of the attention kernel one number a head, padding included; 16 widths with plain operations
    assert 10 * WIDTH <= per_token < 11 * WIDTH


@pytest.mark.parametrize("precision", [None, torch.bfloat16])
def test_checkpointing_of_what_is_computed_again(precision: torch.dtype | None) -> None:
    def context() -> AbstractContextManager[object]:
        return nullcontext() if precision is None else torch.autocast("cpu", precision)

    block = Block(WIDTH, 2)
    x = torch.randn(2, 6, WIDTH, requires_grad=True)
    inputs = [x, *block.parameters()]
    with context():
        expected, found = block(x), checkpoint(block, x, use_reentrant=False)
    assert torch.equal(found, expected)
    gradients = torch.autograd.grad(found.float().sin().sum(), inputs)
    assert all(
        torch.equal(*pair)
        for pair in zip(gradients, torch.autograd.grad(expected.float().sin().sum(), inputs), strict=True)
    )


def test_frozen_weights_and_frozen_inputs() -> None:
    x, norm, linear = parts(torch.float32)
    for ours, plain, weights in maps(norm, linear):
        (found,), (expected,) = (torch.autograd.grad(f(x.detach()).sum(), weights[-1:]) for f in (ours, plain))
        torch.testing.assert_close(found, expected)
        for weight in weights:
            weight.requires_grad_(False)
        (found,), (expected,) = (torch.autograd.grad(f(x).sin().sum(), [x]) for f in (ours, plain))
        torch.testing.assert_close(found, expected)
        for weight in weights:
            weight.requires_grad_(True)


def test_the_meta_device_has_shapes_alone() -> None:
    block = Block(WIDTH, 2).to("meta")
    x = torch.randn(2, 6, WIDTH, device="meta", requires_grad=True)
    block(x).sum().backward()
    assert x.grad is not None
    assert (x.grad.device.type, x.grad.shape) == ("meta", x.shape)


def test_the_gradient_has_no_gradient() -> None:
    x, norm, linear = parts(torch.float32)
    for ours, _, _ in maps(norm, linear):
        (gradient,) = torch.autograd.grad(ours(x).sin().sum(), [x], create_graph=True)
        with pytest.raises(RuntimeError, match="once_differentiable"):
            gradient.sum().backward()
