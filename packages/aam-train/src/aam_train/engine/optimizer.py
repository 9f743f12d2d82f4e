"""The optimizer: groups of parameters, and its state as named tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from aam_train.options.optimizer import OptimizerOptions
from aam_train.parallel.torch_compat import is_sharded

BETAS = (0.9, 0.98)  # of transformers (Vaswani et al. 2017): runs here are short, 0.999 remembers too long
MOMENTUM = 0.9
METADATA_PARTS = ("conditioning.", "fusion.")  # modules of a predictor that --categorical-lr is about
FUSED_ON = ("cpu", "cuda")  # one kernel for all weights: torch 2.5 and later have it there, for all three optimizers
_KINDS = ("step", "exp_avg", "exp_avg_sq", "momentum_buffer")


def build_optimizer(
    model: nn.Module, options: OptimizerOptions, categorical_lr: float | None = None
) -> torch.optim.Optimizer:
    """The optimizer over what learns; weight decay on matrices alone.

    What is divided among processes is apart from what is not: one kernel cannot update both.

    Args:
        categorical_lr: peak rate of what reads the metadata; None = that of the rest. See `set_rate`.
    """
    learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
    of_metadata = 1.0 if categorical_lr is None else categorical_lr / options.lr
    sorts: dict[tuple[bool, bool, bool], list[nn.Parameter]] = {
        (is_part, divided, is_matrix): []
        for is_part in (False, True)
        for divided in (False, True)
        for is_matrix in (True, False)
    }
    for name, p in learned.items():
        sorts[name.startswith(METADATA_PARTS), is_sharded(p), p.dim() > 1].append(p)
    groups: list[dict[str, Any]] = [
        {
            "params": params,
            "weight_decay": options.weight_decay if is_matrix else 0.0,
            "factor": of_metadata if is_part else 1.0,
        }
        for (is_part, _, is_matrix), params in sorts.items()
        if params
    ]
    fused = all(p.device.type in FUSED_ON for p in learned.values())
    if options.optimizer == "sgd":
        # not fused: a first update that fp16 leaves out would leave its momentum as it was in memory (torch 2.13)
        return torch.optim.SGD(groups, lr=options.lr, momentum=MOMENTUM)
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


def load_optimizer_tensors(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    tensors: Mapping[str, Tensor],
    like: Callable[[Tensor, Tensor], Tensor] = lambda parameter, whole: whole.to(parameter.device),
) -> None:
    """Put back what `optimizer_tensors` of the same kind of optimizer gave.

    Args:
        like: see `Strategy.shard_like`.
    """
    names = {id(p): name for name, p in model.named_parameters()}
    for group in optimizer.param_groups:
        for p in group["params"]:
            found = {kind: tensors[key] for kind in _KINDS if (key := f"{kind}.{names[id(p)]}") in tensors}
            if found:
                # the count of steps stays on the host unless the update is one fused kernel
                optimizer.state[p] = {
                    kind: like(p, value) if kind != "step" else value.to(p.device if group["fused"] else "cpu")
                    for kind, value in found.items()
                }
