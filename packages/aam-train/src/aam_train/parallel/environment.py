"""Rank and world size of this process, from the variables of torchrun or Slurm. Does not import torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from aam_train.errors import TrainError
from aam_train.options.parallel import ParallelOptions

_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
_SLURM = {"RANK": "SLURM_PROCID", "WORLD_SIZE": "SLURM_NTASKS", "LOCAL_RANK": "SLURM_LOCALID"}
_FIRST_PORT, _PORTS = 20_000, 10_000  # default port of a Slurm job, derived from its id so that two jobs differ


@dataclass(frozen=True)
class RankInfo:
    """Rank of one process and how to reach process 0.

    Attributes:
        rank, size: rank (from 0) and number of processes, over all machines.
        local_rank, local_size: the same within this machine.
        address, port: where process 0 listens.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    address: str
    port: int


def rank_info_from_env(environ: Mapping[str, str] = os.environ) -> RankInfo:
    """Read the variables of torchrun, else those of a Slurm task.

    Raises:
        TrainError: neither launcher is in use, or a variable is missing or not a number.
    """
    if "RANK" in environ and "WORLD_SIZE" in environ:
        values = {name: environ.get(name) for name in _TORCHRUN}
        values["LOCAL_RANK"] = values["LOCAL_RANK"] or "0"
        values["LOCAL_SIZE"] = environ.get("LOCAL_WORLD_SIZE", environ["WORLD_SIZE"])
    elif all(variable in environ for variable in _SLURM.values()):
        values = {name: environ[variable] for name, variable in _SLURM.items()}
        values["LOCAL_SIZE"] = environ.get("SLURM_NTASKS_PER_NODE", environ["SLURM_NTASKS"])
        values["MASTER_ADDR"] = environ.get("MASTER_ADDR") or _only_host(environ)
        job = environ.get("SLURM_JOB_ID", "0")
        port = _FIRST_PORT + int(job) % _PORTS if job.isdigit() else _FIRST_PORT
        values["MASTER_PORT"] = environ.get("MASTER_PORT") or str(port)
    else:
        raise TrainError(
            "--distributed and --fsdp need processes started by torchrun or srun "
            "(torchrun --nproc-per-node=4 -m aam_cli train ...). On a single machine, use --data-parallel, which "
            "starts one process per GPU"
        )
    return _rank_info(values)


def _only_host(environ: Mapping[str, str]) -> str | None:
    """Return the address of process 0 if the job runs on one machine, else None."""
    return "127.0.0.1" if environ.get("SLURM_NNODES", environ.get("SLURM_JOB_NUM_NODES")) == "1" else None


def _rank_info(values: Mapping[str, str | None]) -> RankInfo:
    if missing := sorted(name for name, value in values.items() if not value):
        raise TrainError(
            f"{', '.join(missing)}: not set, so process 0 cannot be found. Export MASTER_ADDR as the first "
            "host of the job (scontrol show hostnames | head -n 1), or start with torchrun"
        )
    present = {name: value for name, value in values.items() if value}
    numbers = {name: value for name, value in present.items() if name != "MASTER_ADDR"}
    if invalid := sorted(f"{name}={value!r}" for name, value in numbers.items() if not value.isdigit()):
        raise TrainError(f"environment: {', '.join(invalid)}: not a number")
    rank_info = RankInfo(
        rank=int(present["RANK"]),
        size=int(present["WORLD_SIZE"]),
        local_rank=int(present["LOCAL_RANK"]),
        local_size=max(1, min(int(present["LOCAL_SIZE"]), int(present["WORLD_SIZE"]))),
        address=present["MASTER_ADDR"],
        port=int(present["MASTER_PORT"]),
    )
    if not 0 <= rank_info.rank < rank_info.size:
        raise TrainError(f"environment: process {rank_info.rank} of {rank_info.size}: ranks count from 0")
    return rank_info


def is_rank_zero_env(options: ParallelOptions, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether this process prints results: it is the only one, or rank 0."""
    return not options.is_joined or environ.get("RANK", environ.get("SLURM_PROCID", "0")) == "0"


def check_launcher(options: ParallelOptions, environ: Mapping[str, str] = os.environ) -> None:
    """Reject torchrun without --distributed or --fsdp: all its processes would do the same run in the same folder.

    Raises:
        TrainError: naming the flags.
    """
    size = environ.get("WORLD_SIZE", "1")
    if not options.is_joined and "TORCHELASTIC_RUN_ID" in environ and size != "1":
        problem = "--data-parallel starts its own" if options.data_parallel else "this run uses a single process"
        raise TrainError(f"torchrun has started {size} processes, but {problem}. Use --distributed or --fsdp instead")
