"""Options of the optimizer and its schedule. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aam_data.options.base import Common, require
from aam_train.options.validate import not_negative, positive, share


@dataclass(frozen=True)
class OptimizerOptions:
    """The optimizer and the learning rate over the run."""

    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    """adamw, adam (weight decay as a part of the gradient), or sgd with momentum 0.9."""
    lr: Common[float] = 1e-4
    """Peak learning rate."""
    weight_decay: float = 0.01
    """Weight decay of matrices; vectors have none."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm; 0 = off."""
    scheduler: Literal["warmup_cosine", "cosine", "cosine_restarts", "plateau", "onecycle"] = "warmup_cosine"
    """Learning rate over the run: linear warm-up and half a cosine; half a cosine; half cosines one after the other;
    lowered when validation no longer improves; one cosine up and one down."""
    warmup_steps: int | None = None
    """Steps of linear warm-up before the schedule. Default: with warmup_cosine a tenth of the run, at most 10,000."""
    warmup_fraction: float | None = None
    """The same as a share of the run's steps."""
    scheduler_t0: int | None = None
    """cosine_restarts: steps of the first cosine. Default: a quarter of the run."""
    scheduler_t_mult: int = 2
    """cosine_restarts: how many times longer each cosine is than the one before."""
    scheduler_eta_min: float = 0.0
    """cosine schedules: the lowest learning rate."""
    scheduler_patience: int = 5
    """plateau: epochs without a better --best-metric before the rate is lowered."""
    scheduler_factor: float = 0.3
    """plateau: what the rate is multiplied by."""
    scheduler_min_lr: float = 0.0
    """plateau: the lowest learning rate."""

    def __post_init__(self) -> None:
        positive("--lr", self.lr)
        require(self.lr <= 10, f"--lr {self.lr}: must be at most 10")
        not_negative("--weight-decay", self.weight_decay)
        not_negative("--max-grad-norm", self.max_grad_norm)
        require(
            self.warmup_steps is None or self.warmup_steps >= 0,
            f"--warmup-steps {self.warmup_steps}: must be 0 or more",
        )
        require(
            self.warmup_fraction is None or 0 <= self.warmup_fraction < 1,
            f"--warmup-fraction {self.warmup_fraction}: must be at least 0 and below 1",
        )
        require(
            self.warmup_steps is None or self.warmup_fraction is None,
            "--warmup-steps and --warmup-fraction say the same thing: give one",
        )
        require(
            self.scheduler_t0 is None or self.scheduler_t0 >= 1,
            f"--scheduler-t0 {self.scheduler_t0}: must be 1 or more",
        )
        require(self.scheduler_t_mult >= 1, f"--scheduler-t-mult {self.scheduler_t_mult}: must be 1 or more")
        require(self.scheduler_patience >= 0, f"--scheduler-patience {self.scheduler_patience}: must be 0 or more")
        share("--scheduler-factor", self.scheduler_factor)
        for flag, rate in (
            ("--scheduler-eta-min", self.scheduler_eta_min),
            ("--scheduler-min-lr", self.scheduler_min_lr),
        ):
            not_negative(flag, rate)
            require(rate < self.lr, f"{flag} {rate}: must be below --lr {self.lr}")
        self._refuse_what_the_schedule_has_not()

    def _refuse_what_the_schedule_has_not(self) -> None:
        """An option that the schedule does not know would do nothing."""
        for schedules, options in _ONLY_OF.items():
            for flag, name, default in options:
                require(
                    getattr(self, name) == default or self.scheduler in schedules,
                    f"{flag} belongs to --scheduler {' or '.join(schedules)}, not to {self.scheduler}: leave one out",
                )


@dataclass(frozen=True)
class CategoryOptimizerOptions:
    """Learning of what reads the metadata."""

    categorical_lr: float | None = None
    """Peak learning rate of the embeddings of categories and of the fusion; the schedule is that of --lr. Default:
    --lr."""

    def __post_init__(self) -> None:
        if self.categorical_lr is not None:
            positive("--categorical-lr", self.categorical_lr)
            require(self.categorical_lr <= 10, f"--categorical-lr {self.categorical_lr}: must be at most 10")


_ONLY_OF: dict[tuple[str, ...], list[tuple[str, str, object]]] = {
    ("cosine_restarts",): [("--scheduler-t0", "scheduler_t0", None), ("--scheduler-t-mult", "scheduler_t_mult", 2)],
    ("warmup_cosine", "cosine", "cosine_restarts"): [("--scheduler-eta-min", "scheduler_eta_min", 0.0)],
    ("plateau",): [
        ("--scheduler-patience", "scheduler_patience", 5),
        ("--scheduler-factor", "scheduler_factor", 0.3),
        ("--scheduler-min-lr", "scheduler_min_lr", 0.0),
    ],
    ("warmup_cosine", "cosine", "cosine_restarts", "plateau"): [
        ("--warmup-steps", "warmup_steps", None),
        ("--warmup-fraction", "warmup_fraction", None),
    ],
}
