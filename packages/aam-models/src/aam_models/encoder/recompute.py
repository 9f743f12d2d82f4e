"""Linear maps of a LayerNorm and of a GELU that do not keep their input. Axes: ... any, D width in, O width out.

A linear map keeps its input for the gradient of its weight. If that input is the output of a LayerNorm or a GELU,
autograd also keeps the input of the LayerNorm or GELU, from which the output follows by a few operations per number.
These functions keep only the latter and compute the former again in the backward pass: of 16 vectors of the model's
width per token and block, 10 are left. The results are those of the plain operations, which run instead when nothing
is kept (no gradient) or when the compiler decides what is kept (torch.compile).

The gradient itself cannot be differentiated.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def norm_linear(x: Tensor, norm: nn.LayerNorm, linear: nn.Linear) -> Tensor:
    """Compute ``linear(norm(x))``, [..., D] -> [..., O]; both have a bias, ``norm`` is over the last axis."""
    if _keeps_nothing():
        return F.linear(norm(x), linear.weight, linear.bias)
    kind = _kind(x, linear)
    x = x.to(norm.weight.dtype)  # as autocast does, a LayerNorm in the type of its weights
    out: Tensor = _NormLinear.apply(x, norm.weight, norm.bias, norm.eps, linear.weight, linear.bias, kind)
    return out


def gelu_linear(x: Tensor, linear: nn.Linear) -> Tensor:
    """Compute ``linear(gelu(x))``, [..., D] -> [..., O]; ``linear`` has a bias."""
    if _keeps_nothing():
        return F.linear(F.gelu(x), linear.weight, linear.bias)
    kind = _kind(x, linear)
    out: Tensor = _GeluLinear.apply(x.to(kind), linear.weight, linear.bias)
    return out


class _NormLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        norm_weight: Tensor,
        norm_bias: Tensor,
        eps: float,
        weight: Tensor,
        bias: Tensor,
        kind: torch.dtype,
    ) -> Tensor:
        ctx.save_for_backward(x, norm_weight, norm_bias, weight)
        ctx.eps, ctx.kind = eps, kind
        with _without_autocast(x):
            normed = F.layer_norm(x, x.shape[-1:], norm_weight, norm_bias, eps)
            return F.linear(normed.to(kind), weight.to(kind), bias.to(kind))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, norm_weight, norm_bias, weight = ctx.saved_tensors
        shape = x.shape[-1:]
        normed, mean, rstd = torch.native_layer_norm(x, shape, norm_weight, norm_bias, ctx.eps)
        grad_normed, grad_weight, grad_bias = _linear_backward(grad, normed.to(ctx.kind), weight)
        del normed
        needed = list(ctx.needs_input_grad[:3])
        grad_x, grad_norm_weight, grad_norm_bias = torch.ops.aten.native_layer_norm_backward(
            grad_normed.to(x.dtype), x, shape, mean, rstd, norm_weight, norm_bias, needed
        )
        return grad_x, grad_norm_weight, grad_norm_bias, None, grad_weight, grad_bias, None


class _GeluLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        with _without_autocast(x):
            return F.linear(F.gelu(x), weight.to(x.dtype), bias.to(x.dtype))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        x, weight = ctx.saved_tensors
        grad_activated, grad_weight, grad_bias = _linear_backward(grad, F.gelu(x), weight)
        # in place: allocating a tensor of this size costs more than the operation
        grad_x = torch.ops.aten.gelu_backward.grad_input(grad_activated, x, grad_input=grad_activated)
        return grad_x, grad_weight, grad_bias


def _linear_backward(grad: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of x [..., D], the weight [O, D] and the bias [O] from that of the output [..., O].

    The weight is cast here, not in the forward pass: each call would keep a copy.
    """
    rows = grad.reshape(-1, grad.shape[-1])
    grad_weight = rows.t() @ x.reshape(-1, x.shape[-1])
    grad_bias = rows.sum(dim=0)
    return (rows @ weight.to(x.dtype)).view_as(x), grad_weight.to(weight.dtype), grad_bias.to(weight.dtype)


def _keeps_nothing() -> bool:
    return not torch.is_grad_enabled() or torch.compiler.is_compiling()


def _kind(x: Tensor, linear: nn.Linear) -> torch.dtype:
    """Return the type in which to multiply: that of autocast, or without it that of the weights."""
    device = x.device.type
    if not (torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)):
        return linear.weight.dtype
    return torch.get_autocast_dtype(device)


def _without_autocast(x: Tensor) -> AbstractContextManager[object]:
    """Turn autocast off: the backward pass runs without it, and must compute in the same types."""
    device = x.device.type
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()
