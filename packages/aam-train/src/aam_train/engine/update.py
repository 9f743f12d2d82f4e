"""The weight update: unscale, clip, apply."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


class Update:
    """Update of the weights from their gradients.

    Args:
        optimizer: of the model.
        scaler: loss scaler for fp16, else None.
        limit: maximum norm of the gradient; 0 = no limit.
        clip: see `Strategy.clip`; PyTorch's by default.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler | None,
        limit: float,
        clip: Callable[[list[Tensor], float], Tensor] = nn.utils.clip_grad_norm_,
    ) -> None:
        self.optimizer, self.scaler, self.limit = optimizer, scaler, limit or math.inf
        self._clip = clip

    def backward(self, loss: Tensor) -> None:
        """Accumulate the gradients of a micro-batch."""
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()

    def clip(self) -> Tensor:
        """Clip gradients to the limit; return their norm before clipping, on the device."""
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        learned = [p for group in self.optimizer.param_groups for p in group["params"]]
        return self._clip(learned, self.limit)

    def apply(self) -> None:
        """Update the weights; with fp16 and non-finite gradients, skip the update and lower the loss scale instead."""
        if self.scaler is None:
            self.optimizer.step()
            return
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def state(self) -> dict[str, float]:
        """Return the state of the scaler, for a checkpoint; empty without one."""
        return {} if self.scaler is None else self.scaler.state_dict()

    def restore(self, state: dict[str, float]) -> None:
        """Restore a state that `state` returned."""
        if self.scaler is not None and state:
            self.scaler.load_state_dict(state)
