"""Kinds of operations, by PyTorch's names for them."""

from __future__ import annotations

import re

OTHER = "other"
# The first that fits counts, so the particular come before the general.
_KINDS = (
    ("waiting for data", r"DataLoader"),
    ("communication", r"c10d|FSDP|nccl|gloo|all_?reduce|all_?gather|reduce_scatter|broadcast_"),
    ("attention", r"attention|softmax|flash"),
    ("optimizer", r"adam|sgd|Optimizer"),
    ("normalisation", r"layer_?norm"),
    ("matrix products", r"aten::(mm|bmm|addmm|baddbmm|matmul|linear|einsum|_scaled_mm)$|gemm"),
    ("activation", r"gelu|sigmoid|tanh|relu|softplus"),
    ("compiled", r"CompiledFunction|Torch-Compiled|triton|cpp_fused|inductor"),
    ("copies", r"aten::(copy_|_to_copy|to|clone|contiguous|cat|stack)$|[Mm]emcpy|Memset|pin_memory"),
    ("embedding and indexing", r"embedding|index|gather|scatter|where|masked|slice|select"),
    ("sums and elementwise", r"aten::(add|mul|div|sub|sum|mean|pow|exp|log|sqrt|neg|rsub|norm|fill|zero|clamp|square|"
                             r"_foreach|linalg|stack|isfinite|abs|eq|ne|lt|gt|bitwise)"),
    ("waiting for the device", r"cuda(Device|Stream|Event)Synchronize|hip(Device|Stream|Event)Synchronize|"
                               r"_local_scalar_dense|aten::item"),
)  # fmt: skip
KINDS = (*(name for name, _ in _KINDS), OTHER)
_PATTERNS = tuple((name, re.compile(pattern)) for name, pattern in _KINDS)


def kind_of(name: str) -> str:
    """Which of `KINDS` an operation is."""
    return next((kind for kind, pattern in _PATTERNS if pattern.search(name)), OTHER)
