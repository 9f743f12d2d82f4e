"""Options of runs on several devices. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aam_data.options.base import require


@dataclass(frozen=True)
class ParallelOptions:
    """Training on several devices."""

    distributed: bool = False
    """Run as one of the processes started by torchrun (or srun, one task per device). Each has the whole model (DDP)
    and takes --batch-size samples of every micro-batch; UniFrac pairs are formed over the samples of all processes."""
    data_parallel: bool = False
    """Like --distributed with a single command: start one process for each visible GPU of this machine."""
    fsdp: bool = False
    """Like --distributed, but weights, gradients and optimizer state of the encoders are sharded over the processes
    (FSDP)."""
    fsdp_sharding: Literal["full", "gradients", "hybrid"] = "full"
    """What --fsdp shards. `full`: weights, gradients and optimizer state, gathered for the forward and again for the
    backward pass. `gradients`: weights stay gathered between the two, which sends less and needs more memory. `hybrid`:
    full within a machine, with a copy on every machine."""
    fsdp_sharded_checkpoint: bool = False
    """Write a shard per process for checkpoints to resume from; the best checkpoint is written whole."""
    fsdp_cpu_offload: bool = False
    """Keep the sharded weights, gradients and optimizer state in host memory."""
    processes: int | None = None
    """Processes of --data-parallel. Default: one for each visible GPU; required with --device cpu."""
    distributed_backend: Literal["nccl", "gloo"] | None = None
    """Communication backend. Default: nccl (RCCL on AMD) between GPUs, gloo between CPUs."""
    distributed_timeout: int = 1800
    """Seconds after which an unresponsive process ends the job."""

    def __post_init__(self) -> None:
        chosen = [flag for flag, given in self._strategies().items() if given]
        require(len(chosen) < 2, f"{' and '.join(chosen)} cannot be combined; use one of them")
        for flag, given in (
            (f"--fsdp-sharding {self.fsdp_sharding}", self.fsdp_sharding != "full"),
            ("--fsdp-sharded-checkpoint", self.fsdp_sharded_checkpoint),
            ("--fsdp-cpu-offload", self.fsdp_cpu_offload),
        ):
            require(self.fsdp or not given, f"{flag} only applies with --fsdp; use both or neither")
        require(
            self.processes is None or self.data_parallel,
            "--processes only applies with --data-parallel; torchrun and srun have their own options for it",
        )
        require(
            self.processes is None or 1 <= self.processes <= 1024,
            f"--processes {self.processes}: must be between 1 and 1024",
        )
        require(
            self.distributed_backend is None or bool(chosen),
            "--distributed-backend only applies with --distributed, --data-parallel or --fsdp",
        )
        require(
            1 <= self.distributed_timeout <= 86_400,
            f"--distributed-timeout {self.distributed_timeout}: must be between 1 and 86400 seconds",
        )

    @property
    def is_joined(self) -> bool:
        """True if this is one of several processes that a launcher started."""
        return self.distributed or self.fsdp

    @property
    def is_parallel(self) -> bool:
        """True if any of the strategies was chosen."""
        return self.is_joined or self.data_parallel

    def _strategies(self) -> dict[str, bool]:
        return {"--distributed": self.distributed, "--data-parallel": self.data_parallel, "--fsdp": self.fsdp}
