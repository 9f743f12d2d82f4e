"""The two levels of an encoder that is absent, for predictors that read bases and counts only."""

from __future__ import annotations

from typing import Self

from torch import Tensor, nn

from aam_models.batch.batch import AsvOutput, Batch
from aam_models.config.encoder import EncoderConfig
from aam_models.encoder.asv.base import AsvEncoder
from aam_models.encoder.level import EncoderLevel, MemoryPrior
from aam_models.encoder.sample_encoder import SampleOutput
from aam_models.requested import EVERYTHING, RequestedOutputs


class AbsentAsvEncoder(AsvEncoder):
    """Embeddings without numbers, [U, 0]."""

    kind = "none"

    def __init__(self) -> None:
        super().__init__()
        self.pooling, self.nucleotide_head = nn.Identity(), None

    @classmethod
    def from_config(cls, config: EncoderConfig) -> Self:
        return cls()

    def flops(self, batch: Batch) -> int:
        return 0

    def memory_prior(self, *, frozen: bool) -> MemoryPrior:
        return MemoryPrior(kept=0.0, always=0.0)

    def forward(self, batch: Batch, requested: RequestedOutputs = EVERYTHING) -> AsvOutput:
        return AsvOutput(batch.counts.new_zeros((batch.n_asvs, 0)), None)


class AbsentSampleEncoder(EncoderLevel):
    """Embeddings without numbers, [B, 0]."""

    def __init__(self) -> None:
        super().__init__()
        self.pooling = nn.Identity()

    def flops(self, batch: Batch) -> int:
        return 0

    def memory_prior(self, *, frozen: bool) -> MemoryPrior:
        return MemoryPrior(kept=0.0, always=0.0)

    def forward(self, asv_embeddings: Tensor, batch: Batch) -> SampleOutput:
        return SampleOutput(batch.counts.new_zeros((batch.n_samples, 0)), [])
