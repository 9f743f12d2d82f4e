"""TensorBoard curves under ``tensorboard/``."""

from __future__ import annotations

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from aam_train.reporting.records import EpochRecord, StepRecord


class TensorBoardReporter:
    """Losses, learning rate and throughput; on resumption, later steps are hidden."""

    def __init__(self, folder: Path, first_step: int = 0) -> None:
        self.writer = SummaryWriter(str(folder), purge_step=first_step + 1 if first_step else None)

    def note(self, text: str) -> None:
        """Notes are for people at the console."""

    def step(self, record: StepRecord) -> None:
        for name, value in record.loss.items():
            self.writer.add_scalar(f"train/{name}", value, record.step)
        self.writer.add_scalar("train/lr", record.lr, record.step)
        self.writer.add_scalar("train/grad_norm", record.grad_norm, record.step)

    def epoch(self, record: EpochRecord) -> None:
        for name, value in record.validation.items():
            self.writer.add_scalar(f"validation/{name}", value, record.step)
        self.writer.add_scalar("throughput/samples_per_second", record.samples_per_second, record.step)
        self.writer.add_scalar("throughput/asvs_per_second", record.asvs_per_second, record.step)

    def close(self) -> None:
        self.writer.close()
