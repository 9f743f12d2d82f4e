"""ASV embeddings of a sample -> one sample embedding. Axes: B samples, S slots, N occurrences, D width."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from aam_models.batch.batch import Batch
from aam_models.batch.layout import gather, to_slots
from aam_models.config.encoder import EncoderConfig
from aam_models.encoder.abundance import build_abundance, standardized_log_abundance
from aam_models.encoder.level import EncoderLevel, MemoryPrior
from aam_models.encoder.pooling import AttentionPooling
from aam_models.encoder.transformer import Transformer
from aam_models.flops import linear_flops

LOG_SIZE_CENTRE, LOG_SIZE_SCALE = 4.5, 1.5  # natural logarithm of 20 to 400 ASVs: about -1 to 1


class SampleOutput(NamedTuple):
    """Output of the sample encoder."""

    embeddings: Tensor  # [B, D]
    slots: list[Tensor]  # [B, S, D] of each group, embeddings of the ASVs in the context of their sample


class SizeEmbedding(nn.Module):
    """The number of a sample's ASVs, as a vector to add to each of them; zero at the start.

    Attention averages, so without it a sample and its double are the same. Faith's PD and unweighted UniFrac grow with
    the number of ASVs.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        last = nn.Linear(width, width)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.mlp = nn.Sequential(nn.Linear(1, width), nn.GELU(), last)

    def forward(self, batch: Batch) -> Tensor:
        """Return [B, D]."""
        sizes = batch.sample_ptr.diff().to(batch.counts.dtype)
        vectors: Tensor = self.mlp(((sizes.log() - LOG_SIZE_CENTRE) / LOG_SIZE_SCALE)[:, None])
        return vectors


class SampleEncoder(EncoderLevel):
    """Attention over the ASVs of a sample, then pooling. A sample is a set: there is no position embedding.

    Samples of similar size are padded and encoded together, group by group, so that a large one does not make the
    others as long. The loop over groups is inside, so the module is entered once per batch whatever the batch contains.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.abundance = build_abundance(config)
        self.size = SizeEmbedding(config.width) if config.size_embedding else None
        self.transformer = Transformer(config.width, config.heads, config.sample_layers)
        self.pooling = AttentionPooling(config.width, config.heads)

    def flops(self, batch: Batch) -> int:
        attended = sum(self.transformer.flops(*group) for group in batch.groups)
        pooled = self.pooling.flops(batch.n_slots, batch.n_samples)
        embedded = batch.n_occurrences * linear_flops(self.abundance) + batch.n_samples * linear_flops(self.size)
        return attended + pooled + embedded

    def memory_prior(self, *, frozen: bool) -> MemoryPrior:
        recomputed = self.transformer.recomputed_vectors(frozen=frozen)
        return MemoryPrior(kept=self.transformer.kept_vectors(frozen=frozen), always=recomputed)

    def transformers(self) -> list[Transformer]:
        return [self.transformer]

    def forward(self, asv_embeddings: Tensor, batch: Batch) -> SampleOutput:
        """Encode ASV embeddings [U, D] to sample embeddings [B, D] and slot embeddings [B, S, D] of each group."""
        x = gather(asv_embeddings, batch.asv_index)
        if self.abundance is not None:
            x = self.abundance(x, standardized_log_abundance(batch), batch.hidden_counts)
        if self.size is not None:
            x = x + gather(self.size(batch), batch.sample_of)
        pooled, slots = [], []
        for padded, mask in zip(to_slots(x, batch), batch.slot_masks(), strict=True):
            attended = self.transformer(padded, mask, recompute=batch.recompute_samples)
            pooled.append(self.pooling(attended, mask))
            slots.append(attended)
        return SampleOutput(gather(torch.cat(pooled), batch.order), slots)
