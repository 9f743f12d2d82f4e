"""Batch size and memory limit of a run, as stored with it."""

from __future__ import annotations

from dataclasses import dataclass, field

from aam_train.memory.cost_model import MemoryModel


@dataclass(frozen=True)
class BatchPlan:
    """Batch sizes that a run starts with, and keeps when it resumes.

    Attributes:
        batch_size: maximum samples of a micro-batch of one process.
        step_size: maximum samples of a step, over all processes; 0 = those of --gradient-accumulation-steps
            micro-batches.
        limit: bytes that training may use in addition to those used before the first step; 0 = no limit.
        model: fields of the `MemoryModel`; empty without a limit.
    """

    batch_size: int
    step_size: int = 0
    limit: int = 0
    model: dict[str, float] = field(default_factory=dict)

    def memory_model(self) -> MemoryModel | None:
        """Return the memory model, or None without a limit."""
        # models saved before the sample level could be recomputed count its activations as slots
        return MemoryModel(**{"kept_slots": 0.0, "kept_attention": 0.0, **self.model}) if self.limit else None
