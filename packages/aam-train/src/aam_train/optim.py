"""The optimizer and its schedule."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from aam_train.optimizer_config import OptimizerOptions

LONGEST_WARMUP = 10_000
BETAS = (0.9, 0.98)  # of transformers (Vaswani et al. 2017): runs here are short, 0.999 remembers too long
Schedule = Callable[[int], float]


def build_optimizer(model: nn.Module, options: OptimizerOptions) -> torch.optim.AdamW:
    """AdamW over what learns; weight decay on matrices alone."""
    learned = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for _, p in learned if p.dim() > 1], "weight_decay": options.weight_decay},
        {"params": [p for _, p in learned if p.dim() <= 1], "weight_decay": 0.0},
    ]
    fused = any(p.is_cuda for _, p in learned)
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=options.lr, betas=BETAS, fused=fused)


def warmup_cosine(total_steps: int, warmup_steps: int | None) -> Schedule:
    """Step (from 0) -> factor of the peak rate: linear up, then half a cosine down to 0 after the last step."""
    warmup = min(total_steps // 10, LONGEST_WARMUP) if warmup_steps is None else warmup_steps

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total_steps - warmup)))

    return factor


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.AdamW) -> dict[str, Tensor]:
    """The optimizer's state by name of parameter, for safetensors."""
    names = {id(p): name for name, p in model.named_parameters()}
    return {
        f"{kind}.{names[id(p)]}": value
        for p, state in optimizer.state.items()
        for kind, value in state.items()
        if isinstance(value, Tensor)
    }


def load_optimizer_tensors(model: nn.Module, optimizer: torch.optim.AdamW, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` gave; parameters that never had a gradient have no state."""
    names = {id(p): name for name, p in model.named_parameters()}
    for group in optimizer.param_groups:
        for p in group["params"]:
            if f"step.{names[id(p)]}" in tensors:
                optimizer.state[p] = {
                    kind: tensors[f"{kind}.{names[id(p)]}"].to(p.device if kind != "step" or group["fused"] else "cpu")
                    for kind in ("step", "exp_avg", "exp_avg_sq")
                }
