"""Learning-rate schedules: the factor of --lr at each step (from 0).

Formulas: cosine annealing and restarts, Loshchilov and Hutter 2017 (arXiv:1608.03983); one cycle, Smith and Topin 2019
(doi:10.1117/12.2520589) with the phases of torch.optim.lr_scheduler.OneCycleLR.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from aam_train.options.metrics import is_better
from aam_train.options.optimizer import OptimizerOptions

MAX_WARMUP = 10_000
ONE_CYCLE_RISE, ONE_CYCLE_START, ONE_CYCLE_END = (
    0.3,
    1 / 25,
    1e-4,
)  # share of the run; factor at the start; end factor, relative to the start


class Schedule(Protocol):
    """A learning rate over steps. Only `Plateau` depends on validation and has a state."""

    def factor(self, step: int, state: PlateauState) -> float:
        """Return the factor of the peak rate at a step counted from 0."""
        ...


@dataclass
class PlateauState:
    """State of a plateau schedule, saved with every checkpoint.

    Attributes:
        factor: product of all reductions so far.
        best: best value of the monitored metric; NaN before the first one.
        stale: epochs since the best value or the last reduction.
    """

    factor: float = 1.0
    best: float = math.nan
    stale: int = 0


def build_schedule(options: OptimizerOptions, total_steps: int) -> Schedule:
    """Build the schedule that the options ask for, over a run of ``total_steps``."""
    lowest = options.scheduler_eta_min / options.lr
    warmup = warmup_steps(options, total_steps)
    decaying = max(1, total_steps - warmup)
    shapes: dict[str, Schedule] = {
        "warmup_cosine": Cosine(decaying, lowest),
        "cosine": Cosine(decaying, lowest),
        "cosine_restarts": CosineRestarts(
            options.scheduler_t0 or max(1, decaying // 4), options.scheduler_t_mult, lowest
        ),
        "plateau": Plateau(),
        "onecycle": OneCycle(total_steps),
    }
    shape = shapes[options.scheduler]
    return Warmup(warmup, shape) if warmup else shape


def warmup_steps(options: OptimizerOptions, total_steps: int) -> int:
    """Return the steps of linear warm-up: those of the options, else a tenth of the run (at most 10,000) or 0."""
    if options.warmup_steps is not None:
        return options.warmup_steps
    if options.warmup_fraction is not None:
        return round(options.warmup_fraction * total_steps)
    return min(total_steps // 10, MAX_WARMUP) if options.scheduler == "warmup_cosine" else 0


@dataclass(frozen=True)
class Warmup:
    """A linear rise, followed by another schedule from its start."""

    steps: int
    then: Schedule

    def factor(self, step: int, state: PlateauState) -> float:
        if step < self.steps:
            return (step + 1) / (self.steps + 1)
        return self.then.factor(step - self.steps, state)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine, from 1 down to ``lowest`` after the last step."""

    steps: int
    lowest: float

    def factor(self, step: int, state: PlateauState) -> float:
        return _cosine(1.0, self.lowest, step / self.steps)


@dataclass(frozen=True)
class CosineRestarts:
    """Half cosines, each ``growth`` times as long as the previous one."""

    first: int
    growth: int
    lowest: float

    def factor(self, step: int, state: PlateauState) -> float:
        length = self.first
        while step >= length:
            step -= length
            length *= self.growth
        return _cosine(1.0, self.lowest, step / length)


@dataclass(frozen=True)
class OneCycle:
    """A cosine up over the first 30 % of the run, then a cosine down to almost 0 at its last step."""

    steps: int

    def factor(self, step: int, state: PlateauState) -> float:
        top = ONE_CYCLE_RISE * self.steps - 1
        if step < top:
            return _cosine(ONE_CYCLE_START, 1.0, step / top)
        top = max(top, 0.0)  # a run of a few steps only decreases
        return _cosine(1.0, ONE_CYCLE_START * ONE_CYCLE_END, (step - top) / max(1.0, self.steps - 1 - top))


@dataclass(frozen=True)
class Plateau:
    """Reductions whenever validation stops improving; see `watch`."""

    def factor(self, step: int, state: PlateauState) -> float:
        return state.factor


def watch(state: PlateauState, value: float, options: OptimizerOptions, *, higher_is_better: bool) -> bool:
    """Update a plateau's state with an epoch's metric (NaN: undefined, no improvement); return whether the rate fell.

    After more than ``scheduler_patience`` epochs without a better value, the rate is multiplied by
    ``scheduler_factor``, but not reduced below ``scheduler_min_lr``.
    """
    if is_better(value, state.best, higher_is_better=higher_is_better):
        state.best, state.stale = value, 0
        return False
    state.stale += 1
    if state.stale <= options.scheduler_patience:
        return False
    before, state.stale = state.factor, 0
    state.factor = max(before * options.scheduler_factor, min(before, options.scheduler_min_lr / options.lr))
    return state.factor < before


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(share, 1.0))) / 2
