"""A check that PyTorch's default attention kernel is correct here. Some builds for ROCm are wrong with masks.

`aam-rocm attention` checks more; this takes milliseconds, so that every run can start with it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Attention = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]

# Largest difference allowed, relative to the largest correct value: a few rounding errors of the type.
LIMITS = {torch.float32: 1e-5, torch.float16: 5e-3, torch.bfloat16: 4e-2}
_SHAPE = (4, 2, 101, 32)  # sequences, heads, positions, width of a head
_SEED = 0


def attention_error(device: torch.device, dtype: torch.dtype) -> float:
    """Compute the largest error of outputs and gradients, relative to the largest value.

    The reference is the formula in float64 on the CPU, with a mask and without, as the encoder uses attention. NaN if
    any result is not finite.
    """
    generator = torch.Generator().manual_seed(_SEED)
    numbers = torch.randn(4, *_SHAPE, generator=generator).to(dtype)
    lengths = torch.tensor([33, 64, 100, 101])
    padding = (torch.arange(_SHAPE[2]) < lengths[:, None])[:, None, None, :]
    worst = 0.0
    for mask in (None, padding):
        expected = _run(_formula, numbers.double(), mask)
        actual = _run(_pytorch, numbers.to(device), None if mask is None else mask.to(device)).cpu()
        if not bool(actual.isfinite().all()):
            return float("nan")
        errors = (actual.double() - expected).abs().amax(dim=(1, 2, 3, 4)) / expected.abs().amax(dim=(1, 2, 3, 4))
        worst = max(worst, float(errors.max()))
    return worst


def attention_is_right(device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether the error is within the rounding of the type."""
    return attention_error(device, dtype) <= LIMITS[dtype]  # NaN is not


def _run(attend: Attention, numbers: Tensor, mask: Tensor | None) -> Tensor:
    """Return [4, ...]: the output and the gradients of query, key and value."""
    query, key, value = (tensor.clone().requires_grad_() for tensor in numbers[:3])
    output = attend(query, key, value, mask)
    return torch.stack([output.detach(), *torch.autograd.grad(output, (query, key, value), numbers[3])])


def _pytorch(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


def _formula(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    scores = query @ key.mT / query.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1) @ value
