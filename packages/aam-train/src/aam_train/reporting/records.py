"""Records that a run reports, and the interface of reporters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol


@dataclass(frozen=True)
class StepRecord:
    """One update of the weights.

    Attributes:
        step: counted from 1.
        epoch: counted from 1.
        loss: total loss, and each term without its weight.
        lr: learning rate.
        grad_norm: norm of the gradients before clipping.
        skipped: whether fp16 skipped the update, because gradients overflowed.
        samples, asvs, occurrences: counts of the step; ``asvs`` are distinct within each micro-batch.
        seconds: duration of the step, including waiting for data.
        data_wait: share of the time spent waiting for data.
        slot_padding: share of the sample level's slots that are empty.
        token_padding: share of the ASV level's tokens that are padding.
        flops: floating-point operations of the model on all processes.
        peak_share: share of the devices' peak FLOP/s, see `PeakFlops`.
        peak_memory: peak bytes of a device (on a CPU: of the process) since the start of the epoch.
        expected_memory: bytes per device that the step was planned with; 0 without a memory limit.
    """

    step: int
    epoch: int
    loss: dict[str, float]
    lr: float
    grad_norm: float
    skipped: bool
    samples: int
    asvs: int
    occurrences: int
    seconds: float
    data_wait: float
    slot_padding: float
    token_padding: float
    flops: int
    peak_share: float
    peak_memory: int
    expected_memory: int = 0


@dataclass(frozen=True)
class EpochRecord:
    """One pass over the training samples and the validation after it.

    Attributes:
        train: means of the steps' losses.
        validation: metrics on the validation samples.
        best: whether this is the best checkpoint so far.
        epochs: number of epochs of the run.
        skipped: updates that fp16 skipped.
        seconds, validation_seconds: duration of training, and of validation.
        samples_per_second, asvs_per_second: training throughput; ASVs are distinct within each step.
        occurrences_per_asv: how often a distinct ASV of a batch occurs in it.
        data_wait, slot_padding, token_padding, peak_share, peak_memory: see `StepRecord`.
        expected_memory: of the step that needs the most.
        flops_per_second: FLOP/s of all processes during training.
        peak_flops: peak FLOP/s of all devices.
    """

    step: int
    epoch: int
    epochs: int
    train: dict[str, float]
    validation: dict[str, float]
    best: bool
    lr: float
    skipped: int
    seconds: float
    validation_seconds: float
    samples_per_second: float
    asvs_per_second: float
    occurrences_per_asv: float
    data_wait: float
    slot_padding: float
    token_padding: float
    flops_per_second: float
    peak_flops: float
    peak_share: float
    peak_memory: int
    expected_memory: int = 0


Plots = Mapping[str, Callable[[BinaryIO], None]]  # by name: writes the plot as PNG into a file


class Reporter(Protocol):
    """Renderer of records; the engine formats nothing."""

    def note(self, text: str) -> None:
        """Show a sentence to people."""

    def step(self, record: StepRecord) -> None: ...

    def epoch(self, record: EpochRecord) -> None: ...

    def plots(self, plots: Plots, step: int) -> None:
        """Show the plots of a validation."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class Reporters:
    """Several reporters as one."""

    all: Sequence[Reporter] = field(default_factory=tuple)

    def note(self, text: str) -> None:
        for reporter in self.all:
            reporter.note(text)

    def step(self, record: StepRecord) -> None:
        for reporter in self.all:
            reporter.step(record)

    def epoch(self, record: EpochRecord) -> None:
        for reporter in self.all:
            reporter.epoch(record)

    def plots(self, plots: Plots, step: int) -> None:
        for reporter in self.all:
            reporter.plots(plots, step)

    def close(self) -> None:
        for reporter in self.all:
            reporter.close()
