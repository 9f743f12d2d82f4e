"""Search for the largest batch size: trial steps before a run, and a memory model fitted to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict

import numpy as np

from aam_train.data.collate import KEEP_ALL, KEEP_NONE, ActivationPlan
from aam_train.data.loading import FIXED_DRAW
from aam_train.data.step_split import EvenSplitter, RankPart
from aam_train.engine.gradients import is_out_of_memory
from aam_train.errors import TrainError
from aam_train.memory.cost_model import GB, MemoryModel, expected_model
from aam_train.memory.plan_factory import PlanFactory
from aam_train.memory.probe import Probe
from aam_train.memory.splitting import MemorySplitter
from aam_train.reporting.records import Reporter

# First trials, on small batches: quantile among the samples sorted by size, number of samples, and the activations to
# keep if the options leave that open.
PROBES = (
    (0.5, 2, KEEP_ALL),
    (0.5, 8, KEEP_ALL),
    (0.5, 8, ActivationPlan(0)),
    (1.0, 2, KEEP_NONE),
    (0.0, 32, KEEP_ALL),
)
SHARES = (0.4, 0.9)  # of the limit, which batches of samples in random order are expected to need
MAX_SAMPLES_CHECKED, N_EPOCHS = 4096, 3  # samples per epoch, and epochs, searched for the heaviest batch
MAX_TRIALS = 4  # of batch sizes
EXHAUSTED = 1.25  # a step that runs out of memory counts as this multiple of its expected maximum
TOLERANCE = 0.02  # relative difference of batch sizes that does not need another trial


class BatchSizeSearch:
    """Search that runs trial steps, fits a memory model to their peaks, and tries larger steps.

    Args:
        factory: of the run.
        probe: runs the trial steps.
        limit: bytes that training may use in addition to those in use now.
        max_size: maximum batch size of one process.
        reporter: receives the trials.

    Attributes:
        model: memory model fitted to all trials so far.
        tried: number of trial steps.
    """

    def __init__(self, factory: PlanFactory, probe: Probe, limit: int, max_size: int, reporter: Reporter) -> None:
        self.factory, self.probe, self.limit, self.reporter = factory, probe, limit, reporter
        self.processes = factory.step.strategy.ranks.size
        self.tried = 0
        self.expected = expected_model(factory.step, math=factory.compute.attn_implementation == "math")
        self.model = self.expected
        self._calibrate(max_size)

    def splitter(self, batch_size: int) -> MemorySplitter:
        """Build a splitter with the current memory model.

        Args:
            batch_size: of one process.
        """
        return self.factory.splitter(self.model, self.limit, batch_size * self.processes)

    def batch_size(self) -> int:
        """Return the largest batch size of one process whose heaviest micro-batch fits, after trying that micro-batch.

        If not even a pair fits, recompute activations if the options allow it. Returns 0 if nothing fits.
        """
        size = self._find(KEEP_NONE if self.factory.recompute else KEEP_ALL)
        if size * self.processes < 2 and self.factory.recompute is None:
            size = self._find(KEEP_NONE)
        return size

    def _find(self, activations: ActivationPlan) -> int:
        size = 0
        for _ in range(MAX_TRIALS):
            before, size = size, self._largest(activations)
            if abs(size - before) <= TOLERANCE * size:
                return size
            _, draw, rows = max(self._batches_of(size, activations), key=lambda batch: batch[0])
            self._try(rows, draw, activations)
        return min(size, self._largest(activations))

    def _calibrate(self, max_size: int) -> None:
        """Try small batches of small, typical and large samples, then larger batches in random order."""
        rows = self.factory.rows
        samples = self.factory.maker.samples
        order = rows[np.argsort(samples.most_asvs(rows), kind="stable")]
        self._try(order[: self.processes], activations=KEEP_NONE, force=True)
        for quantile, number, activations in PROBES:
            number = min(number, max_size) * self.processes
            first = int(quantile * max(len(order) - number, 0))
            self._try(order[first : first + number], activations=activations)
        shuffled = self.factory.order(0)
        tried = 0
        for share in SHARES:
            number = self._prefix(shuffled, max_size * self.processes, int(share * self.limit))
            if number > 1.2 * tried:
                self._try(shuffled[:number])
                tried = number

    def _prefix(self, rows: np.ndarray, max_size: int, limit: int) -> int:
        """Return how many of the first samples fit within a limit as one micro-batch."""
        activations = KEEP_NONE if self.factory.recompute else KEEP_ALL
        return largest_fitting(
            min(len(rows), max_size), lambda number: self._needed(rows[:number], FIXED_DRAW, activations) <= limit
        )

    def _try(
        self, rows: np.ndarray, draw: int = FIXED_DRAW, activations: ActivationPlan = KEEP_ALL, *, force: bool = False
    ) -> None:
        """Run a trial step on these samples, or on as many as are expected to fit, and refit the memory model.

        Args:
            rows: samples of the only micro-batch.
            draw: rarefaction draw of the samples.
            activations: those to keep, if the options leave that open.
            force: run the step even if it is not expected to fit.
        """
        recompute = self.factory.recompute
        if recompute is not None:
            activations = KEEP_NONE if recompute else KEEP_ALL
        while not force and self._needed(rows, draw, activations) > self.limit:
            if activations != KEEP_NONE and recompute is None:
                activations = KEEP_NONE
            elif len(rows) >= 2 * self.processes:
                rows = rows[: len(rows) // 2]
            else:
                return
        if len(rows) < self.processes:
            return
        self.factory.step.check_stop()
        parts = [RankPart(part, activations) for part in np.array_split(rows, self.processes)]
        try:
            peak = self.probe.run(parts, draw)
        except TrainError as error:
            if self.processes > 1 or not is_out_of_memory(error.__cause__):
                raise
            peak = self.probe.exhausted(parts, draw, int(EXHAUSTED * self._needed(rows, draw, activations)))
        self.tried += 1
        fitted = self.expected.fit(self.probe.costs, self.probe.peaks)
        # identical to the last bit on all processes, even if their machines round differently
        self.model = MemoryModel(**self.factory.step.strategy.ranks.broadcast(asdict(fitted)))
        self.reporter.note(f"memory: a batch of {len(rows):,} samples needed {peak / GB:.3g} GB")

    def _needed(self, rows: np.ndarray, draw: int, activations: ActivationPlan = KEEP_ALL) -> int:
        """Return the maximum need of a micro-batch in bytes, on the process that needs most."""
        splitter = self.splitter(1)
        drawn = self.factory.maker.samples.samples(rows, draw)
        parts = [part for part in np.array_split(np.arange(len(rows)), self.processes) if len(part)]
        costs = [splitter.cost([drawn[i] for i in part.tolist()], len(rows), activations) for part in parts]
        return max(self.model.max_bytes(cost) for cost in costs)

    def _largest(self, activations: ActivationPlan) -> int:
        """Return the largest batch size whose even micro-batches all fit; 0 if none does."""
        max_size = self.factory.at_most(-(-len(self.factory.rows) // self.processes))
        return largest_fitting(
            max_size, lambda size: all(needed <= self.limit for needed, _, _ in self._batches_of(size, activations))
        )

    def _batches_of(self, size: int, activations: ActivationPlan) -> Iterator[tuple[int, int, np.ndarray]]:
        """Yield the maximum need, draw and samples of the first micro-batches of the first epochs."""
        total_size, run = size * self.processes, self.factory.run
        step_size = self.factory.step_size or total_size * run.gradient_accumulation_steps
        for epoch in range(min(N_EPOCHS, run.epochs)):
            order, seen = self.factory.order(epoch), 0
            for step in np.array_split(order, max(1, -(-len(order) // step_size))):
                for parts in EvenSplitter(total_size).split(step, epoch, 1):
                    if seen < MAX_SAMPLES_CHECKED or not seen:
                        yield self._needed(parts[0].rows, epoch, activations), epoch, parts[0].rows
                    seen += len(parts[0].rows)
                if seen >= MAX_SAMPLES_CHECKED:
                    break


def largest_fitting(maximum: int, fits: Callable[[int], bool]) -> int:
    """Find the largest number up to ``maximum`` that fits, or 0, by doubling and then bisecting."""
    fitting, too_large = 0, 1
    while too_large <= maximum and fits(too_large):
        fitting, too_large = too_large, 2 * too_large
    too_large = min(too_large, maximum + 1)
    while too_large - fitting > 1:
        middle = (fitting + too_large) // 2
        fitting, too_large = (middle, too_large) if fits(middle) else (fitting, middle)
    return fitting
