"""A profile: kernels with their calls and times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Kernel:
    """All calls of one kernel, or of one operation of PyTorch on the CPU without the operations that it calls.

    Attributes:
        total_ns: nanoseconds of all calls; some tools write fractions.
    """

    name: str
    calls: int
    total_ns: float

    @property
    def mean_us(self) -> float:
        """Mean microseconds per call."""
        return self.total_ns / self.calls / 1000


@dataclass(frozen=True)
class Profile:
    """Kernels that a program ran.

    Attributes:
        tool: the profiler: rocprofv3, rocprof or torch.profiler.
        kernels: the longest first.
        wall_ns: time from the first kernel to the end of the last one, if the tool reports it.
        device: the kind of device that they ran on.
        command: the profiled command, if it is known.
    """

    tool: str
    kernels: list[Kernel]
    wall_ns: float | None = None
    device: str = "GPU"
    command: list[str] = field(default_factory=list)

    @property
    def total_ns(self) -> float:
        """Nanoseconds of all kernels."""
        return sum(kernel.total_ns for kernel in self.kernels)

    def to_dict(self) -> dict[str, Any]:
        """Return the values for JSON."""
        return {
            "format": 1,
            "tool": self.tool,
            "device": self.device,
            "command": self.command,
            "wall_ns": self.wall_ns,
            "total_ns": self.total_ns,
            "kernels": [{"name": k.name, "calls": k.calls, "total_ns": k.total_ns} for k in self.kernels],
        }


def merge_kernels(kernels: Iterable[Kernel]) -> list[Kernel]:
    """Add up kernels of the same name; the longest come first."""
    calls: dict[str, int] = {}
    times: dict[str, float] = {}
    for kernel in kernels:
        calls[kernel.name] = calls.get(kernel.name, 0) + kernel.calls
        times[kernel.name] = times.get(kernel.name, 0.0) + kernel.total_ns
    merged = [Kernel(name, calls[name], times[name]) for name in calls]
    return sorted(merged, key=lambda kernel: (-kernel.total_ns, kernel.name))
