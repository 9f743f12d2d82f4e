"""Signals set a flag; the step that runs is finished, a checkpoint is saved, then the program ends."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

from aam_train.errors import RunStopped

EXIT_CODES = {"SIGTERM": 143, "SIGINT": 130, "SIGUSR1": 85}


class Interrupted(KeyboardInterrupt):
    """A signal that acts at once, raised where the program is, as Python does with SIGINT.

    Attributes:
        exit_code: 143 for SIGTERM, 130 for SIGINT, 85 for SIGUSR1.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.exit_code = EXIT_CODES[name]


def exit_code_of(interrupt: KeyboardInterrupt) -> int:
    """143 or 85, or 130 for what Python raises by itself."""
    return interrupt.exit_code if isinstance(interrupt, Interrupted) else EXIT_CODES["SIGINT"]


class StopFlag:
    """Context that turns the first SIGTERM, SIGINT or SIGUSR1 into a flag.

    The second one raises `Interrupted`: what is open is closed and removed, and nothing more is saved. The third does
    what the signal did before.

    Args:
        highest: gives the largest of all processes' numbers, see `Ranks.highest`: a signal to one is one to all.

    Attributes:
        received: name of the first signal, or None.
    """

    def __init__(self, highest: Callable[[list[int]], list[int]] = list) -> None:
        self.received: str | None = None
        self._highest = highest
        self._before: dict[str, object] = {}

    def __enter__(self) -> Self:
        self._before = {name: signal.signal(getattr(signal, name), self._handle) for name in EXIT_CODES}
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._put_back()

    def asked(self) -> bool:
        """Whether any process has received a signal, which then counts as received here; entered by all of them."""
        names = list(EXIT_CODES)
        (number,) = self._highest([0 if self.received is None else names.index(self.received) + 1])
        if number and self.received is None:
            self.received = names[number - 1]
        return number > 0

    def check(self) -> None:
        """For loops without steps, such as validation: raises `RunStopped` when a signal was received."""
        if self.asked():
            assert self.received is not None
            raise RunStopped(f"{self.received}: nothing was saved", EXIT_CODES[self.received])

    def _put_back(self) -> None:
        for name, handler in self._before.items():
            signal.signal(getattr(signal, name), handler)  # type: ignore[arg-type]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self.received is None:
            self.received = name
            return
        self._put_back()
        raise Interrupted(name)
