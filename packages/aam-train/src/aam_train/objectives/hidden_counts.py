"""Hidden counts: predict the abundances that a sample does not show. Axes: N occurrences."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from aam_models.batch.batch import Batch, EncoderOutput
from aam_models.encoder.abundance import standardized_log_abundance
from aam_models.encoder.encoder import Encoder
from aam_models.requested import RequestedOutputs, requested_heads
from aam_train.data.corruptions import count_corruptions
from aam_train.data.loading import FIXED_DRAW, BatchRequest
from aam_train.engine.step import Step
from aam_train.evaluation.inference import SampleOutputs, evaluating
from aam_train.losses.objective import EncoderPart, TrueValues
from aam_train.objectives.base import Gather, PretrainingObjective, SampleSet, Sources, Validated
from aam_train.parallel.sharded_map import map_over_ranks


class HiddenCountsObjective(PretrainingObjective):
    """Squared error of the standardized log abundance of ASVs whose count is hidden."""

    name = "counts"
    trains = frozenset({EncoderPart.ASV_POOLING, EncoderPart.SAMPLE_LEVEL})

    def __init__(self, weight: float, sources: Sources) -> None:
        super().__init__(weight, sources)
        self.corruptions = count_corruptions(sources.masking)

    @property
    def reads(self) -> RequestedOutputs:
        """Log abundances of all occurrences."""
        return requested_heads(self.name)

    def count(self, batch: Batch, true: TrueValues) -> int:
        """Count the occurrences whose abundance is hidden."""
        return count_hidden(batch)

    def loss(
        self, encoder: Encoder, encoded: EncoderOutput, batch: Batch, true: TrueValues, gather: Gather | None
    ) -> Tensor | None:
        """Return the sum of squared errors."""
        predicted = encoded.predictions.get(self.name)
        return None if predicted is None else hidden_count_loss(predicted, batch)

    def validate(self, step: Step, samples: SampleSet, outputs: SampleOutputs | None) -> Validated:
        """Hide counts of the samples under the fixed draw and predict them."""

        def run(rows: np.ndarray) -> tuple[Tensor, ...]:
            step.check_stop()
            batch = samples.maker[BatchRequest(rows, FIXED_DRAW, self.corruptions)]
            predicted = step.run(batch, self.reads).encoded.predictions[self.name]
            sums = [[float(hidden_count_loss(predicted, batch.to(step.device))), count_hidden(batch)]]
            return (torch.tensor(sums, dtype=torch.float64, device=step.device),)

        with evaluating(step):
            (sums,) = map_over_ranks(step.strategy.ranks, samples.rows, samples.batch_size, run, one_row_each=False)
        total, count = sums.sum(dim=0).tolist()
        error = float(total / max(count, 1))
        return Validated({"count_mse": error}, error)


def hidden_count_loss(predicted: Tensor, batch: Batch) -> Tensor:
    """Sum squared errors of hidden abundances, a scalar; ``predicted`` [N]."""
    assert batch.hidden_counts is not None
    error = predicted - standardized_log_abundance(batch)
    return (error.square() * batch.hidden_counts).sum()


def count_hidden(batch: Batch) -> int:
    """Count the occurrences whose abundance is hidden; ``batch`` is on the host."""
    return 0 if batch.hidden_counts is None else int(batch.hidden_counts.sum())
