"""Signals outside of training: the program stops at once, but in order: what it opened is closed or removed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from aam_train.signals import Interrupted


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM and SIGUSR1 raise `Interrupted` in the block, as SIGINT raises KeyboardInterrupt."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Interrupted(signal.Signals(number).name)

    before = {name: signal.signal(getattr(signal, name), stop) for name in ("SIGTERM", "SIGUSR1")}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
