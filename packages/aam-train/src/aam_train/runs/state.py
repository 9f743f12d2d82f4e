"""Where a run stands: everything but weights and optimizer that a checkpoint needs for going on."""

from __future__ import annotations

from dataclasses import dataclass, field

from aam_train.engine.schedules import PlateauState
from aam_train.memory.batch_plan import Batching


@dataclass
class Progress:
    """Where a run stands; saved with every checkpoint.

    Attributes:
        step: steps done, updates that fp16 left out among them.
        judged: epochs whose validation is done; a run that was stopped before it begins with it.
        sums: of the running epoch: losses, and what throughput is computed from.
        best_value, best_step: of the best metric so far.
        stale_epochs: since then.
        validation: metrics at the last judged epoch's end; empty before that, and without validation samples.
        plateau: what a plateau schedule has seen.
        scaler: state of the fp16 loss scale; empty for other precisions.
        skips: fp16 updates left out one after the other, up to now.
        processes: that the run began on: micro-batches stay those of so many, whoever shares them later.
        saved_by: strategy and number of the processes that saved it.
        batching: batch size and memory that the run began with; None in runs of before they could be found.
    """

    step: int = 0
    judged: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    best_value: float | None = None
    best_step: int | None = None
    stale_epochs: int = 0
    validation: dict[str, float] = field(default_factory=dict)
    plateau: PlateauState = field(default_factory=PlateauState)
    scaler: dict[str, float] = field(default_factory=dict)
    skips: int = 0
    processes: int = 1
    saved_by: str = "single, 1"
    batching: Batching | None = None

    def __post_init__(self) -> None:
        if isinstance(self.plateau, dict):  # as read from JSON
            self.plateau = PlateauState(**self.plateau)
        if isinstance(self.batching, dict):
            self.batching = Batching(**self.batching)

    def is_judged(self, steps_per_epoch: int) -> bool:
        """Whether no validation is pending: within epochs, and after that of the last one."""
        return self.step // steps_per_epoch <= self.judged
