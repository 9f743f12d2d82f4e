"""The interface of all heads. Axes: B samples, D width, W outputs of all targets, E of a category's embedding."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Self

from torch import Tensor, nn

from aam_models.config.predictor import PredictorConfig
from aam_models.flops import linear_flops
from aam_models.predictor.conditioning.conditions import Conditions


class HeadOutput(NamedTuple):
    """Output of a head."""

    outputs: Tensor  # [B, W]
    routing: Tensor | None = None  # [B, K] share of each expert, for a mixture of experts


class Head(nn.Module):
    """A map from a sample's vector to its outputs, before the output link."""

    @abstractmethod
    def forward(self, x: Tensor, conditions: Conditions) -> HeadOutput:
        """Map samples ``x`` [B, D] with these conditions to outputs."""

    @abstractmethod
    def initialize_output(self, outputs: Tensor) -> None:
        """Set biases so that outputs start around these values [W] for every sample."""

    @abstractmethod
    def zero_output(self) -> None:
        """Set weights so that all outputs start at zero."""

    def flops(self) -> int:
        """Count the operations for one sample; by default, every linear map sees a sample once."""
        return linear_flops(self)


class SingleHead(Head):
    """A head that is used alone, as the experts of a mixture, or beneath a residual head: what the registry lists.

    Attributes:
        kind: key of the registry.
    """

    kind: ClassVar[str]

    @classmethod
    @abstractmethod
    def from_config(cls, config: PredictorConfig) -> Self:
        """Build the head with random initial weights."""

    @classmethod
    @abstractmethod
    def describe(cls, config: PredictorConfig, columns: Sequence[str]) -> str:
        """Describe the head of a configuration in words; ``columns`` are the names of the categorical columns."""
