"""Time and memory of attention backends, relative to the plain math one in the same run."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any

import torch

from aam_rocm_tools.attention.backends import BACKENDS, BackendMissing, attention
from aam_rocm_tools.attention.cases import LIMITS, dtype_name, padding_mask, run

_GPU_SHAPE, _CPU_SHAPE = (32, 4, 1024, 32), (4, 4, 333, 32)  # [X, H, Y, W]
_REPEATS = 5


@dataclass(frozen=True)
class Speed:
    """Time and memory of a forward and backward pass with a padding mask.

    Attributes:
        seconds: median.
        times: time divided by math's; below 1 is faster.
        memory: peak memory divided by math's; None on a CPU, where PyTorch does not count it.
    """

    backend: str
    dtype: str
    seconds: float
    times: float
    memory: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the values for JSON."""
        return {
            "backend": self.backend,
            "dtype": self.dtype,
            "seconds": self.seconds,
            "time_relative_to_math": self.times,
            "memory_relative_to_math": self.memory,
        }


def measure_speed(device: torch.device) -> list[Speed]:
    """Measure every backend that runs here, in every type."""
    shape = _GPU_SHAPE if device.type == "cuda" else _CPU_SHAPE
    mask = padding_mask(shape).to(device)
    speeds = []
    for dtype in LIMITS:
        inputs = torch.randn(4, *shape, device=device, dtype=dtype)
        measured = {}
        for name in ("math", *(name for name in BACKENDS if name != "math")):
            try:
                measured[name] = _measure(name, inputs, mask)
            except (BackendMissing, RuntimeError):  # the comparison of numbers reports it
                continue
        if "math" not in measured:
            continue
        seconds, memory = measured["math"]
        speeds += [
            Speed(name, dtype_name(dtype), s, s / seconds, m / memory if memory and m else None)
            for name, (s, m) in measured.items()
        ]
    return speeds


def _measure(backend: str, inputs: torch.Tensor, mask: torch.Tensor) -> tuple[float, int | None]:
    """Return the median seconds and, on GPUs, the peak of bytes allocated above those before."""
    gpu = inputs.device if inputs.device.type == "cuda" else None
    seconds, peak = [], None
    for repeat in range(_REPEATS + 1):
        if gpu is not None:
            torch.cuda.synchronize(gpu)
            torch.cuda.reset_peak_memory_stats(gpu)
        before = torch.cuda.memory_allocated(gpu) if gpu is not None else 0
        started = time.perf_counter()
        run(lambda q, k, v, m: attention(backend, q, k, v, m), inputs[:3], inputs[3], mask)
        if gpu is not None:
            torch.cuda.synchronize(gpu)
            peak = torch.cuda.max_memory_allocated(gpu) - before
        if repeat:  # the first one loads kernels
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds), peak
