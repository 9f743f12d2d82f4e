"""How much memory there is, and how much of it is held: of a GPU, or of the host under whatever bounds this process."""

from __future__ import annotations

import os
import re
import resource
import sys
from pathlib import Path

import torch

_STATUS, _CLEAR, _MEMINFO = Path("/proc/self/status"), Path("/proc/self/clear_refs"), Path("/proc/meminfo")
_CGROUPS = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60  # cgroups of version 1 write a number near 2^63


class Meter:
    """Memory that a device holds for this process: of a GPU what PyTorch has allocated on it, else what is resident.

    Where the operating system keeps only the highest peak ever (elsewhere than on Linux), `reset` changes nothing:
    peaks are then right as long as each is higher than those before it.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def reset(self) -> None:
        """The peak counts from now."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        elif _CLEAR.exists():
            _CLEAR.write_text("5")

    def peak(self) -> int:
        """Bytes, at most since `reset`."""
        return torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else of_process("VmHWM")

    def held(self) -> int:
        """Bytes now."""
        return torch.cuda.memory_allocated(self.device) if self.device.type == "cuda" else of_process("VmRSS")


def of_process(name: str) -> int:
    """Bytes of this process: VmRSS now, VmHWM at most, VmData and VmSize of its address space. Elsewhere than on Linux
    all are what it held at most."""
    if not _STATUS.exists():
        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return largest if sys.platform == "darwin" else 1024 * largest
    match = re.search(rf"{name}:\s+(\d+) kB", _STATUS.read_text())
    assert match is not None
    return 1024 * int(match[1])


def room(device: torch.device, share: float, processes: int = 1) -> int:
    """Bytes that this process may still take, so that in the end at most ``share`` of each bound is used.

    Of a GPU: its memory, less what others hold; where it is the host's (MI300A), the host's bounds too. Of a CPU: the
    machine's memory, that of the control group (containers, Slurm) and the limits of the process.

    Args:
        processes: of this run, that share the host's memory evenly.
    """
    on_host = min(int(share * bound / processes) - held for bound, held in host_bounds())
    if device.type != "cuda":
        return on_host
    free, total = torch.cuda.mem_get_info(device)
    held = torch.cuda.memory_reserved(device)
    unused = held - torch.cuda.memory_allocated(device)
    on_device = min(int(share * total), free + held) - held + unused
    shared = bool(getattr(torch.cuda.get_device_properties(device), "is_integrated", False))
    return min(on_device, on_host) if shared else on_device


def host_bounds() -> list[tuple[int, int]]:
    """Bounds of the host's memory for this process, in bytes, and what it holds of each."""
    resident = of_process("VmRSS")
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    bounds = [(physical, resident)]
    if _MEMINFO.exists():
        match = re.search(r"MemAvailable:\s+(\d+) kB", _MEMINFO.read_text())
        bounds += [(resident + 1024 * int(match[1]), resident)] if match else []
    bounds += [(limit, resident) for limit in _group_limits()]
    for limit, held in ((resource.RLIMIT_DATA, "VmData"), (resource.RLIMIT_AS, "VmSize")):
        soft, _ = resource.getrlimit(limit)
        bounds += [] if soft == resource.RLIM_INFINITY else [(soft, of_process(held))]
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
