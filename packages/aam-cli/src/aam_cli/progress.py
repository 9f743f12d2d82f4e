"""Progress of a long computation: a line that is rewritten on a terminal, occasional lines elsewhere."""

from __future__ import annotations

import sys
import time
from dataclasses import fields

import click

from aam_cli.errors import Program
from aam_data.options.files import TableOptions
from aam_train.options.parallel import ParallelOptions
from aam_train.parallel.environment import is_rank_zero_env
from aam_train.reporting.durations import in_words

SECONDS_BETWEEN_LINES = 15.0  # in a log file
_SECONDS_BETWEEN_REWRITES = 0.2


def announce_table(config: object, program: Program) -> None:
    """Print on a terminal which table is read: imports and a large table take seconds without any other output.

    Of several processes of a run the first one prints.
    """
    sections = [getattr(config, field.name) for field in fields(config)]  # type: ignore[arg-type]
    joined = [section for section in sections if isinstance(section, ParallelOptions)]
    if sys.stderr.isatty() and all(is_rank_zero_env(options) for options in joined):
        for table in (section for section in sections if isinstance(section, TableOptions) and section.table):
            program.log(f"reading {table.table} ...")


class ProgressLine:
    """Progress of the task ``label`` on standard error, unless ``--quiet``.

    Attributes:
        share: the last share reported, 0 to 1.
    """

    def __init__(self, program: Program, label: str) -> None:
        self.program, self.label, self.share = program, label, 0.0
        self._terminal = sys.stderr.isatty() and not program.quiet
        self._interval = _SECONDS_BETWEEN_REWRITES if self._terminal else SECONDS_BETWEEN_LINES
        self._started: tuple[float, float] | None = None
        self._shown = time.monotonic()

    def __call__(self, share: float) -> None:
        """Report that ``share`` of the task, 0 to 1, is done."""
        now = time.monotonic()
        if self._started is None:
            self._started = now, share
        self.share = share
        if now - self._shown >= self._interval:
            self._shown = now
            self._show(f"{self.label}: {share:.0%}{self._time_left(now)}")

    def close(self) -> None:
        """Remove the line from the terminal."""
        if self._terminal:
            click.echo("\r\033[K", nl=False, err=True)

    def _show(self, text: str) -> None:
        if self._terminal:
            click.echo(f"\r\033[K{text}", nl=False, err=True)
        else:
            self.program.log(text)

    def _time_left(self, now: float) -> str:
        """Format the remaining time at the pace since the first call, at which a part may have been done already."""
        assert self._started is not None
        started, first = self._started
        if self.share <= first:
            return ""
        seconds = (now - started) / (self.share - first) * (1 - self.share)
        return f", about {in_words(seconds)} left" if seconds >= 1 else ""
