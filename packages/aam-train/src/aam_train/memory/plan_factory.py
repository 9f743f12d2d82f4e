"""From a batching to the batches of a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aam_train.data.loading import BatchMaker, BatchRequest, TrainingPlan
from aam_train.data.step_split import EvenSplitter, StepSplitter
from aam_train.engine.step import Step
from aam_train.losses.objective import Objective
from aam_train.memory.batch_plan import BatchPlan
from aam_train.memory.cost_model import MemoryModel
from aam_train.memory.splitting import MemorySplitter
from aam_train.options.compute import ComputeOptions
from aam_train.options.memory import MemoryOptions
from aam_train.options.run import RunOptions


@dataclass(frozen=True, eq=False)
class PlanFactory:
    """What a run makes batches of, and how it trains on them.

    Attributes:
        rows: int64 rows of the training samples.
    """

    step: Step
    objective: Objective
    maker: BatchMaker
    rows: np.ndarray
    run: RunOptions
    memory: MemoryOptions
    compute: ComputeOptions

    @property
    def recompute(self) -> bool | None:
        """Whether activations are computed again: all, none, or what memory asks for (None)."""
        return self.compute.gradient_checkpointing

    @property
    def step_size(self) -> int:
        """Samples per step that were asked for; 0 where none were."""
        return self.memory.target_effective_batch_size or 0

    def at_most(self, size: int) -> int:
        """A batch of one process is not larger than its share of a step of the wanted size."""
        return min(size, -(-self.step_size // self.step.strategy.ranks.size)) if self.step_size else size

    def plan(self, batching: BatchPlan, processes: int) -> TrainingPlan:
        """The plan of a run.

        Args:
            batching: of the run.
            processes: on which it began.
        """
        ranks, of_all, model = self.step.strategy.ranks, batching.batch_size * processes, batching.memory_model()
        splitter: StepSplitter = EvenSplitter(of_all, recompute=self.recompute is True)
        if model is not None:
            splitter = self.splitter(model, batching.limit, of_all)
        return TrainingPlan(
            self.rows,
            of_all,
            self.run.seed,
            self.objective.masking,
            self.run.gradient_accumulation_steps,
            (ranks.rank, ranks.size),
            step_size=batching.step_size or None,
            splitter=splitter,
        )

    def small_request(self, processes: int) -> BatchRequest:
        """This process's part of a first batch, for comparisons: of two samples where memory may be short."""
        bounded = self.memory.auto_batch_size or self.memory.max_memory_gb is not None
        needed = -(-2 * self.step.strategy.ranks.size // processes)
        size = max(min(self.run.batch_size, 2), needed) if bounded else self.run.batch_size
        plan = self.plan(BatchPlan(size), processes)
        return next(plan.epoch(0))[0]

    def splitter(self, model: MemoryModel, limit: int, of_all: int) -> MemorySplitter:
        """Micro-batches within a limit, of at most ``of_all`` samples of all processes."""
        samples, collator = self.maker.samples, self.maker.collator
        return MemorySplitter(samples, collator, model, limit, of_all, recompute=self.recompute)
