"""A search for the learning rate: ever higher rates, until the loss goes up (Smith 2017, arXiv:1506.01186)."""

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
from aam_train.setup.compile_check import keep_compiled_if_right
from aam_train.setup.training_setup import TrainingSetup

LOWEST, HIGHEST, STEPS = 1e-6, 1.0, 100
MEMORY = 0.9  # of the running mean of the loss
TOO_HIGH = 4.0  # times the lowest loss: the search ends
EDGE = 5  # steps at both ends whose slopes mean little


@dataclass(frozen=True, eq=False)
class Search:
    """Rates, losses and running means of the losses, float64 [S] each; and the rate to begin with, None where the loss
    never fell."""

    rates: np.ndarray
    losses: np.ndarray
    means: np.ndarray
    suggestion: float | None


def find_rate(setup: TrainingSetup, config: PretrainConfig | TrainConfig, reporter: Reporter) -> Search:
    """Train with rates from 1e-6 to 1; the model is not worth anything afterwards.

    Args:
        config: settings of the run, its batches among them.
        reporter: told of the batches that were found, if any were asked for, and when `--compile-model` is left out.
    """
    step, data, objective = setup.step, setup.data, setup.objective
    run, options = config.run, config.optimizer
    # what reads the metadata keeps its ratio to --lr in the search
    optimizer = build_optimizer(step.model, options, config.categorical_lr)
    update = Update(optimizer, step.precision.scaler(), options.max_grad_norm)
    of_run = PlanFactory(step, objective, data.maker, data.rows["train"], run, config.memory, config.compute)
    keep_compiled_if_right(step, objective, data.maker[of_run.small_request(processes=1)], reporter)
    plan = of_run.plan(fit_batch_size(of_run, update, reporter), processes=1)
    workers = default_workers(step.device) if run.num_workers is None else run.num_workers
    stream = itertools.islice(plan.stream(0, STEPS), STEPS)
    rates, losses = [], []
    for number, batches in enumerate(load(data.maker, stream, workers=workers, device=step.device)):
        step.check_stop()
        seed_step(run.seed, number)
        step.train_mode()
        rate = LOWEST * (HIGHEST / LOWEST) ** (number / (STEPS - 1))
        set_rate(update.optimizer, rate)
        update.optimizer.zero_grad(set_to_none=True)
        result = gradients(step, objective, update, batches)
        if not (math.isfinite(result.losses["total"]) and math.isfinite(result.grad_norm)):
            break
        rates.append(rate)
        losses.append(result.losses["total"])
        means = running_means(np.array(losses))
        if number > EDGE and means[-1] > TOO_HIGH * means.min():
            break
        update.apply()
    found = np.array(rates), np.array(losses)
    means = running_means(found[1])
    return Search(*found, means, suggest(found[0], means))


def running_means(losses: np.ndarray) -> np.ndarray:
    """Exponential running means of losses [S], corrected for their beginning at 0."""
    means, mean = np.empty(len(losses)), 0.0
    for number, loss in enumerate(losses):
        mean = MEMORY * mean + (1 - MEMORY) * loss
        means[number] = mean / (1 - MEMORY ** (number + 1))
    return means


def suggest(rates: np.ndarray, means: np.ndarray) -> float | None:
    """The rate at which the running mean falls fastest over the logarithm of the rate, before its lowest point."""
    if len(rates) <= 2 * EDGE:
        return None
    slopes = np.gradient(means, np.log(rates))
    last = max(int(means.argmin()), EDGE + 1)
    steepest = EDGE + int(slopes[EDGE:last].argmin())
    return float(rates[steepest]) if slopes[steepest] < 0 else None
