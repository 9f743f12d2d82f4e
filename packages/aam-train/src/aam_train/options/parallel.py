"""Options of runs on several devices. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aam_data.options.base import require


@dataclass(frozen=True)
class ParallelOptions:
    """Several devices."""

    distributed: bool = False
    """Be one of the processes that torchrun (or srun, one task a device) has started: each holds the whole model (DDP)
    and takes --batch-size samples of every micro-batch; pairs are those of all processes' samples."""
    data_parallel: bool = False
    """The same with one command: a process is started for every visible GPU of this machine."""
    fsdp: bool = False
    """Like --distributed, with weights, gradients and optimizer of the encoders divided among the processes (FSDP)."""
    fsdp_sharded_checkpoint: bool = False
    """Every process writes its own part of the checkpoints that a run continues from; best is written whole."""
    fsdp_cpu_offload: bool = False
    """Keep the divided weights, gradients and optimizer in the memory of the host."""
    processes: int | None = None
    """Processes of --data-parallel. Default: one for every visible GPU; with --device cpu it has to be given."""
    distributed_backend: Literal["nccl", "gloo"] | None = None
    """How processes talk. Default: nccl (which is RCCL on AMD) between GPUs, gloo between CPUs."""
    distributed_timeout: int = 1800
    """Seconds after which a process that does not answer ends the job."""

    def __post_init__(self) -> None:
        chosen = [flag for flag, given in self._strategies().items() if given]
        require(len(chosen) < 2, f"{' and '.join(chosen)} exclude each other: give one")
        for flag, given in (
            ("--fsdp-sharded-checkpoint", self.fsdp_sharded_checkpoint),
            ("--fsdp-cpu-offload", self.fsdp_cpu_offload),
        ):
            require(self.fsdp or not given, f"{flag} belongs to --fsdp: give both or neither")
        require(
            self.processes is None or self.data_parallel,
            "--processes belongs to --data-parallel; torchrun and srun are told the number themselves",
        )
        require(
            self.processes is None or 1 <= self.processes <= 1024,
            f"--processes {self.processes}: must be between 1 and 1024",
        )
        require(
            self.distributed_backend is None or bool(chosen),
            "--distributed-backend belongs to --distributed, --data-parallel or --fsdp",
        )
        require(
            1 <= self.distributed_timeout <= 86_400,
            f"--distributed-timeout {self.distributed_timeout}: must be between 1 and 86400 seconds",
        )

    @property
    def is_joined(self) -> bool:
        """Whether something else has started the processes of which this is one."""
        return self.distributed or self.fsdp

    @property
    def is_parallel(self) -> bool:
        """Whether any of the strategies was chosen."""
        return self.is_joined or self.data_parallel

    def _strategies(self) -> dict[str, bool]:
        return {"--distributed": self.distributed, "--data-parallel": self.data_parallel, "--fsdp": self.fsdp}
