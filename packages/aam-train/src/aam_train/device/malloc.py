"""Reuse of freed memory between steps instead of returning it to the system (Linux with glibc)."""

from __future__ import annotations

import ctypes
import os
import platform
import sys

# <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_NEVER = -1
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


def return_freed_memory() -> None:
    """Return free memory to the system once; does nothing with another C library."""
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
