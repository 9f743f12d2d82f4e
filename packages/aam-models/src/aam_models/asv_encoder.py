"""Sequences -> ASV embeddings. Axes as in batch.py: U ASVs, L tokens, D width, M masked bases."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aam_models.batch import AsvOutput, Batch, Chunk
from aam_models.config import EncoderConfig
from aam_models.pooling import AttentionPooling
from aam_models.transformer import Transformer

EMBEDDING_STD = 0.3  # at 0.02 the first block's output drowns them, and masked bases take twice as long to learn


class AsvEncoder(nn.Module):
    """Attends over the bases of each distinct ASV and pools them; predicts masked bases where there are any.

    A base is embedded three times: as such, by its position, and as this base at this position. Amplicons begin at a
    primer, so the last says at once what attention would have to find out: which of their common positions differ.

    The chunk loop is inside, so the module is entered once per batch whatever the batch holds.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(config.alphabet.size, config.width)
        self.position_embedding = nn.Embedding(config.max_bp + 1, config.width)
        self.site_embedding = nn.Embedding((config.max_bp + 1) * config.alphabet.size, config.width)
        for embedding in (self.token_embedding, self.position_embedding, self.site_embedding):
            nn.init.normal_(embedding.weight, std=EMBEDDING_STD)
        self.transformer = Transformer(config.width, config.heads, config.asv_layers)
        self.pooling = AttentionPooling(config.width, config.heads)
        self.nucleotide_head = nn.Linear(config.width, config.alphabet.n_bases) if config.nucleotide_head else None

    def forward(self, batch: Batch) -> AsvOutput:
        """[U, L] tokens -> [U, D] embeddings and, where bases are masked, [M, n_bases] logits.

        In training the logits are there with a head, also none of them (M = 0): which weights have a gradient must not
        depend on the batch, since processes with different batches add their gradients up.
        """
        embeddings, logits = [], []
        for chunk in batch.chunks:
            mask = self._mask(batch, chunk)
            x = self._attend(batch, chunk, mask)
            embeddings.append(self.pooling(x, mask))
            if self.nucleotide_head is not None and chunk.last_masked > chunk.first_masked:
                masked = slice(chunk.first_masked, chunk.last_masked)
                logits.append(
                    self.nucleotide_head(x[batch.masked_rows[masked] - chunk.start, batch.masked_columns[masked]])
                )
        if self.training and self.nucleotide_head is not None and not logits:
            logits.append(self.nucleotide_head(x[:0, 0]))
        return AsvOutput(torch.cat(embeddings), torch.cat(logits) if logits else None)

    def _attend(self, batch: Batch, chunk: Chunk, mask: Tensor | None) -> Tensor:
        tokens = batch.tokens[chunk.start : chunk.stop, : chunk.length].long()
        sites = tokens + torch.arange(chunk.length, device=tokens.device) * self.token_embedding.num_embeddings
        x = self.token_embedding(tokens) + self.position_embedding.weight[: chunk.length] + self.site_embedding(sites)
        return self.transformer(x, mask)

    @staticmethod
    def _mask(batch: Batch, chunk: Chunk) -> Tensor | None:
        """bool [U of the chunk, L of the chunk], True = real; None where all are."""
        if chunk.uniform:
            return None
        positions = torch.arange(chunk.length, device=batch.tokens.device)
        return positions < batch.lengths[chunk.start : chunk.stop, None]
