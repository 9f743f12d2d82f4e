"""The interface of all fusions. Axes: B samples, D width."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from aam_models.config.conditioning import ConditioningConfig, FusionConfig
from aam_models.flops import linear_flops
from aam_models.predictor.conditioning.conditions import Conditions


class Fusion(nn.Module):
    """A map of sample embeddings and their conditions to vectors of the same width.

    Args:
        config: the metadata to fuse.
        width: D.
        heads: attention heads of the encoder.

    Attributes:
        kind: key of the registry: a `FusionKind`, "none" or "head".
    """

    kind: ClassVar[str]

    def __init__(self, config: ConditioningConfig, width: int, heads: int) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, samples: Tensor, conditions: Conditions) -> Tensor:
        """Combine sample embeddings [B, D] with the conditions of the samples; returns [B, D]."""

    def flops(self) -> int:
        """Count the operations for one sample; by default, every linear map sees a sample once."""
        return linear_flops(self)

    @classmethod
    def describe(cls, config: FusionConfig) -> str:
        """Describe the fusion in words, such as "perceiver, 64 latents, 2 layers"."""
        return cls.kind
