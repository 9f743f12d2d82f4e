"""Plans of batches: from a BatchPlan to the TrainingPlan of a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aam_train.data.loading import BatchMaker, BatchRequest, EpochOrder, TrainingPlan
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
    """Factory of training plans: the data of a run and the options that determine its batches.

    Attributes:
        rows: int64 rows of the training samples.
        order: returns the samples of an epoch in their order.
    """

    step: Step
    objective: Objective
    maker: BatchMaker
    rows: np.ndarray
    order: EpochOrder
    run: RunOptions
    memory: MemoryOptions
    compute: ComputeOptions

    @property
    def recompute(self) -> bool | None:
        """Recomputation of activations: of all, of none, or of as many as the memory limit requires (None)."""
        return self.compute.gradient_checkpointing

    @property
    def step_size(self) -> int:
        """Requested samples per step; 0 without a request."""
        return self.memory.target_effective_batch_size or 0

    def at_most(self, size: int) -> int:
        """Limit the batch size of one process to its share of a step of the requested size."""
        return min(size, -(-self.step_size // self.step.strategy.ranks.size)) if self.step_size else size

    def plan(self, batch_plan: BatchPlan, processes: int) -> TrainingPlan:
        """Build the training plan of a run.

        Args:
            batch_plan: of the run.
            processes: number of processes on which the run started.
        """
        ranks, model = self.step.strategy.ranks, batch_plan.memory_model()
        total_batch_size = batch_plan.batch_size * processes
        splitter: StepSplitter = EvenSplitter(total_batch_size, recompute=self.recompute is True)
        if model is not None:
            splitter = self.splitter(model, batch_plan.limit, total_batch_size)
        return TrainingPlan(
            self.rows,
            total_batch_size,
            self.run.seed,
            self.objective.corruptions,
            self.run.gradient_accumulation_steps,
            (ranks.rank, ranks.size),
            step_size=batch_plan.step_size or None,
            splitter=splitter,
            order=self.order,
        )

    def small_request(self, processes: int) -> BatchRequest:
        """Return this process's part of a first batch, for checks; of two samples if memory is limited."""
        bounded = self.memory.auto_batch_size or self.memory.max_memory_gb is not None
        needed = -(-2 * self.step.strategy.ranks.size // processes)
        size = max(min(self.run.batch_size, 2), needed) if bounded else self.run.batch_size
        plan = self.plan(BatchPlan(size), processes)
        return next(plan.epoch(0))[0]

    def splitter(self, model: MemoryModel, limit: int, total_batch_size: int) -> MemorySplitter:
        """Build a splitter for a limit in bytes and at most ``total_batch_size`` samples over all processes."""
        samples, collator = self.maker.samples, self.maker.collator
        return MemorySplitter(samples, collator, model, limit, total_batch_size, recompute=self.recompute)
