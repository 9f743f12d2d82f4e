"""Linear maps of a LayerNorm and of a GELU that do not keep what they multiply. Axes: ... any, D width in, O width out.

A linear map keeps its input for the gradient of its weight. Where that is a LayerNorm or a GELU, autograd keeps the
LayerNorm's or GELU's own input too, from which it follows by a few operations a number. These functions keep the latter
alone and compute the former again in the backward pass: of 16 numbers a token and block, of the width of the model, 10
are left. The results are those of the plain operations, which run instead where nothing is kept (no gradient) or
where the compiler decides what is (torch.compile).

The gradient itself cannot be differentiated.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def norm_linear(x: Tensor, norm: nn.LayerNorm, linear: nn.Linear) -> Tensor:
    """``linear(norm(x))``, [..., D] -> [..., O]; both with a bias, ``norm`` over the last axis."""
    if _keeps_nothing():
        return F.linear(norm(x), linear.weight, linear.bias)
    kind = _kind(x, linear)
    x = x.to(norm.weight.dtype)  # as autocast does, a LayerNorm in the type of its weights
    out: Tensor = _NormLinear.apply(x, norm.weight, norm.bias, norm.eps, linear.weight, linear.bias, kind)
    return out


def gelu_linear(x: Tensor, linear: nn.Linear) -> Tensor:
    """``linear(gelu(x))``, [..., D] -> [..., O]; ``linear`` with a bias."""
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
        with _as_it_is(x):
            normed = F.layer_norm(x, x.shape[-1:], norm_weight, norm_bias, eps)
            return F.linear(normed.to(kind), weight.to(kind), bias.to(kind))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, norm_weight, norm_bias, weight = ctx.saved_tensors
        shape = x.shape[-1:]
        normed, mean, rstd = torch.native_layer_norm(x, shape, norm_weight, norm_bias, ctx.eps)
        of_normed, of_weight, of_bias = _linear_backward(grad, normed.to(ctx.kind), weight)
        del normed
        wanted = list(ctx.needs_input_grad[:3])
        of_x, of_norm_weight, of_norm_bias = torch.ops.aten.native_layer_norm_backward(
            of_normed.to(x.dtype), x, shape, mean, rstd, norm_weight, norm_bias, wanted
        )
        return of_x, of_norm_weight, of_norm_bias, None, of_weight, of_bias, None


class _GeluLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        with _as_it_is(x):
            return F.linear(F.gelu(x), weight.to(x.dtype), bias.to(x.dtype))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        x, weight = ctx.saved_tensors
        of_activated, of_weight, of_bias = _linear_backward(grad, F.gelu(x), weight)
        # in place: what a fresh tensor of this size costs is more than the operation
        return torch.ops.aten.gelu_backward.grad_input(of_activated, x, grad_input=of_activated), of_weight, of_bias


def _linear_backward(grad: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x [..., D], of the weight [O, D] and of the bias [O] from that of the output [..., O].

    The weight is cast here and not kept cast: each call would keep a copy.
    """
    rows = grad.reshape(-1, grad.shape[-1])
    of_weight = rows.t() @ x.reshape(-1, x.shape[-1])
    of_bias = rows.sum(dim=0)
    return (rows @ weight.to(x.dtype)).view_as(x), of_weight.to(weight.dtype), of_bias.to(weight.dtype)


def _keeps_nothing() -> bool:
    return not torch.is_grad_enabled() or torch.compiler.is_compiling()


def _kind(x: Tensor, linear: nn.Linear) -> torch.dtype:
    """The type in which to multiply: that of autocast, or of the weights without it."""
    device = x.device.type
    if not (torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)):
        return linear.weight.dtype
    return torch.get_autocast_dtype(device)


def _as_it_is(x: Tensor) -> AbstractContextManager[object]:
    """Operations in the types of their operands: the backward pass runs without autocast, and must see the same."""
    device = x.device.type
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()
