"""Families of kernels by their names, as PyTorch, cuBLAS, CUTLASS, hipBLASLt and Triton choose them."""

from __future__ import annotations

import re

from aam_rocm_tools.kernel_profile.kernels import Kernel, Profile

OTHER = "other"
# The first match counts, so specific patterns come before general ones.
FAMILIES = (
    ("communication", r"nccl|rccl|allreduce|all_reduce|allgather|all_gather|reduce_scatter|c10d|gloo"),
    ("attention", r"attn|attention|fmha|flash|aotriton|_sdpa|scaled_dot_product"),
    ("copies", r"memcpy|memset|copy|fillbuffer|\bcat\b|catarray|aten::(clone|to\b|_to_copy|contiguous)"),
    ("softmax", r"softmax"),
    ("normalisation", r"layer_?norm|layernorm|batch_?norm|group_?norm|rms_?norm|gammabeta"),
    ("optimizer", r"adam|sgd|multi_tensor_apply|_foreach|lamb\b|optimizer"),
    (
        "matrix products",
        r"gemm|cijk_|matmul|aten::(mm|bmm|addmm|baddbmm|linear|_scaled_mm)|cublas|cutlass|wgrad|dgrad|sgemv|gemv",
    ),
    ("activation", r"gelu|relu|silu|sigmoid|tanh|softplus"),
    ("embedding and indexing", r"embedding|index|gather|scatter|sort|unique|radix"),
    ("reductions", r"reduce|\bsum\b|aten::(sum|mean|norm|max|min)|linalg_vector_norm"),
    (
        "elementwise",
        r"elementwise|vectorized|aten::(add|mul|div|sub|sqrt|exp|log|pow|where|neg|abs|fill|zero|masked_fill)",
    ),
    ("compiled by Triton", r"^triton_"),
)
_PATTERNS = tuple((name, re.compile(pattern, re.IGNORECASE)) for name, pattern in FAMILIES)


def family(name: str) -> str:
    """Return the family of a kernel by its name."""
    return next((title for title, pattern in _PATTERNS if pattern.search(name)), OTHER)


def times_by_family(profile: Profile) -> dict[str, float]:
    """Return the nanoseconds of each family that occurs, the longest first."""
    times: dict[str, float] = {}
    for kernel in profile.kernels:
        name = family(kernel.name)
        times[name] = times.get(name, 0.0) + kernel.total_ns
    return dict(sorted(times.items(), key=lambda item: -item[1]))


def kernels_in_family(profile: Profile, name: str) -> list[Kernel]:
    """Return the kernels of one family."""
    return [kernel for kernel in profile.kernels if family(kernel.name) == name]
