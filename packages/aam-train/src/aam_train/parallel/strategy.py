"""How a model is trained on several devices, applied from outside: the model itself knows nothing of it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import torch
from torch import Tensor, nn

from aam_train.parallel.ranks import Ranks, SingleProcess


class Strategy(Protocol):
    """Where a model's weights live and how its gradients become those of all processes.

    Gradients after `sync_gradients` are the mean over processes of each one's own; the caller multiplies losses by their
    number, so that the sum is left.

    Attributes:
        name: "single", "ddp" or "fsdp".
        device: of this process.
        ranks: all processes.
        sharded_checkpoint: whether checkpoints for continuing are written in parts.
    """

    name: str
    device: torch.device
    ranks: Ranks
    sharded_checkpoint: bool

    def apply(self, model: nn.Module) -> None:
        """Divide the weights of a model that is on its device; names of parameters stay."""
        ...

    def wrap(self, model: nn.Module) -> nn.Module:
        """Before the first step: the same values everywhere. Gives what is called in training; the model itself stays
        what is called in evaluation."""
        ...

    def micro_step(self, *, last: bool) -> AbstractContextManager[object]:
        """Around forward and backward pass of a micro-batch."""
        ...

    def sync_gradients(self, model: nn.Module) -> None:
        """After the last backward pass of a step."""
        ...

    def clip(self, parameters: Iterable[Tensor], limit: float) -> Tensor:
        """Scale gradients down to ``limit``; gives the norm of all of them before that, on the device."""
        ...

    def gather_full(self, tensor: Tensor) -> Tensor | None:
        """The whole of a weight or of its optimizer's state, on the host of the first process; None elsewhere."""
        ...

    def load_shard(self, tensor: Tensor, whole: Tensor) -> None:
        """Put this process's part of ``whole`` into a weight."""
        ...

    def shard_like(self, parameter: Tensor, whole: Tensor) -> Tensor:
        """This process's part of a state ``whole`` of a parameter, divided and placed as that is."""
        ...


class Single:
    """One process, or several that hold the whole model and train nothing."""

    name, sharded_checkpoint = "single", False

    def __init__(self, device: torch.device, ranks: Ranks | None = None) -> None:
        self.device, self.ranks = device, ranks or SingleProcess()

    def apply(self, model: nn.Module) -> None:
        """Nothing is divided."""

    def wrap(self, model: nn.Module) -> nn.Module:
        return model

    def micro_step(self, *, last: bool) -> AbstractContextManager[object]:
        return nullcontext()

    def sync_gradients(self, model: nn.Module) -> None:
        """Gradients are there."""

    def clip(self, parameters: Iterable[Tensor], limit: float) -> Tensor:
        return nn.utils.clip_grad_norm_(parameters, limit)

    def gather_full(self, tensor: Tensor) -> Tensor | None:
        return tensor.detach() if self.ranks.is_rank_zero else None

    def load_shard(self, tensor: Tensor, whole: Tensor) -> None:
        tensor.copy_(whole)

    def shard_like(self, parameter: Tensor, whole: Tensor) -> Tensor:
        return whole.to(parameter.device)


def gather_full_tensors(strategy: Strategy, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """All of these weights or states, whole, on the first process; nothing elsewhere. Entered by all processes."""
    found = {name: strategy.gather_full(tensor) for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in found.items() if tensor is not None}
