"""Attention as AAM uses it, and its reference: the plain formula in float64 on the CPU.

Axes: X sequences, H heads, Y positions, W width of a head.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

Attention = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]

# Largest accepted difference, relative to the largest value of the reference: a few rounding errors of the type.
LIMITS = {torch.float32: 1e-5, torch.float16: 5e-3, torch.bfloat16: 4e-2}
# [X, H, Y, W] of the bases of ASVs, of the ASVs of samples (base preset), and of the large preset.
SHAPES = {"bases": (8, 4, 101, 32), "samples": (3, 4, 333, 32), "large": (2, 8, 150, 64)}
MASKS = ("no mask", "padding", "empty rows")
_SEED = 0


@dataclass(frozen=True)
class Case:
    """A comparison.

    Attributes:
        name: of the shape.
        shape: [X, H, Y, W].
        dtype: of query, key and value.
        mask: "no mask"; "padding": the ends of sequences of different lengths are hidden; "empty rows": one sequence is
            hidden completely too.
    """

    name: str
    shape: tuple[int, int, int, int]
    dtype: torch.dtype
    mask: str

    @property
    def limit(self) -> float:
        """Largest accepted relative difference."""
        return LIMITS[self.dtype]

    @property
    def dtype_name(self) -> str:
        """Name of the type without ``torch.``."""
        return dtype_name(self.dtype)


class Expected(NamedTuple):
    """Inputs of a case and the right results.

    Attributes:
        inputs: [3, X, H, Y, W] query, key and value in the case's type.
        upstream: [X, H, Y, W] gradient of the output, 0 at empty rows, which nothing uses.
        mask: bool [X, 1, 1, Y] or None.
        output, gradients: float64 [X, H, Y, W] and [3, X, H, Y, W]; empty rows of the output are 0.
        rows: bool [X], the sequences that are not empty.
    """

    inputs: Tensor
    upstream: Tensor
    mask: Tensor | None
    output: Tensor
    gradients: Tensor
    rows: Tensor


def cases() -> Iterator[Case]:
    """Yield every shape in every type with every mask."""
    for dtype, mask, (name, shape) in itertools.product(LIMITS, MASKS, SHAPES.items()):
        yield Case(name, shape, dtype, mask)


def dtype_name(dtype: torch.dtype) -> str:
    """Return the name of a type without ``torch.``."""
    return str(dtype).removeprefix("torch.")


def expected(case: Case) -> Expected:
    """Compute the right results by the formula, in float64 on the CPU, from inputs rounded to the case's type."""
    generator = torch.Generator().manual_seed(_SEED)
    numbers = torch.randn(4, *case.shape, generator=generator).to(case.dtype)
    inputs, upstream = numbers[:3], numbers[3].clone()
    mask = None if case.mask == "no mask" else padding_mask(case.shape, empty=case.mask == "empty rows")
    rows = torch.ones(case.shape[0], dtype=torch.bool) if mask is None else mask[:, 0, 0].any(dim=1)
    upstream[~rows] = 0
    output, gradients = run(formula, inputs.double(), upstream.double(), mask)
    return Expected(inputs, upstream, mask, output, gradients, rows)


def formula(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """Compute ``softmax(query key' / sqrt(W)) value``; zeros for a row without any valid key."""
    scores = query @ key.mT / query.shape[-1] ** 0.5
    if mask is None:
        return scores.softmax(-1) @ value
    empty = ~mask.any(dim=-1, keepdim=True)
    shares = scores.masked_fill(~(mask | empty), -torch.inf).softmax(-1)
    return shares.masked_fill(empty, 0.0) @ value


def run(attend: Attention, inputs: Tensor, upstream: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the output [X, H, Y, W] and the gradients of query, key and value [3, X, H, Y, W]."""
    query, key, value = (tensor.clone().requires_grad_() for tensor in inputs)
    output = attend(query, key, value, mask)
    gradients = torch.autograd.grad(output, (query, key, value), upstream)
    return output.detach(), torch.stack(gradients)


def padding_mask(shape: tuple[int, int, int, int], *, empty: bool = False) -> Tensor:
    """Return a mask, bool [X, 1, 1, Y], for lengths from Y / 3 to Y; ``empty`` hides the whole first sequence."""
    n_sequences, _, length, _ = shape
    lengths = torch.linspace(length // 3, length, n_sequences).long()
    if empty:
        lengths[0] = 0
    return (torch.arange(length) < lengths[:, None])[:, None, None, :]
