"""The optimizer: parameter groups, and its state as named tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from aam_train.options.optimizer import OptimizerOptions
from aam_train.parallel.torch_compat import is_sharded

BETAS = (0.9, 0.98)  # of transformers (Vaswani et al. 2017); 0.999 averages over too many steps for short runs
MOMENTUM = 0.9
METADATA_MODULES = ("conditioning.", "fusion.")  # of a predictor, trained with --categorical-lr
FUSED_ON = ("cpu", "cuda")  # devices with one kernel for all weights, in torch 2.5 and later
_KINDS = ("step", "exp_avg", "exp_avg_sq", "momentum_buffer")


def build_optimizer(
    model: nn.Module, options: OptimizerOptions, categorical_lr: float | None = None
) -> torch.optim.Optimizer:
    """Build the optimizer of the trainable parameters; weight decay applies to matrices only.

    Sharded and replicated parameters are in separate groups, because one kernel cannot update both.

    Args:
        categorical_lr: peak rate of the modules that read the metadata; that of the others by default. See `set_rate`.
    """
    learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
    metadata_factor = 1.0 if categorical_lr is None else categorical_lr / options.lr
    by_kind: dict[tuple[bool, bool, bool], list[nn.Parameter]] = {
        (reads_metadata, sharded, is_matrix): []
        for reads_metadata in (False, True)
        for sharded in (False, True)
        for is_matrix in (True, False)
    }
    for name, p in learned.items():
        by_kind[name.startswith(METADATA_MODULES), is_sharded(p), p.dim() > 1].append(p)
    groups: list[dict[str, Any]] = [
        {
            "params": params,
            "weight_decay": options.weight_decay if is_matrix else 0.0,
            "factor": metadata_factor if reads_metadata else 1.0,
        }
        for (reads_metadata, _, is_matrix), params in by_kind.items()
        if params
    ]
    fused = all(p.device.type in FUSED_ON for p in learned.values())
    if options.optimizer == "sgd":
        # not fused: if fp16 skips the first update, the fused kernel leaves momentum uninitialised (torch 2.13)
        return torch.optim.SGD(groups, lr=options.lr, momentum=MOMENTUM)
    if options.optimizer == "adam":
        return torch.optim.Adam(groups, lr=options.lr, betas=BETAS, fused=fused)
    return torch.optim.AdamW(groups, lr=options.lr, betas=BETAS, fused=fused)


def set_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group, times the factor of the group."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["factor"]


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimizer's state as ``kind.parameter``, for safetensors; parameters without gradients have none."""
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
    shard_like: Callable[[Tensor, Tensor], Tensor] = lambda parameter, full: full.to(parameter.device),
) -> None:
    """Restore the tensors that `optimizer_tensors` returned for the same kind of optimizer.

    Args:
        shard_like: see `Strategy.shard_like`.
    """
    names = {id(p): name for name, p in model.named_parameters()}
    for group in optimizer.param_groups:
        for p in group["params"]:
            state = {kind: tensors[key] for kind in _KINDS if (key := f"{kind}.{names[id(p)]}") in tensors}
            if state:
                # the step count stays on the host unless the update is fused
                optimizer.state[p] = {
                    kind: shard_like(p, value) if kind != "step" else value.to(p.device if group["fused"] else "cpu")
                    for kind, value in state.items()
                }
