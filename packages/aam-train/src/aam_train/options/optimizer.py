"""Options of the optimizer and its schedule. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aam_data.options.base import Common, require
from aam_train.options.validate import not_negative, positive, share


@dataclass(frozen=True)
class OptimizerOptions:
    """Optimizer and learning-rate schedule."""

    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    """adamw, adam (weight decay as part of the gradient), or sgd with momentum 0.9."""
    lr: Common[float] = 1e-4
    """Peak learning rate."""
    weight_decay: float = 0.01
    """Weight decay of matrices; vectors have none."""
    max_grad_norm: float = 1.0
    """Maximum norm of the gradients, which are scaled down to it; 0 = off."""
    scheduler: Literal["warmup_cosine", "cosine", "cosine_restarts", "plateau", "onecycle"] = "warmup_cosine"
    """Learning-rate schedule: linear warm-up, then half a cosine; half a cosine; successive half cosines; lowered when
    validation stops improving; one cosine up and one down."""
    warmup_steps: int | None = None
    """Steps of linear warm-up before the schedule. Default: a tenth of the run, at most 10,000, for warmup_cosine; else
    0."""
    warmup_fraction: float | None = None
    """Warm-up as a share of the run's steps, instead of --warmup-steps."""
    scheduler_t0: int | None = None
    """cosine_restarts: steps of the first cosine. Default: a quarter of the run."""
    scheduler_t_mult: int = 2
    """cosine_restarts: ratio of the length of each cosine to the one before."""
    scheduler_eta_min: float = 0.0
    """cosine schedules: minimum learning rate."""
    scheduler_patience: int = 5
    """plateau: epochs without improvement of --best-metric before the rate is lowered."""
    scheduler_factor: float = 0.3
    """plateau: factor by which the rate is multiplied."""
    scheduler_min_lr: float = 0.0
    """plateau: minimum learning rate."""

    def __post_init__(self) -> None:
        positive("--lr", self.lr)
        require(self.lr <= 10, f"--lr {self.lr}: must be at most 10")
        not_negative("--weight-decay", self.weight_decay)
        require(self.weight_decay <= 100, f"--weight-decay {self.weight_decay:g}: must be at most 100")
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
            "--warmup-steps and --warmup-fraction cannot be combined; use one of them",
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
        self._check_schedule_options()

    def _check_schedule_options(self) -> None:
        """Raise ValueError for options that the schedule does not use."""
        for schedules, options in _ONLY_OF.items():
            for flag, name, default in options:
                require(
                    getattr(self, name) == default or self.scheduler in schedules,
                    f"{flag} only applies to --scheduler {' or '.join(schedules)} (got {self.scheduler})",
                )


@dataclass(frozen=True)
class CategoryOptimizerOptions:
    """Learning rate of the parts that read metadata."""

    categorical_lr: float | None = None
    """Peak learning rate of category embeddings and of the fusion, with the schedule of --lr. Default: --lr."""

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
