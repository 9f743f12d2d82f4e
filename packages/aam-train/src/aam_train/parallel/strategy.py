"""Parallel training strategies, applied to a model from outside: models contain no code for them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import torch
from torch import Tensor, nn

from aam_train.parallel.ranks import Ranks, SingleProcess


class Strategy(Protocol):
    """Placement of a model's weights, and synchronisation of its gradients over processes.

    Gradients after `sync_gradients` are the mean over processes; the caller multiplies losses by the number of
    processes to get the sum.

    Attributes:
        name: "single", "ddp" or "fsdp".
        device: of this process.
        ranks: all processes.
        sharded_checkpoint: whether checkpoints are written as one file per process.
        shards: number of processes over which a weight is sharded, the first ones and as many again; 1 if it is not.
    """

    name: str
    device: torch.device
    ranks: Ranks
    sharded_checkpoint: bool
    shards: int

    def apply(self, model: nn.Module) -> None:
        """Shard the weights of a model that is on its device; parameter names do not change."""
        ...

    def wrap(self, model: nn.Module) -> nn.Module:
        """Synchronise the weights before the first step and return the module to call in training; evaluation calls the
        model itself."""
        ...

    def micro_step(self, *, last: bool) -> AbstractContextManager[object]:
        """Return the context of the forward and backward pass of a micro-batch."""
        ...

    def sync_gradients(self, model: nn.Module) -> None:
        """Finish the gradients after the last backward pass of a step."""
        ...

    def clip(self, parameters: Iterable[Tensor], limit: float) -> Tensor:
        """Clip gradients to the norm ``limit``; return their norm before clipping, on the device."""
        ...

    def gather_full(self, tensor: Tensor) -> Tensor | None:
        """Gather a full weight or optimizer state on the host of rank 0; return None on other processes."""
        ...

    def load_shard(self, tensor: Tensor, full: Tensor) -> None:
        """Copy this process's shard of ``full`` into a weight."""
        ...

    def shard_like(self, parameter: Tensor, full: Tensor) -> Tensor:
        """Return this process's shard of a parameter's state, sharded and placed like the parameter."""
        ...


class Single:
    """Strategy of one process, or of several that each hold the full model and train nothing."""

    name, sharded_checkpoint, shards = "single", False, 1

    def __init__(self, device: torch.device, ranks: Ranks | None = None) -> None:
        self.device, self.ranks = device, ranks or SingleProcess()

    def apply(self, model: nn.Module) -> None:
        """Do nothing: weights are not sharded."""

    def wrap(self, model: nn.Module) -> nn.Module:
        return model

    def micro_step(self, *, last: bool) -> AbstractContextManager[object]:
        return nullcontext()

    def sync_gradients(self, model: nn.Module) -> None:
        """Do nothing: there are no other gradients."""

    def clip(self, parameters: Iterable[Tensor], limit: float) -> Tensor:
        return nn.utils.clip_grad_norm_(parameters, limit)

    def gather_full(self, tensor: Tensor) -> Tensor | None:
        return tensor.detach() if self.ranks.is_rank_zero else None

    def load_shard(self, tensor: Tensor, full: Tensor) -> None:
        tensor.copy_(full)

    def shard_like(self, parameter: Tensor, full: Tensor) -> Tensor:
        return full.to(parameter.device)


def gather_full_tensors(strategy: Strategy, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Gather full weights or optimizer states on rank 0; other processes get an empty dict. A collective."""
    gathered = {name: strategy.gather_full(tensor) for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in gathered.items() if tensor is not None}
