"""UniFrac: distances of sample embeddings match phylogenetic distances.

Axes: B samples of this process, N of all processes, P pairs, D width. For a single process, B = N.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aam_data.options.base import UnifracMetric
from aam_models.batch.batch import Batch, EncoderOutput
from aam_models.encoder.distance_head import DistanceHead
from aam_models.encoder.encoder import Encoder
from aam_models.requested import EMBEDDINGS, RequestedOutputs
from aam_train.data.loading import FIXED_DRAW
from aam_train.data.run_data import RunData, sample_for_pairs
from aam_train.engine.step import Step
from aam_train.evaluation.inference import SampleOutputs, evaluating, run_samples
from aam_train.losses.objective import EVERY_PART, TrueValues
from aam_train.objectives.base import Gather, PretrainingObjective, SampleSet, Sources, Validated
from aam_train.objectives.numbers import describe_numbers, seeded_subset, validated_numbers

MAX_CALIBRATION_SAMPLES = 64  # all of their pairs calibrate the distance head
METRIC_NAMES: dict[UnifracMetric, str] = {
    "unifrac": "unweighted UniFrac",
    "weighted": "weighted UniFrac",
    "weighted_unnormalized": "weighted UniFrac, unnormalized",
    "generalized": "generalized UniFrac",
}


class UniFracObjective(PretrainingObjective):
    """Distances of sample embeddings against UniFrac, in units of the spread of the training distances."""

    name = "unifrac"
    trains = EVERY_PART
    gathers = True

    def __init__(self, weight: float, sources: Sources) -> None:
        super().__init__(weight, sources)
        assert sources.pairs is not None
        self.pairs, self.metric = sources.pairs, sources.metric

    @classmethod
    def is_evaluable(cls, sources: Sources) -> bool:
        """Return whether there are true distances."""
        return sources.pairs is not None

    @property
    def reads(self) -> RequestedOutputs:
        """Nothing beyond the sample embeddings, which every pass has: the head is called on pairs."""
        return RequestedOutputs()

    def look_up(self, rows: np.ndarray, everyone: np.ndarray, draw: int) -> Tensor:
        """Look up distances, float32 [B, N], NaN where undefined."""
        return torch.from_numpy(self.pairs.pairs(rows, everyone, draw))

    def count(self, batch: Batch, true: TrueValues) -> int:
        """Count the pairs of this process with a true distance."""
        return count_pairs(true.values[self.name], true.first)

    def loss(
        self, encoder: Encoder, encoded: EncoderOutput, batch: Batch, true: TrueValues, gather: Gather | None
    ) -> Tensor:
        """Return the sum of squared errors of this process's pairs."""
        own = encoded.sample_embeddings
        everyone = own if gather is None else gather(own, true.sizes)
        return pair_loss(distance_head(encoder), own, true.values[self.name], everyone, true.first)

    def calibrate(self, step: Step, data: RunData, batch_size: int) -> None:
        """Fit the monotone map of the distance head to pairs of training samples."""
        rows = seeded_subset(data.with_targets("train"), MAX_CALIBRATION_SAMPLES, data.preprocessor.seed)
        embedded = run_samples(step, data.maker, rows, batch_size, EMBEDDINGS).embeddings
        assert embedded is not None
        embeddings = torch.from_numpy(embedded).to(step.device)
        i, j = pair_indices(len(rows), step.device)
        distances = self.look_up(rows, rows, FIXED_DRAW).to(step.device)
        distance_head(step.encoder).calibrate(embeddings[i], embeddings[j], distances[i, j])

    @classmethod
    def calibration_key(cls, distances: tuple[str, float, float]) -> tuple[object, ...]:
        """Return metric, alpha and scale: another distance needs another map."""
        return distances

    @property
    def reads_in_validation(self) -> RequestedOutputs:
        """Sample embeddings."""
        return EMBEDDINGS

    def validate(self, step: Step, samples: SampleSet, outputs: SampleOutputs | None) -> Validated:
        """Compare all pairs of the samples, or of a fixed subset of many."""
        head = distance_head(step.encoder)
        assert outputs is not None
        assert outputs.embeddings is not None
        truth, predicted = self._distances(step, head, samples.rows, outputs.embeddings)
        spread = head.spread * step.encoder.config.distance_scale
        return validated_numbers(self.name, truth, predicted, spread)

    def _distances(
        self, step: Step, head: DistanceHead, all_rows: np.ndarray, embeddings: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return true and predicted distances, [P] each, in the metric's own units."""
        chosen = sample_for_pairs(len(all_rows))
        rows = all_rows[chosen]
        matrix = self.pairs.pairs(rows, rows, FIXED_DRAW)
        points = torch.from_numpy(embeddings[chosen]).to(step.device)
        with evaluating(step):  # a row at a time: all pairs at once may not fit in memory
            predicted = [head(points[i : i + 1], points[i + 1 :]).cpu().numpy() for i in range(len(rows))]
        scale = step.encoder.config.distance_scale
        return matrix[np.triu_indices(len(rows), 1)] * scale, np.concatenate(predicted) * scale

    def constant(self, data: RunData) -> float:
        """Return the mean distance of the pairs of training samples, in the metric's own units."""
        every = data.with_targets("train")
        rows = every[sample_for_pairs(len(every))]
        distances = self.pairs.pairs(rows, rows, FIXED_DRAW)
        mean = np.nanmean(distances[np.triu_indices(len(rows), 1)], dtype=np.float64)
        return float(mean) * data.distance_scale

    def report(self, step: Step, data: RunData, result: Validated, folder: Path | None) -> dict[str, Any]:
        """Plot predicted against true distances."""
        if folder is not None:
            from aam_train.evaluation.plots import plot_scatter

            assert result.truth is not None
            assert result.predicted is not None
            label = METRIC_NAMES[self.metric]
            plot_scatter(folder / "unifrac.png", result.truth, result.predicted, "held-out pairs", label)
        return {}

    @classmethod
    def describe(cls, results: Mapping[str, Any]) -> list[str]:
        """Report correlation and error of distances."""
        return describe_numbers(cls.name, f"{results['metric']} of all held-out pairs", results)


def distance_head(encoder: Encoder) -> DistanceHead:
    """Return the head of an encoder that learned distances."""
    head = encoder.head(UniFracObjective.name)
    assert isinstance(head, DistanceHead)
    return head


def pair_indices(n_samples: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return every pair i < j once, int64 [P] each."""
    i, j = torch.triu_indices(n_samples, n_samples, offset=1, device=device)
    return i, j


def own_pairs(n_own: int, n_all: int, first: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return the pairs that a process computes: each pair belongs to one process, and all have equally many a sample.

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
    """Sum the squared errors of a process's pairs, in units of the variance of the training distances; a scalar.

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
    """Count a process's pairs with a true distance; ``distances`` [B, N] are on the host."""
    n_own, n_all = distances.shape
    own, other, counts = own_pairs(n_own, n_all, first, distances.device)
    return int((torch.isfinite(distances[own, other]) & counts).sum())
