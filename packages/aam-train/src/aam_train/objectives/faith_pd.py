"""Faith's PD: the phylogenetic diversity of a sample from its embedding. Axes: B samples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aam_models.batch.batch import Batch, EncoderOutput
from aam_models.encoder.encoder import Encoder
from aam_models.encoder.value_head import ValueHead
from aam_models.requested import RequestedOutputs, requested_heads
from aam_train.data.loading import FIXED_DRAW
from aam_train.data.run_data import RunData
from aam_train.engine.step import Step
from aam_train.evaluation.inference import SampleOutputs
from aam_train.losses.objective import EVERY_PART, TrueValues
from aam_train.objectives.base import Gather, PretrainingObjective, SampleSet, Sources, Validated
from aam_train.objectives.numbers import describe_numbers, seeded_subset, validated_numbers

MAX_CALIBRATION_SAMPLES = 1000  # their values set mean and spread of the head


class FaithPDObjective(PretrainingObjective):
    """Faith's PD of a sample, standardized by the mean and spread of training samples."""

    name = "faith_pd"
    trains = EVERY_PART
    needs_sample_size = True

    def __init__(self, weight: float, sources: Sources) -> None:
        super().__init__(weight, sources)
        assert sources.pairs is not None
        self.pairs = sources.pairs

    @classmethod
    def is_evaluable(cls, sources: Sources) -> bool:
        """Return whether there is a tree."""
        return sources.pairs is not None and sources.has_tree

    @property
    def reads(self) -> RequestedOutputs:
        """The standardized value of each sample."""
        return requested_heads(self.name)

    def look_up(self, rows: np.ndarray, everyone: np.ndarray, draw: int) -> Tensor:
        """Look up Faith's PD in its own units, float32 [B], NaN where undefined."""
        return torch.from_numpy(self.pairs.values(rows, draw))

    def count(self, batch: Batch, true: TrueValues) -> int:
        """Count the samples with a known value."""
        return count_known(true.values[self.name])

    def loss(
        self, encoder: Encoder, encoded: EncoderOutput, batch: Batch, true: TrueValues, gather: Gather | None
    ) -> Tensor:
        """Return the sum of squared errors of standardized values."""
        target = _head(encoder).standardize(true.values[self.name])
        return squared_errors(encoded.predictions[self.name], target)

    def calibrate(self, step: Step, data: RunData, batch_size: int) -> None:
        """Take mean and spread from training samples."""
        rows = seeded_subset(data.with_targets("train"), MAX_CALIBRATION_SAMPLES, data.preprocessor.seed)
        _head(step.encoder).calibrate(self.look_up(rows, rows, FIXED_DRAW).to(step.device))

    @property
    def reads_in_validation(self) -> RequestedOutputs:
        """The value of each sample."""
        return self.reads

    def validate(self, step: Step, samples: SampleSet, outputs: SampleOutputs | None) -> Validated:
        """Compare the samples in the units of the tree."""
        assert outputs is not None
        truth = self.pairs.values(samples.rows, FIXED_DRAW)
        return validated_numbers(self.name, truth, outputs.values[self.name], _head(step.encoder).spread)

    def constant(self, data: RunData) -> float:
        """Return the mean over training samples."""
        return float(np.nanmean(self.pairs.values(data.rows["train"], FIXED_DRAW)))

    def report(self, step: Step, data: RunData, result: Validated, folder: Path | None) -> dict[str, Any]:
        """Plot predicted against true values."""
        if folder is not None:
            from aam_train.evaluation.plots import plot_scatter

            assert result.truth is not None
            assert result.predicted is not None
            plot_scatter(folder / "faith_pd.png", result.truth, result.predicted, "held-out samples", "Faith's PD")
        return {}

    @classmethod
    def describe(cls, results: Mapping[str, Any]) -> list[str]:
        """Report correlation and error."""
        return describe_numbers(cls.name, "held-out Faith's PD", results)


def _head(encoder: Encoder) -> ValueHead:
    head = encoder.head(FaithPDObjective.name)
    assert isinstance(head, ValueHead)
    return head


def squared_errors(predicted: Tensor, target: Tensor) -> Tensor:
    """Sum squared errors over the known targets, a scalar; NaN targets are unknown."""
    known = torch.isfinite(target)
    return torch.where(known, predicted - torch.where(known, target, 0.0), 0.0).square().sum()


def count_known(target: Tensor) -> int:
    """Count the known targets (not NaN); ``target`` is on the host."""
    return int(torch.isfinite(target).sum())
