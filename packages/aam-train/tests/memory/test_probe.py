"""Trial steps before a run: what they measure, and that they leave no trace."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aam_models.build import build_encoder
from aam_models.config.encoder import ModelOptions
from aam_train.data.collate import KEEP_ALL, KEEP_NONE
from aam_train.data.run_data import RunData
from aam_train.data.step_split import RankPart
from aam_train.device.precision import Precision
from aam_train.engine.optimizer import build_optimizer
from aam_train.engine.step import Step
from aam_train.memory.probe import probing
from aam_train.memory.profile import MeasuredStep, MemoryProfile, build_update
from aam_train.memory.search import largest_fitting
from aam_train.objectives.base import Sources
from aam_train.objectives.registry import build_objective
from aam_train.options.optimizer import OptimizerOptions
from aam_train.setup.architecture import new_encoder_config

WEIGHTS = {"unifrac": 1.0, "nucleotides": 1.0, "counts": 1.0}

CPU = torch.device("cpu")


def trial_step(data: RunData, precision: str = "none", optimizer: str = "adamw"):
    torch.manual_seed(0)
    small = ModelOptions(preset="tiny", embedding_dim=16, attention_heads=2, attention_layers=1)
    step = Step(build_encoder(new_encoder_config(small, 150, WEIGHTS)), CPU, precision=Precision(CPU, precision))
    options = OptimizerOptions(optimizer=optimizer)  # type: ignore[arg-type]
    update = build_update(step, build_optimizer(step.model, options), 1.0)
    return step, build_objective(WEIGHTS, Sources(data.pairs)), update


@pytest.mark.parametrize(("precision", "optimizer"), [("none", "adamw"), ("fp16", "sgd")])
def test_trying_steps_leaves_no_trace(data: RunData, precision: str, optimizer: str) -> None:
    step, objective, update = trial_step(data, precision, optimizer)
    weights = {name: tensor.clone() for name, tensor in step.model.state_dict().items()}
    state, groups = update.state(), [{**group, "params": 0} for group in update.optimizer.param_groups]
    generator = torch.get_rng_state()
    with probing(step, objective, update, data.maker) as probe:
        peaks = [
            probe.run([RankPart(data.rows["train"][:n], kept)])
            for n, kept in ((2, KEEP_ALL), (8, KEEP_ALL), (8, KEEP_NONE))
        ]
        changed = step.model.state_dict()
        assert any(not torch.equal(changed[name], weights[name]) for name in weights)
    assert all(peak > 0 for peak in peaks)
    assert peaks == probe.peaks
    assert [size.slots for size in probe.costs[1:]] == [probe.costs[1].slots] * 2
    assert all(torch.equal(tensor, weights[name]) for name, tensor in step.model.state_dict().items())
    assert all(p.grad is None for p in step.model.parameters())
    assert not update.optimizer.state
    assert update.state() == state
    assert [{**group, "params": 0} for group in update.optimizer.param_groups] == groups
    assert torch.equal(torch.get_rng_state(), generator)


@pytest.mark.parametrize("profiled", [False, True])
def test_the_peak_of_a_profiled_step_covers_all_phases(data: RunData, profiled: bool) -> None:
    step, objective, update = trial_step(data)
    if profiled:
        step = MeasuredStep(MemoryProfile(CPU), step.model, CPU)
        update = build_update(step, build_optimizer(step.model, OptimizerOptions()), 1.0)
    with probing(step, objective, update, data.maker) as probe:
        small, large = (probe.run([RankPart(data.rows["train"][:n], KEEP_ALL)]) for n in (2, 14))
    assert large > small > 0
    if profiled:
        assert step.memory.peaks == {}


@given(st.integers(0, 200), st.integers(0, 300))
def test_the_largest_number_that_fits(most: int, bound: int) -> None:
    asked: list[int] = []

    def fits(number: int) -> bool:
        asked.append(number)
        return number <= bound

    assert largest_fitting(most, fits) == min(most, bound)
    assert max(asked, default=0) <= max(2 * min(most, bound), 1)  # never far above
