"""Heartbeat between processes: if one stops responding, all others end and name it.

Collectives wait for the slowest process, so a stopped one would block the others until PyTorch's own timeout, which
does not report whom they waited for. One thread increments this process's counter in the store and checks the counters
of the others; a second one checks that the store responds at all, because store calls cannot be interrupted.
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

EXIT_LOST = 2  # exit status, as for other errors that a user can act on
_LEFT = 10**9  # added to its counter by a process that leaves in order


class Heartbeat:
    """Context in which this process sends heartbeats and monitors those of the others.

    Args:
        store: a separate connection to the store of the process group.
        rank_info: of this process.
        keeper: name of the process that hosts the store, for messages.
        timeout: seconds without a heartbeat after which a process counts as lost.
    """

    def __init__(self, store: Store, rank_info: RankInfo, keeper: str, timeout: float) -> None:
        self._store, self._rank_info, self._keeper, self._timeout = store, rank_info, keeper, timeout
        self._interval = min(5.0, timeout / 10)
        self._done = threading.Event()
        self._answered = time.monotonic()
        self._lost = False
        self._threads = [
            threading.Thread(target=self._every_interval, args=(check,), daemon=True)
            for check in (self._check_others, self._check_store)
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

    def _every_interval(self, check: Callable[[bool], None]) -> None:
        last = time.monotonic()
        while not self._done.wait(self._interval) and not self._lost:
            now = time.monotonic()
            check(now - last > self._timeout / 2)
            last = now

    def _check_others(self, was_stopped: bool) -> None:
        """Send a heartbeat and check those of the others.

        Args:
            was_stopped: this process itself was suspended for a while, so what it last saw is out of date.
        """
        try:
            self._store.add(_key(self._rank_info.rank), 1)
            for rank, (counter, since) in self._seen.items():
                current = self._store.add(_key(rank), 0)
                now = time.monotonic()
                if current != counter or was_stopped:
                    self._seen[rank] = (current, now)
                elif now - since > self._timeout and current < _LEFT:
                    self._end(f"process {rank}")
        except (DistError, RuntimeError):
            self._lost = True  # the store has gone with its host: collectives fail too and report it
        self._answered = time.monotonic()

    def _leave(self) -> None:
        with contextlib.suppress(DistError, RuntimeError):  # the others may have left first, and the store with them
            self._store.add(_key(self._rank_info.rank), _LEFT)

    def _check_store(self, was_stopped: bool) -> None:
        if was_stopped:
            self._answered = time.monotonic()
        elif time.monotonic() - self._answered > self._timeout:
            self._end(self._keeper)

    def _end(self, who: str) -> None:
        """Exit at once: the main thread is waiting in a collective, which cannot be interrupted."""
        problem = f"{who} has not responded for {self._timeout:.0f} s (stopped or hanging); nothing more was saved"
        sys.stderr.write(f"error: process {self._rank_info.rank}: {problem}. Resume with --resume-from auto\n")
        sys.stderr.flush()
        faulthandler.dump_traceback(sys.__stderr__ or 2)
        os._exit(EXIT_LOST)


def _key(rank: int) -> str:
    return f"alive/{rank}"
