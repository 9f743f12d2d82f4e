"""The interface of ASV encoders. Axes as in batch.py: U ASVs, D width, M masked bases."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Self

from torch import nn

from aam_models.batch.batch import AsvOutput, Batch
from aam_models.config.encoder import EncoderConfig
from aam_models.encoder.level import EncoderLevel
from aam_models.requested import EVERYTHING, RequestedOutputs


class AsvEncoder(EncoderLevel):
    """The lower level of the encoder: from the bases of each distinct ASV to one vector.

    Attributes:
        kind: key of the registry of ASV encoders.
        pooling: the part that only losses of embeddings train: masked bases are predicted without it.
        nucleotide_head: predicts masked bases; None if the configuration has no such head.
    """

    kind: ClassVar[str]
    pooling: nn.Module
    nucleotide_head: nn.Linear | None

    @classmethod
    @abstractmethod
    def from_config(cls, config: EncoderConfig) -> Self:
        """Build the encoder with random initial weights."""

    @abstractmethod
    def forward(self, batch: Batch, requested: RequestedOutputs = EVERYTHING) -> AsvOutput:
        """Embed the distinct ASVs of a batch.

        Returns:
            Embeddings [U, D] and, if bases are masked and requested, logits [M, n_bases]. In training the logits exist
            if there is a head for them, even for M = 0: which weights have a gradient must not depend on the batch,
            because processes with different batches sum their gradients.
        """
