"""Memory that this process may still allocate: on a GPU, or on the host within the limits of the process."""

from __future__ import annotations

import os
import re
import resource
from pathlib import Path

import torch

from aam_train.device.memory import process_memory

MAX_ADDRESS_SHARE = 0.75  # of an address-space limit: it also counts gaps of the heap that were returned to the system
_MEMINFO = Path("/proc/meminfo")
_CGROUPS = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60  # cgroups v1 write a number near 2^63 for no limit


def available_memory(device: torch.device, share: float, processes: int = 1) -> int:
    """Return the bytes that this process may still allocate, such that at most ``share`` of each limit is used.

    On a GPU: its memory, less that used by others; if it shares the host's memory (MI300A), the limits of the host
    too. On a CPU: the memory of the machine and of the control group (containers, Slurm), and the process limits.

    Args:
        device: to allocate on.
        share: in (0, 1].
        processes: number of processes of this run on the machine, which share the host's memory evenly.
    """
    on_host = min(int(share * bound) - used for bound, used in host_bounds(processes))
    if device.type != "cuda":
        return on_host
    free, total = torch.cuda.mem_get_info(device)
    # of what other programs leave; the rest of the share covers fragmentation, the CUDA context and libraries
    usable = free + torch.cuda.memory_reserved(device)
    on_device = int(share * min(total, usable)) - torch.cuda.memory_allocated(device)
    shared = bool(getattr(torch.cuda.get_device_properties(device), "is_integrated", False))
    return min(on_device, on_host) if shared else on_device


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
