"""Sequences -> ASV embeddings. Axes as in batch.py: U ASVs, L tokens, D width, M masked bases."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from aam_models.batch.batch import AsvOutput, Batch, Chunk
from aam_models.config.encoder import EncoderConfig
from aam_models.encoder.pooling import AttentionPooling
from aam_models.encoder.transformer import Transformer
from aam_models.requested import EVERYTHING, Outputs

EMBEDDING_STD = 0.3  # at 0.02 the first block's output drowns them, and masked bases take twice as long to learn


class AsvEncoder(nn.Module):
    """Attends over the bases of each distinct ASV and pools them; predicts masked bases where there are any.

    A base is embedded three times: as such, by its position, and as this base at this position. Amplicons begin at a
    primer, so the last says at once what attention would have to find out: which of their common positions differ.

    With ``site_sum`` the sum of the last over an ASV's bases stands in its embedding beside what attention makes of
    them, scaled to a variance of about 1. ASVs of one gene differ at few positions: in a mean over transformed bases
    their differences are a tenth of what they have in common, in this sum about half, so that the sample level can
    tell them apart from the first step.

    The chunk loop is inside, so the module is entered once per batch whatever the batch holds. Chunks that say so keep
    no activations in training: memory is then that of one chunk, however many there are.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.site_sum = config.site_sum
        self.token_embedding = nn.Embedding(config.alphabet.size, config.width)
        self.position_embedding = nn.Embedding(config.max_bp + 1, config.width)
        self.site_embedding = nn.Embedding((config.max_bp + 1) * config.alphabet.size, config.width)
        for embedding in (self.token_embedding, self.position_embedding, self.site_embedding):
            nn.init.normal_(embedding.weight, std=EMBEDDING_STD)
        self.transformer = Transformer(config.width, config.heads, config.asv_layers)
        self.pooling = AttentionPooling(config.width, config.heads)
        self.nucleotide_head = nn.Linear(config.width, config.alphabet.n_bases) if config.nucleotide_head else None

    def forward(self, batch: Batch, outputs: Outputs = EVERYTHING) -> AsvOutput:
        """[U, L] tokens -> [U, D] embeddings and, where bases are masked and wanted, [M, n_bases] logits.

        In training the logits are there with a head, also none of them (M = 0): which weights have a gradient must not
        depend on the batch, since processes with different batches add their gradients up.
        """
        embeddings, logits = [], []
        head = self.nucleotide_head if outputs.nucleotides else None
        for chunk in batch.chunks:
            if chunk.recompute and self.training:  # there is no dropout whose draws had to be kept
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
        """Embeddings of a chunk's ASVs, and the head's logits of its masked bases where there are any."""
        mask = self._mask(batch, chunk)
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
        """Embeddings of tokens, and the part of them that is of sites, [U of the chunk, L of the chunk, D] each."""
        tokens = batch.tokens[chunk.start : chunk.stop, : chunk.length].long()
        sites = tokens + torch.arange(chunk.length, device=tokens.device) * self.token_embedding.num_embeddings
        of_sites = self.site_embedding(sites)
        return self.token_embedding(tokens) + self.position_embedding.weight[: chunk.length] + of_sites, of_sites

    @staticmethod
    def _mask(batch: Batch, chunk: Chunk) -> Tensor | None:
        """bool [U of the chunk, L of the chunk], True = real; None where all are."""
        if chunk.uniform:
            return None
        positions = torch.arange(chunk.length, device=batch.tokens.device)
        return positions < batch.lengths[chunk.start : chunk.stop, None]


def scaled_sum(sites: Tensor, mask: Tensor | None) -> Tensor:
    """Sum over positions, [U, L, D] -> [U, D], of variance 1 where the embeddings have that of their first draw.

    Args:
        sites: embeddings of sites.
        mask: bool [U, L], True = real; None where all are.
    """
    if mask is None:
        return sites.sum(dim=1) / (EMBEDDING_STD * math.sqrt(sites.shape[1]))
    real = mask[:, :, None].to(sites.dtype)
    return (sites * real).sum(dim=1) / (EMBEDDING_STD * real.sum(dim=1).sqrt())
