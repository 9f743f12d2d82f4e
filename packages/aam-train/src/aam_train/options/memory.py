"""Options of memory and batch sizes. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from aam_data.options.base import require
from aam_train.options.validate import positive

MAX_MEMORY_FRACTION = 0.8


@dataclass(frozen=True)
class MemoryOptions:
    """Memory and batch sizes."""

    auto_batch_size: bool = False
    """Find the largest --batch-size whose steps fit into memory, with real trial steps before the first one; a resumed
    run keeps the size."""
    max_memory_fraction: float = MAX_MEMORY_FRACTION
    """With --auto-batch-size: maximum share of the GPU's memory to use, or on a CPU of the host memory available to
    this process."""
    target_effective_batch_size: int | None = None
    """Samples per step, over all micro-batches and processes; determines the number of micro-batches."""
    max_memory_gb: float | None = None
    """Memory that training may use beyond what is in use before its first step, in GB (10^9 bytes). Micro-batches are
    split and activations are recomputed as far as necessary."""

    def __post_init__(self) -> None:
        require(
            0 < self.max_memory_fraction <= 1,
            f"--max-memory-fraction {self.max_memory_fraction}: must be above 0 and at most 1",
        )
        require(
            self.auto_batch_size or self.max_memory_fraction == MAX_MEMORY_FRACTION,
            f"--max-memory-fraction {self.max_memory_fraction} only applies with --auto-batch-size. Pass both (or only "
            "--max-memory-gb)",
        )
        size = self.target_effective_batch_size
        require(size is None or size >= 1, f"--target-effective-batch-size {size}: must be 1 or more")
        if self.max_memory_gb is not None:
            positive("--max-memory-gb", self.max_memory_gb)
            require(self.max_memory_gb <= 1e6, f"--max-memory-gb {self.max_memory_gb:g}: must be at most 1,000,000")
