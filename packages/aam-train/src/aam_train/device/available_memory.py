"""Memory that this process may still allocate: on a GPU, or on the host within the limits of the process."""

from __future__ import annotations

import torch

from aam_train.device.host_memory import host_memory


def available_memory(device: torch.device, share: float, processes: int = 1) -> int:
    """Return the bytes that this process may still allocate, such that at most ``share`` of each limit is used.

    On a GPU: its memory, less that used by others; if it shares the host's memory (MI300A), the limits of the host
    too. On a CPU: the memory of the machine and of the control group (containers, Slurm), and the process limits.

    Args:
        device: to allocate on.
        share: in (0, 1].
        processes: number of processes of this run on the machine, which share the host's memory evenly.
    """
    on_host = host_memory(share, processes)
    if device.type != "cuda":
        return on_host
    free, total = torch.cuda.mem_get_info(device)
    # of what other programs leave; the rest of the share covers fragmentation, the CUDA context and libraries
    usable = free + torch.cuda.memory_reserved(device)
    on_device = int(share * min(total, usable)) - torch.cuda.memory_allocated(device)
    shared = bool(getattr(torch.cuda.get_device_properties(device), "is_integrated", False))
    return min(on_device, on_host) if shared else on_device
