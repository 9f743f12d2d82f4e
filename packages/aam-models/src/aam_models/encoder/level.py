"""The interface that both levels of the encoder share: costs, memory, and units of parallelism and compilation."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, NamedTuple

from torch import nn

from aam_models.batch.batch import Batch
from aam_models.encoder.transformer import Transformer


class MemoryPrior(NamedTuple):
    """An estimate of the activations that a training step keeps, as vectors of the model's width per position.

    Measurements refine it, so it may be coarse, and is better too high than too low.
    """

    kept: float  # for positions whose activations are kept for the backward pass
    always: float  # for all positions, also those whose activations are computed again


class EncoderLevel(nn.Module):
    """One level of the encoder, entered once per batch whatever the batch contains.

    Attributes:
        fsdp_unit: whether FSDP shards this module as one unit, gathered for its forward and backward pass.
    """

    fsdp_unit: ClassVar[bool] = True

    @abstractmethod
    def flops(self, batch: Batch) -> int:
        """Count the operations of a forward pass, see `aam_models.flops`."""

    @abstractmethod
    def memory_prior(self, *, frozen: bool) -> MemoryPrior:
        """Estimate the activations of a training step.

        Args:
            frozen: whether no parameter of the level learns.
        """

    def transformers(self) -> list[Transformer]:
        """Return the stacks of blocks that torch.compile may take over; none by default."""
        return []
