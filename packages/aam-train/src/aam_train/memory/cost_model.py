"""Memory model: bytes needed by a micro-batch, from its size alone.

Axes as in aam_models.batch.batch: B samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

from aam_models.batch.batch import Batch, Chunk, PaddedGroup
from aam_train.engine.step import Step

GB = 1e9
MIN_MARGIN = 1.03  # heaps always have gaps
PRIOR_WEIGHT = 0.05  # of the architecture-based prior, relative to the relative errors of measurements


class BatchCost(NamedTuple):
    """Size of one process's micro-batch in the units of a `MemoryModel`.

    Attributes:
        kept: ASV tokens whose activations are kept at the same time: at least those of the largest chunk.
        tokens: tokens of all distinct ASVs, including the padding of chunks.
        kept_slots: slots of the padded samples if their activations are kept, else 0.
        slots: slots of the padded samples.
        kept_attention: pairs of slots that attend to each other if activations are kept, else 0.
        attention: pairs of slots that attend to each other.
        pairs: pairs of samples, including those with samples of other processes.
    """

    kept: int
    tokens: int
    kept_slots: int
    slots: int
    kept_attention: int
    attention: int
    pairs: int


def cost_of(
    chunks: Sequence[Chunk], groups: Sequence[PaddedGroup], n_all: int | None = None, *, keep_slots: bool = True
) -> BatchCost:
    """Compute the size of a micro-batch from its layout.

    Args:
        chunks: of its ASVs.
        groups: of its samples.
        n_all: number of samples of all processes in this micro-batch; B by default.
        keep_slots: whether the sample level keeps its activations.
    """
    slots, attention = sum(group.total for group in groups), sum(group.total * group.n_slots for group in groups)
    kept, n_samples = sum(c.n_tokens for c in chunks if not c.recompute), sum(group.n_samples for group in groups)
    return BatchCost(
        kept=max(kept, *(chunk.n_tokens for chunk in chunks)),
        tokens=sum(chunk.n_tokens for chunk in chunks),
        kept_slots=slots if keep_slots else 0,
        slots=slots,
        kept_attention=attention if keep_slots else 0,
        attention=attention,
        pairs=n_samples * (n_all or n_samples),
    )


def cost_of_batch(batch: Batch, n_all: int | None = None) -> BatchCost:
    """Compute the size of a batch; see `cost_of`."""
    return cost_of(batch.chunks, batch.groups, n_all, keep_slots=not batch.recompute_samples)


@dataclass(frozen=True)
class MemoryModel:
    """Linear model of the bytes that a training step needs in addition to those in use before the first step.

    Attributes:
        constant: bytes of every step, including gradients and the optimizer's state.
        kept, tokens, kept_slots, slots, kept_attention, attention, pairs: bytes per unit of the largest micro-batch's
            `BatchCost`.
        margin: factor from expected to maximum bytes.
    """

    constant: float
    kept: float
    tokens: float
    kept_slots: float
    slots: float
    kept_attention: float
    attention: float
    pairs: float
    margin: float = 1.5

    def expected_bytes(self, cost: BatchCost) -> int:
        """Return the expected need of a batch."""
        return int(self.constant + sum(each * number for each, number in zip(self._coefficients(), cost, strict=True)))

    def max_bytes(self, cost: BatchCost) -> int:
        """Return the maximum need of a batch: the expected one times the margin."""
        return int(self.margin * self.expected_bytes(cost))

    def spare_tokens(self, cost: BatchCost, limit: int) -> int:
        """Return how many tokens may replace ``cost.kept`` so that `max_bytes` stays within ``limit``; negative if even
        0 exceeds it."""
        spare = limit / self.margin - self.expected_bytes(cost._replace(kept=0))
        return int(spare / self.kept) if spare > 0 and self.kept else cost.tokens if spare >= 0 else -1

    def _coefficients(self) -> tuple[float, ...]:
        sample_level = self.kept_slots, self.slots, self.kept_attention, self.attention
        return self.kept, self.tokens, *sample_level, self.pairs

    def fit(self, costs: Sequence[BatchCost], peaks: Sequence[int]) -> MemoryModel:
        """Fit a model to measurements, regularised towards this one, which is the prior.

        Non-negative least squares of relative errors, weighted towards large batches. The margin is large enough that
        the predicted maximum covers every batch with at least half of the largest peak.

        Args:
            costs: sizes of the measured micro-batches.
            peaks: bytes that each needed in addition to those in use before the first one.
        """
        x = np.column_stack([np.ones(len(costs)), np.array(costs, dtype=np.float64)])
        y = np.array(peaks, dtype=np.float64).clip(1)
        expected = np.array([self.constant, *self._coefficients()])
        weight = np.sqrt(y / y.max())
        rows = np.vstack([x * expected * (weight / y)[:, None], PRIOR_WEIGHT * np.eye(len(expected))])
        factors, _ = nnls(rows, np.concatenate([weight, np.full(len(expected), PRIOR_WEIGHT)]))
        predicted = x @ (factors * expected)
        large = y >= y.max() / 2
        margin = MIN_MARGIN * max(1.0, float((y[large] / predicted[large].clip(1)).max()))
        constant, kept, tokens, kept_slots, slots, kept_attention, attention, pairs = (factors * expected).tolist()
        return MemoryModel(constant, kept, tokens, kept_slots, slots, kept_attention, attention, pairs, margin)


def expected_model(step: Step, *, math: bool) -> MemoryModel:
    """Return the architecture-based prior, on the high side: levels estimate what they keep per position, cached ones
    keep nothing.

    Args:
        step: of a run that has not started.
        math: whether attention stores its weights.
    """
    config, bytes_per_number = step.encoder.config, 4 if step.precision.name == "none" else 2
    trained = sum(p.numel() for p in step.model.parameters() if p.requires_grad)
    asvs_run, samples_run = step.asv_table is None and step.sample_table is None, step.sample_table is None
    asvs = step.encoder.asv_encoder.memory_prior(frozen=step.frozen)
    samples = step.encoder.sample_encoder.memory_prior(frozen=step.frozen)
    vector = bytes_per_number * config.width
    weights = bytes_per_number * config.heads  # per pair of slots
    return MemoryModel(
        constant=16.0 * trained + (64 << 20),
        kept=asvs.kept * vector if asvs_run else 1.0,
        tokens=asvs.always * vector if asvs_run else 1.0,
        kept_slots=samples.kept * vector if samples_run else 1.0,
        slots=samples.always * vector if samples_run else 1.0,
        kept_attention=2.0 * weights * config.sample_layers if math and not step.frozen else 0.0,
        attention=weights * (2.0 if math else 0.1),
        pairs=8.0 * config.width,
    )
