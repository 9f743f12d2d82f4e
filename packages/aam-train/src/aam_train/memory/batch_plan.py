"""The batch size of a run and its limit of memory, as they are kept with the run."""

from __future__ import annotations

from dataclasses import dataclass, field

from aam_train.memory.cost_model import MemoryModel


@dataclass(frozen=True)
class BatchPlan:
    """What a run begins with; it keeps this when it continues.

    Attributes:
        batch_size: most samples of a micro-batch of one process.
        step_size: most samples of a step, of all processes; 0 = those of --gradient-accumulation-steps micro-batches.
        limit: bytes of memory beyond what is held before the first step; 0 = none.
        model: fields of the `MemoryModel`; empty without a limit.
    """

    batch_size: int
    step_size: int = 0
    limit: int = 0
    model: dict[str, float] = field(default_factory=dict)

    def memory_model(self) -> MemoryModel | None:
        """None without a limit."""
        # before the samples' activations could be computed again, what they need was among the slots'
        return MemoryModel(**{"kept_slots": 0.0, "kept_attention": 0.0, **self.model}) if self.limit else None
