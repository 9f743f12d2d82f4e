"""Options of precision, kernels and profiling. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aam_data.options.base import require


@dataclass(frozen=True)
class ComputeOptions:
    """Precision, kernels and memory."""

    mixed_precision: Literal["fp16", "bf16", "none"] | None = None
    """16-bit arithmetic in the transformers. Default: bf16 on GPUs that support it, else none."""
    tf32: bool = False
    """Compute float32 matrix products in TF32 on NVIDIA GPUs: faster, with a 10-bit mantissa."""
    attn_implementation: Literal["sdpa", "flash", "mem_efficient", "math"] = "sdpa"
    """Attention kernel; sdpa lets PyTorch choose, and on ROCm its results are first compared with math. A kernel that
    the device does not support is an error at the start."""
    compile_model: bool = False
    """Compile the transformer blocks with torch.compile for training: up to minutes at the start, faster steps
    afterwards. Skipped with a warning if compilation fails, if it changes the loss or gradient of the first batch, and
    on ROCm, where it is known to fail."""
    gradient_checkpointing: bool | None = None
    """Recompute activations in the backward pass instead of keeping them: less memory, more time. Default: only those
    that do not fit into --max-memory-gb (or the memory that --auto-batch-size may use)."""
    use_expandable_segments: bool = False
    """Let PyTorch use expandable segments of GPU memory, which reduces fragmentation."""
    memory_profile: bool = False
    """Measure the peak memory of each phase of the steps: a table in the log, memory.json in the run folder."""
    profile: bool = False
    """Record 5 steps after the first 3 with torch.profiler: a table of operations in the log, trace.json.gz and
    operations.tsv in profile/ of the run folder. With several processes, only the first one records."""
    deterministic: bool = False
    """Use only deterministic kernels; operations without one are an error. CPU runs are deterministic without this
    option."""

    def __post_init__(self) -> None:
        require(
            not (self.deterministic and self.attn_implementation == "mem_efficient"),
            "--deterministic and --attn-implementation mem_efficient cannot be combined: its gradients are not "
            "deterministic; use another kernel",
        )
