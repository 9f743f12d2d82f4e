"""The optimizer: groups of parameters, and its state as named tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from aam_train.optimizer_config import OptimizerOptions
from aam_train.parallel.compat import is_divided

BETAS = (0.9, 0.98)  # of transformers (Vaswani et al. 2017): runs here are short, 0.999 remembers too long
MOMENTUM = 0.9
_KINDS = ("step", "exp_avg", "exp_avg_sq", "momentum_buffer")


def build_optimizer(model: nn.Module, options: OptimizerOptions) -> torch.optim.Optimizer:
    """The optimizer over what learns; weight decay on matrices alone.

    What is divided among processes is apart from what is not: one kernel cannot update both.
    """
    learned = [p for p in model.parameters() if p.requires_grad]
    groups = []
    for divided in (False, True):
        of_kind = [p for p in learned if is_divided(p) == divided]
        groups += [
            {"params": [p for p in of_kind if p.dim() > 1], "weight_decay": options.weight_decay},
            {"params": [p for p in of_kind if p.dim() <= 1], "weight_decay": 0.0},
        ]
    groups = [group for group in groups if group["params"]]
    fused = any(p.is_cuda for p in learned)
    if options.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=options.lr, momentum=MOMENTUM, fused=fused)
    if options.optimizer == "adam":
        return torch.optim.Adam(groups, lr=options.lr, betas=BETAS, fused=fused)
    return torch.optim.AdamW(groups, lr=options.lr, betas=BETAS, fused=fused)


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
        like: see `Strategy.like`.
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
