"""The process group of a run, as a context that yields its strategy."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, Store

from aam_train.device.device import resolve_device
from aam_train.device.precision import build_precision
from aam_train.errors import TrainError
from aam_train.options.compute import ComputeOptions
from aam_train.options.parallel import ParallelOptions
from aam_train.parallel.ddp import DataParallel
from aam_train.parallel.environment import RankInfo, rank_info_from_env
from aam_train.parallel.fsdp import FullyShard
from aam_train.parallel.heartbeat import Heartbeat
from aam_train.parallel.ranks import ProcessGroup, Ranks
from aam_train.parallel.strategy import Single, Strategy

_RENDEZVOUS_SECONDS = 300  # until all processes have joined; machines read their files at different speeds


@contextlib.contextmanager
def process_group(
    options: ParallelOptions, compute: ComputeOptions, device: str, rank_info: RankInfo | None = None
) -> Iterator[Strategy]:
    """Join the process group of a run and yield its strategy; leave the group on exit.

    Args:
        options, compute: of the run.
        device: as ``--device``.
        rank_info: of a process that `launch` has started; read from the environment by default.

    Raises:
        TrainError: a device or backend is missing, or another process exited or does not respond.
    """
    if rank_info is None and not options.is_joined:
        yield Single(resolve_device(device))
        return
    rank_info = rank_info or rank_info_from_env()
    where = rank_device(device, rank_info)
    backend = options.distributed_backend or ("nccl" if where.type == "cuda" else "gloo")
    if where.type == "cuda":
        torch.cuda.set_device(where)
    elif backend == "nccl":
        raise TrainError("--distributed-backend nccl only applies to GPUs (got the CPU). Leave it out")
    kept_by_agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    store = _rendezvous(rank_info, options, keeps=rank_info.rank == 0 and not kept_by_agent)
    keeper = "torchrun" if kept_by_agent else "process 0"
    heartbeat = Heartbeat(_rendezvous(rank_info, options, keeps=False), rank_info, keeper, options.distributed_timeout)
    with heartbeat, _explain_lost_processes(options):
        # longer than the heartbeat's, which knows whom a collective waits for
        timeout = timedelta(seconds=1.5 * options.distributed_timeout + 10)
        backends = f"cpu:gloo,cuda:{backend}" if where.type == "cuda" else "gloo"
        shared = PrefixStore("group", store)
        dist.init_process_group(backends, store=shared, rank=rank_info.rank, world_size=rank_info.size, timeout=timeout)
        try:
            ranks = ProcessGroup(
                dist.new_group(timeout=timeout), dist.new_group(timeout=timeout, backend="gloo"), rank_info.local_size
            )
            yield _strategy(options, compute, where, ranks)
        finally:
            # NCCL would wait here for processes that may have died; after a failure the system cleans up
            if backend == "gloo" or sys.exc_info()[0] is None:
                dist.destroy_process_group()


def rank_device(name: str, rank_info: RankInfo) -> torch.device:
    """Return the device of a process: a GPU of its own, chosen by its local rank."""
    if name.startswith("cuda:"):
        raise TrainError(f"--device {name}: each process takes a GPU of its own. Use --device cuda or auto")
    device = resolve_device(name)
    if device.type != "cuda":
        return device
    visible = torch.cuda.device_count()
    if visible > 1 and rank_info.local_rank >= visible:
        raise TrainError(
            f"process {rank_info.local_rank + 1} of this machine has no GPU: {visible} are visible. Start at most "
            f"{visible} processes per machine"
        )
    return torch.device("cuda", rank_info.local_rank % visible)  # Slurm may show each task only its own GPU


def _rendezvous(rank_info: RankInfo, options: ParallelOptions, *, keeps: bool) -> Store:
    """Connect to the store through which processes find each other; rank 0 or torchrun hosts it."""
    timeout = timedelta(seconds=max(_RENDEZVOUS_SECONDS, options.distributed_timeout))
    try:
        store: Store = dist.TCPStore(  # type: ignore[attr-defined]
            rank_info.address,
            rank_info.port,
            rank_info.size,
            is_master=keeps,
            timeout=timeout,
            wait_for_workers=False,
        )
    except (dist.DistError, RuntimeError, ValueError) as error:
        raise TrainError(
            f"{rank_info.address} port {rank_info.port}, the rendezvous of the processes: {_first_line(error)}. "
            "Another job may be using this port; set MASTER_PORT to another one"
        ) from error
    # torchrun's store survives a restart of its processes: keep the keys of earlier attempts apart
    return PrefixStore(f"attempt-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


@contextlib.contextmanager
def _explain_lost_processes(options: ParallelOptions) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if not is_communication_error(error):
            raise
        raise LostProcess(
            "another process of this run exited or did not respond for --distributed-timeout "
            f"{options.distributed_timeout} s; nothing more was saved. Its first error message is the cause. "
            f"Resume with --resume-from auto ({_first_line(error)})"
        ) from error


class LostProcess(TrainError):
    """Error caused by another process, which reports the cause."""


def is_communication_error(error: RuntimeError) -> bool:
    """Return whether a collective failed, rather than this process itself."""
    text = str(error)
    return isinstance(error, dist.DistError) or any(
        word in text for word in ("gloo", "Gloo", "NCCL", "Connection closed")
    )


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _strategy(options: ParallelOptions, compute: ComputeOptions, device: torch.device, ranks: Ranks) -> Strategy:
    if not options.fsdp:
        return DataParallel(device, ranks)
    return FullyShard(
        device,
        ranks,
        sharding=options.fsdp_sharding,
        precision=build_precision(compute, device).name,
        cpu_offload=options.fsdp_cpu_offload,
        sharded_checkpoint=options.fsdp_sharded_checkpoint,
    )
