"""UniFrac: distances of sample embeddings against the true ones. Axes: B samples, P pairs, D width."""

from __future__ import annotations

import torch
from torch import Tensor

from aam_models.distance_head import DistanceHead


def pair_indices(n_samples: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Every pair i < j once, int64 [P] each."""
    i, j = torch.triu_indices(n_samples, n_samples, offset=1, device=device)
    return i, j


def pair_loss(head: DistanceHead, embeddings: Tensor, distances: Tensor) -> Tensor:
    """Squared errors of the pairs, in units of the variance of the training distances: their sum, a scalar.

    Args:
        head: calibrated.
        embeddings: [B, D].
        distances: [B, B] true distances, NaN where undefined.
    """
    i, j = pair_indices(embeddings.shape[0], embeddings.device)
    target = distances[i, j]
    known = torch.isfinite(target)
    left, right = embeddings.index_select(0, i), embeddings.index_select(0, j)
    error = (head(left, right) - torch.where(known, target, 0.0)) / head.spread
    return (error.square() * known).sum()


def count_pairs(distances: Tensor) -> int:
    """Pairs with a true distance; ``distances`` [B, B] are on the host."""
    return int(torch.isfinite(distances[pair_indices(distances.shape[0], distances.device)]).sum())
