"""UniFrac: distances of sample embeddings against the true ones.

Axes: B samples of this process, N of all processes, P pairs, D width. Alone, B = N.
"""

from __future__ import annotations

import torch
from torch import Tensor

from aam_models.encoder.distance_head import DistanceHead


def pair_indices(n_samples: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Every pair i < j once, int64 [P] each."""
    i, j = torch.triu_indices(n_samples, n_samples, offset=1, device=device)
    return i, j


def own_pairs(n_own: int, n_all: int, first: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """The pairs that a process computes: each of all pairs belongs to one process, and all have equally many a sample.

    Sample i is compared with the half of the samples that come next, around a circle.

    Args:
        n_own, first: the process's samples are ``first : first + n_own`` of ``n_all``.

    Returns:
        The process's own sample (counted from its first), the other one (of all), int64 [P] each, and whether the pair
        counts, bool [P]: opposite samples of an even circle meet twice.
    """
    half = n_all // 2
    own = torch.arange(n_own, device=device)[:, None]
    ahead = torch.arange(1, half + 1, device=device)
    other = (own + first + ahead) % max(n_all, 1)
    counts = (2 * ahead < n_all) | (own + first < half)
    return own.expand_as(other).flatten(), other.flatten(), counts.flatten()


def pair_loss(
    head: DistanceHead, embeddings: Tensor, distances: Tensor, everyone: Tensor | None = None, first: int = 0
) -> Tensor:
    """Squared errors of a process's pairs, in units of the variance of the training distances: their sum, a scalar.

    Args:
        head: calibrated.
        embeddings: [B, D] of this process.
        distances: [B, N] true distances, NaN where undefined.
        everyone: [N, D] embeddings of all processes, ``embeddings`` from row ``first`` on; the same by default.
    """
    everyone = embeddings if everyone is None else everyone
    n_own, n_all = distances.shape
    own, other, counts = own_pairs(n_own, n_all, first, embeddings.device)
    target = distances[own, other]
    known = torch.isfinite(target) & counts
    left, right = embeddings.index_select(0, own), everyone.index_select(0, other)
    error = (head(left, right) - torch.where(known, target, 0.0)) / head.spread
    return (error.square() * known).sum()


def count_pairs(distances: Tensor, first: int = 0) -> int:
    """Pairs of a process with a true distance; ``distances`` [B, N] are on the host."""
    n_own, n_all = distances.shape
    own, other, counts = own_pairs(n_own, n_all, first, distances.device)
    return int((torch.isfinite(distances[own, other]) & counts).sum())
