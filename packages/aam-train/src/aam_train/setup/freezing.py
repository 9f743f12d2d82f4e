"""Parts of an encoder that no term of the loss reaches: they are frozen, since nothing would teach them."""

from __future__ import annotations

from aam_models.encoder.encoder import Encoder
from aam_train.losses.objective import Weights


def freeze_untaught(encoder: Encoder, weights: Weights) -> None:
    """Take what no gradient would reach out of the optimizer.

    Bases are predicted before an ASV is pooled, taxa from the ASVs, counts before a sample is pooled. Processes that
    add gradients up must know beforehand which ones there are.
    """
    pooled = bool(weights.unifrac or weights.faith_pd or weights.target)
    in_samples = pooled or bool(weights.counts)
    if not pooled:
        encoder.sample_encoder.pooling.requires_grad_(False)
    if not in_samples:
        encoder.sample_encoder.requires_grad_(False)
    if not (in_samples or weights.taxonomy):
        encoder.asv_encoder.pooling.requires_grad_(False)
