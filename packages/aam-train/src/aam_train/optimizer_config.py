"""Options of the optimizer and its schedule. Standard library only; see aam_data.config for how one is declared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeVar

from aam_train.ranges import not_negative, positive, require

_T = TypeVar("_T")
Common = Annotated[_T, "common"]


@dataclass(frozen=True)
class OptimizerOptions:
    """AdamW, with a linear warm-up and a cosine decay to 0 at the last epoch."""

    lr: Common[float] = 1e-4
    """Peak learning rate."""
    weight_decay: float = 0.01
    """Weight decay of matrices; vectors have none."""
    warmup_steps: int | None = None
    """Steps of linear warm-up. Default: a tenth of the run, at most 10,000."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm; 0 = off."""

    def __post_init__(self) -> None:
        positive("--lr", self.lr)
        require(self.lr <= 10, f"--lr {self.lr}: must be at most 10")
        not_negative("--weight-decay", self.weight_decay)
        not_negative("--max-grad-norm", self.max_grad_norm)
        require(
            self.warmup_steps is None or self.warmup_steps >= 0,
            f"--warmup-steps {self.warmup_steps}: must be 0 or more",
        )
