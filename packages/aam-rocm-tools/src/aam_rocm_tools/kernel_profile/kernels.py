"""A profile: kernels with their calls and times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Kernel:
    """All calls of one kernel; of an operation of PyTorch on the CPU, its own time without what it calls.

    Attributes:
        total_ns: nanoseconds of all calls; some tools write fractions.
    """

    name: str
    calls: int
    total_ns: float

    @property
    def mean_us(self) -> float:
        return self.total_ns / self.calls / 1000


@dataclass(frozen=True)
class Profile:
    """What a program ran.

    Attributes:
        tool: that measured it: rocprofv3, rocprof or torch.profiler.
        kernels: the longest first.
        wall_ns: from the first kernel to the end of the last one, where the tool says so.
        device: what they ran on, where the tool says so.
        command: that was profiled, where it is known.
    """

    tool: str
    kernels: list[Kernel]
    wall_ns: float | None = None
    device: str = "GPU"
    command: list[str] = field(default_factory=list)

    @property
    def total_ns(self) -> float:
        return sum(kernel.total_ns for kernel in self.kernels)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "format": 1,
            "tool": self.tool,
            "device": self.device,
            "command": self.command,
            "wall_ns": self.wall_ns,
            "total_ns": self.total_ns,
            "kernels": [{"name": k.name, "calls": k.calls, "total_ns": k.total_ns} for k in self.kernels],
        }


def merged(kernels: Iterable[Kernel]) -> list[Kernel]:
    """One entry a name, the longest first."""
    calls: dict[str, int] = {}
    times: dict[str, float] = {}
    for kernel in kernels:
        calls[kernel.name] = calls.get(kernel.name, 0) + kernel.calls
        times[kernel.name] = times.get(kernel.name, 0.0) + kernel.total_ns
    found = [Kernel(name, calls[name], times[name]) for name in calls]
    return sorted(found, key=lambda kernel: (-kernel.total_ns, kernel.name))
