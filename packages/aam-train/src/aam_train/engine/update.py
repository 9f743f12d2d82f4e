"""The update of the weights: unscale, clip, apply."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


class Update:
    """From gradients to new weights: unscaled, clipped, applied.

    Args:
        optimizer: of the model.
        scaler: of fp16, else None.
        limit: of the norm of the gradient; 0 = none.
        clip: see `Strategy.clip`; that of PyTorch by default.
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
        """Add the gradients of a micro-batch."""
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()

    def clip(self) -> Tensor:
        """Scale gradients down to the limit; gives their norm before that, on the device."""
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        learned = [p for group in self.optimizer.param_groups for p in group["params"]]
        return self._clip(learned, self.limit)

    def apply(self) -> None:
        """New weights. With fp16 and gradients that are not finite only a smaller scale, so that they come back."""
        if self.scaler is None:
            self.optimizer.step()
            return
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def state(self) -> dict[str, float]:
        """Of the scaler, for a checkpoint; empty without one."""
        return {} if self.scaler is None else self.scaler.state_dict()

    def restore(self, state: dict[str, float]) -> None:
        """Continue from what `state` gave."""
        if self.scaler is not None and state:
            self.scaler.load_state_dict(state)
