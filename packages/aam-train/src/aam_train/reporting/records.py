"""What a run reports, and to whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class StepRecord:
    """One update of the weights.

    Attributes:
        step: counted from 1.
        epoch: counted from 1.
        loss: total, and each term unweighted.
        lr: learning rate.
        grad_norm: before clipping.
        skipped: whether fp16 left the update out, because gradients overflowed.
        samples, asvs, occurrences: in the step; ``asvs`` are distinct within each micro-batch.
        seconds: of the step, waiting for data included.
        data_wait: share of the time spent waiting for data.
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


@dataclass(frozen=True)
class EpochRecord:
    """One pass over the training samples and the judgement after it.

    Attributes:
        train: means of the steps' losses.
        validation: metrics on the validation samples.
        best: whether the best checkpoint is now this one.
        epochs: of the whole run.
        skipped: updates that fp16 left out.
        seconds: of training, and of judging.
        samples_per_second, asvs_per_second: of training; distinct ASVs of each step.
        occurrences_per_asv: how often a distinct ASV of a batch occurs in it.
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


class Reporter(Protocol):
    """Renders records; the engine formats nothing."""

    def note(self, text: str) -> None:
        """A sentence for people."""

    def step(self, record: StepRecord) -> None: ...

    def epoch(self, record: EpochRecord) -> None: ...

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

    def close(self) -> None:
        for reporter in self.all:
            reporter.close()
