"""Signal handling: the first signal sets a flag, so that the current step is finished and a checkpoint is saved."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from types import FrameType, TracebackType
from typing import Self

from aam_train.errors import RunStopped

EXIT_CODES = {"SIGTERM": 143, "SIGINT": 130, "SIGUSR1": 85, "SIGHUP": 129}
Handlers = dict[str, object]


class Interrupted(KeyboardInterrupt):
    """Exception of a signal that acts immediately, as KeyboardInterrupt does for SIGINT.

    Attributes:
        exit_code: 143 for SIGTERM, 130 for SIGINT, 85 for SIGUSR1, 129 for SIGHUP.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.exit_code = EXIT_CODES[name]


def exit_code_of(interrupt: KeyboardInterrupt) -> int:
    """Return the code of an `Interrupted`, 130 for an interrupt that Python raised."""
    return interrupt.exit_code if isinstance(interrupt, Interrupted) else EXIT_CODES["SIGINT"]


def set_handlers(handler: Callable[[int, FrameType | None], object], names: Iterable[str] = EXIT_CODES) -> Handlers:
    """Handle these signals by ``handler``, but not a SIGHUP that is ignored (nohup); return the handlers before."""
    ignored = {"SIGHUP"} if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else set()
    return {name: signal.signal(getattr(signal, name), handler) for name in names if name not in ignored}


def restore_handlers(before: Handlers) -> None:
    """Restore what `set_handlers` returned."""
    for name, handler in before.items():
        signal.signal(getattr(signal, name), handler)  # type: ignore[arg-type]


class StopFlag:
    """Context that turns the first SIGTERM, SIGINT, SIGUSR1 or SIGHUP into a flag.

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
        self._handlers: Handlers = {}

    def __enter__(self) -> Self:
        self._handlers = set_handlers(self._handle)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        restore_handlers(self._handlers)

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

    def _handle(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self.received is None:
            self.received = name
            return
        restore_handlers(self._handlers)
        raise Interrupted(name)
