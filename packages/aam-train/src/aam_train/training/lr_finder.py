"""A search for the learning rate: rates rise until the loss does (Smith 2017, arXiv:1506.01186)."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from aam_train.data.loading import default_workers, load
from aam_train.device.device import seed_step
from aam_train.engine.gradients import gradients
from aam_train.engine.optimizer import build_optimizer, set_rate
from aam_train.engine.update import Update
from aam_train.memory.fit_batch_size import fit_batch_size
from aam_train.memory.plan_factory import PlanFactory
from aam_train.options.recipe_configs import PretrainConfig, TrainConfig
from aam_train.reporting.records import Reporter
from aam_train.setup.compile_check import verify_compiled
from aam_train.setup.training_setup import TrainingSetup

MIN_RATE, MAX_RATE, STEPS = 1e-6, 1.0, 100
DECAY = 0.9  # of the running mean of the loss
MAX_RATIO = 4.0  # of the running mean to its minimum: the search ends above it
MIN_STEPS = 40  # of a search, below which nothing is suggested
START = 20  # steps, with rates below 2e-5, after which the loss has to fall
NOISE_STEPS = 30  # before the minimum, in which the noise is measured
MIN_FALL = 7.0  # standard deviations of the running mean that noise alone makes


class Fall(NamedTuple):
    """Where the loss fell in a search: the rate at which half of its fall had happened, and that of its minimum."""

    half: float
    lowest: float


@dataclass(frozen=True, eq=False)
class LrSearch:
    """Result of a search.

    Attributes:
        rates, losses, changes: float64 [S] each; ``changes`` are losses less those of the initial weights on the same
            batches, with the same masks and dropout, so that differences between batches cancel.
        fall: rate around which the loss fell, and the rate at which it was lowest; None if it did not fall clearly.
    """

    rates: np.ndarray
    losses: np.ndarray
    changes: np.ndarray
    fall: Fall | None


def find_rate(setup: TrainingSetup, config: PretrainConfig | TrainConfig, reporter: Reporter) -> LrSearch:
    """Train with rates from 1e-6 to 1; the model is useless afterwards.

    Args:
        config: settings of the run, its batches among them.
        reporter: receives the batch size that was found, if one was requested, and warnings about `--compile-model`.
    """
    step, data, objective = setup.step, setup.data, setup.objective
    run, options = config.run, config.optimizer
    # what reads the metadata keeps its ratio to --lr in the search
    optimizer = build_optimizer(step.model, options, config.categorical_lr)
    update = Update(optimizer, step.precision.scaler(), options.max_grad_norm)
    plans = PlanFactory(step, objective, data.maker, data.rows["train"], data.order, run, config.memory, config.compute)
    verify_compiled(step, objective, data.maker[plans.small_request(processes=1)], reporter)
    plan = plans.plan(fit_batch_size(plans, update, reporter), processes=1)
    workers = default_workers(step.device) if run.num_workers is None else run.num_workers
    stream = itertools.islice(plan.stream(0, STEPS), STEPS)
    rates, losses, changes, every_rate = [], [], [], search_rates()
    weights = [weight for weight in step.model.parameters() if weight.requires_grad]
    initial = [weight.detach().clone() for weight in weights]
    for number, batches in enumerate(load(data.maker, stream, workers=workers, device=step.device)):
        step.check_stop()
        rate = float(every_rate[number])
        set_rate(update.optimizer, rate)
        step.train_mode()
        with _weights_set(weights, initial):
            seed_step(run.seed, number)
            before = gradients(step, objective, update, batches)
        update.optimizer.zero_grad(set_to_none=True)
        seed_step(run.seed, number)
        result = gradients(step, objective, update, batches)
        if not (math.isfinite(result.losses["total"]) and math.isfinite(result.grad_norm)):
            break
        rates.append(rate)
        losses.append(result.losses["total"])
        changes.append(losses[-1] - before.losses["total"])
        means = running_means(np.array(losses))
        if number > START and means[-1] > MAX_RATIO * means.min():
            break
        update.apply()
    return LrSearch(np.array(rates), np.array(losses), np.array(changes), find_fall(np.array(changes)))


@contextlib.contextmanager
def _weights_set(weights: Sequence[Tensor], values: Sequence[Tensor]) -> Iterator[None]:
    """Give weights other values for a while."""
    current = [weight.detach().clone() for weight in weights]
    try:
        _copy(values, weights)
        yield
    finally:
        _copy(current, weights)


def _copy(values: Sequence[Tensor], weights: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for weight, value in zip(weights, values, strict=True):
            weight.copy_(value)


def running_means(losses: np.ndarray) -> np.ndarray:
    """Compute exponential running means of losses [S], corrected for their start at 0."""
    means, mean = np.empty(len(losses)), 0.0
    for number, loss in enumerate(losses):
        mean = DECAY * mean + (1 - DECAY) * loss
        means[number] = mean / (1 - DECAY ** (number + 1))
    return means


def find_fall(changes: np.ndarray) -> Fall | None:
    """Return where the loss falls; None unless it falls clearly, by more than its noise between steps.

    Rates are those of the running mean, less its lag. The one at which half of the fall has happened is a rate to train
    with: unlike the steepest slope it does not depend on single steps.

    Args:
        changes: float64 [S], losses less those of the initial weights, at `search_rates`; perhaps fewer because the
            loss diverged.
    """
    if len(changes) < MIN_STEPS:
        return None
    means = running_means(changes)
    last = START + int(means[START:].argmin())
    # neighbouring steps differ by noise; the median leaves out where the loss falls or rises
    steps = np.diff(changes[max(0, last - NOISE_STEPS) : last + 1])
    noise = 1.4826 * float(np.median(np.abs(steps))) / math.sqrt(2)
    if means[last] >= -MIN_FALL * noise * math.sqrt((1 - DECAY) / (1 + DECAY)):
        return None
    above = np.flatnonzero(means[START:last] > means[last] / 2)
    half = START + (int(above[-1]) + 1 if len(above) else 0)
    lag = DECAY / (1 - DECAY)
    ratio = MAX_RATE / MIN_RATE
    return Fall(*(float(MIN_RATE * ratio ** ((step - lag) / (STEPS - 1))) for step in (half, last)))


def search_rates() -> np.ndarray:
    """Return the rates of a search, float64 [STEPS]: equal ratios from the smallest to the largest."""
    return MIN_RATE * (MAX_RATE / MIN_RATE) ** (np.arange(STEPS) / (STEPS - 1))
