"""Every process shows that it runs; one that stops doing so ends the job on all of them, by name.

Collectives wait for the slowest process, so a stopped one would hold all others until PyTorch's own timeout, which does
not say whom they waited for. A thread counts up a number of its process in the store and looks at the others' numbers;
a second one looks whether the store answers at all, since calls of it cannot be interrupted.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from torch.distributed import DistError
from torch.distributed.distributed_c10d import Store

from aam_train.parallel.environment import RankInfo

EXIT_LOST = 2  # exit status: as of an error that a user can do something about
_LEFT = 10**9  # added to its number by a process that leaves in order


class Heartbeat:
    """Context in which the process is watched by the others, and watches them.

    Args:
        store: a connection of its own to that of the process group.
        rank_info: of this process.
        keeper: whoever keeps the store, for messages.
        timeout: seconds without a sign of life.
    """

    def __init__(self, store: Store, rank_info: RankInfo, keeper: str, timeout: float) -> None:
        self._store, self._rank_info, self._keeper, self._timeout = store, rank_info, keeper, timeout
        self._interval = min(5.0, timeout / 10)
        self._done = threading.Event()
        self._answered = time.monotonic()
        self._lost = False
        self._threads = [
            threading.Thread(target=self._every_interval, args=(look,), daemon=True)
            for look in (self._look_at_others, self._look_at_store)
        ]
        others = [rank for rank in range(rank_info.size) if rank != rank_info.rank]
        self._seen = dict.fromkeys(others, (0, time.monotonic()))

    def __enter__(self) -> Self:
        if self._rank_info.size > 1:
            for thread in self._threads:
                thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._done.set()
        if self._rank_info.size > 1:
            for thread in self._threads:
                thread.join(timeout=self._timeout)
            self._leave()

    def _every_interval(self, look: Callable[[bool], None]) -> None:
        last = time.monotonic()
        while not self._done.wait(self._interval) and not self._lost:
            now = time.monotonic()
            look(now - last > self._timeout / 2)
            last = now

    def _look_at_others(self, was_stopped: bool) -> None:
        """Args: was_stopped: this process itself has not run for a while, so what it saw last is old."""
        try:
            self._store.add(_key(self._rank_info.rank), 1)
            for rank, (number, since) in self._seen.items():
                found = self._store.add(_key(rank), 0)
                now = time.monotonic()
                if found != number or was_stopped:
                    self._seen[rank] = (found, now)
                elif now - since > self._timeout and found < _LEFT:
                    self._end(f"process {rank}")
        except (DistError, RuntimeError):
            self._lost = True  # the store is gone with its keeper: collectives fail too, and say so
        self._answered = time.monotonic()

    def _leave(self) -> None:
        with contextlib.suppress(DistError, RuntimeError):  # the others may have gone first, the store with them
            self._store.add(_key(self._rank_info.rank), _LEFT)

    def _look_at_store(self, was_stopped: bool) -> None:
        if was_stopped:
            self._answered = time.monotonic()
        elif time.monotonic() - self._answered > self._timeout:
            self._end(self._keeper)

    def _end(self, who: str) -> None:
        """End this process where it is: its main thread waits in a collective, which cannot be interrupted."""
        what = f"{who} has not answered for {self._timeout:.0f} s (it is stopped, or hangs); nothing more was saved"
        sys.stderr.write(f"error: process {self._rank_info.rank}: {what}. Continue with --resume-from auto\n")
        sys.stderr.flush()
        faulthandler.dump_traceback(sys.__stderr__ or 2)
        os._exit(EXIT_LOST)


def _key(rank: int) -> str:
    return f"alive/{rank}"
