"""From the options to the strategy: the process group is joined for the time of a run."""

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

_SECONDS_TO_MEET = 300  # until all processes have come; machines read their files at different speeds


@contextlib.contextmanager
def process_group(
    options: ParallelOptions, compute: ComputeOptions, device: str, rank_info: RankInfo | None = None
) -> Iterator[Strategy]:
    """The strategy of a run; with several processes, between the moment when all have come and when this one leaves.

    Args:
        options, compute: of the run.
        device: as ``--device``.
        rank_info: of a process that `launch` has started; else looked up in the environment.

    Raises:
        TrainError: what was asked for is not there, or another process ended or does not answer.
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
        raise TrainError("--distributed-backend nccl is for GPUs: leave it out on the CPU")
    kept_by_agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    store = _rendezvous(rank_info, options, keeps=rank_info.rank == 0 and not kept_by_agent)
    keeper = "torchrun" if kept_by_agent else "process 0"
    heartbeat = Heartbeat(_rendezvous(rank_info, options, keeps=False), rank_info, keeper, options.distributed_timeout)
    with heartbeat, _lost_processes_told(options):
        # later than the watch, which knows whom a collective waits for
        timeout = timedelta(seconds=1.5 * options.distributed_timeout + 10)
        kinds = f"cpu:gloo,cuda:{backend}" if where.type == "cuda" else "gloo"
        shared = PrefixStore("group", store)
        dist.init_process_group(kinds, store=shared, rank=rank_info.rank, world_size=rank_info.size, timeout=timeout)
        try:
            ranks = ProcessGroup(
                dist.new_group(timeout=timeout), dist.new_group(timeout=timeout, backend="gloo"), rank_info.local_size
            )
            yield _strategy(options, compute, where, ranks)
        finally:
            # NCCL waits for the others here, who may be gone: the system takes back what a failed run held
            if backend == "gloo" or sys.exc_info()[0] is None:
                dist.destroy_process_group()


def rank_device(name: str, rank_info: RankInfo) -> torch.device:
    """The device of a process: a GPU of its own, by its number on this machine."""
    if name.startswith("cuda:"):
        raise TrainError(f"--device {name}: each process takes a GPU of its own. Give --device cuda or auto")
    device = resolve_device(name)
    if device.type != "cuda":
        return device
    visible = torch.cuda.device_count()
    if visible > 1 and rank_info.local_rank >= visible:
        raise TrainError(
            f"process {rank_info.local_rank + 1} of this machine has no GPU: {visible} are visible. Start as many processes"
        )
    return torch.device("cuda", rank_info.local_rank % visible)  # Slurm may show each task its own one only


def _rendezvous(rank_info: RankInfo, options: ParallelOptions, *, keeps: bool) -> Store:
    """A connection to the store through which processes find each other; the first one keeps it, or torchrun."""
    patience = timedelta(seconds=max(_SECONDS_TO_MEET, options.distributed_timeout))
    try:
        store: Store = dist.TCPStore(  # type: ignore[attr-defined]
            rank_info.address,
            rank_info.port,
            rank_info.size,
            is_master=keeps,
            timeout=patience,
            wait_for_workers=False,
        )
    except (dist.DistError, RuntimeError, ValueError) as error:
        raise TrainError(
            f"{rank_info.address} port {rank_info.port}, where the processes of the run meet: {_first_line(error)}. "
            "Is another job on it? Set MASTER_PORT to another one"
        ) from error
    # torchrun's store outlives processes that it starts again: what the lost ones wrote is not for the new ones
    return PrefixStore(f"attempt-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


@contextlib.contextmanager
def _lost_processes_told(options: ParallelOptions) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if not is_communication_error(error):
            raise
        raise LostProcess(
            "another process of this run ended or did not answer for --distributed-timeout "
            f"{options.distributed_timeout} s; nothing more was saved. What it said first is the cause. "
            f"Continue with --resume-from auto ({_first_line(error)})"
        ) from error


class LostProcess(TrainError):
    """A consequence: another process has the cause."""


def is_communication_error(error: RuntimeError) -> bool:
    """Whether a collective failed, rather than this process."""
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
        precision=build_precision(compute, device).name,
        cpu_offload=options.fsdp_cpu_offload,
        sharded_checkpoint=options.fsdp_sharded_checkpoint,
    )
