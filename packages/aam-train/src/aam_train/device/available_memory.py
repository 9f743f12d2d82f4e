"""How much memory a process may still take: of a GPU, or of the host under whatever bounds this process."""

from __future__ import annotations

import os
import re
import resource
from pathlib import Path

import torch

from aam_train.device.memory import process_memory

HEAP = 0.75  # of a limit of addresses: gaps of the heap count there, even when they are given back
_MEMINFO = Path("/proc/meminfo")
_CGROUPS = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60  # cgroups of version 1 write a number near 2^63


def available_memory(device: torch.device, share: float, processes: int = 1) -> int:
    """Bytes that this process may still take, so that in the end at most ``share`` of each bound is used.

    Of a GPU: its memory, less what others hold; where it is the host's (MI300A), the host's bounds too. Of a CPU: the
    machine's memory, that of the control group (containers, Slurm) and the limits of the process.

    Args:
        processes: of this run, that share the host's memory evenly.
    """
    on_host = min(int(share * bound) - held for bound, held in host_bounds(processes))
    if device.type != "cuda":
        return on_host
    free, total = torch.cuda.mem_get_info(device)
    # of what others leave; PyTorch's gaps, its own and those of libraries are in the rest of the share
    ours = free + torch.cuda.memory_reserved(device)
    on_device = int(share * min(total, ours)) - torch.cuda.memory_allocated(device)
    shared = bool(getattr(torch.cuda.get_device_properties(device), "is_integrated", False))
    return min(on_device, on_host) if shared else on_device


def host_bounds(processes: int = 1) -> list[tuple[int, int]]:
    """Bounds of the host's memory for this process, in bytes, and what it holds of each.

    Args:
        processes: that share what is not of a process by itself.
    """
    resident = process_memory("VmRSS")
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    bounds = [(physical // processes, resident)]
    if _MEMINFO.exists():
        match = re.search(r"MemAvailable:\s+(\d+) kB", _MEMINFO.read_text())
        bounds += [(resident + 1024 * int(match[1]) // processes, resident)] if match else []
    own = process_memory("RssAnon")  # pages of files, such as libraries, can be taken from a group and read again
    bounds += [(limit // processes, own) for limit in _group_limits()]
    for limit, held in ((resource.RLIMIT_DATA, "VmData"), (resource.RLIMIT_AS, "VmSize")):
        soft, _ = resource.getrlimit(limit)
        bounds += [] if soft == resource.RLIM_INFINITY else [(int(HEAP * soft), process_memory(held))]
    return bounds


def _group_limits() -> list[int]:
    """Memory limits of this process's control groups and of those that hold them, version 1 and 2, bytes."""
    membership = Path("/proc/self/cgroup")
    if not membership.exists():
        return []
    found = []
    for line in membership.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, name = (_CGROUPS / "memory", "memory.limit_in_bytes") if controllers else (_CGROUPS, "memory.max")
        parts = [part for part in path.split("/") if part and part != ".."]
        for depth in range(len(parts) + 1):
            file = root.joinpath(*parts[:depth], name)
            if file.is_file() and (text := file.read_text().strip()).isdigit() and int(text) < _UNLIMITED:
                found.append(int(text))
    return found
