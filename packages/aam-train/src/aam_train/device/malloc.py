"""Memory that a step frees stays with the process, for the next step (Linux with glibc)."""

from __future__ import annotations

import ctypes
import os
import platform
import sys

# <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_NEVER = -1
_OF_USERS = ("MALLOC_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Tell malloc to keep what is freed, from now on and for the whole process; whether it was told.

    A step on the CPU allocates and frees gigabytes in blocks of up to 50 MB. glibc takes blocks above 32 MB from the
    system one by one and gives them back when they are freed, so each of their pages is faulted in and zeroed anew at
    every step. Both thresholds must be set: setting one freezes the other, which grows by itself otherwise, at 128 kB.

    Nothing is done where another C library is, or where the user has set malloc by environment variables (MALLOC_...,
    GLIBC_TUNABLES).
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    if any(name.startswith(_OF_USERS) for name in os.environ):
        return False
    libc = ctypes.CDLL(None)
    # no block is mapped by itself, and the top of the heap is never returned
    return bool(libc.mallopt(_M_MMAP_MAX, 0) and libc.mallopt(_M_TRIM_THRESHOLD, _NEVER))


def return_freed_memory() -> None:
    """What is free but still held goes back to the system, this once; nothing where another C library is."""
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
