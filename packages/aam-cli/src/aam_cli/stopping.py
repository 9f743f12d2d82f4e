"""Commands without steps or checkpoints stop at once, but in order: what they opened is closed or removed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from aam_train.signals import EXIT_CODES


class Stopped(KeyboardInterrupt):
    """SIGTERM or SIGUSR1, raised where the program is, as Python does with SIGINT."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


def exit_code_of(interrupt: KeyboardInterrupt) -> int:
    """143, 85, or 130 for SIGINT."""
    return interrupt.exit_code if isinstance(interrupt, Stopped) else EXIT_CODES["SIGINT"]


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM and SIGUSR1 raise `Stopped` in the block."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(EXIT_CODES[signal.Signals(number).name])

    before = {name: signal.signal(getattr(signal, name), stop) for name in ("SIGTERM", "SIGUSR1")}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
