"""Learning rates over steps, compared with PyTorch's schedulers."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch.optim import lr_scheduler

from aam_train.engine.schedules import PlateauState, build_schedule, warmup_steps, watch
from aam_train.options.optimizer import OptimizerOptions

LR = 0.5


def rates(options: OptimizerOptions, total: int) -> list[float]:
    schedule = build_schedule(options, total)
    return [options.lr * schedule.factor(step, PlateauState()) for step in range(total)]


def reference(make: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler], total: int) -> list[float]:
    """Return the rates that a PyTorch scheduler sets before each of ``total`` steps."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler, found = make(optimizer), []
    for _ in range(total):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize("total", [4, 10, 37])
def test_cosine(total: int) -> None:
    options = OptimizerOptions(lr=LR, scheduler="cosine", scheduler_eta_min=0.02)
    expected = reference(lambda o: lr_scheduler.CosineAnnealingLR(o, total, eta_min=0.02), total)
    assert rates(options, total) == pytest.approx(expected)


@pytest.mark.parametrize(("first", "growth"), [(5, 1), (3, 2), (None, 2)])
def test_cosine_restarts(first: int | None, growth: int) -> None:
    options = OptimizerOptions(
        lr=LR, scheduler="cosine_restarts", scheduler_t0=first, scheduler_t_mult=growth, scheduler_eta_min=0.01
    )
    make = lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, first or 10, growth, eta_min=0.01)  # noqa: E731
    assert rates(options, 40) == pytest.approx(reference(make, 40))


@pytest.mark.parametrize("total", [10, 50, 333])
def test_onecycle(total: int) -> None:
    expected = reference(lambda o: lr_scheduler.OneCycleLR(o, LR, total_steps=total + 1), total + 1)
    found = rates(OptimizerOptions(lr=LR, scheduler="onecycle"), total + 1)
    assert found == pytest.approx(expected, rel=1e-9)
    assert max(found) == pytest.approx(LR, rel=0.2)
    assert found[-1] == pytest.approx(LR / 25 * 1e-4)


@pytest.mark.parametrize("total", [1, 2, 3, 4])
def test_onecycle_of_a_few_steps_stays_in_its_range(total: int) -> None:
    assert all(0 < rate <= LR for rate in rates(OptimizerOptions(lr=LR, scheduler="onecycle"), total))


@pytest.mark.filterwarnings("ignore:The epoch parameter")  # of PyTorch 2.5, about itself
@pytest.mark.parametrize("scheduler", ["warmup_cosine", "cosine", "cosine_restarts"])
@pytest.mark.parametrize("warmup", [1, 4, 7])
def test_warmup_then_a_decay(warmup: int, scheduler: str) -> None:
    cycles = {"scheduler_t0": 6, "scheduler_t_mult": 2} if scheduler == "cosine_restarts" else {}
    options = OptimizerOptions(lr=LR, scheduler=scheduler, warmup_steps=warmup, scheduler_eta_min=0.01, **cycles)  # type: ignore[arg-type]

    def make(optimizer: torch.optim.Optimizer) -> lr_scheduler.LRScheduler:
        rise = lr_scheduler.LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup)
        decay: lr_scheduler.LRScheduler = lr_scheduler.CosineAnnealingLR(optimizer, 30, eta_min=0.01)
        if scheduler == "cosine_restarts":
            decay = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 6, 2, eta_min=0.01)
        return lr_scheduler.SequentialLR(optimizer, [rise, decay], [warmup])

    found = rates(options, warmup + 30)
    assert found == pytest.approx(reference(make, warmup + 30))
    assert found[warmup] == LR


def test_warmup_then_plateau() -> None:
    options = OptimizerOptions(lr=LR, scheduler="plateau", warmup_steps=5)
    rise = reference(lambda o: lr_scheduler.LinearLR(o, start_factor=1 / 6, total_iters=5), 12)
    assert rates(options, 12) == pytest.approx(rise)


def test_warmup_then_cosine() -> None:
    factors = [rate / LR for rate in rates(OptimizerOptions(lr=LR, warmup_steps=4), 11)]
    assert factors[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert [factors[4], factors[10]] == pytest.approx([1.0, (1 + math.cos(math.pi * 6 / 7)) / 2])
    assert rates(OptimizerOptions(lr=LR, warmup_steps=0), 5)[0] == LR


def test_warmup_as_steps_as_a_share_and_by_default() -> None:
    assert warmup_steps(OptimizerOptions(), 100) == 10
    assert warmup_steps(OptimizerOptions(), 10**6) == 10_000
    assert warmup_steps(OptimizerOptions(scheduler="cosine"), 100) == 0
    assert warmup_steps(OptimizerOptions(warmup_fraction=0.25), 100) == 25
    assert warmup_steps(OptimizerOptions(scheduler="plateau", warmup_steps=7), 100) == 7
    cosine = rates(OptimizerOptions(lr=LR, scheduler="cosine"), 8)
    assert rates(OptimizerOptions(lr=LR, scheduler="cosine", warmup_steps=2), 10)[2:] == pytest.approx(cosine)


@pytest.mark.parametrize("higher", [True, False])
def test_plateau(higher: bool) -> None:
    values = [1.0, 2.0, 1.5, 1.9, 2.0, 1.0, math.nan, 3.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    values = values if higher else [-value for value in values]
    options = OptimizerOptions(
        lr=LR, scheduler="plateau", scheduler_patience=2, scheduler_factor=0.1, scheduler_min_lr=0.01
    )
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler = lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max" if higher else "min", factor=0.1, patience=2, threshold=0.0, min_lr=0.01, eps=0.0
    )
    schedule, state, lowered = build_schedule(options, 100), PlateauState(), []
    for value in values:
        before = schedule.factor(3, state)
        lowered.append(watch(state, value, options, higher_is_better=higher))
        scheduler.step(value)
        assert LR * schedule.factor(3, state) == pytest.approx(optimizer.param_groups[0]["lr"])
        assert lowered[-1] == (schedule.factor(3, state) < before)
    assert sum(lowered) == 2
    assert LR * state.factor == pytest.approx(0.01)
