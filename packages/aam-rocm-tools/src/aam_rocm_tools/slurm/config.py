"""Options of job scripts. Standard library only; the text under a field is its help."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, fields
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
# What is not quoted in a script, or has a meaning for the program that reads it, is of these characters only.
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,:+@=-]*")
_MODULE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./,:+@=~-]*")
_MEMORY = re.compile(r"[0-9]+[KMGT]?", re.IGNORECASE)
_TIME = re.compile(r"([0-9]+-)?[0-9]+(:[0-9][0-9]){0,2}")
_VARIABLE = r"\$(?:[A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*(?::-[\w./+@%=-]*)?\})"
_DISK = re.compile(rf"(?:/|{_VARIABLE})(?:[\w./+@%=-]|{_VARIABLE})*")
_ENV = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)")
# Variables that bash or the scripts themselves set.
_TAKEN = re.compile(
    "[a-z_]+|RANK|WORLD_SIZE|LOCAL_RANK|LOCAL_WORLD_SIZE|MASTER_ADDR|MASTER_PORT|OMP_NUM_THREADS|SLURM_.*"
    "|TRITON_CACHE_DIR|TORCHINDUCTOR_CACHE_DIR|MPLCONFIGDIR|MIOPEN_USER_DB_PATH|MIOPEN_CUSTOM_CACHE_DIR|CUDA_CACHE_PATH"
    "|IFS|E?UID|PPID|BASHOPTS|SHELLOPTS|BASH_VERSINFO"
)
# Unicode categories: control, format (direction marks, zero width), surrogates (not UTF-8), separators of lines.
_NOT_IN_SCRIPTS = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_MAX_SHOWN = 60  # characters of a value in a message


@dataclass(frozen=True)
class SlurmOptions:
    """Resources of a job script, and its preparation for AAM."""

    gpu: Literal["any", "rocm", "cuda", "none"] = "any"
    """Kind of device; `none` runs on CPUs. `any` asks for GPUs of either kind; --container needs to know which."""
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
    """Devices per node, for pretrain-node and train-multi: one task each."""
    cpus_per_device: int | None = None
    """CPU cores per device. Default: what the cluster allocates; often a single core, which is too few for a GPU."""
    memory: str | None = None
    """Memory per node, like 100G; 0 is all of it. Default: the cluster's default."""
    exclusive: bool = False
    """Request whole nodes, if the cluster does not allocate them anyway."""
    job_name: str | None = None
    """Name of the job. Default: aam and the kind."""
    module: tuple[str, ...] = ()
    """Module to load, like rocm/6.3.0; may be repeated. If it cannot be loaded, the job ends."""
    activate: str | None = None
    """Script to source that makes `aam` available, like venv/bin/activate. If it fails, the job ends."""
    container: str | None = None
    """Apptainer image that contains `aam`, instead of --activate."""
    bind: tuple[str, ...] = ()
    """Folder to mount in the container besides the current and the home folder; may be repeated."""
    env: tuple[str, ...] = ()
    """Variable to export, as NAME=VALUE, for instance for the network: NCCL_SOCKET_IFNAME=hsn0; may be repeated."""
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
        for field in fields(self):
            values = getattr(self, field.name)
            for value in values if isinstance(values, tuple) else (values,):
                if isinstance(value, str):
                    check_text(f"--{field.name.replace('_', '-')}", value)
        for name in ("account", "partition", "qos", "reservation", "job_name"):
            value = getattr(self, name)
            _require(value is None or _WORD.fullmatch(value) is not None, name, value, f"one word of {_PLAIN}")
        for name in ("nodes", "devices", "cpus_per_device", "tasks", "at_once"):
            value = getattr(self, name)
            _require(value is None or 1 <= value <= 100_000, name, value, "1 or more")
        _require(_TIME.fullmatch(self.time) is not None, "time", self.time, "minutes, h:mm:ss or days-hours")
        memory = "a whole number and K, M, G or T, such as 100G"
        _require(self.memory is None or _MEMORY.fullmatch(self.memory) is not None, "memory", self.memory, memory)
        self._check_stage()
        _require(30 <= self.signal_seconds <= 65535, "signal_seconds", self.signal_seconds, "30 to 65535")
        for value in self.module:
            _require(_MODULE.fullmatch(value) is not None, "module", value, f"one word of {_PLAIN} and / ~")
        disk = "a path that starts with / or a variable, of letters, digits, / . _ + @ % = - and variables like $NAME"
        _require(_DISK.fullmatch(self.local_disk) is not None, "local_disk", self.local_disk, disk)
        for name, values in (("container", (self.container,)), ("bind", self.bind)):
            for value in values:
                _require(value is None or not value.startswith("-"), name, value, "a path; write ./ before a dash")
        self._check_env()
        if self.container is not None and self.activate is not None:
            raise ValueError("--container and --activate cannot be combined; the image has its own aam")
        if self.container is not None and self.gpu == "any":
            raise ValueError("--container needs the kind of device: --gpu rocm, cuda or none")
        if self.bind and self.container is None:
            raise ValueError("--bind only applies to --container")

    def _check_stage(self) -> None:
        names = [path.rstrip("/").rpartition("/")[2] for path in self.stage]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"--stage {shown(name)}: several files have this name, but they share a folder there")

    def _check_env(self) -> None:
        names = []
        for value in self.env:
            match = _ENV.fullmatch(value)
            if match is None:
                raise ValueError(f"--env {shown(value)}: must be NAME=VALUE, a name of letters, digits and _")
            if _TAKEN.fullmatch(match[1]):
                raise ValueError(f"--env {shown(value)}: {match[1]} is set by Slurm, bash or the script itself")
            names.append(match[1])
        if len(set(names)) < len(names):
            raise ValueError(f"--env {max(names, key=names.count)}: pass each name once")


_PLAIN = "letters, digits and _ . , : + @ = -, without a dash or another sign at the start"


def check_text(flag: str, value: str) -> None:
    """Raise ValueError for text that a script cannot hold: empty, with control characters, or not UTF-8."""
    if not value:
        raise ValueError(f"{flag}: must not be empty")
    if wrong := next((c for c in value if unicodedata.category(c) in _NOT_IN_SCRIPTS), None):
        raise ValueError(f"{flag} {shown(value)}: contains a line break or an invisible character (U+{ord(wrong):04X})")


def shown(value: object) -> str:
    """Format a value for a message: invisible characters escaped, cut."""
    text = "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in _NOT_IN_SCRIPTS else c for c in str(value)
    )
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _require(condition: bool, name: str, value: object, requirement: str) -> None:
    if not condition:
        raise ValueError(f"--{name.replace('_', '-')} {shown(value)}: must be {requirement}")
