"""What differs between versions of torch about DDP and FSDP2, and the one module that names the latter's tensors."""

from __future__ import annotations

import inspect
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from aam_train.errors import TrainError

# Found by running this package's comparison of gradients on CPUs: 2.6 fails (its streams record no events), 2.7 passes.
MIN_FSDP_VERSION = (2, 7)


def check_version(version: str = torch.__version__) -> None:
    """Raises TrainError where this torch has no FSDP2 that works here."""
    numbers = tuple(int(number) for number in version.split("+")[0].split(".")[:2])
    if numbers < MIN_FSDP_VERSION:
        needed = ".".join(map(str, MIN_FSDP_VERSION))
        raise TrainError(f"--fsdp needs torch {needed} or newer, this is {version}. Update it, or give --distributed")


def ddp(module: nn.Module) -> DistributedDataParallel:
    """DDP whose buffers, constants of the training samples, are sent once, now, and not at every step."""
    renamed = "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters
    buffers: dict[str, Any] = {"forward_sync_buffers" if renamed else "broadcast_buffers": False}
    # gradients lie in the memory that is sent: otherwise it would be there twice
    return DistributedDataParallel(module, gradient_as_bucket_view=True, **buffers)


def fsdp_settings(device: torch.device, size: int, *, precision: str, cpu_offload: bool) -> dict[str, Any]:
    """Arguments of `fully_shard` for one dimension of processes."""
    check_version()
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy

    settings: dict[str, Any] = {"mesh": init_device_mesh(device.type, (size,)), "reshard_after_forward": True}
    if precision == "bf16":
        settings["mp_policy"] = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    if cpu_offload:
        settings["offload_policy"] = CPUOffloadPolicy(pin_memory=device.type == "cuda")
    return settings


def fully_shard(module: nn.Module, **settings: Any) -> None:
    """Divide a module's parameters."""
    from torch.distributed.fsdp import fully_shard as of_torch

    of_torch(module, **settings)


def surplus(device: torch.device, size: int) -> int:
    """How many times too large FSDP2's gradients in float32 are: it asks for an average, and gloo gave the sum for it
    up to torch 2.7. Entered by all processes."""
    mean = torch.zeros(1, device=device)
    renamed = "reduce_scatter_single"
    reduce = getattr(dist, renamed if hasattr(dist, renamed) else "reduce_scatter_tensor")
    try:
        reduce(mean, torch.ones(size, device=device), op=dist.ReduceOp.AVG)
    except RuntimeError as error:  # a backend that refuses refuses FSDP2's own call too, and says what it lacks
        raise TrainError(f"--fsdp: processes cannot average gradients on {device}: {error}") from error
    return round(mean.item())


def is_sharded(tensor: Tensor) -> bool:
    """Whether each process holds a part of it."""
    return hasattr(tensor, "full_tensor")


def local_shard(tensor: Tensor) -> Tensor:
    """The part of this process; the tensor itself where it is not divided."""
    return tensor.to_local() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def full_tensor(tensor: Tensor) -> Tensor:
    """All of it, on every process; entered by all of them."""
    return tensor.full_tensor() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def shard_bounds(length: int, rank: int, size: int) -> tuple[int, int]:
    """First and last row (exclusive) of a process's part of ``length`` rows: equal parts as of `torch.chunk`."""
    each = -(-length // size)
    return min(rank * each, length), min((rank + 1) * each, length)


def shard_of(whole: Tensor, rank: int, size: int) -> Tensor:
    """The rows of a whole tensor that a process holds."""
    first, last = shard_bounds(whole.shape[0], rank, size)
    return whole[first:last]
