"""Attention over bases: sequences -> ASV embeddings. Axes as in batch.py: U ASVs, L tokens, D width, M masked bases."""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from aam_models.batch.batch import AsvOutput, Batch, Chunk
from aam_models.config.encoder import EncoderConfig
from aam_models.encoder.asv.base import AsvEncoder
from aam_models.encoder.level import MemoryPrior
from aam_models.encoder.pooling import AttentionPooling
from aam_models.encoder.transformer import Transformer
from aam_models.flops import linear_flops
from aam_models.requested import EVERYTHING, RequestedOutputs

EMBEDDING_STD = 0.3  # at 0.02 the first block's output drowns them, and masked bases take twice as long to learn


class TransformerAsvEncoder(AsvEncoder):
    """Attention over the bases of each distinct ASV, then pooling; predicts masked bases if there are any.

    A base has three embeddings: of the base, of its position, and of this base at this position (its site). Amplicons
    start at a primer, so the site shows directly what attention would have to find out: at which of their common
    positions sequences differ.

    With ``site_sum``, the sum of an ASV's site embeddings, scaled to a variance of about 1, is added to the output of
    attention. ASVs of one gene differ at few positions: in a mean over transformed bases their differences are a tenth
    of what they have in common, in this sum about half, so that the sample level can distinguish them from the first
    step.

    The loop over chunks is inside, so the module is entered once per batch whatever the batch contains. Chunks that are
    marked ``recompute`` keep no activations in training: memory is then that of one chunk, however many there are.
    """

    kind = "transformer"
    pooling: AttentionPooling

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.site_sum, self.pad = config.site_sum, config.alphabet.pad
        self.token_embedding = nn.Embedding(config.alphabet.size, config.width)
        self.position_embedding = nn.Embedding(config.max_bp + 1, config.width)
        self.site_embedding = nn.Embedding((config.max_bp + 1) * config.alphabet.size, config.width)
        for embedding in (self.token_embedding, self.position_embedding, self.site_embedding):
            nn.init.normal_(embedding.weight, std=EMBEDDING_STD)
        self.transformer = Transformer(config.width, config.heads, config.asv_layers)
        self.pooling = AttentionPooling(config.width, config.heads)
        has_head = "nucleotides" in config.objectives
        self.nucleotide_head = nn.Linear(config.width, config.alphabet.n_bases) if has_head else None

    @classmethod
    def from_config(cls, config: EncoderConfig) -> Self:
        return cls(config)

    def flops(self, batch: Batch) -> int:
        attended = sum(self.transformer.flops(chunk.stop - chunk.start, chunk.length) for chunk in batch.chunks)
        pooled = self.pooling.flops(batch.n_encoded_tokens, batch.n_asvs)
        return attended + pooled + batch.masked_rows.shape[0] * linear_flops(self.nucleotide_head)

    def memory_prior(self, *, frozen: bool) -> MemoryPrior:
        return MemoryPrior(kept=self.transformer.kept_vectors(frozen=frozen), always=2.0)

    def transformers(self) -> list[Transformer]:
        return [self.transformer]

    def forward(self, batch: Batch, requested: RequestedOutputs = EVERYTHING) -> AsvOutput:
        embeddings, logits = [], []
        head = self.nucleotide_head if requested.includes("nucleotides") else None
        for chunk in batch.chunks:
            if chunk.recompute and self.training:  # there is no dropout, so no random state to preserve
                pooled, bases = checkpoint(
                    self._encode, batch, chunk, head, use_reentrant=False, preserve_rng_state=False
                )
            else:
                pooled, bases = self._encode(batch, chunk, head)
            embeddings.append(pooled)
            if bases is not None:
                logits.append(bases)
        if self.training and head is not None and not logits:
            logits.append(head(embeddings[0][:0]))
        return AsvOutput(torch.cat(embeddings), torch.cat(logits) if logits else None)

    def _encode(self, batch: Batch, chunk: Chunk, head: nn.Linear | None) -> tuple[Tensor, Tensor | None]:
        """Return the embeddings of a chunk's ASVs, and the head's logits of its masked bases if there are any."""
        mask = self._mask(batch, chunk, self.pad)
        tokens, sites = self._embed(batch, chunk)
        x = self.transformer(tokens, mask)
        pooled = self.pooling(x, mask)
        embeddings = pooled + scaled_sum(sites, mask) if self.site_sum else pooled
        if head is None or chunk.last_masked == chunk.first_masked:
            return embeddings, None
        masked = slice(chunk.first_masked, chunk.last_masked)
        rows = batch.masked_rows[masked] - chunk.start
        return embeddings, head(x[rows, batch.masked_columns[masked]])

    def _embed(self, batch: Batch, chunk: Chunk) -> tuple[Tensor, Tensor]:
        """Return embeddings of tokens, and those of sites in them, each [U of the chunk, L of the chunk, D]."""
        tokens = batch.tokens[chunk.start : chunk.stop, : chunk.length].long()
        sites = tokens + torch.arange(chunk.length, device=tokens.device) * self.token_embedding.num_embeddings
        embedded_sites = self.site_embedding(sites)
        positions = self.position_embedding.weight[: chunk.length]
        return self.token_embedding(tokens) + positions + embedded_sites, embedded_sites

    @staticmethod
    def _mask(batch: Batch, chunk: Chunk, pad: int) -> Tensor | None:
        """Return a mask, bool [U of the chunk, L of the chunk], True = real; None if all positions are real.

        Padding within the length of an ASV is in front of its first base: positions of a frame that it does not have.
        """
        if chunk.uniform:
            return None
        positions = torch.arange(chunk.length, device=batch.tokens.device)
        is_base = batch.tokens[chunk.start : chunk.stop, : chunk.length] != pad
        return is_base & (positions < batch.lengths[chunk.start : chunk.stop, None])


def scaled_sum(sites: Tensor, mask: Tensor | None) -> Tensor:
    """Sum over positions, [U, L, D] -> [U, D], with variance 1 for embeddings at their initial variance.

    Args:
        sites: embeddings of sites.
        mask: bool [U, L], True = real; None if all positions are real.
    """
    if mask is None:
        return sites.sum(dim=1) / (EMBEDDING_STD * math.sqrt(sites.shape[1]))
    real = mask[:, :, None].to(sites.dtype)
    return (sites * real).sum(dim=1) / (EMBEDDING_STD * real.sum(dim=1).sqrt())
