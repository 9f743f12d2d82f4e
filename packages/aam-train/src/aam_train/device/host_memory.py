"""Host memory: what this process uses, and what its limits leave. Needs no torch."""

from __future__ import annotations

import os
import re
import resource
import sys
from pathlib import Path

MAX_ADDRESS_SHARE = 0.75  # of an address-space limit: it also counts gaps of the heap that were returned to the system
_MEMINFO, _STATUS = Path("/proc/meminfo"), Path("/proc/self/status")
_CGROUPS = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60  # cgroups v1 write a number near 2^63 for no limit


def host_memory(share: float, processes: int = 1) -> int:
    """Return the bytes that this process may still allocate, such that at most ``share`` of each limit is used."""
    return min(int(share * bound) - used for bound, used in host_bounds(processes))


def host_bounds(processes: int = 1) -> list[tuple[int, int]]:
    """Return the limits of host memory for this process and how much of each it uses, as pairs of bytes.

    Args:
        processes: number of processes that share each machine-wide limit.
    """
    resident = process_memory("VmRSS")
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    bounds = [(physical // processes, resident)]
    if _MEMINFO.exists():
        match = re.search(r"MemAvailable:\s+(\d+) kB", _MEMINFO.read_text())
        bounds += [(resident + 1024 * int(match[1]) // processes, resident)] if match else []
    anonymous = process_memory("RssAnon")  # the kernel can reclaim file pages, such as those of libraries
    bounds += [(limit // processes, anonymous) for limit in _group_limits()]
    for limit, field in ((resource.RLIMIT_DATA, "VmData"), (resource.RLIMIT_AS, "VmSize")):
        soft, _ = resource.getrlimit(limit)
        bounds += [] if soft == resource.RLIM_INFINITY else [(int(MAX_ADDRESS_SHARE * soft), process_memory(field))]
    return bounds


def _group_limits() -> list[int]:
    """Return the memory limits, in bytes, of this process's control groups and their parents (cgroups v1 and v2)."""
    membership = Path("/proc/self/cgroup")
    if not membership.exists():
        return []
    limits = []
    for line in membership.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, name = (_CGROUPS / "memory", "memory.limit_in_bytes") if controllers else (_CGROUPS, "memory.max")
        parts = [part for part in path.split("/") if part and part != ".."]
        for depth in range(len(parts) + 1):
            file = root.joinpath(*parts[:depth], name)
            if file.is_file() and (text := file.read_text().strip()).isdigit() and int(text) < _UNLIMITED:
                limits.append(int(text))
    return limits


def process_memory(name: str) -> int:
    """Return a field of ``/proc/self/status`` in bytes: VmRSS (resident now), RssAnon (without mapped files), VmHWM
    (peak), VmData or VmSize (address space). Outside of Linux, all are the peak of resident memory."""
    if not _STATUS.exists():
        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return largest if sys.platform == "darwin" else 1024 * largest
    match = re.search(rf"{name}:\s+(\d+) kB", _STATUS.read_text())
    assert match is not None
    return 1024 * int(match[1])
