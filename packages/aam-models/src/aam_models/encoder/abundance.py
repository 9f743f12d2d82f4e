"""The abundance of an ASV as input. Axes: N occurrences, D width.

There are three methods: adding a vector to the ASV's embedding, concatenating the two and mapping them back to the
width, and scaling and shifting the embedding (FiLM, Perez et al. 2018, arXiv:1709.07871). A learned vector replaces
counts that are hidden.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from aam_models.batch.batch import Batch
from aam_models.batch.layout import sample_sums
from aam_models.config.encoder import EncoderConfig

# Natural logarithm of an ASV's share of its sample, centred and scaled to about [-2, 2]:
# at 5,000 reads it runs from log(1/5000) = -8.5 to 0.
LOG_ABUNDANCE_CENTRE, LOG_ABUNDANCE_SCALE = -5.0, 2.0


def standardized_log_abundance(batch: Batch) -> Tensor:
    """Return the log of each ASV's reads over the reads that are shown, [N], standardized by fixed constants.

    Shares are of the shown reads, because shares of the whole sample would reveal the sum of the hidden counts. If all
    counts of a sample are hidden, they are of all its reads.
    """
    total = sample_sums(batch.counts, batch)
    if batch.hidden_counts is not None:
        shown = sample_sums(torch.where(batch.hidden_counts, 0.0, batch.counts), batch)
        total = torch.where(shown > 0, shown, total)
    log_share = (batch.counts / total[batch.sample_of]).log()
    return (log_share - LOG_ABUNDANCE_CENTRE) / LOG_ABUNDANCE_SCALE


class AbundanceEmbedding(nn.Module):
    """Log abundances as vectors, combined with embeddings of ASVs.

    Args:
        width: D.
        embedded_width: of the vectors; D by default.
        can_hide: whether counts are ever hidden.
    """

    def __init__(self, width: int, embedded_width: int | None = None, *, can_hide: bool) -> None:
        super().__init__()
        wide = embedded_width or width
        self.hidden = nn.Parameter(torch.zeros(wide)) if can_hide else None
        self.mlp = nn.Sequential(nn.Linear(1, wide), nn.GELU(), nn.Linear(wide, wide))

    @abstractmethod
    def forward(self, x: Tensor, log_abundance: Tensor, hidden: Tensor | None) -> Tensor:
        """Return embeddings [N, D] that contain the abundances.

        Args:
            x: embeddings without them, [N, D].
            log_abundance: [N].
            hidden: bool [N], abundances that the model may not see; None if it may see all.
        """

    def embed(self, log_abundance: Tensor, hidden: Tensor | None) -> Tensor:
        """Return the vectors of the abundances."""
        shown: Tensor = self.mlp(log_abundance[..., None])
        if hidden is None or self.hidden is None:
            return shown
        return torch.where(hidden[..., None], self.hidden, shown)


class AddedAbundance(AbundanceEmbedding):
    """``x + e``."""

    def forward(self, x: Tensor, log_abundance: Tensor, hidden: Tensor | None) -> Tensor:
        return x + self.embed(log_abundance, hidden)


class ConcatenatedAbundance(AbundanceEmbedding):
    """A linear map of ``[x, e]``."""

    def __init__(self, width: int, *, can_hide: bool) -> None:
        super().__init__(width, can_hide=can_hide)
        self.join = nn.Linear(2 * width, width)

    def forward(self, x: Tensor, log_abundance: Tensor, hidden: Tensor | None) -> Tensor:
        joined: Tensor = self.join(torch.cat([x, self.embed(log_abundance, hidden)], dim=-1))
        return joined


class ModulatedAbundance(AbundanceEmbedding):
    """FiLM: ``x * (1 + gamma) + beta``; the identity at the start."""

    def __init__(self, width: int, *, can_hide: bool) -> None:
        super().__init__(width, 2 * width, can_hide=can_hide)
        last = self.mlp[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, x: Tensor, log_abundance: Tensor, hidden: Tensor | None) -> Tensor:
        gamma, beta = self.embed(log_abundance, hidden).chunk(2, dim=-1)
        return x * (1 + gamma) + beta


ABUNDANCE_METHODS: dict[str, type[AbundanceEmbedding]] = {
    "add": AddedAbundance,
    "concat": ConcatenatedAbundance,
    "film": ModulatedAbundance,
}


def build_abundance(config: EncoderConfig) -> AbundanceEmbedding | None:
    """Build the embedding of abundances with random initial weights; None if the model does not see them."""
    if not config.count_embedding:
        return None
    return ABUNDANCE_METHODS[config.count_embedding_method](config.width, can_hide="counts" in config.objectives)
