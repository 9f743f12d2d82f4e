"""Sharding of encoder weights, gradients and optimizer state over processes (FSDP2, `fully_shard`).

Processes are shards 0 to n - 1, in order of rank; with ``hybrid``, the processes of each machine are.

Each level of the encoder is one FSDP unit, gathered for its forward and backward pass; every batch enters each of them
exactly once. All other parameters (the small heads) are replicated, because the distance head is called outside the
forward pass, where a sharded weight would not be gathered.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.distributed as dist
from torch import Tensor, nn

from aam_train.errors import TrainError
from aam_train.parallel import torch_compat as compat
from aam_train.parallel.ranks import Ranks


class FullyShard:
    """FSDP2 of the encoder levels.

    Args:
        sharding: see `ParallelOptions.fsdp_sharding`.
        precision: "bf16" gathers weights and computes in bf16 (gradients are reduced in float32); otherwise "none".
        cpu_offload: keep shards in host memory.
        sharded_checkpoint: write checkpoints as one file per process.
    """

    name = "fsdp"

    def __init__(
        self,
        device: torch.device,
        ranks: Ranks,
        *,
        sharding: str = "full",
        precision: str = "none",
        cpu_offload: bool = False,
        sharded_checkpoint: bool = False,
    ) -> None:
        self.device, self.ranks, self.sharded_checkpoint = device, ranks, sharded_checkpoint
        self.shards = ranks.local_size if sharding == "hybrid" else ranks.size
        if ranks.size % self.shards:
            raise TrainError(
                f"--fsdp-sharding hybrid: {ranks.size} processes are not a multiple of {self.shards}, "
                "those of this machine. Start the same number on every machine, or use --fsdp-sharding full"
            )
        self._replicas = ranks.size // self.shards
        self._settings = compat.fsdp_settings(
            device,
            self._replicas,
            self.shards,
            reshard=sharding != "gradients",
            precision=precision,
            cpu_offload=cpu_offload,
        )
        self._gradient_excess = compat.gradient_excess(device, self._settings["mesh"])

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
        return nullcontext()  # reduce-scatter after every micro-batch: unsharded gradients would need more memory

    def sync_gradients(self, model: nn.Module) -> None:
        """Average the gradients of replicated parameters, with one all-reduce per dtype."""
        if self._gradient_excess > 1:
            for p in model.parameters():
                if p.grad is not None and compat.is_sharded(p) and p.dtype == torch.float32:
                    compat.local_shard(p.grad).div_(self._gradient_excess)
        replicated = [p.grad for p in model.parameters() if p.grad is not None and not compat.is_sharded(p)]
        for dtype in dict.fromkeys(grad.dtype for grad in replicated):
            grads = [grad for grad in replicated if grad.dtype == dtype]
            flat = torch.cat([grad.flatten() for grad in grads])
            dist.all_reduce(flat)
            flat /= self.ranks.size
            for grad, part in zip(grads, flat.split([grad.numel() for grad in grads]), strict=True):
                grad.copy_(part.view_as(grad))

    def clip(self, parameters: Iterable[Tensor], limit: float) -> Tensor:
        grads = [p.grad for p in parameters if p.grad is not None]
        sharded = [compat.local_shard(grad) for grad in grads if compat.is_sharded(grad)]
        replicated = [grad for grad in grads if not compat.is_sharded(grad)]
        square = torch.stack([self._square(sharded) / self._replicas, self._square(replicated)])
        dist.all_reduce(square[0])
        norm = square.sum().sqrt()
        scale = (limit / (norm + 1e-6)).clamp(max=1.0)  # as torch.nn.utils.clip_grad_norm_
        for grad in [*sharded, *replicated]:
            grad.mul_(scale.to(grad.device))
        return norm

    def _square(self, grads: list[Tensor]) -> Tensor:
        """Sum the squares of all elements, on the device."""
        squares = [grad.square().sum().to(self.device) for grad in grads]
        return torch.stack(squares).sum() if squares else torch.zeros((), device=self.device)

    def gather_full(self, tensor: Tensor) -> Tensor | None:
        full = compat.full_tensor(tensor.detach())
        return full.cpu() if self.ranks.is_rank_zero else None

    def load_shard(self, tensor: Tensor, full: Tensor) -> None:
        shard = compat.local_shard(tensor)
        rank = self.ranks.rank % self.shards
        shard.copy_(compat.shard_of(full, rank, self.shards) if compat.is_sharded(tensor) else full)

    def shard_like(self, parameter: Tensor, full: Tensor) -> Tensor:
        state = torch.zeros_like(parameter)
        self.load_shard(state, full)
        return state
