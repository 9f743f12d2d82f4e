"""TensorBoard curves under ``tensorboard/``."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from matplotlib.image import imread
from torch.utils.tensorboard import SummaryWriter

from aam_data.writers.plain_files import errors_name
from aam_train.errors import TrainError
from aam_train.reporting.records import EpochRecord, Plots, StepRecord

THROUGHPUT = (
    "samples_per_second",
    "asvs_per_second",
    "occurrences_per_asv",
    "data_wait",
    "slot_padding",
    "token_padding",
    "peak_share",
    "peak_memory",
)


class TensorBoardReporter:
    """Reporter of losses, learning rate and throughput; when a run is resumed, later steps are hidden."""

    def __init__(self, folder: Path, first_step: int = 0) -> None:
        self._folder, self._failed = folder, False
        with self._disk():
            self.writer = SummaryWriter(str(folder), purge_step=first_step + 1)

    def note(self, text: str) -> None:
        """Ignore notes, which are for people."""

    def step(self, record: StepRecord) -> None:
        self._scalars("train", {**record.loss, "lr": record.lr, "grad_norm": record.grad_norm}, record.step)

    def epoch(self, record: EpochRecord) -> None:
        self._scalars("validation", record.validation, record.step)
        self._scalars("throughput", {name: getattr(record, name) for name in THROUGHPUT}, record.step)

    def plots(self, plots: Plots, step: int) -> None:
        for name, write in plots.items():
            image = BytesIO()
            write(image)
            image.seek(0)
            with self._disk():
                self.writer.add_image(f"validation/{name}", imread(image)[..., :3], step, dataformats="HWC")

    def close(self) -> None:
        if not self._failed:
            with self._disk():
                self.writer.close()

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        """Raise TrainError for a failed write; the writer's thread reports a failure at a later call."""
        try:
            yield
        except OSError as error:
            self._failed = True
            raise TrainError(
                f"{self._folder}: cannot be written ({error.strerror}). Free some disk space, then resume "
                "with --resume-from auto"
            ) from error

    def _scalars(self, group: str, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            if math.isfinite(value):  # an undefined metric is a gap in its curve
                with self._disk():
                    self.writer.add_scalar(f"{group}/{name}", value, step)


def log_report_plots(run: Path, step: int) -> None:
    """Add the plots of ``report/`` to TensorBoard's images, at ``step``."""
    with errors_name(run / "tensorboard"), SummaryWriter(str(run / "tensorboard")) as writer:
        for plot in sorted((run / "report").glob("*.png")):
            tag = plot.stem.removeprefix("validation_")
            group = "held_out" if tag == plot.stem else "best_validation"
            writer.add_image(f"{group}/{tag}", imread(plot)[..., :3], step, dataformats="HWC")
