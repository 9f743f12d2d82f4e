"""A search for the learning rate: rates rise until the loss does (Smith 2017, arXiv:1506.01186)."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

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
N_EDGE_STEPS = 5  # at both ends, where slopes mean little


@dataclass(frozen=True, eq=False)
class LrSearch:
    """Result of a search.

    Attributes:
        rates, losses, means: float64 [S] each; ``means`` are running means of the losses.
        suggestion: rate to start with; None if the loss never fell.
    """

    rates: np.ndarray
    losses: np.ndarray
    means: np.ndarray
    suggestion: float | None


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
    plans = PlanFactory(step, objective, data.maker, data.rows["train"], run, config.memory, config.compute)
    verify_compiled(step, objective, data.maker[plans.small_request(processes=1)], reporter)
    plan = plans.plan(fit_batch_size(plans, update, reporter), processes=1)
    workers = default_workers(step.device) if run.num_workers is None else run.num_workers
    stream = itertools.islice(plan.stream(0, STEPS), STEPS)
    rates, losses = [], []
    for number, batches in enumerate(load(data.maker, stream, workers=workers, device=step.device)):
        step.check_stop()
        seed_step(run.seed, number)
        step.train_mode()
        rate = MIN_RATE * (MAX_RATE / MIN_RATE) ** (number / (STEPS - 1))
        set_rate(update.optimizer, rate)
        update.optimizer.zero_grad(set_to_none=True)
        result = gradients(step, objective, update, batches)
        if not (math.isfinite(result.losses["total"]) and math.isfinite(result.grad_norm)):
            break
        rates.append(rate)
        losses.append(result.losses["total"])
        means = running_means(np.array(losses))
        if number > N_EDGE_STEPS and means[-1] > MAX_RATIO * means.min():
            break
        update.apply()
    means = running_means(np.array(losses))
    return LrSearch(np.array(rates), np.array(losses), means, suggest(np.array(rates), means))


def running_means(losses: np.ndarray) -> np.ndarray:
    """Compute exponential running means of losses [S], corrected for their start at 0."""
    means, mean = np.empty(len(losses)), 0.0
    for number, loss in enumerate(losses):
        mean = DECAY * mean + (1 - DECAY) * loss
        means[number] = mean / (1 - DECAY ** (number + 1))
    return means


def suggest(rates: np.ndarray, means: np.ndarray) -> float | None:
    """Return the rate at which the running mean falls fastest per log rate, before its minimum."""
    if len(rates) <= 2 * N_EDGE_STEPS:
        return None
    slopes = np.gradient(means, np.log(rates))
    last = max(int(means.argmin()), N_EDGE_STEPS + 1)
    steepest = N_EDGE_STEPS + int(slopes[N_EDGE_STEPS:last].argmin())
    return float(rates[steepest]) if slopes[steepest] < 0 else None
