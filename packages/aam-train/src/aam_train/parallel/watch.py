"""Every process shows that it runs; one that stops doing so ends the job on all of them, by name.

Collectives wait for the slowest process, so a stopped one would hold all others until PyTorch's own timeout, which does
not say whom they waited for. A thread counts up a number of its process in the store and looks at the others' numbers.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from types import TracebackType
from typing import Self

from torch.distributed import DistError
from torch.distributed.distributed_c10d import Store

from aam_train.parallel.environment import Place

LOST = 2  # exit status: as of an error that a user can do something about
_LEFT = 10**9  # added to a number by a process that leaves in order


class Watch:
    """Context in which the process is watched by the others, and watches them.

    Args:
        store: a connection of its own to that of the process group.
        place: of this process.
        timeout: seconds without a sign of life.
    """

    def __init__(self, store: Store, place: Place, timeout: float) -> None:
        self._store, self._place, self._timeout = store, place, timeout
        self._interval = min(5.0, timeout / 10)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="aam-watch")

    def __enter__(self) -> Self:
        if self._place.size > 1:
            self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._done.set()
        if self._place.size > 1:
            self._thread.join()

    def _run(self) -> None:
        others = [rank for rank in range(self._place.size) if rank != self._place.rank]
        seen = dict.fromkeys(others, (0, time.monotonic()))
        last = time.monotonic()
        try:
            while not self._done.wait(self._interval):
                self._store.add(_key(self._place.rank), 1)
                now = time.monotonic()
                late = now - last > self._timeout / 2  # this process itself was stopped: what it saw is old
                last = now
                for rank, (number, since) in seen.items():
                    found = self._store.add(_key(rank), 0)
                    if found != number or late:
                        seen[rank] = (found, now)
                    elif now - since > self._timeout and found < _LEFT:
                        self._end(f"process {rank} has not answered for {self._timeout:.0f} s (it is stopped, or dead)")
            self._store.add(_key(self._place.rank), _LEFT)
        except (DistError, RuntimeError):
            # the store is gone with the process that kept it: collectives fail too, and say so
            return

    def _end(self, why: str) -> None:
        """End this process where it is: its main thread waits in a collective, which cannot be interrupted."""
        words = f"error: process {self._place.rank}: {why}; nothing more was saved. Continue with --resume-from auto"
        sys.stderr.write(f"{words}\n")
        sys.stderr.flush()
        faulthandler.dump_traceback(sys.__stderr__ or 2)
        os._exit(LOST)


def _key(rank: int) -> str:
    return f"alive/{rank}"
