"""ASV embeddings of a sample -> one sample embedding. Axes: B samples, S slots, N occurrences, D width."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aam_models.batch import Batch
from aam_models.config import EncoderConfig
from aam_models.pooling import AttentionPooling
from aam_models.transformer import Transformer

# Natural logarithm of an ASV's share of its sample, centred and scaled to about [-2, 2]:
# at 5,000 reads it runs from log(1/5000) = -8.5 to 0.
LOG_ABUNDANCE_CENTRE, LOG_ABUNDANCE_SCALE = -5.0, 2.0


class SampleOutput(NamedTuple):
    embeddings: Tensor  # [B, D]
    slots: Tensor  # [B, S, D], embeddings of the ASVs in the context of their sample


def to_slots(values: Tensor, batch: Batch) -> Tensor:
    """Values of occurrences, [N] or [N, D], laid out as padded samples, [B, S] or [B, S, D]; empty slots are zero.

    Only the [N, D] form is differentiated (see `gather`).
    """
    padded = torch.cat([values, values.new_zeros((1, *values.shape[1:]))])
    return padded[batch.slots] if values.dim() == 1 else gather(padded, batch.slots)


def gather(rows: Tensor, index: Tensor) -> Tensor:
    """``rows[index]`` for [R, D] rows: the gradient of F.embedding is summed in a fixed order, that of indexing not."""
    return F.embedding(index, rows)


def standardized_log_abundance(batch: Batch) -> Tensor:
    """log of each ASV's reads over the reads that are shown, [B, S], standardized by fixed constants; 0 where empty.

    Over the shown reads, because shares of the whole sample would tell the sum of the hidden counts. Where all counts
    of a sample are hidden, over all its reads.
    """
    counts = to_slots(batch.counts, batch)
    total = counts.sum(dim=1, keepdim=True)
    if batch.hidden_counts is not None:
        shown = torch.where(to_slots(batch.hidden_counts, batch), 0.0, counts).sum(dim=1, keepdim=True)
        total = torch.where(shown > 0, shown, total)
    log_share = torch.where(counts > 0, counts / total, 1.0).log()
    return torch.where(counts > 0, (log_share - LOG_ABUNDANCE_CENTRE) / LOG_ABUNDANCE_SCALE, 0.0)


class AbundanceEmbedding(nn.Module):
    """How abundant an ASV is, as a vector to add; a learned vector stands for a hidden count.

    Args:
        width: D.
        can_hide: whether counts are ever hidden.
    """

    def __init__(self, width: int, *, can_hide: bool) -> None:
        super().__init__()
        self.hidden = nn.Parameter(torch.zeros(width)) if can_hide else None
        self.mlp = nn.Sequential(nn.Linear(1, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, log_abundance: Tensor, hidden: Tensor | None) -> Tensor:
        """log_abundance [B, S], hidden bool [B, S] or None -> [B, S, D]."""
        shown = self.mlp(log_abundance[..., None])
        if hidden is None or self.hidden is None:
            return shown
        return torch.where(hidden[..., None], self.hidden, shown)


class SampleEncoder(nn.Module):
    """Attends over the ASVs of a sample and pools them. A sample is a set: there is no position embedding."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.abundance = (
            AbundanceEmbedding(config.width, can_hide=config.count_head) if config.count_embedding else None
        )
        self.transformer = Transformer(config.width, config.heads, config.sample_layers)
        self.pooling = AttentionPooling(config.width, config.heads)

    def forward(self, asv_embeddings: Tensor, batch: Batch) -> SampleOutput:
        """[U, D] -> sample embeddings [B, D] and slot embeddings [B, S, D]."""
        x = to_slots(gather(asv_embeddings, batch.asv_index), batch)
        if self.abundance is not None:
            hidden = None if batch.hidden_counts is None else to_slots(batch.hidden_counts, batch)
            x = x + self.abundance(standardized_log_abundance(batch), hidden)
        mask = batch.slot_mask()
        x = self.transformer(x, mask)
        return SampleOutput(self.pooling(x, mask), x)
