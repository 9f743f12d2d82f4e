"""Progress on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from aam_data.errors import printable
from aam_train.reporting.durations import in_words
from aam_train.reporting.numbers import short
from aam_train.reporting.records import EpochRecord, Plots, StepRecord

SECONDS_BETWEEN_LINES = 15.0
LINE_WIDTH = 100  # of the line of an epoch
# Metrics for the line of an epoch, after that which selects the best checkpoint; the others are in metrics.jsonl.
IMPORTANT = (
    *("r2", "mae", "balanced_accuracy", "auc"),
    *("unifrac_r", "faith_pd_r", "unifrac_mae", "faith_pd_mae", "taxonomy_accuracy", "nucleotide_accuracy"),
    "count_mse",
)
WARNING = "warning: "  # notes with this prefix are shown even when quiet


class ConsoleReporter:
    """Reporter that prints notes, a line per epoch and, within long epochs, the current step.

    Args:
        quiet: print warnings only.
        verbose: print all metrics and the throughput of every epoch.
        silent: print nothing, since another process of the run prints.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False, silent: bool = False) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True, quiet=silent)
        self.quiet, self.verbose = quiet, verbose
        self.best_metric = "val_loss"
        self.last_line = time.monotonic()
        self.progress: Progress | None = None
        self.total_steps = 0

    def start(self, total_steps: int, first_step: int, best_metric: str = "val_loss") -> None:
        """Start a progress bar from ``first_step`` to ``total_steps`` if there is a terminal.

        Args:
            best_metric: the metric that selects the best checkpoint; every epoch's line has it.
        """
        self.total_steps, self.best_metric = total_steps, best_metric
        if self.console.is_terminal and not self.quiet:
            columns = (TextColumn("step"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self.progress = Progress(*columns, TextColumn("{task.description}"), console=self.console, transient=True)
            self.task = self.progress.add_task("", total=total_steps, completed=first_step)
            self.progress.start()

    def note(self, text: str) -> None:
        self._line(text)

    def step(self, record: StepRecord) -> None:
        text = f"loss {record.loss['total']:.4f}"
        if self.progress is not None:
            self.progress.update(self.task, completed=record.step, description=text)
        elif time.monotonic() - self.last_line > SECONDS_BETWEEN_LINES:
            self._line(f"epoch {record.epoch}, step {record.step}/{self.total_steps}: {text}")

    def epoch(self, record: EpochRecord) -> None:
        self._line(epoch_line(record, self.best_metric))
        if self.verbose:
            # the metrics of single targets are in metrics.jsonl only
            validation = [f"{name} {value:.4g}" for name, value in record.validation.items() if ":" not in name]
            self._line(f"  {', '.join([*validation, throughput(record)])}")

    def plots(self, plots: Plots, step: int) -> None:
        """Ignore plots."""

    def close(self) -> None:
        if self.progress is not None:
            with self._lost_terminal():
                self.progress.stop()
            self.progress = None

    @contextlib.contextmanager
    def _lost_terminal(self) -> Iterator[None]:
        """Go on in silence if the messages cannot be written: a closed terminal must not keep a run from saving."""
        try:
            yield
        except OSError:
            self.console.quiet = True

    def _line(self, text: str) -> None:
        if not self.quiet or text.startswith(WARNING):
            with self._lost_terminal():
                self.console.print(printable(text), markup=False)
        self.last_line = time.monotonic()


def epoch_line(record: EpochRecord, best_metric: str) -> str:
    """Describe an epoch in at most 100 characters: losses, the two most important metrics and the remaining time.

    The remaining time is that of all epochs; a run that does not improve stops earlier.
    """
    start = f"epoch {record.epoch}/{record.epochs}: loss {record.train['total']:.4g}"
    if "val_loss" in record.validation:
        start += f", val_loss {record.validation['val_loss']:.4g}"
    end = " (best)" if record.best else ""
    end += f", {record.skipped} skipped by fp16" if record.skipped else ""
    if record.epoch < record.epochs:
        left = (record.seconds + record.validation_seconds) * (record.epochs - record.epoch)
        end += f", {in_words(left)} left"
    important = [name for name in dict.fromkeys([best_metric, *IMPORTANT]) if name in record.validation]
    for name in [name for name in important if name != "val_loss"][:2]:
        word = f", {name} {short(record.validation[name])}"
        start += word if len(start + word + end) <= LINE_WIDTH else ""
    return start + end


def throughput(record: EpochRecord) -> str:
    """Return a short description of an epoch's throughput and of its overheads."""
    planned = f" ({record.expected_memory / 1e9:.1f} planned)" if record.expected_memory else ""
    return (
        f"{record.seconds:.1f} s, {_short(record.samples_per_second)} samples/s, "
        f"{_short(record.asvs_per_second)} ASVs/s, {record.occurrences_per_asv:.1f} uses each, "
        f"{record.peak_share:.0%} of peak, {record.data_wait:.0%} waiting for data, "
        f"{record.slot_padding:.0%} of slots and {record.token_padding:.0%} of tokens empty, "
        f"{record.peak_memory / 1e9:.1f} GB{planned}"
    )


def _short(number: float) -> str:
    return f"{number:.1f}" if number < 10 else f"{number:,.0f}"
