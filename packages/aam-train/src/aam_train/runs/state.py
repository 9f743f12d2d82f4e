"""State of the trainer: everything but weights and optimizer that is needed to resume a run."""

from __future__ import annotations

from dataclasses import dataclass, field

from aam_models.errors import ModelError
from aam_train.engine.schedules import PlateauState
from aam_train.memory.batch_plan import BatchPlan


@dataclass
class TrainerState:
    """State of the trainer; saved with every checkpoint.

    Names of attributes are keys of ``train_state.json``.

    Attributes:
        step: finished steps, including updates that fp16 skipped.
        judged: epochs whose validation is finished; a run that was stopped before validation resumes with it.
        sums: of the current epoch: losses, and the counts from which throughput is computed.
        best_value, best_step: value and step of the best metric so far.
        stale_epochs: epochs since then.
        validation: metrics after the last validated epoch; empty before it, and without validation samples.
        plateau: state of a plateau schedule.
        scaler: state of the fp16 loss scale; empty for other precisions.
        skips: consecutive fp16 updates skipped up to now.
        processes: number of processes that started the run; it determines the micro-batches, however many run later.
        saved_by: strategy and number of the processes that saved it.
        batching: batch size and memory limit that the run started with; None in runs saved before this field existed.
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
    batching: BatchPlan | None = None

    def __post_init__(self) -> None:
        if min(self.step, self.judged, self.stale_epochs, self.skips) < 0 or self.processes < 1:
            raise ModelError("counts of steps, epochs or processes are too small")

    def is_validated(self, steps_per_epoch: int) -> bool:
        """Return whether no validation is pending: within epochs, and after that of the last epoch."""
        return self.step // steps_per_epoch <= self.judged
