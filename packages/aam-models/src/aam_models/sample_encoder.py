"""ASV embeddings of a sample -> one sample embedding. Axes: B samples, S slots, N occurrences, D width."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from aam_models.abundance import build_abundance, standardized_log_abundance
from aam_models.batch import Batch
from aam_models.config import EncoderConfig
from aam_models.pooling import AttentionPooling
from aam_models.slots import gather, to_slots
from aam_models.transformer import Transformer


class SampleOutput(NamedTuple):
    embeddings: Tensor  # [B, D]
    slots: Tensor  # [B, S, D], embeddings of the ASVs in the context of their sample


class SampleEncoder(nn.Module):
    """Attends over the ASVs of a sample and pools them. A sample is a set: there is no position embedding."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.abundance = build_abundance(config)
        self.transformer = Transformer(config.width, config.heads, config.sample_layers)
        self.pooling = AttentionPooling(config.width, config.heads)

    def forward(self, asv_embeddings: Tensor, batch: Batch) -> SampleOutput:
        """[U, D] -> sample embeddings [B, D] and slot embeddings [B, S, D]."""
        x = to_slots(gather(asv_embeddings, batch.asv_index), batch)
        if self.abundance is not None:
            hidden = None if batch.hidden_counts is None else to_slots(batch.hidden_counts, batch)
            x = self.abundance(x, standardized_log_abundance(batch), hidden)
        mask = batch.slot_mask()
        x = self.transformer(x, mask)
        return SampleOutput(self.pooling(x, mask), x)
