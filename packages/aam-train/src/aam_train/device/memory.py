"""Memory that a device holds for this process: of a GPU what PyTorch has allocated on it, else what is resident."""

from __future__ import annotations

import contextlib
import re
import resource
import sys
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def used_memory(device: torch.device) -> int:
    """Bytes now."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else process_memory("VmRSS")


def peak_memory(device: torch.device) -> int:
    """Bytes, at most since `reset_peak_memory`, or since the process began."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else process_memory("VmHWM")


def reset_peak_memory(device: torch.device) -> None:
    """The peak counts from now.

    Where it can only be the highest peak ever (elsewhere than on Linux, in some containers), that of the process stays.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):  # absent, or not to be written in some containers
            _CLEAR.write_text("5")


def process_memory(name: str) -> int:
    """Bytes of this process: VmRSS now (RssAnon without files that are mapped), VmHWM at most, VmData and VmSize of its
    address space. Elsewhere than on Linux all are what it held at most."""
    if not _STATUS.exists():
        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return largest if sys.platform == "darwin" else 1024 * largest
    match = re.search(rf"{name}:\s+(\d+) kB", _STATUS.read_text())
    assert match is not None
    return 1024 * int(match[1])
