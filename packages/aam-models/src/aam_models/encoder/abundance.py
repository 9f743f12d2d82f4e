"""How abundant an ASV is, as input. Axes: N occurrences, D width.

Three ways to tell it: added to the ASV's embedding, beside it and mapped back to the width, or as a scale and a shift
of it (FiLM, Perez et al. 2018, arXiv:1709.07871). A learned vector stands for a count that is hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aam_models.batch.batch import Batch
from aam_models.batch.layout import sample_sums
from aam_models.config.encoder import EncoderConfig

# Natural logarithm of an ASV's share of its sample, centred and scaled to about [-2, 2]:
# at 5,000 reads it runs from log(1/5000) = -8.5 to 0.
LOG_ABUNDANCE_CENTRE, LOG_ABUNDANCE_SCALE = -5.0, 2.0


def standardized_log_abundance(batch: Batch) -> Tensor:
    """log of each ASV's reads over the reads that are shown, [N], standardized by fixed constants.

    Over the shown reads, because shares of the whole sample would tell the sum of the hidden counts. Where all counts
    of a sample are hidden, over all its reads.
    """
    total = sample_sums(batch.counts, batch)
    if batch.hidden_counts is not None:
        shown = sample_sums(torch.where(batch.hidden_counts, 0.0, batch.counts), batch)
        total = torch.where(shown > 0, shown, total)
    log_share = (batch.counts / total[batch.sample_of]).log()
    return (log_share - LOG_ABUNDANCE_CENTRE) / LOG_ABUNDANCE_SCALE


class AbundanceEmbedding(nn.Module):
    """Log abundances as vectors.

    Args:
        width: of the vectors.
        can_hide: whether counts are ever hidden.
    """

    def __init__(self, width: int, *, can_hide: bool) -> None:
        super().__init__()
        self.hidden = nn.Parameter(torch.zeros(width)) if can_hide else None
        self.mlp = nn.Sequential(nn.Linear(1, width), nn.GELU(), nn.Linear(width, width))

    def embed(self, log_abundance: Tensor, hidden: Tensor | None) -> Tensor:
        """log_abundance [N], hidden bool [N] or None -> [N, width]."""
        shown: Tensor = self.mlp(log_abundance[..., None])
        if hidden is None or self.hidden is None:
            return shown
        return torch.where(hidden[..., None], self.hidden, shown)


class AddedAbundance(AbundanceEmbedding):
    """``x + e``."""

    def forward(self, x: Tensor, log_abundance: Tensor, hidden: Tensor | None) -> Tensor:
        """x [N, D], the rest as for `embed` -> [N, D]."""
        return x + self.embed(log_abundance, hidden)


class ConcatenatedAbundance(AbundanceEmbedding):
    """A linear map of ``[x, e]``."""

    def __init__(self, width: int, *, can_hide: bool) -> None:
        super().__init__(width, can_hide=can_hide)
        self.join = nn.Linear(2 * width, width)

    def forward(self, x: Tensor, log_abundance: Tensor, hidden: Tensor | None) -> Tensor:
        """x [N, D], the rest as for `embed` -> [N, D]."""
        joined: Tensor = self.join(torch.cat([x, self.embed(log_abundance, hidden)], dim=-1))
        return joined


class ModulatedAbundance(AbundanceEmbedding):
    """FiLM: ``x * (1 + gamma) + beta``; the identity at the start."""

    def __init__(self, width: int, *, can_hide: bool) -> None:
        super().__init__(2 * width, can_hide=can_hide)
        last = self.mlp[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, x: Tensor, log_abundance: Tensor, hidden: Tensor | None) -> Tensor:
        """x [N, D], the rest as for `embed` -> [N, D]."""
        gamma, beta = self.embed(log_abundance, hidden).chunk(2, dim=-1)
        return x * (1 + gamma) + beta


def build_abundance(config: EncoderConfig) -> AddedAbundance | ConcatenatedAbundance | ModulatedAbundance | None:
    """How the configuration tells abundances; None when it does not."""
    if not config.count_embedding:
        return None
    if config.count_embedding_method == "concat":
        return ConcatenatedAbundance(config.width, can_hide=config.count_head)
    if config.count_embedding_method == "film":
        return ModulatedAbundance(config.width, can_hide=config.count_head)
    return AddedAbundance(config.width, can_hide=config.count_head)
