"""How a step's samples are divided into micro-batches, and those among processes."""

from __future__ import annotations

import numpy as np

from aam_data.preprocessing.dataset import Sample, SampleDataset
from aam_models.batch.padding import cut_groups
from aam_train.data.collate import KEEP_ALL, KEEP_NONE, ActivationPlan, Collator, mark_recomputed
from aam_train.data.step_split import EvenSplitter, RankPart
from aam_train.errors import TrainError
from aam_train.memory.cost_model import BatchCost, MemoryModel, cost_of


class MemorySplitter:
    """Micro-batches that need no more than a limit.

    A step whose even micro-batches fit is left as it is; if they fit once some activations are computed again, these
    are: of ASVs as many as it takes, then those of samples. Otherwise the step's samples are dealt by size to as few
    micro-batches as fit: each has large and small ones, so that their pairs are like those of the whole step. Where no
    such number fits, the largest samples make a micro-batch of their own, as many as fit, and the others are dealt.

    Args:
        samples, collator: make the batches: sizes are those of the very draws.
        model: what a size needs.
        limit: bytes.
        batch_size: most samples of a micro-batch of all processes.
        recompute: whether activations are computed again: all, none, or what has to (None).
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
        """See `StepSplitter`."""
        drawn = dict(zip(rows.tolist(), self.samples.samples(rows, draw), strict=True))
        even = [[part.rows for part in micro] for micro in self.even.split(rows, draw, processes)]
        if all(self._fits(parts, drawn) for parts in even):
            return [self._parts(parts, drawn) for parts in even]
        sizes = np.array([len(drawn[row].asv_rows) for row in rows.tolist()])
        left = rows[np.argsort(-sizes, kind="stable")]
        found: list[list[RankPart]] = []
        while len(left):
            dealt = self._dealt(left, drawn, processes)
            if dealt:
                return found + dealt
            taken = self._take(left, drawn, processes)
            if taken == 1 and len(left) > 2 and self._fits([left[[0, -1]]], drawn):  # one alone would have no pair
                left, taken = np.concatenate([left[:1], left[-1:], left[1:-1]]), 2
            found.append(self._parts(_round_robin(left[:taken], processes), drawn))
            left = left[taken:]
        return found

    def cost(self, samples: list[Sample], everyone: int | None = None, kept: ActivationPlan = KEEP_ALL) -> BatchCost:
        """Size of a batch of these samples."""
        chunks = mark_recomputed(self.collator.chunks_of(samples), kept.tokens)
        sizes = np.array([len(sample.asv_rows) for sample in samples])
        return cost_of(chunks, cut_groups(-np.sort(-sizes)), everyone, keep_slots=kept.slots)

    def min_bytes(self, samples: list[Sample], everyone: int | None = None) -> int:
        """Bytes that a batch of these samples needs at most, with as many activations computed again as may be."""
        return self.model.max_bytes(self.cost(samples, everyone, KEEP_ALL if self.recompute is False else KEEP_NONE))

    def _dealt(self, rows: np.ndarray, drawn: dict[int, Sample], processes: int) -> list[list[RankPart]]:
        """Micro-batches among which the samples, ordered by size, are dealt: as few as fit; none where no number does
        that leaves each a pair and a sample for every process."""

        def deal(number: int) -> list[list[np.ndarray]]:
            return [_round_robin(micro, processes) for micro in _round_robin(rows, number)]

        def fits(number: int) -> bool:
            return all(self._fits(parts, drawn) for parts in deal(number))

        most, below = len(rows) // max(processes, 2), (len(rows) - 1) // self.even.batch_size
        if most <= below or not fits(most):
            return []
        while most - below > 1:
            middle = (below + most) // 2
            below, most = (below, middle) if fits(middle) else (middle, most)
        return [self._parts(parts, drawn) for parts in deal(most)]

    def _take(self, left: np.ndarray, drawn: dict[int, Sample], processes: int) -> int:
        """How many of the next samples make a micro-batch: as many as fit, but so that the last one has a pair, and a
        sample for every process, if that can be."""
        fitting, beyond = min(processes, len(left)), min(len(left), self.even.batch_size) + 1
        while beyond - fitting > 1:
            middle = (fitting + beyond) // 2
            if self._fits(_round_robin(left[:middle], processes), drawn):
                fitting = middle
            else:
                beyond = middle
        rest, fewest = len(left) - fitting, max(processes, 2)
        if not 0 < rest < fewest:
            return fitting
        if len(left) >= 2 * fewest:
            return len(left) - fewest
        if processes > 1 and not self._fits(_round_robin(left, processes), drawn):
            raise TrainError(
                f"the last {len(left)} samples of a step do not fit on {processes} processes, which all need one: "
                f"start fewer processes, or allow more than {self.limit / 1e9:.3g} GB"
            )
        return fitting if processes == 1 else len(left)

    def _fits(self, parts: list[np.ndarray], drawn: dict[int, Sample]) -> bool:
        everyone = sum(len(part) for part in parts)
        return all(self.min_bytes([drawn[row] for row in part.tolist()], everyone) <= self.limit for part in parts)

    def _parts(self, parts: list[np.ndarray], drawn: dict[int, Sample]) -> list[RankPart]:
        everyone = sum(len(part) for part in parts)
        return [RankPart(part, self._kept([drawn[row] for row in part.tolist()], everyone)) for part in parts]

    def _kept(self, samples: list[Sample], everyone: int) -> ActivationPlan:
        if self.recompute is not None:
            return KEEP_NONE if self.recompute else KEEP_ALL
        asvs_alone = self.cost(samples, everyone, ActivationPlan(0))
        keep_slots = self.model.max_bytes(asvs_alone) <= self.limit
        size = asvs_alone if keep_slots else asvs_alone._replace(kept_slots=0, kept_attention=0)
        tokens = max(self.model.spare_tokens(size, self.limit), 0)
        return ActivationPlan(None if tokens >= size.tokens else tokens, keep_slots)


def _round_robin(rows: np.ndarray, hands: int) -> list[np.ndarray]:
    """Samples ordered by size, dealt like cards, to and fro, so that all hands have about the same work."""
    turn, place = np.divmod(np.arange(len(rows)), hands)
    hand = np.where(turn % 2, hands - 1 - place, place)
    return [rows[hand == each] for each in range(hands)]
