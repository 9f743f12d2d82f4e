"""Steps that are tried before a run, and what they teach about memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from aam_train.budget.batches import Batches
from aam_train.budget.batching import Batching
from aam_train.budget.cutting import MemoryCutting, Part
from aam_train.budget.model import GB, expected_model
from aam_train.budget.probe import Probe
from aam_train.loading import FIXED_DRAW
from aam_train.reporting.records import Reporter

# Small batches first: where among the samples ordered by size, how many of them, and whether activations are computed
# again where that may be.
CALIBRATION = ((0.5, 2, False), (0.5, 8, False), (0.5, 8, True), (1.0, 2, True), (0.0, 32, False))
SHARES = (0.4, 0.9)  # of the limit: samples in random order, so many that this is needed
LOOKED_AT, EPOCHS = 4096, 3  # samples of how many epochs, whose batches are looked at for the heaviest
TRIALS = 4  # of batch sizes, at most
SAME = 0.02  # relative difference of batch sizes that is not worth another trial


class Search:
    """Tries steps, learns from them what memory they need, and tries larger ones.

    Attributes:
        model: what is known by now.
        tried: steps.
    """

    def __init__(self, batches: Batches, probe: Probe, limit: int, most: int, reporter: Reporter) -> None:
        self.batches, self.probe, self.limit, self.reporter = batches, probe, limit, reporter
        self.processes = batches.step.strategy.ranks.size
        self.tried = 0
        step = batches.step
        self.model = expected_model(
            step.encoder,
            sum(p.numel() for p in step.model.parameters() if p.requires_grad),
            half=step.compute.precision != "none",
            math=batches.compute.attn_implementation == "math",
        )
        self._calibrate(most)

    def cutting(self, batch_size: int) -> MemoryCutting:
        """By what is known now.

        Args:
            batch_size: of one process.
        """
        return self.batches.cutting(self.model, self.limit, batch_size * self.processes)

    def batch_size(self) -> int:
        """The largest batch size of one process whose heaviest micro-batch fits, after trying that one; 1 where not
        even one sample does, unless activations are computed again."""
        size = 0
        for _ in range(TRIALS):
            before, size = size, self._largest()
            if abs(size - before) <= SAME * size:
                break
            if size:
                _, draw, rows = max(self._batches_of(size), key=lambda found: found[0])
                self._try(rows, draw)
        return max(size, 1)

    def _calibrate(self, most: int) -> None:
        """Small batches of small, usual and large samples, then larger ones in random order."""
        rows = self.batches.rows
        samples = self.batches.maker.samples
        order = rows[np.argsort(samples.most_asvs(rows), kind="stable")]
        for quantile, number, again in CALIBRATION:
            number = min(number, most) * self.processes
            first = int(quantile * max(len(order) - number, 0))
            self._try(order[first : first + number], again=again)
        mixed = self.batches.plan(Batching(1), self.processes).order(0)
        done = 0
        for share in SHARES:
            number = self._prefix(mixed, most * self.processes, int(share * self.limit))
            if number > 1.2 * done:
                self._try(mixed[:number])
                done = number

    def _prefix(self, rows: np.ndarray, most: int, limit: int) -> int:
        """How many of these samples need no more than a limit as one micro-batch."""
        fitting, beyond = 0, min(len(rows), most) + 1
        while beyond - fitting > 1:
            middle = (fitting + beyond) // 2
            fits = self._needed(rows[:middle], FIXED_DRAW) <= limit
            fitting, beyond = (middle, beyond) if fits else (fitting, middle)
        return fitting

    def _try(self, rows: np.ndarray, draw: int = FIXED_DRAW, *, again: bool = False) -> None:
        """One step on these samples, or on as many of them as are expected to fit; then the model is fitted anew.

        Args:
            again: compute activations again, where that may be.
        """
        recompute = self.batches.recompute
        kept = 0 if recompute or (again and recompute is None) else None
        while self._needed(rows, draw, kept) > self.limit:
            if kept is None and recompute is None:
                kept = 0
            elif len(rows) >= 2 * self.processes:
                rows = rows[: len(rows) // 2]
            else:
                return
        if len(rows) < self.processes:
            return
        self.batches.step.check_stop()
        parts = [Part(part, kept) for part in np.array_split(rows, self.processes)]
        peak = self.probe.run(parts, draw)
        self.tried += 1
        self.model = self.model.fit(self.probe.sizes, self.probe.peaks)
        self.reporter.note(f"memory: a batch of {len(rows):,} samples needed {peak / GB:.3g} GB")

    def _needed(self, rows: np.ndarray, draw: int, kept: int | None = None) -> int:
        """Bytes at most, of the process that needs most."""
        cutting = self.cutting(1)
        drawn = self.batches.maker.samples.samples(rows, draw)
        parts = [part for part in np.array_split(np.arange(len(rows)), self.processes) if len(part)]
        sizes = [cutting.size([drawn[i] for i in part.tolist()], len(rows), kept) for part in parts]
        return max(self.model.most(size) for size in sizes)

    def _largest(self) -> int:
        """The largest batch size whose micro-batches all fit without being cut."""
        fitting, beyond = 0, -(-len(self.batches.rows) // self.processes) + 1
        beyond = min(beyond, self.batches.at_most(beyond) + 1)
        while beyond - fitting > 1:
            middle = (fitting + beyond) // 2
            fits = all(needed <= self.limit for needed, _, _ in self._batches_of(middle))
            fitting, beyond = (middle, beyond) if fits else (fitting, middle)
        return fitting

    def _batches_of(self, size: int) -> Iterator[tuple[int, int, np.ndarray]]:
        """What the first micro-batches of the first epochs need, with their draws and samples."""
        kept = 0 if self.batches.recompute else None
        for epoch in range(min(EPOCHS, self.batches.run.epochs)):
            for rows in self._micro_batches(size, epoch):
                yield self._needed(rows, epoch, kept), epoch, rows

    def _micro_batches(self, size: int, epoch: int) -> Iterator[np.ndarray]:
        plan = self.batches.plan(Batching(size, self.batches.step_size), self.processes)
        seen = 0
        for rows in np.array_split(plan.order(epoch), plan.steps_per_epoch):
            for micro in plan.cutting.cut(rows, epoch, 1):
                yield micro[0].rows
            seen += len(rows)
            if seen >= LOOKED_AT:
                return
