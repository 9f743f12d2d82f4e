"""Memory use of this process: allocated by PyTorch on a GPU, resident in host memory for the CPU."""

from __future__ import annotations

import contextlib
from pathlib import Path

import torch

from aam_train.device.host_memory import process_memory

_CLEAR = Path("/proc/self/clear_refs")


def used_memory(device: torch.device) -> int:
    """Return the bytes in use now."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else process_memory("VmRSS")


def peak_memory(device: torch.device) -> int:
    """Return the maximum bytes in use since `reset_peak_memory`, or since the process started."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else process_memory("VmHWM")


def reset_peak_memory(device: torch.device) -> None:
    """Restart the measurement of `peak_memory`.

    Has no effect on a CPU outside of Linux and in some containers: there, only the peak since the start is known.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):  # absent or read-only in some containers
            _CLEAR.write_text("5")
