"""Signals set a flag; the step that runs is finished, a checkpoint is saved, then the program ends."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Self

EXIT_CODES = {"SIGTERM": 143, "SIGINT": 130, "SIGUSR1": 85}


class StopFlag:
    """Context that turns the first SIGTERM, SIGINT or SIGUSR1 into a flag; a second one acts at once.

    Attributes:
        received: name of the signal, or None.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self._before: dict[str, object] = {}

    def __enter__(self) -> Self:
        self._before = {name: signal.signal(getattr(signal, name), self._handle) for name in EXIT_CODES}
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for name, handler in self._before.items():
            signal.signal(getattr(signal, name), handler)  # type: ignore[arg-type]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number).name
        signal.signal(number, self._before[self.received])  # type: ignore[arg-type]
