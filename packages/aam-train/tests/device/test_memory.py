"""Memory in use, its peak, and the memory still available."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from aam_train.device.available_memory import available_memory
from aam_train.device.host_memory import host_bounds
from aam_train.device.malloc import return_freed_memory
from aam_train.device.memory import peak_memory, reset_peak_memory

CPU = torch.device("cpu")


@pytest.mark.skipif(sys.platform != "linux", reason="the peak can only be reset on Linux")
def test_the_peak_counts_from_the_last_reset() -> None:
    return_freed_memory()
    reset_peak_memory(CPU)
    before = peak_memory(CPU)
    torch.ones(30_000_000).sum()
    assert 110e6 < peak_memory(CPU) - before < 180e6
    return_freed_memory()
    reset_peak_memory(CPU)
    assert peak_memory(CPU) - before < 60e6


LIMITED = """
import resource
import torch
from aam_train.device.available_memory import available_memory
from aam_train.device.host_memory import process_memory
from aam_train.engine.gradients import is_out_of_memory
cpu = torch.device("cpu")
free = available_memory(cpu, 1.0)
cap = 2 * process_memory("VmData") + 500_000_000
resource.setrlimit(resource.RLIMIT_DATA, (cap, cap))
capped = available_memory(cpu, 1.0)
assert capped <= min(free, int(0.75 * cap) - process_memory("VmData") + 1_000_000), (free, capped)
assert available_memory(cpu, 1.0, processes=2) <= capped
assert available_memory(cpu, 0.5) < capped
try:
    torch.empty(cap // 4)
except RuntimeError as error:
    assert is_out_of_memory(error), error
else:
    raise AssertionError("the cap does not hold")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limits are specific to Linux")
def test_available_memory_respects_the_limits_of_the_process() -> None:
    subprocess.run([sys.executable, "-c", LIMITED], check=True)
    assert available_memory(CPU, 0.5) < available_memory(CPU, 1.0)
    assert all(limit > used > 0 for limit, used in host_bounds())
