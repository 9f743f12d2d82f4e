"""Which process of how many this is, as torchrun, Slurm or `--data-parallel` has set it. Needs no torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from aam_train.errors import TrainError
from aam_train.options.parallel import ParallelOptions

_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
_SLURM = {"RANK": "SLURM_PROCID", "WORLD_SIZE": "SLURM_NTASKS", "LOCAL_RANK": "SLURM_LOCALID"}
_FIRST_PORT, _PORTS = 20_000, 10_000  # of jobs under Slurm that name none: by their number, so that two differ


@dataclass(frozen=True)
class RankInfo:
    """One process among ``size``.

    Attributes:
        rank: from 0, over all machines.
        local_rank, local_size: the same on this machine.
        address, port: where process 0 listens.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    address: str
    port: int


def rank_info_from_env(environ: Mapping[str, str] = os.environ) -> RankInfo:
    """What the environment says: torchrun's variables, else those of a Slurm task.

    Raises:
        TrainError: nothing has started several processes, or a variable is missing or no number.
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
            "--distributed and --fsdp are for processes that torchrun or srun has started "
            "(torchrun --nproc-per-node=4 -m aam_cli train ...). For the GPUs of one machine, --data-parallel "
            "starts them itself"
        )
    return _rank_info(values)


def _only_host(environ: Mapping[str, str]) -> str | None:
    """Where process 0 is when nobody says: here, if the job has one machine."""
    return "127.0.0.1" if environ.get("SLURM_NNODES", environ.get("SLURM_JOB_NUM_NODES")) == "1" else None


def _rank_info(values: Mapping[str, str | None]) -> RankInfo:
    if missing := sorted(name for name, value in values.items() if not value):
        raise TrainError(
            f"{', '.join(missing)}: not set. Process 0 has to be found by the others: export MASTER_ADDR as the first "
            "host of the job (scontrol show hostnames | head -n 1), or start with torchrun"
        )
    given = {name: value for name, value in values.items() if value}
    numbers = {name: value for name, value in given.items() if name != "MASTER_ADDR"}
    if wrong := sorted(f"{name}={value!r}" for name, value in numbers.items() if not value.isdigit()):
        raise TrainError(f"environment: {', '.join(wrong)}: not a number")
    rank_info = RankInfo(
        rank=int(given["RANK"]),
        size=int(given["WORLD_SIZE"]),
        local_rank=int(given["LOCAL_RANK"]),
        local_size=max(1, min(int(given["LOCAL_SIZE"]), int(given["WORLD_SIZE"]))),
        address=given["MASTER_ADDR"],
        port=int(given["MASTER_PORT"]),
    )
    if not 0 <= rank_info.rank < rank_info.size:
        raise TrainError(f"environment: process {rank_info.rank} of {rank_info.size}: they are numbered from 0")
    return rank_info


def is_rank_zero_env(options: ParallelOptions, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this process prints results: the only one, or the first one."""
    return not options.is_joined or environ.get("RANK", environ.get("SLURM_PROCID", "0")) == "0"


def check_launcher(options: ParallelOptions, environ: Mapping[str, str] = os.environ) -> None:
    """Processes of torchrun that do not know of each other would all do the same, into the same folder.

    Raises:
        TrainError: naming the flags.
    """
    size = environ.get("WORLD_SIZE", "1")
    if not options.is_joined and "TORCHELASTIC_RUN_ID" in environ and size != "1":
        what = "--data-parallel starts its own" if options.data_parallel else "this run is one of its own"
        raise TrainError(f"torchrun has started {size} processes, but {what}: give --distributed or --fsdp instead")
