"""How many bytes a device or this machine could still give to the process."""

from __future__ import annotations

import os
from pathlib import Path

import torch

_MEMINFO, _GROUPS, _OWN_GROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def free_memory(device: torch.device) -> int:
    """Bytes free on a device; on the host what is available, within the limit of the job or container (cgroup v2)."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if not _MEMINFO.exists():  # not Linux: half of all
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    fields = dict(line.split(":") for line in _MEMINFO.read_text().splitlines())
    return min(int(fields["MemAvailable"].split()[0]) * 1024, *_left_in_groups())


def _left_in_groups() -> list[int]:
    """What each group of processes that this one is in may still take; at least one number."""
    unlimited = [2**63]
    if not _OWN_GROUP.exists():
        return unlimited
    names = [line.removeprefix("0::/") for line in _OWN_GROUP.read_text().splitlines() if line.startswith("0::/")]
    folders = [folder for name in names for folder in (_GROUPS / name, *(_GROUPS / name).parents)]
    left = unlimited
    for folder in folders:
        limit, used = folder / "memory.max", folder / "memory.current"
        if limit.exists() and (most := limit.read_text().strip()) != "max":
            left = [*left, max(0, int(most) - int(used.read_text()))]
    return left
