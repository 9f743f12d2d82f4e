"""Splitting a step into micro-batches that fit in memory."""

from __future__ import annotations

import numpy as np

from aam_data.preprocessing.dataset import Sample, SampleDataset
from aam_models.batch.padding import cut_groups
from aam_train.data.collate import KEEP_ALL, KEEP_NONE, ActivationPlan, Collator, mark_recomputed
from aam_train.data.step_split import EvenSplitter, RankPart
from aam_train.errors import TrainError
from aam_train.memory.cost_model import BatchCost, MemoryModel, cost_of


class MemorySplitter:
    """Splitter into micro-batches that stay within a memory limit.

    If even micro-batches fit, the step is split evenly; if they only fit with recomputation, activations of ASVs are
    recomputed, as many as necessary, then those of samples. Otherwise, the samples, sorted by size, are distributed
    round-robin over as few micro-batches as fit: each gets large and small samples, so that its pairs resemble those of
    the whole step. If no such number fits, the largest samples form a micro-batch of their own, as many as fit, and the
    others are distributed.

    Args:
        samples, collator: of the batches; sizes are those of the actual draws.
        model: memory model.
        limit: in bytes.
        batch_size: maximum samples of a micro-batch, over all processes.
        recompute: whether to recompute activations: all, none, or as many as necessary (None).
    """

    def __init__(
        self,
        samples: SampleDataset,
        collator: Collator,
        model: MemoryModel,
        limit: int,
        batch_size: int,
        *,
        recompute: bool | None,
    ) -> None:
        self.samples, self.collator, self.model, self.limit = samples, collator, model, limit
        self.recompute, self.even = recompute, EvenSplitter(batch_size)

    def split(self, rows: np.ndarray, draw: int, processes: int) -> list[list[RankPart]]:
        """See `StepSplitter.split`."""
        drawn = dict(zip(rows.tolist(), self.samples.samples(rows, draw), strict=True))
        even = [[part.rows for part in micro] for micro in self.even.split(rows, draw, processes)]
        if all(self._fits(parts, drawn) for parts in even):
            return [self._parts(parts, drawn) for parts in even]
        sizes = np.array([len(drawn[row].asv_rows) for row in rows.tolist()])
        left = rows[np.argsort(-sizes, kind="stable")]
        micro_batches: list[list[RankPart]] = []
        while len(left):
            rest = self._split_by_size(left, drawn, processes)
            if rest:
                return micro_batches + rest
            taken = self._take(left, drawn, processes)
            # a single sample would have no pair
            if taken == 1 and len(left) > 2 and self._fits([left[[0, -1]]], drawn):
                left, taken = np.concatenate([left[:1], left[-1:], left[1:-1]]), 2
            micro_batches.append(self._parts(_round_robin(left[:taken], processes), drawn))
            left = left[taken:]
        return micro_batches

    def cost(
        self, samples: list[Sample], n_all: int | None = None, activations: ActivationPlan = KEEP_ALL
    ) -> BatchCost:
        """Compute the size of a micro-batch of these samples, with ``n_all`` samples over all processes."""
        chunks = mark_recomputed(self.collator.chunks_of(samples), activations.tokens)
        sizes = np.array([len(sample.asv_rows) for sample in samples])
        return cost_of(chunks, cut_groups(-np.sort(-sizes)), n_all, keep_slots=activations.slots)

    def min_bytes(self, samples: list[Sample], n_all: int | None = None) -> int:
        """Return the maximum need of a batch of these samples in bytes, with as much recomputation as allowed."""
        return self.model.max_bytes(self.cost(samples, n_all, KEEP_ALL if self.recompute is False else KEEP_NONE))

    def _split_by_size(self, rows: np.ndarray, drawn: dict[int, Sample], processes: int) -> list[list[RankPart]]:
        """Distribute samples, sorted by size, over as few micro-batches as fit.

        Returns an empty list if no number of micro-batches fits that leaves each a pair and a sample per process.
        """

        def distribute(number: int) -> list[list[np.ndarray]]:
            return [_round_robin(micro, processes) for micro in _round_robin(rows, number)]

        def fits(number: int) -> bool:
            return all(self._fits(parts, drawn) for parts in distribute(number))

        max_number, too_few = len(rows) // max(processes, 2), (len(rows) - 1) // self.even.batch_size
        if max_number <= too_few or not fits(max_number):
            return []
        while max_number - too_few > 1:
            middle = (too_few + max_number) // 2
            too_few, max_number = (too_few, middle) if fits(middle) else (middle, max_number)
        return [self._parts(parts, drawn) for parts in distribute(max_number)]

    def _take(self, left: np.ndarray, drawn: dict[int, Sample], processes: int) -> int:
        """Return how many of the next samples form a micro-batch: as many as fit, but if possible leave a pair and a
        sample per process for the last one."""
        fitting, too_many = min(processes, len(left)), min(len(left), self.even.batch_size) + 1
        while too_many - fitting > 1:
            middle = (fitting + too_many) // 2
            if self._fits(_round_robin(left[:middle], processes), drawn):
                fitting = middle
            else:
                too_many = middle
        rest, min_size = len(left) - fitting, max(processes, 2)
        if not 0 < rest < min_size:
            return fitting
        if len(left) >= 2 * min_size:
            return len(left) - min_size
        if processes > 1 and not self._fits(_round_robin(left, processes), drawn):
            raise TrainError(
                f"the last {len(left)} samples of a step do not fit on {processes} processes, each of which needs one. "
                f"Start fewer processes, or allow more than {self.limit / 1e9:.3g} GB"
            )
        return fitting if processes == 1 else len(left)

    def _fits(self, parts: list[np.ndarray], drawn: dict[int, Sample]) -> bool:
        n_all = sum(len(part) for part in parts)
        return all(self.min_bytes([drawn[row] for row in part.tolist()], n_all) <= self.limit for part in parts)

    def _parts(self, parts: list[np.ndarray], drawn: dict[int, Sample]) -> list[RankPart]:
        n_all = sum(len(part) for part in parts)
        return [RankPart(part, self._activations([drawn[row] for row in part.tolist()], n_all)) for part in parts]

    def _activations(self, samples: list[Sample], n_all: int) -> ActivationPlan:
        if self.recompute is not None:
            return KEEP_NONE if self.recompute else KEEP_ALL
        asvs_recomputed = self.cost(samples, n_all, ActivationPlan(0))
        keep_slots = self.model.max_bytes(asvs_recomputed) <= self.limit
        cost = asvs_recomputed if keep_slots else asvs_recomputed._replace(kept_slots=0, kept_attention=0)
        tokens = max(self.model.spare_tokens(cost, self.limit), 0)
        return ActivationPlan(None if tokens >= cost.tokens else tokens, keep_slots)


def _round_robin(rows: np.ndarray, n_shares: int) -> list[np.ndarray]:
    """Distribute samples sorted by size over shares, alternating direction, so that all have about the same work."""
    turn, position = np.divmod(np.arange(len(rows)), n_shares)
    share = np.where(turn % 2, n_shares - 1 - position, position)
    return [rows[share == each] for each in range(n_shares)]
