"""The optimizer: groups of parameters, and its state as named tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from aam_train.optimizer_config import OptimizerOptions

BETAS = (0.9, 0.98)  # of transformers (Vaswani et al. 2017): runs here are short, 0.999 remembers too long
MOMENTUM = 0.9
METADATA_PARTS = ("conditioning.", "fusion.")  # modules of a predictor that --categorical-lr is about
_KINDS = ("step", "exp_avg", "exp_avg_sq", "momentum_buffer")


def build_optimizer(
    model: nn.Module, options: OptimizerOptions, categorical_lr: float | None = None
) -> torch.optim.Optimizer:
    """The optimizer over what learns; weight decay on matrices alone.

    Args:
        categorical_lr: peak rate of what reads the metadata; None = that of the rest. See `set_rate`.
    """
    learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
    of_metadata = [name.startswith(METADATA_PARTS) for name in learned]
    groups: list[dict[str, Any]] = []
    for is_part, factor in ((False, 1.0), (True, 1.0 if categorical_lr is None else categorical_lr / options.lr)):
        part = [p for p, of in zip(learned.values(), of_metadata, strict=True) if of == is_part]
        for params, decay in (
            ([p for p in part if p.dim() > 1], options.weight_decay),
            ([p for p in part if p.dim() <= 1], 0.0),
        ):
            if params:
                groups.append({"params": params, "weight_decay": decay, "factor": factor})
    fused = any(p.is_cuda for p in learned.values())
    if options.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=options.lr, momentum=MOMENTUM, fused=fused)
    if options.optimizer == "adam":
        return torch.optim.Adam(groups, lr=options.lr, betas=BETAS, fused=fused)
    return torch.optim.AdamW(groups, lr=options.lr, betas=BETAS, fused=fused)


def set_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Let every group learn at this rate, or at its own share of it."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["factor"]


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as ``kind.parameter``, for safetensors; what never had a gradient has none."""
    names = {id(p): name for name, p in model.named_parameters()}
    return {
        f"{kind}.{names[id(p)]}": value
        for p, state in optimizer.state.items()
        for kind, value in state.items()
        if isinstance(value, Tensor)
    }


def load_optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` of the same kind of optimizer gave."""
    names = {id(p): name for name, p in model.named_parameters()}
    for group in optimizer.param_groups:
        for p in group["params"]:
            found = {kind: tensors[key] for kind in _KINDS if (key := f"{kind}.{names[id(p)]}") in tensors}
            if found:
                # the count of steps stays on the host unless the update is one fused kernel
                optimizer.state[p] = {
                    kind: value.to(p.device if kind != "step" or group["fused"] else "cpu")
                    for kind, value in found.items()
                }
