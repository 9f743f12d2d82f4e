"""Reuse of freed memory between steps, and when to return it to the system all the same (Linux with glibc)."""

from __future__ import annotations

import ctypes
import math
import os
import platform
import sys

# <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_NEVER = -1
GROWTH = 1.25  # memory after a step, relative to what a step needs, from which on freed memory is returned
_USER_SETTINGS = ("MALLOC_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Make malloc keep freed memory from now on, for the whole process; return whether the setting was changed.

    A step on the CPU allocates and frees gigabytes in blocks of up to 50 MB. glibc maps each block above 32 MB
    separately and unmaps it when it is freed, so all its pages are faulted in and zeroed again at every step. Both
    thresholds must be set: setting one stops the other, which otherwise adapts, at 128 kB.

    Does nothing with another C library, or if the user has configured malloc with environment variables (MALLOC_...,
    GLIBC_TUNABLES).
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    if any(name.startswith(_USER_SETTINGS) for name in os.environ):
        return False
    libc = ctypes.CDLL(None)
    # no block is mapped separately, and the top of the heap is never returned
    return bool(libc.mallopt(_M_MMAP_MAX, 0) and libc.mallopt(_M_TRIM_THRESHOLD, _NEVER))


class HeapWatch:
    """Whether gaps between blocks have made the process larger than its steps need.

    A block of 40 MB does not always fit where one was freed: small blocks that are still in use may lie in between,
    and glibc looks for a little more than the block, which it then aligns. So kept memory grows slowly, without end.
    Returning all of it costs one step's page faults. What a step needs is what the process has after the first step
    that follows; the largest such value counts, because batches differ.
    """

    def __init__(self) -> None:
        self._needed, self._starts_anew = 0, True

    def is_due(self, used: int, most: float = math.inf) -> bool:
        """Return whether the caller should now return freed memory.

        Args:
            used: bytes of the process after a step, without those before the first one.
            most: bytes that it may have at the most.
        """
        if self._starts_anew:
            self._needed = max(self._needed, used)
        self._starts_anew = used > min(most, GROWTH * self._needed)
        return self._starts_anew


def return_freed_memory() -> None:
    """Return free memory to the system once; does nothing with another C library."""
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
