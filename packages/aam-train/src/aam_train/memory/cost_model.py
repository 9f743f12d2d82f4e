"""What a micro-batch needs of memory, from its size alone. Axes as in aam_models.batch.batch: B samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

from aam_models.batch.batch import Batch, Chunk, PaddedGroup
from aam_train.engine.step import Step

GB = 1e9
MIN_MARGIN = 1.03  # heaps are never filled without gaps
PRIOR = 0.05  # weight of what the architecture lets expect, against relative errors of measurements


class BatchCost(NamedTuple):
    """Of a micro-batch of one process.

    Attributes:
        kept: tokens of ASVs whose activations are kept at once: at least those of the largest chunk.
        tokens: tokens of all distinct ASVs, padding of chunks included.
        kept_slots: slots of the padded samples, where their activations are kept; else 0.
        slots: of the padded samples.
        kept_attention: pairs of slots that attend to each other, where activations are kept; else 0.
        attention: pairs of slots that attend to each other.
        pairs: pairs of samples, those of other processes among them.
    """

    kept: int
    tokens: int
    kept_slots: int
    slots: int
    kept_attention: int
    attention: int
    pairs: int


def cost_of(
    chunks: Sequence[Chunk], groups: Sequence[PaddedGroup], everyone: int | None = None, *, keep_slots: bool = True
) -> BatchCost:
    """BatchCost of a micro-batch.

    Args:
        chunks: of its ASVs.
        groups: of its samples.
        everyone: samples of all processes in this micro-batch; B by default.
        keep_slots: see `ActivationPlan`.
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
        pairs=n_samples * (everyone or n_samples),
    )


def cost_of_batch(batch: Batch, everyone: int | None = None) -> BatchCost:
    """BatchCost of a batch that was made."""
    return cost_of(batch.chunks, batch.groups, everyone, keep_slots=not batch.recompute_samples)


@dataclass(frozen=True)
class MemoryModel:
    """Bytes of a training step beyond what is held before the first one: linear in the largest micro-batch's `BatchCost`.

    Attributes:
        constant: gradients and the optimizer's state among it.
        kept, tokens, kept_slots, slots, kept_attention, attention, pairs: bytes for one of each.
        margin: factor from what is expected to what is needed at most.
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

    def expected_bytes(self, size: BatchCost) -> int:
        """What is expected to be needed."""
        return int(self.constant + sum(each * number for each, number in zip(self._coefficients(), size, strict=True)))

    def max_bytes(self, size: BatchCost) -> int:
        """What is needed at most."""
        return int(self.margin * self.expected_bytes(size))

    def spare_tokens(self, size: BatchCost, limit: int) -> int:
        """Tokens that may be kept in place of ``size.kept``, so that `max_bytes` stays within ``limit``; negative where
        nothing does."""
        spare = limit / self.margin - self.expected_bytes(size._replace(kept=0))
        return int(spare / self.kept) if spare > 0 and self.kept else size.tokens if spare >= 0 else -1

    def _coefficients(self) -> tuple[float, ...]:
        of_slots = self.kept_slots, self.slots, self.kept_attention, self.attention
        return self.kept, self.tokens, *of_slots, self.pairs

    def fit(self, sizes: Sequence[BatchCost], peaks: Sequence[int]) -> MemoryModel:
        """A model that explains measurements, and is this one where they say nothing.

        Least squares of relative errors, of large batches above all, without negative coefficients. The margin is such
        that the larger ones of the batches would have been told enough.

        Args:
            sizes: of the micro-batches that were tried.
            peaks: bytes that were needed beyond what was held before the first one.
        """
        x = np.column_stack([np.ones(len(sizes)), np.array(sizes, dtype=np.float64)])
        y = np.array(peaks, dtype=np.float64).clip(1)
        expected = np.array([self.constant, *self._coefficients()])
        weight = np.sqrt(y / y.max())
        rows = np.vstack([x * expected * (weight / y)[:, None], PRIOR * np.eye(len(expected))])
        found, _ = nnls(rows, np.concatenate([weight, np.full(len(expected), PRIOR)]))
        told = x @ (found * expected)
        large = y >= y.max() / 2
        margin = MIN_MARGIN * max(1.0, float((y[large] / told[large].clip(1)).max()))
        constant, kept, tokens, kept_slots, slots, kept_attention, attention, pairs = (found * expected).tolist()
        return MemoryModel(constant, kept, tokens, kept_slots, slots, kept_attention, attention, pairs, margin)


def expected_model(step: Step, *, math: bool) -> MemoryModel:
    """Return an architecture-based prior, on the high side: levels estimate what they keep for each position, and one
    whose output is known keeps nothing.

    Args:
        step: before the first one.
        math: whether attention keeps its weights.
    """
    config, number = step.encoder.config, 4 if step.precision.name == "none" else 2
    learned = sum(p.numel() for p in step.model.parameters() if p.requires_grad)
    asvs_run, samples_run = step.asv_table is None and step.sample_table is None, step.sample_table is None
    asvs = step.encoder.asv_encoder.memory_prior(frozen=step.frozen)
    samples = step.encoder.sample_encoder.memory_prior(frozen=step.frozen)
    vector = number * config.width
    weights = number * config.heads  # of a pair of slots
    return MemoryModel(
        constant=16.0 * learned + (64 << 20),
        kept=asvs.kept * vector if asvs_run else 1.0,
        tokens=asvs.always * vector if asvs_run else 1.0,
        kept_slots=samples.kept * vector if samples_run else 1.0,
        slots=samples.always * vector if samples_run else 1.0,
        kept_attention=2.0 * weights * config.sample_layers if math and not step.frozen else 0.0,
        attention=weights * (2.0 if math else 0.1),
        pairs=8.0 * config.width,
    )
