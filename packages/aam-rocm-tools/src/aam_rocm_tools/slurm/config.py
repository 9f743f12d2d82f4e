"""Options of job scripts. Standard library only; the text under a field is its help."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["pretrain-single", "pretrain-node", "train-multi", "array", "stage-data"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ABOUT: dict[Kind, str] = {
    "pretrain-single": "aam pretrain on one device",
    "pretrain-node": "aam pretrain on all devices of one node, data parallel",
    "train-multi": "aam train on several nodes, data parallel",
    "array": "aam train once per line of a file of options, as a job array",
    "stage-data": "aam pretrain on files copied to the node's local disk; the run is copied back",
}
AAM_COMMAND: dict[Kind, str] = {
    "pretrain-single": "pretrain",
    "pretrain-node": "pretrain",
    "train-multi": "train",
    "array": "train",
    "stage-data": "pretrain",
}
_WORD = re.compile(r"[^\s\"'`$\\;&|<>]+")
_TIME = re.compile(r"(\d+-)?\d+(:\d\d){0,2}")


@dataclass(frozen=True)
class SlurmOptions:
    """Resources of a job script, and its preparation for AAM."""

    gpu: Literal["rocm", "cuda", "none"] = "rocm"
    """Kind of device; `none` runs on CPUs."""
    account: str | None = None
    """Account (allocation) to charge."""
    partition: str | None = None
    """Partition."""
    qos: str | None = None
    """Quality of service."""
    reservation: str | None = None
    """Reservation."""
    time: str = "24:00:00"
    """Time limit of a job in Slurm's format (minutes, hours:minutes:seconds, days-hours...)."""
    nodes: int = 2
    """Nodes of train-multi; the other kinds use one."""
    devices: int = 4
    """Devices per node, for pretrain-node and train-multi: one task each. A node of Cosmos has 4."""
    cpus_per_device: int = 24
    """CPU cores per device. An MI300A has 24."""
    memory: str | None = None
    """Memory per node, like 100G; 0 is all of it. Default: the cluster's default."""
    exclusive: bool = False
    """Request whole nodes, if the cluster does not allocate them anyway."""
    job_name: str | None = None
    """Name of the job. Default: aam and the kind."""
    module: tuple[str, ...] = ()
    """Module to load, like rocm/6.3.0; may be repeated."""
    activate: str | None = None
    """Script to source that makes `aam` available, like venv/bin/activate."""
    container: str | None = None
    """Apptainer image that contains `aam`, instead of --activate."""
    bind: tuple[str, ...] = ()
    """Folder to mount in the container besides the current and the home folder; may be repeated."""
    local_disk: str = "${TMPDIR:-/tmp}"
    """The node's local disk, for caches and staged files; may contain variables of the job such as $SLURM_JOB_ID."""
    signal_seconds: int = 300
    """Seconds before its time limit at which a job is signalled to save and requeue."""
    settings: str = "settings.txt"
    """For array: file with the options of one run per line."""
    tasks: int = 8
    """For array: number of runs, that is, lines of --settings."""
    at_once: int = 4
    """For array: number of runs at the same time."""
    stage: tuple[str, ...] = ()
    """For stage-data: file to copy to the node's local disk; may be repeated. In the options of aam, write its name
    without the folder."""
    results: str = "results"
    """For stage-data: folder on the shared file system to which the run is copied back."""

    def __post_init__(self) -> None:
        for name in ("account", "partition", "qos", "reservation", "memory", "job_name"):
            value = getattr(self, name)
            _require(value is None or _WORD.fullmatch(value) is not None, name, value, "one word without quotes")
        for name in ("nodes", "devices", "cpus_per_device", "tasks", "at_once"):
            _require(1 <= getattr(self, name) <= 100_000, name, getattr(self, name), "1 or more")
        _require(_TIME.fullmatch(self.time) is not None, "time", self.time, "minutes, h:mm:ss or days-hours")
        _require(30 <= self.signal_seconds <= 65535, "signal_seconds", self.signal_seconds, "30 to 65535")
        for value in self.module:
            _require(_WORD.fullmatch(value) is not None, "module", value, "one word without quotes")
        _require(re.fullmatch(r"[\w./:{}$-]+", self.local_disk) is not None, "local_disk", self.local_disk, "a path")
        if self.container is not None and self.activate is not None:
            raise ValueError("--container and --activate cannot be combined; the image has its own aam")
        if self.bind and self.container is None:
            raise ValueError("--bind only applies to --container")


def _require(condition: bool, name: str, value: object, requirement: str) -> None:
    if not condition:
        raise ValueError(f"--{name.replace('_', '-')} {value}: must be {requirement}")
