"""Signal handling: the first signal sets a flag, so that the current step is finished and a checkpoint is saved."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

from aam_train.errors import RunStopped

EXIT_CODES = {"SIGTERM": 143, "SIGINT": 130, "SIGUSR1": 85}


class Interrupted(KeyboardInterrupt):
    """Exception of a signal that acts immediately, as KeyboardInterrupt does for SIGINT.

    Attributes:
        exit_code: 143 for SIGTERM, 130 for SIGINT, 85 for SIGUSR1.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.exit_code = EXIT_CODES[name]


def exit_code_of(interrupt: KeyboardInterrupt) -> int:
    """Return 143 or 85 for an `Interrupted`, 130 for an interrupt that Python raised."""
    return interrupt.exit_code if isinstance(interrupt, Interrupted) else EXIT_CODES["SIGINT"]


class StopFlag:
    """Context that turns the first SIGTERM, SIGINT or SIGUSR1 into a flag.

    The second one raises `Interrupted`: open files are closed and removed, and nothing more is saved. The third has the
    effect that the signal had before.

    Args:
        all_reduce_max: returns the maximum of all processes' numbers, so that a signal to one process stops all.

    Attributes:
        received: name of the first signal, or None.
    """

    def __init__(self, all_reduce_max: Callable[[list[int]], list[int]] = list) -> None:
        self.received: str | None = None
        self._all_reduce_max = all_reduce_max
        self._handlers: dict[str, object] = {}

    def __enter__(self) -> Self:
        self._handlers = {name: signal.signal(getattr(signal, name), self._handle) for name in EXIT_CODES}
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._restore_handlers()

    def requested(self) -> bool:
        """Return whether any process received a signal, which then counts as received here too; a collective call."""
        names = list(EXIT_CODES)
        (number,) = self._all_reduce_max([0 if self.received is None else names.index(self.received) + 1])
        if number and self.received is None:
            self.received = names[number - 1]
        return number > 0

    def check(self) -> None:
        """Raise `RunStopped` if a signal was received; for loops without steps, such as validation."""
        if self.requested():
            assert self.received is not None
            raise RunStopped(f"{self.received}: nothing was saved", EXIT_CODES[self.received])

    def _restore_handlers(self) -> None:
        for name, handler in self._handlers.items():
            signal.signal(getattr(signal, name), handler)  # type: ignore[arg-type]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self.received is None:
            self.received = name
            return
        self._restore_handlers()
        raise Interrupted(name)
