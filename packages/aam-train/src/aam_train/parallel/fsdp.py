"""Weights, gradients and optimizer of the encoders divided among processes (FSDP2, `fully_shard`).

The levels of the encoder are a unit each, gathered for their forward and backward pass; both are entered
once a batch, whatever the batch holds. Everything else (heads, which are small) is held by every process: the distance
head is called outside the forward pass, where a divided weight would not be whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.distributed as dist
from torch import Tensor, nn

from aam_train.parallel import torch_compat as compat
from aam_train.parallel.ranks import Ranks


class FullyShard:
    """FSDP2 of the encoders.

    Args:
        precision: "bf16" gathers weights and computes in bf16 (gradients are summed in float32); else "none".
        cpu_offload: keep what is divided in the host's memory.
    """

    name = "fsdp"

    def __init__(
        self,
        device: torch.device,
        ranks: Ranks,
        *,
        precision: str = "none",
        cpu_offload: bool = False,
        sharded_checkpoint: bool = False,
    ) -> None:
        self.device, self.ranks, self.sharded_checkpoint = device, ranks, sharded_checkpoint
        self._surplus = compat.surplus(device, ranks.size)
        self._settings = compat.fsdp_settings(device, ranks.size, precision=precision, cpu_offload=cpu_offload)

    def apply(self, model: nn.Module) -> None:
        for module in list(model.modules()):
            if getattr(module, "fsdp_unit", False):  # see aam_models.encoder.level
                compat.fully_shard(module, **self._settings)

    def wrap(self, model: nn.Module) -> nn.Module:
        with torch.no_grad():
            for tensor in model.state_dict().values():
                if not compat.is_sharded(tensor):
                    dist.broadcast(tensor, 0)
        return model

    def micro_step(self, *, last: bool) -> AbstractContextManager[object]:
        return nullcontext()  # gradients are divided after every micro-batch: whole ones would need their memory

    def sync_gradients(self, model: nn.Module) -> None:
        """Average the gradients of what every process holds, in one collective for each type of number."""
        if self._surplus > 1:
            for p in model.parameters():
                if p.grad is not None and compat.is_sharded(p) and p.dtype == torch.float32:
                    compat.local_shard(p.grad).div_(self._surplus)
        held = [p.grad for p in model.parameters() if p.grad is not None and not compat.is_sharded(p)]
        for kind in dict.fromkeys(grad.dtype for grad in held):
            grads = [grad for grad in held if grad.dtype == kind]
            flat = torch.cat([grad.flatten() for grad in grads])
            dist.all_reduce(flat)
            flat /= self.ranks.size
            for grad, part in zip(grads, flat.split([grad.numel() for grad in grads]), strict=True):
                grad.copy_(part.view_as(grad))

    def clip(self, parameters: Iterable[Tensor], limit: float) -> Tensor:
        grads = [p.grad for p in parameters if p.grad is not None]
        divided = [compat.local_shard(grad) for grad in grads if compat.is_sharded(grad)]
        held = [grad for grad in grads if not compat.is_sharded(grad)]
        square = torch.stack([self._square(divided), self._square(held)])
        dist.all_reduce(square[0])
        norm = square.sum().sqrt()
        scale = (limit / (norm + 1e-6)).clamp(max=1.0)  # as torch.nn.utils.clip_grad_norm_
        for grad in [*divided, *held]:
            grad.mul_(scale.to(grad.device))
        return norm

    def _square(self, grads: list[Tensor]) -> Tensor:
        """Sum of the squares of all elements, on the device."""
        squares = [grad.square().sum().to(self.device) for grad in grads]
        return torch.stack(squares).sum() if squares else torch.zeros((), device=self.device)

    def gather_full(self, tensor: Tensor) -> Tensor | None:
        full = compat.full_tensor(tensor.detach())
        return full.cpu() if self.ranks.is_rank_zero else None

    def load_shard(self, tensor: Tensor, whole: Tensor) -> None:
        mine = compat.local_shard(tensor)
        mine.copy_(compat.shard_of(whole, self.ranks.rank, self.ranks.size) if compat.is_sharded(tensor) else whole)

    def shard_like(self, parameter: Tensor, whole: Tensor) -> Tensor:
        state = torch.zeros_like(parameter)
        self.load_shard(state, whole)
        return state
