"""Options of how numbers are computed. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aam_data.options.base import require


@dataclass(frozen=True)
class ComputeOptions:
    """Precision, kernels and memory."""

    mixed_precision: Literal["fp16", "bf16", "none"] | None = None
    """16-bit arithmetic in the transformers. Default: bf16 on GPUs that have it, else none."""
    tf32: bool = False
    """Matrix products of float32 in TF32 on NVIDIA GPUs: faster, 10 bits of mantissa."""
    attn_implementation: Literal["sdpa", "flash", "mem_efficient", "math"] = "sdpa"
    """Attention kernel; sdpa lets PyTorch choose, and on ROCm compares its numbers with math first. One that the device
    does not have is refused at the start."""
    compile_model: bool = False
    """Compile the transformer blocks with torch.compile for training: up to minutes at the start, faster steps
    afterwards. Left out with a warning where it fails, where the first batch's loss or gradient differs, and on ROCm,
    where it is known to fail."""
    gradient_checkpointing: bool | None = None
    """Compute activations again in the backward pass in place of keeping them: less memory, more time. Default: only
    those that do not fit into --max-memory-gb (or the memory that --auto-batch-size may use)."""
    use_expandable_segments: bool = False
    """Let PyTorch grow its blocks of GPU memory, against fragmentation."""
    memory_profile: bool = False
    """Measure the peak of memory in each phase of the steps: a table in the log, memory.json in the run's folder."""
    profile: bool = False
    """Record 5 steps after the first 3 with torch.profiler: a table of the operations in the log, trace.json.gz and
    operations.tsv in profile/ of the run's folder. With several processes the first one."""
    deterministic: bool = False
    """Only kernels whose results are the same every time; refuses operations that have none. The CPU needs no such
    option."""

    def __post_init__(self) -> None:
        require(
            not (self.deterministic and self.attn_implementation == "mem_efficient"),
            "--deterministic and --attn-implementation mem_efficient exclude each other: its gradients differ from "
            "run to run",
        )
