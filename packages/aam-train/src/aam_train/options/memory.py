"""Options of memory and batch sizes. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from aam_data.options.base import require
from aam_train.options.validate import positive

FRACTION = 0.8


@dataclass(frozen=True)
class MemoryOptions:
    """Memory and batch sizes."""

    auto_batch_size: bool = False
    """Find the largest --batch-size whose steps fit into memory, by trying real steps before the first one; the run
    keeps it when it is continued."""
    max_memory_fraction: float = FRACTION
    """With --auto-batch-size: share to use at most, of the GPU's memory, or of what this process may take of the host's
    where a CPU does the work."""
    target_effective_batch_size: int | None = None
    """Samples per step, over all micro-batches and processes: as many micro-batches as that takes."""
    max_memory_gb: float | None = None
    """Memory that training may take beyond what is held before its first step, in GB (10^9 bytes). Micro-batches are
    made as small, and as many activations are computed again, as it takes."""

    def __post_init__(self) -> None:
        require(
            0 < self.max_memory_fraction <= 1,
            f"--max-memory-fraction {self.max_memory_fraction}: must be above 0 and at most 1",
        )
        require(
            self.auto_batch_size or self.max_memory_fraction == FRACTION,
            f"--max-memory-fraction {self.max_memory_fraction} goes with --auto-batch-size: give that too (or "
            "--max-memory-gb alone)",
        )
        size = self.target_effective_batch_size
        require(size is None or size >= 1, f"--target-effective-batch-size {size}: must be 1 or more")
        if self.max_memory_gb is not None:
            positive("--max-memory-gb", self.max_memory_gb)
