"""Similarities of ASVs to training ASVs. Axes: U ASVs, C centres, K inputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Similarities(nn.Module):
    """``exp(-d^2 / (2 b^2))`` of the distances d between ASVs and C centres, which are ASVs of the training samples.

    A radial basis function layer (Broomhead and Lowe 1988). At a narrow bandwidth a feature counts an ASV and its close
    variants; products of such features are a Gaussian kernel that is restricted to the centres. Random Fourier features
    approximate so narrow a kernel badly, since the errors of all pairs of ASVs of two samples add up.

    Attributes:
        bandwidth: b, in the units of the inputs; set from the training ASVs and stored.
    """

    bandwidth: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("bandwidth", torch.ones(()))

    def forward(self, x: Tensor, centres: Tensor, exists: Tensor) -> Tensor:
        """Map inputs [U, K] to similarities [U, C].

        Args:
            x: inputs.
            centres: [C, K].
            exists: bool [C]; similarities to centres that do not exist are 0.
        """
        squares = x.square().sum(dim=1, keepdim=True) + centres.square().sum(dim=1) - 2 * x @ centres.T
        return torch.exp(squares.clamp_min(0.0) / (-2 * self.bandwidth.square())) * exists
