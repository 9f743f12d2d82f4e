"""Steps that are tried before a run, and what they teach about memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict

import numpy as np

from aam_train.data.collate import KEEP_ALL, KEEP_NONE, ActivationPlan
from aam_train.data.loading import FIXED_DRAW, epoch_order
from aam_train.data.step_split import EvenSplitter, RankPart
from aam_train.engine.gradients import is_out_of_memory
from aam_train.errors import TrainError
from aam_train.memory.cost_model import GB, MemoryModel, expected_model
from aam_train.memory.plan_factory import PlanFactory
from aam_train.memory.probe import Probe
from aam_train.memory.splitting import MemorySplitter
from aam_train.reporting.records import Reporter

# Small batches first: where among the samples ordered by size, how many of them, and which activations are kept, where
# some may be computed again.
CALIBRATION = (
    (0.5, 2, KEEP_ALL),
    (0.5, 8, KEEP_ALL),
    (0.5, 8, ActivationPlan(0)),
    (1.0, 2, KEEP_NONE),
    (0.0, 32, KEEP_ALL),
)
SHARES = (0.4, 0.9)  # of the limit: samples in random order, so many that this is needed
MAX_SAMPLES_CHECKED, EPOCHS = 4096, 3  # samples of how many epochs, whose batches are looked at for the heaviest
MAX_TRIALS = 4  # of batch sizes, at most
EXHAUSTED = 1.25  # times what was expected is what a step that found no memory left is taken for
TOLERANCE = 0.02  # relative difference of batch sizes that is not worth another trial


class BatchSizeSearch:
    """Tries steps, learns from them what memory they need, and tries larger ones.

    Attributes:
        model: what is known by now.
        tried: steps.
    """

    def __init__(self, batches: PlanFactory, probe: Probe, limit: int, most: int, reporter: Reporter) -> None:
        self.batches, self.probe, self.limit, self.reporter = batches, probe, limit, reporter
        self.processes = batches.step.strategy.ranks.size
        self.tried = 0
        self.expected = expected_model(batches.step, math=batches.compute.attn_implementation == "math")
        self.model = self.expected
        self._calibrate(most)

    def splitter(self, batch_size: int) -> MemorySplitter:
        """By what is known now.

        Args:
            batch_size: of one process.
        """
        return self.batches.splitter(self.model, self.limit, batch_size * self.processes)

    def batch_size(self) -> int:
        """The largest batch size of one process whose heaviest micro-batch fits, after trying that one; if not even a
        pair does, with activations computed again, where that may be. 0 where nothing fits."""
        size = self._find(KEEP_NONE if self.batches.recompute else KEEP_ALL)
        if size * self.processes < 2 and self.batches.recompute is None:
            size = self._find(KEEP_NONE)
        return size

    def _find(self, kept: ActivationPlan) -> int:
        size = 0
        for _ in range(MAX_TRIALS):
            before, size = size, self._largest(kept)
            if abs(size - before) <= TOLERANCE * size:
                return size
            _, draw, rows = max(self._batches_of(size, kept), key=lambda found: found[0])
            self._try(rows, draw, kept)
        return min(size, self._largest(kept))

    def _calibrate(self, most: int) -> None:
        """Small batches of small, usual and large samples, then larger ones in random order."""
        rows = self.batches.rows
        samples = self.batches.maker.samples
        order = rows[np.argsort(samples.most_asvs(rows), kind="stable")]
        self._try(order[: self.processes], kept=KEEP_NONE, surely=True)
        for quantile, number, kept in CALIBRATION:
            number = min(number, most) * self.processes
            first = int(quantile * max(len(order) - number, 0))
            self._try(order[first : first + number], kept=kept)
        mixed = epoch_order(rows, self.batches.run.seed, 0)
        done = 0
        for share in SHARES:
            number = self._prefix(mixed, most * self.processes, int(share * self.limit))
            if number > 1.2 * done:
                self._try(mixed[:number])
                done = number

    def _prefix(self, rows: np.ndarray, most: int, limit: int) -> int:
        """How many of these samples need no more than a limit as one micro-batch."""
        kept = KEEP_NONE if self.batches.recompute else KEEP_ALL
        return largest_fitting(
            min(len(rows), most), lambda number: self._needed(rows[:number], FIXED_DRAW, kept) <= limit
        )

    def _try(
        self, rows: np.ndarray, draw: int = FIXED_DRAW, kept: ActivationPlan = KEEP_ALL, *, surely: bool = False
    ) -> None:
        """One step on these samples, or on as many of them as are expected to fit; then the model is fitted anew.

        Args:
            kept: activations, where some may be computed again.
            surely: whatever is expected.
        """
        recompute = self.batches.recompute
        if recompute is not None:
            kept = KEEP_NONE if recompute else KEEP_ALL
        while not surely and self._needed(rows, draw, kept) > self.limit:
            if kept != KEEP_NONE and recompute is None:
                kept = KEEP_NONE
            elif len(rows) >= 2 * self.processes:
                rows = rows[: len(rows) // 2]
            else:
                return
        if len(rows) < self.processes:
            return
        self.batches.step.check_stop()
        parts = [RankPart(part, kept) for part in np.array_split(rows, self.processes)]
        try:
            peak = self.probe.run(parts, draw)
        except TrainError as error:
            if self.processes > 1 or not is_out_of_memory(error.__cause__):
                raise
            peak = self.probe.exhausted(parts, draw, int(EXHAUSTED * self._needed(rows, draw, kept)))
        self.tried += 1
        fitted = self.expected.fit(self.probe.sizes, self.probe.peaks)
        # to the last bit the same on all processes, whatever their machines compute
        self.model = MemoryModel(**self.batches.step.strategy.ranks.broadcast(asdict(fitted)))
        self.reporter.note(f"memory: a batch of {len(rows):,} samples needed {peak / GB:.3g} GB")

    def _needed(self, rows: np.ndarray, draw: int, kept: ActivationPlan = KEEP_ALL) -> int:
        """Bytes at most, of the process that needs most."""
        splitter = self.splitter(1)
        drawn = self.batches.maker.samples.samples(rows, draw)
        parts = [part for part in np.array_split(np.arange(len(rows)), self.processes) if len(part)]
        sizes = [splitter.cost([drawn[i] for i in part.tolist()], len(rows), kept) for part in parts]
        return max(self.model.max_bytes(size) for size in sizes)

    def _largest(self, kept: ActivationPlan) -> int:
        """The largest batch size whose micro-batches all fit without being cut; 0 where none does."""
        most = self.batches.at_most(-(-len(self.batches.rows) // self.processes))
        return largest_fitting(
            most, lambda size: all(needed <= self.limit for needed, _, _ in self._batches_of(size, kept))
        )

    def _batches_of(self, size: int, kept: ActivationPlan) -> Iterator[tuple[int, int, np.ndarray]]:
        """What the first micro-batches of the first epochs need, with their draws and samples."""
        of_all, run = size * self.processes, self.batches.run
        step_size = self.batches.step_size or of_all * run.gradient_accumulation_steps
        for epoch in range(min(EPOCHS, run.epochs)):
            order, seen = epoch_order(self.batches.rows, run.seed, epoch), 0
            for step in np.array_split(order, max(1, -(-len(order) // step_size))):
                for parts in EvenSplitter(of_all).split(step, epoch, 1):
                    if seen < MAX_SAMPLES_CHECKED or not seen:
                        yield self._needed(parts[0].rows, epoch, kept), epoch, parts[0].rows
                    seen += len(parts[0].rows)
                if seen >= MAX_SAMPLES_CHECKED:
                    break


def largest_fitting(most: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to ``most`` that fits, 0 where not even 1 does: doubled until it does not, then halved."""
    fitting, beyond = 0, 1
    while beyond <= most and fits(beyond):
        fitting, beyond = beyond, 2 * beyond
    beyond = min(beyond, most + 1)
    while beyond - fitting > 1:
        middle = (fitting + beyond) // 2
        fitting, beyond = (middle, beyond) if fits(middle) else (fitting, middle)
    return fitting
