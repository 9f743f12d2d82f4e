"""Floating-point operations of a forward pass, from the sizes of a batch alone: nothing waits for a device.

Every module counts its own (its ``flops`` method), and `Encoder.flops` and `Predictor.flops` add them up. Matrix
products and attention count, a multiplication and an addition as two operations; LayerNorms, activations, softmax and
sums, a few percent, do not. Padding counts too, since it is computed.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import nn


class ForwardFlops(NamedTuple):
    """Operations of a forward pass, by the parts that may come from a cache or be frozen."""

    asv_level: int
    sample_level: int
    head: int  # fusion and head of a predictor

    @property
    def total(self) -> int:
        return sum(self)


def linear_flops(*modules: nn.Module | None) -> int:
    """Count the operations of all linear maps in these modules, each applied to one vector."""
    linears = (
        layer for module in modules if module is not None for layer in module.modules() if isinstance(layer, nn.Linear)
    )
    return sum(2 * layer.in_features * layer.out_features for layer in linears)


def attention_flops(width: int, queries: int, keys: int) -> int:
    """Count the operations of the scores and the weighted sums of an attention, without its linear maps."""
    return 4 * queries * keys * width
