"""Data parallelism: a full copy of the model per process, gradients averaged in the backward pass (DDP)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from aam_train.parallel.ranks import Ranks
from aam_train.parallel.strategy import Single
from aam_train.parallel.torch_compat import ddp


class DataParallel(Single):
    """DistributedDataParallel around the model; wrapping it broadcasts the weights of rank 0."""

    name = "ddp"

    def __init__(self, device: torch.device, ranks: Ranks) -> None:
        super().__init__(device, ranks)
        self._wrapped: DistributedDataParallel | None = None

    def wrap(self, model: nn.Module) -> nn.Module:
        self._wrapped = ddp(model)
        return self._wrapped

    def micro_step(self, *, last: bool) -> AbstractContextManager[object]:
        return nullcontext() if last or self._wrapped is None else self._wrapped.no_sync()
