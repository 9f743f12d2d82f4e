"""Validation of an encoder: whole sets of samples at once, so that the size of batches does not matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import reduce

from aam_models.requested import RequestedOutputs
from aam_train.data.loading import FIXED_DRAW
from aam_train.data.run_data import RunData
from aam_train.engine.step import Step
from aam_train.evaluation.inference import encoded_once, run_samples
from aam_train.evaluation.metrics import mean_absolute_error
from aam_train.objectives.base import PretrainingObjective, SampleSet, Validated


@dataclass(frozen=True, eq=False)
class EncoderValidator:
    """Evaluates every objective on the same samples, under the fixed draw.

    Attributes:
        objectives: in the order of their table.
    """

    objectives: Sequence[PretrainingObjective]
    samples: SampleSet

    def __call__(self, step: Step) -> dict[str, float]:
        """Return the metrics of all objectives, and ``val_loss``, their weighted loss."""
        return self.metrics(self.measure(step))

    def metrics(self, results: Mapping[str, Validated]) -> dict[str, float]:
        """Put the results of all objectives together."""
        metrics: dict[str, float] = {}
        for result in results.values():
            metrics |= result.metrics
        loss = sum(objective.weight * results[objective.name].loss for objective in self.objectives)
        return {"val_loss": loss, **metrics}

    def measure(self, step: Step) -> dict[str, Validated]:
        """Return the result of each objective.

        Every ASV is encoded once, and once more with bases masked.
        """
        with self.encoded(step):
            wanted = [each.reads_in_validation for each in self.objectives if each.reads_in_validation is not None]
            outputs = None
            if wanted:
                maker, rows, _, batch_size = self.samples
                outputs = run_samples(step, maker, rows, batch_size, reduce(RequestedOutputs.union, wanted))
            return {each.name: each.validate(step, self.samples, outputs) for each in self.objectives}

    def encoded(self, step: Step) -> AbstractContextManager[None]:
        """Cache the embeddings of the samples' ASVs while this context is open, if some objective reads them."""
        if any(objective.encodes_asvs for objective in self.objectives):
            return encoded_once(step, self.samples.maker, self.samples.rows, [FIXED_DRAW])
        return nullcontext()


def build_validator(
    data: RunData, objectives: Sequence[PretrainingObjective], part: str, batch_size: int
) -> EncoderValidator:
    """Build the validator of the samples of one part of the split."""
    return EncoderValidator(objectives, SampleSet(data.maker, data.rows[part], data.drawn_asvs(part), batch_size))


def errors_of_constants(results: Mapping[str, Validated], constants: Mapping[str, float]) -> dict[str, float]:
    """Compute mean absolute errors of constant predictions on the same samples, as ``name_mae``.

    Args:
        constants: by objective, in own units.
    """
    return {
        f"{name}_mae": mean_absolute_error(result.truth, constants[name])
        for name, result in results.items()
        if result.truth is not None and name in constants
    }
