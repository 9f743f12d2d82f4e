"""Attention over bases: sequences -> ASV embeddings. Axes as in batch.py: U ASVs, L bases, D width, M masked bases."""

from __future__ import annotations

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
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


class Embedded(NamedTuple):
    """Input of the transformer."""

    tokens: Tensor  # [U of the chunk, tokens, D]
    mask: Tensor | None  # bool [U of the chunk, tokens], True = real; None if all tokens are real
    site_sums: Tensor | None  # [U of the chunk, D], scaled sum of the site embeddings of each ASV, if that is added


class TransformerAsvEncoder(AsvEncoder):
    """Attention over the bases of each distinct ASV, then pooling; predicts masked bases if there are any.

    A base has three embeddings: of the base, of its position, and of this base at this position (its site). Amplicons
    start at a primer, so the site shows directly what attention would have to find out: at which of their common
    positions sequences differ.

    With ``site_sum``, the sum of an ASV's site embeddings, scaled to a variance of about 1, is added to the output of
    attention. ASVs of one gene differ at few positions: in a mean over transformed bases their differences are a tenth
    of what they have in common, in this sum about half, so that the sample level can distinguish them from the first
    step.

    With several bases per token, a token's embedding is the sum of those of its bases, divided by the square root of
    their number, and of the token's position; the embedding of a base is then of the base at its place in the token.
    START takes the first place of the first token. Places without a base add nothing, and a token without any base is
    left out. Every place has logits of its own, so bases are masked and predicted one by one.

    The loop over chunks is inside, so the module is entered once per batch whatever the batch contains. Chunks that are
    marked ``recompute`` keep no activations in training: memory is then that of one chunk, however many there are.
    """

    kind = "transformer"
    pooling: AttentionPooling

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.site_sum, self.bases_per_token, self.alphabet = config.site_sum, config.bases_per_token, config.alphabet
        self.token_embedding = nn.Embedding(self.bases_per_token * config.alphabet.size, config.width)
        self.position_embedding = nn.Embedding(self.n_tokens(config.max_bp + 1), config.width)
        self.site_embedding = nn.Embedding((config.max_bp + 1) * config.alphabet.size, config.width)
        for embedding in (self.token_embedding, self.position_embedding, self.site_embedding):
            nn.init.normal_(embedding.weight, std=EMBEDDING_STD)
        self.transformer = Transformer(config.width, config.heads, config.asv_layers)
        self.pooling = AttentionPooling(config.width, config.heads)
        n_logits = self.bases_per_token * config.alphabet.n_bases
        self.nucleotide_head = nn.Linear(config.width, n_logits) if "nucleotides" in config.objectives else None

    @classmethod
    def from_config(cls, config: EncoderConfig) -> Self:
        return cls(config)

    def n_tokens(self, positions: int) -> int:
        """Return the tokens of a sequence of ``positions``, START and bases."""
        return -(-positions // self.bases_per_token)

    def flops(self, batch: Batch) -> int:
        sizes = [(chunk.stop - chunk.start, self.n_tokens(chunk.length)) for chunk in batch.chunks]
        attended = sum(self.transformer.flops(*size) for size in sizes)
        pooled = self.pooling.flops(sum(rows * tokens for rows, tokens in sizes), batch.n_asvs)
        return attended + pooled + batch.masked_rows.shape[0] * linear_flops(self.nucleotide_head)

    def memory_prior(self, *, frozen: bool) -> MemoryPrior:
        kept, always = self.transformer.kept_vectors(frozen=frozen), 2.0
        return MemoryPrior(kept / self.bases_per_token, always / self.bases_per_token)

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
            logits.append(self._logits(embeddings[0][:0], batch.masked_columns[:0], head))
        return AsvOutput(torch.cat(embeddings), torch.cat(logits) if logits else None)

    def _encode(self, batch: Batch, chunk: Chunk, head: nn.Linear | None) -> tuple[Tensor, Tensor | None]:
        """Return the embeddings of a chunk's ASVs, and the head's logits of its masked bases if there are any."""
        embedded = self._embed(batch, chunk) if self.bases_per_token == 1 else self._embed_groups(batch, chunk)
        x = self.transformer(embedded.tokens, embedded.mask)
        pooled = self.pooling(x, embedded.mask)
        embeddings = pooled if embedded.site_sums is None else pooled + embedded.site_sums
        if head is None or chunk.last_masked == chunk.first_masked:
            return embeddings, None
        masked = slice(chunk.first_masked, chunk.last_masked)
        rows, columns = batch.masked_rows[masked] - chunk.start, batch.masked_columns[masked]
        return embeddings, self._logits(x[rows, columns // self.bases_per_token], columns, head)

    def _logits(self, tokens: Tensor, columns: Tensor, head: nn.Linear) -> Tensor:
        """Return logits [M, n_bases] of bases in these columns, from the vectors [M, D] of their tokens."""
        logits: Tensor = head(tokens)
        if self.bases_per_token == 1:
            return logits
        by_place = logits.unflatten(1, (self.bases_per_token, self.alphabet.n_bases))
        return by_place[torch.arange(len(columns), device=columns.device), columns % self.bases_per_token]

    def _embed(self, batch: Batch, chunk: Chunk) -> Embedded:
        """Embed the bases of a chunk, each a token of its own."""
        tokens, mask = self._tokens(batch, chunk), self._mask(batch, chunk)
        embedded_sites = self.site_embedding(self._sites(tokens))
        positions = self.position_embedding.weight[: chunk.length]
        embedded = self.token_embedding(tokens) + positions + embedded_sites
        return Embedded(embedded, mask, scaled_sum(embedded_sites, mask) if self.site_sum else None)

    def _embed_groups(self, batch: Batch, chunk: Chunk) -> Embedded:
        """Embed the bases of a chunk, several per token."""
        each, n_tokens, absent = self.bases_per_token, self.n_tokens(chunk.length), self.alphabet.pad
        sites, mask = self._sites(self._tokens(batch, chunk)), self._mask(batch, chunk)
        # absent bases have the site of padding at the position of START, which no sequence has
        if mask is not None:
            sites = torch.where(mask, sites, absent)
        sites = F.pad(sites, (0, each * n_tokens - chunk.length), value=absent)
        own = self.site_embedding.weight
        shared = self.token_embedding.weight.repeat(self.position_embedding.num_embeddings, 1)[: len(own)]
        bases = F.embedding_bag(sites.view(-1, each), own + shared, mode="sum", padding_idx=absent)
        tokens = bases.unflatten(0, (-1, n_tokens)) / math.sqrt(each) + self.position_embedding.weight[:n_tokens]
        is_base = None if mask is None else sites != absent
        sums = None
        if self.site_sum:
            n_bases = chunk.length if is_base is None else is_base.sum(dim=1, keepdim=True).to(own.dtype)
            sums = F.embedding_bag(sites, own, mode="sum", padding_idx=absent) / (EMBEDDING_STD * n_bases**0.5)
        return Embedded(tokens, None if is_base is None else is_base.unflatten(1, (-1, each)).any(dim=2), sums)

    def _sites(self, tokens: Tensor) -> Tensor:
        """Return the site of each base, int64 [U of the chunk, L of the chunk]."""
        return tokens + torch.arange(tokens.shape[1], device=tokens.device) * self.alphabet.size

    @staticmethod
    def _tokens(batch: Batch, chunk: Chunk) -> Tensor:
        """Return the codes of bases, int64 [U of the chunk, L of the chunk]."""
        return batch.tokens[chunk.start : chunk.stop, : chunk.length].long()

    def _mask(self, batch: Batch, chunk: Chunk) -> Tensor | None:
        """Return a mask, bool [U of the chunk, L of the chunk], True = real; None if all positions are real.

        Padding within the length of an ASV is in front of its first base: positions of a frame that it does not have.
        """
        if chunk.uniform:
            return None
        positions = torch.arange(chunk.length, device=batch.tokens.device)
        is_base = batch.tokens[chunk.start : chunk.stop, : chunk.length] != self.alphabet.pad
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
