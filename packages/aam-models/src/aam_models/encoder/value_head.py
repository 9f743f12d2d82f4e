"""One number per sample (Faith's PD), in standardized units inside and in its own units outside."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aam_models.errors import ModelError


class ValueHead(nn.Module):
    """A linear map of the sample embedding, with the mean and spread of its target in the training samples."""

    mean: Tensor
    spread: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 1)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("spread", torch.ones(()))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Map embeddings [B, D] to standardized values [B]."""
        return self.linear(embeddings).squeeze(-1)

    @torch.no_grad()
    def calibrate(self, values: Tensor) -> None:
        """Set mean and spread to those of training samples [B], NaN = unknown.

        Raises:
            ModelError: no value is known.
        """
        known = values[torch.isfinite(values)]
        if len(known) == 0:
            raise ModelError(f"none of {len(values)} training samples has a value (Faith's PD)")
        self.mean.copy_(known.mean())
        self.spread.copy_(known.std(correction=0).clamp_min(1e-6))

    def standardize(self, values: Tensor) -> Tensor:
        """Convert values from their own units to standardized ones."""
        return (values - self.mean) / self.spread

    def restore(self, standardized: Tensor) -> Tensor:
        """Convert standardized values to their own units."""
        return standardized * self.spread + self.mean
