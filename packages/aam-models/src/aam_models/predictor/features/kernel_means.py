"""Random Fourier features of ASVs. Axes: U ASVs, K inputs, M features at all bandwidths."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class FourierFeatures(nn.Module):
    """``sqrt(2 / m) cos(W (x - centre) + b)`` with m features at each bandwidth (Rahimi and Recht 2007).

    Products of these vectors approximate sums of Gaussian kernels, so a mean over the ASVs of a sample approximates the
    kernel mean embedding of the sample (Muandet et al. 2017, arXiv:1605.09522). Nothing here is trained: `set` draws
    the frequencies, orthogonal to each other, which approximates better than independent ones (Yu et al. 2016,
    arXiv:1610.09072), and model folders store them.

    Args:
        n_inputs: K.
        functions: features at each bandwidth.
        bandwidths: number of bandwidths.
    """

    centre: Tensor
    frequency: Tensor
    phase: Tensor

    def __init__(self, n_inputs: int, functions: int, bandwidths: int) -> None:
        super().__init__()
        self.functions, self.bandwidths = functions, bandwidths
        n_features = functions * bandwidths
        self.register_buffer("centre", torch.zeros(n_inputs))
        self.register_buffer("frequency", torch.zeros(n_inputs, n_features))
        self.register_buffer("phase", torch.zeros(n_features))

    def set(self, centre: Tensor, bandwidths: Tensor, generator: torch.Generator) -> None:
        """Set what the features depend on.

        Args:
            centre: [K], the value that stands for a missing input.
            bandwidths: standard deviation of each Gaussian kernel, in the units of the inputs.
            generator: on the CPU, draws frequencies and phases.
        """
        n_inputs = len(centre)
        drawn = [_orthogonal(n_inputs, self.functions, generator) / width for width in bandwidths.tolist()]
        phase = torch.rand(self.phase.shape, generator=generator, dtype=torch.float64) * 2 * math.pi
        self.centre.copy_(centre)
        self.frequency.copy_(torch.cat(drawn, dim=1))
        self.phase.copy_(phase)

    def forward(self, x: Tensor, known: Tensor | None = None) -> Tensor:
        """Map inputs [U, K] to features [U, M].

        Args:
            x: inputs.
            known: [U, K], 0 where an input is missing; None if all are known.
        """
        deviation = x - self.centre
        if known is not None:
            deviation = deviation * known
        features: Tensor = math.sqrt(2 / self.functions) * torch.cos(deviation @ self.frequency + self.phase)
        return features


def _orthogonal(n_inputs: int, n_vectors: int, generator: torch.Generator) -> Tensor:
    """Draw vectors [K, n] with the lengths of normal ones, in groups of up to K that are orthogonal to each other."""
    groups = []
    for start in range(0, n_vectors, n_inputs):
        size = (n_inputs, min(n_inputs, n_vectors - start))
        directions, _ = torch.linalg.qr(torch.randn(size, generator=generator, dtype=torch.float64))
        lengths = torch.randn(size, generator=generator, dtype=torch.float64).norm(dim=0)
        groups.append(directions * lengths)
    return torch.cat(groups, dim=1)
