"""How far a long computation is: a line that is rewritten on a terminal, plain lines now and then elsewhere."""

from __future__ import annotations

import sys
import time

import click

from aam_cli.errors import Program

SECONDS_BETWEEN_LINES = 15.0  # in a log file
_SECONDS_BETWEEN_REWRITES = 0.2


class Progress:
    """Shows shares of ``what`` on standard error, unless ``--quiet``.

    Attributes:
        share: what was told last, 0 to 1.
    """

    def __init__(self, program: Program, what: str) -> None:
        self.program, self.what, self.share = program, what, 0.0
        self._terminal = sys.stderr.isatty() and not program.quiet
        self._interval = _SECONDS_BETWEEN_REWRITES if self._terminal else SECONDS_BETWEEN_LINES
        self._began: tuple[float, float] | None = None
        self._shown = time.monotonic()

    def __call__(self, share: float) -> None:
        now = time.monotonic()
        if self._began is None:
            self._began = now, share
        self.share = share
        if now - self._shown >= self._interval:
            self._shown = now
            self._show(f"{self.what}: {share:.0%}{self._left(now)}")

    def close(self) -> None:
        """Remove the line from the terminal."""
        if self._terminal:
            click.echo("\r\033[K", nl=False, err=True)

    def _show(self, text: str) -> None:
        if self._terminal:
            click.echo(f"\r\033[K{text}", nl=False, err=True)
        else:
            self.program.note(text)

    def _left(self, now: float) -> str:
        """How long the rest takes at the pace since the first call, which may have found a part done."""
        assert self._began is not None
        began, first = self._began
        if self.share <= first:
            return ""
        seconds = (now - began) / (self.share - first) * (1 - self.share)
        if seconds < 2 * 60:
            return f", about {seconds:.0f} s left" if seconds >= 1 else ""
        if seconds < 2 * 3600:
            return f", about {seconds / 60:.0f} min left"
        return f", about {seconds / 3600:.1f} h left"
