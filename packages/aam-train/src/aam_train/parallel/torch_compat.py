"""Version-dependent parts of DDP and FSDP2; the only module that handles DTensors."""

from __future__ import annotations

import inspect
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import ProcessContext
from torch.nn.parallel import DistributedDataParallel

from aam_train.errors import TrainError

# Determined by this package's gradient comparison on CPUs: 2.6 fails (its streams record no events), 2.7 passes.
MIN_FSDP_VERSION = (2, 7)


def check_version(version: str = torch.__version__) -> None:
    """Raise TrainError if this version of torch has no working FSDP2."""
    numbers = tuple(int(number) for number in version.split("+")[0].split(".")[:2])
    if numbers < MIN_FSDP_VERSION:
        needed = ".".join(map(str, MIN_FSDP_VERSION))
        raise TrainError(f"--fsdp needs torch {needed} or newer, this is {version}. Update it, or use --distributed")


def ddp(module: nn.Module) -> DistributedDataParallel:
    """Wrap a module in DDP. Buffers, which are constants, are broadcast once here instead of at every step."""
    renamed = "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters
    buffers: dict[str, Any] = {"forward_sync_buffers" if renamed else "broadcast_buffers": False}
    # gradients are views of the communication buckets: separate ones would double their memory
    return DistributedDataParallel(module, gradient_as_bucket_view=True, **buffers)


def join(context: ProcessContext, seconds: float, seconds_to_end: float) -> bool:
    """Wait for started processes and return whether all have ended; raises as `ProcessContext.join` does.

    Args:
        context: the processes.
        seconds: how long to wait.
        seconds_to_end: of the others when one has failed; older versions of torch end them at once.
    """
    takes_grace = "grace_period" in inspect.signature(ProcessContext.join).parameters
    grace: dict[str, Any] = {"grace_period": seconds_to_end} if takes_grace else {}
    done: bool = context.join(timeout=seconds, **grace)
    return done


def fsdp_settings(
    device: torch.device, replicas: int, shards: int, *, reshard: bool, precision: str, cpu_offload: bool
) -> dict[str, Any]:
    """Return the arguments of `fully_shard` for ``replicas`` times ``shards`` processes, by rank row by row.

    Args:
        reshard: free the gathered weights between the forward and the backward pass.
        precision, cpu_offload: see `FullyShard`.
    """
    check_version()
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy

    shape, names = ((shards,), ("shard",)) if replicas == 1 else ((replicas, shards), ("replicate", "shard"))
    mesh = init_device_mesh(device.type, shape, mesh_dim_names=names)
    settings: dict[str, Any] = {"mesh": mesh, "reshard_after_forward": reshard}
    if precision == "bf16":
        settings["mp_policy"] = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    if cpu_offload:
        settings["offload_policy"] = CPUOffloadPolicy(pin_memory=device.type == "cuda")
    return settings


def fully_shard(module: nn.Module, **settings: Any) -> None:
    """Shard a module's parameters in place."""
    from torch.distributed.fsdp import fully_shard as torch_fully_shard

    torch_fully_shard(module, **settings)


def gradient_excess(device: torch.device, mesh: Any) -> int:
    """Return the factor by which FSDP2's float32 gradients are too large: gloo up to torch 2.7 sums where FSDP2 asks
    for the average. A collective.

    Args:
        mesh: of `fsdp_settings`.
    """
    shards = mesh.get_group("shard")
    mean = torch.zeros(1, device=device)
    renamed = "reduce_scatter_single"
    reduce = getattr(dist, renamed if hasattr(dist, renamed) else "reduce_scatter_tensor")
    try:
        reduce(mean, torch.ones(shards.size(), device=device), op=dist.ReduceOp.AVG, group=shards)
        if mesh.ndim > 1:
            dist.all_reduce(mean, op=dist.ReduceOp.AVG, group=mesh.get_group("replicate"))
    except RuntimeError as error:  # such a backend fails in FSDP2's own call too; its message names what it lacks
        raise TrainError(f"--fsdp: processes cannot average gradients on {device}: {error}") from error
    return round(mean.item())


def is_sharded(tensor: Tensor) -> bool:
    """Return whether each process holds a shard of the tensor."""
    return hasattr(tensor, "full_tensor")


def local_shard(tensor: Tensor) -> Tensor:
    """Return this process's shard, or the tensor itself if it is not sharded."""
    return tensor.to_local() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def full_tensor(tensor: Tensor) -> Tensor:
    """Gather the full tensor on every process. A collective."""
    return tensor.full_tensor() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def shard_bounds(length: int, rank: int, size: int) -> tuple[int, int]:
    """Return the first and last row (exclusive) of a process's shard of ``length`` rows, as `torch.chunk` splits."""
    each = -(-length // size)
    return min(rank * each, length), min((rank + 1) * each, length)


def shard_of(full: Tensor, rank: int, size: int) -> Tensor:
    """Return the rows of a full tensor that a process holds."""
    first, last = shard_bounds(full.shape[0], rank, size)
    return full[first:last]
