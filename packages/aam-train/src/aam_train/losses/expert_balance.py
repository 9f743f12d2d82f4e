"""The loss that keeps the experts of a mixture in use. Axes: B samples, K experts."""

from __future__ import annotations

from torch import Tensor


def balance_loss(routing: Tensor, everyone: Tensor | None = None) -> Tensor:
    """Compute ``B * (K sum_k p_k^2 - 1)``, ``p_k`` being expert k's mean share in a micro-batch; a scalar.

    It is 0 if all are used alike and ``B (K - 1)`` if one does everything: the squared coefficient of variation of the
    experts' importance (Shazeer et al. 2017, arXiv:1701.06538), times B.

    Args:
        routing: [B, K] shares that sum to 1 for each sample.
        everyone: [N, K] shares of all processes' samples, to take the mean over; ``routing`` by default.
    """
    n_samples, n_experts = routing.shape
    everyone = routing if everyone is None else everyone
    return n_samples * (n_experts * everyone.mean(dim=0).square().sum() - 1)
