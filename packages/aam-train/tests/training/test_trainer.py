"""The loop: when it stops, what it keeps, and what it refuses to learn from."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from aam_models.build import build_encoder
from aam_models.config.encoder import ModelOptions
from aam_train.data.loading import TrainingPlan
from aam_train.data.run_data import RunData
from aam_train.device.precision import Precision
from aam_train.engine.optimizer import build_optimizer
from aam_train.engine.schedules import build_schedule
from aam_train.engine.step import Step
from aam_train.engine.update import Update
from aam_train.errors import TrainError
from aam_train.evaluation.validation import Validator
from aam_train.memory.cost_model import MemoryModel
from aam_train.objectives.base import Sources
from aam_train.objectives.registry import build_objective
from aam_train.options.optimizer import OptimizerOptions
from aam_train.options.run import RunOptions
from aam_train.reporting.records import EpochRecord, StepRecord
from aam_train.runs.state import TrainerState
from aam_train.setup.architecture import new_encoder_config
from aam_train.setup.head_initialization import calibrate_heads
from aam_train.signals import StopFlag
from aam_train.training.trainer import MemoryBudget, Trainer

SMALL = ModelOptions(preset="tiny", embedding_dim=8, attention_heads=2, attention_layers=1)
Make = Callable[..., "Run"]


@dataclass
class Log:
    """A reporter that remembers."""

    steps: list[StepRecord] = field(default_factory=list)
    epochs: list[EpochRecord] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, record: StepRecord) -> None:
        self.steps.append(record)

    def epoch(self, record: EpochRecord) -> None:
        self.epochs.append(record)

    def close(self) -> None: ...


@dataclass
class Run:
    trainer: Trainer
    log: Log
    saved: list[tuple[str, int]]


@dataclass
class Saved:
    """Records which checkpoints were asked for."""

    checkpoints: list[tuple[str, int]]

    def save_last(self, state: TrainerState) -> None:
        self.checkpoints.append(("last", state.step))

    def save_best(self, state: TrainerState) -> None:
        self.checkpoints.append(("best", state.step))


@pytest.fixture
def make(data: RunData) -> Make:
    """A function that gives a trainer of 3 steps an epoch whose validator gives scripted metrics."""
    weights = {"unifrac": 1.0, "nucleotides": 1.0, "counts": 1.0}

    def build(
        metrics: list[float] | None,
        *,
        best_metric: str = "val_loss",
        patience: int = 10,
        epochs: int = 2,
        optimizer: OptimizerOptions | None = None,
    ) -> Run:
        options = optimizer or OptimizerOptions()
        objective = build_objective(weights, Sources(data.pairs))
        torch.manual_seed(0)
        model = build_encoder(new_encoder_config(SMALL, 150, weights))
        step = Step(model, torch.device("cpu"))
        calibrate_heads(step, data, objective.encoder, 32)
        script = iter(metrics or [])
        validate: Validator | None = (lambda step: {best_metric: next(script)}) if metrics is not None else None
        log, saved = Log(), []
        run = RunOptions(Path("unused"), epochs=epochs, batch_size=5, patience=patience, device="cpu")
        plan = TrainingPlan(data.rows["train"], run.batch_size, run.seed, objective.corruptions)
        trainer = Trainer(
            step=step,
            objective=objective,
            update=Update(build_optimizer(model, options), step.precision.scaler(), options.max_grad_norm),
            schedule=build_schedule(options, epochs * plan.steps_per_epoch),
            plan=plan,
            maker=data.maker,
            validate=validate,
            run=run,
            optimizer_options=options,
            best_metric=best_metric,
            checkpointer=Saved(saved),
            reporter=log,
            stop=StopFlag(),
            state=TrainerState(),
        )
        assert plan.steps_per_epoch == 3
        return Run(trainer, log, saved)

    return build


def test_early_stopping_says_why(make: Make) -> None:
    run = make([3.0, 2.0, 2.5, 2.0, 1.0], patience=2, epochs=9)
    run.trainer.fit()
    assert run.saved == [("best", 3), ("best", 6), ("last", 12)]
    assert [record.best for record in run.log.epochs] == [True, True, False, False]
    assert run.log.notes == ["stopped early: val_loss has not improved for 2 epochs (--patience 2); best 2 at step 6"]


def test_patience_0_never_stops(make: Make) -> None:
    run = make([1.0, 2.0, 3.0, 4.0], patience=0, epochs=4)
    run.trainer.fit()
    assert len(run.log.epochs) == 4
    assert run.log.notes == []


@pytest.mark.parametrize(("metric", "best_step"), [("r2", 6), ("auc", 6), ("mae", 3), ("val_loss", 3)])
def test_the_best_is_the_highest_or_the_lowest(make: Make, metric: str, best_step: int) -> None:
    run = make([0.2, 0.5, 0.3], best_metric=metric, epochs=3)
    run.trainer.fit()
    assert (run.trainer.state.best_step, run.saved[-1]) == (best_step, ("last", 9))


def test_a_metric_that_is_never_defined_is_said_once(make: Make) -> None:
    run = make([math.nan] * 5, best_metric="auc", patience=2, epochs=5)
    run.trainer.fit()
    assert run.saved == [("last", 15)]
    assert run.trainer.state.best_step is None
    assert len(run.log.notes) == 1
    assert run.log.notes[0].startswith("warning: auc is undefined on the validation samples")


def test_an_undefined_metric_is_no_improvement(make: Make) -> None:
    run = make([math.inf, 2.0, math.nan, math.inf], patience=2, epochs=9)
    run.trainer.fit()
    assert run.saved == [("best", 6), ("last", 12)]


def test_without_validation_the_run_goes_to_its_end(make: Make) -> None:
    run = make(None, patience=1, epochs=3)
    run.trainer.fit()
    assert run.saved == [("last", 9)]
    assert [record.validation for record in run.log.epochs] == [{}, {}, {}]
    assert run.log.notes == []


def test_records_add_up(make: Make, data: RunData) -> None:
    run = make([1.0, 1.0])
    run.trainer.fit()
    assert [record.step for record in run.log.steps] == [1, 2, 3, 4, 5, 6]
    assert [record.epoch for record in run.log.steps] == [1, 1, 1, 2, 2, 2]
    for record, steps in zip(run.log.epochs, (run.log.steps[:3], run.log.steps[3:]), strict=True):
        assert sum(step.samples for step in steps) == len(data.rows["train"])
        assert set(record.train) == {"total", "unifrac", "nucleotides", "counts"}
        for name, value in record.train.items():
            assert value == pytest.approx(sum(step.loss[name] for step in steps) / 3)
        assert record.occurrences_per_asv == sum(s.occurrences for s in steps) / sum(s.asvs for s in steps)
        assert record.lr == steps[-1].lr
    for step in run.log.steps:
        assert step.loss["total"] == pytest.approx(sum(v for k, v in step.loss.items() if k != "total"), rel=1e-5)
        assert step.occurrences > step.asvs > 0


@pytest.mark.parametrize(("limit", "told"), [(6_000_000, 0), (100_000, 1)])
def test_a_step_above_the_limit_is_told_once(make: Make, limit: int, told: int) -> None:
    run = make(None)
    model = MemoryModel(
        constant=1e6, kept=10.0, tokens=0.0, kept_slots=0.0, slots=0.0, kept_attention=0.0, attention=0.0, pairs=0.0
    )
    run.trainer.budget = MemoryBudget(model, limit)
    run.trainer.fit()
    assert len(run.log.steps) == 6
    assert sum("above the limit of 0.0001 GB" in note for note in run.log.notes) == len(run.log.notes) == told
    assert all(record.expected_memory > 1e6 for record in run.log.steps)
    assert run.log.epochs[0].expected_memory == max(record.expected_memory for record in run.log.steps[:3])


@pytest.mark.parametrize(
    ("parameter", "blamed"),
    [
        ("distance_head.offset", "the loss of unifrac is"),
        ("count_head.bias", "the loss of counts is"),
        ("sample_encoder.pooling.out.bias", "the loss of unifrac is"),
    ],
)
def test_a_loss_that_is_not_finite_ends_the_run_before_the_update(make: Make, parameter: str, blamed: str) -> None:
    run = make([1.0, 1.0])
    model = run.trainer.step.model
    run.trainer._train_step(next(iter_batches(run)), 0.0)
    with torch.no_grad():
        model.get_parameter(parameter).fill_(math.nan)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(TrainError, match=rf"^step 2: {blamed} not finite, samples S\d+, S\d+, .*\. Lower --lr$"):
        run.trainer.fit()
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) or name == parameter for name in before)
    assert run.saved == []


def iter_batches(run: Run):
    return ([run.trainer.maker[request] for request in step] for step in run.trainer.plan.epoch(0))


def test_a_gradient_that_is_not_finite_ends_the_run_too(make: Make) -> None:
    run = make([1.0, 1.0])
    head = run.trainer.step.encoder.distance_head
    assert head is not None
    with torch.no_grad():
        head.slope.fill_(200.0)  # exp overflows: distances of 0 and 1, a finite loss, no gradient
    with pytest.raises(TrainError, match=r"^step 1: the gradient is not finite, samples "):
        run.trainer.fit()


def test_fp16_leaves_20_updates_out_and_refuses_the_next(make: Make) -> None:
    run = make(None, epochs=10)
    run.trainer.update.scaler = Precision(torch.device("cpu"), "fp16").scaler()
    head = run.trainer.step.encoder.distance_head
    assert head is not None
    with torch.no_grad():
        head.slope.fill_(200.0)
    before = {name: tensor.clone() for name, tensor in run.trainer.step.model.state_dict().items()}
    message = (
        r"^step 21: the gradient \(20 updates in a row before it\) is not finite, samples .*--mixed-precision bf16"
    )
    with pytest.raises(TrainError, match=message):
        run.trainer.fit()
    assert [record.skipped for record in run.log.steps] == [True] * 20
    assert [record.skipped for record in run.log.epochs] == [3] * 6
    after = run.trainer.step.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_fp16_that_recovers_counts_anew(make: Make) -> None:
    run = make(None, epochs=6)
    run.trainer.update.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)  # overflows float32 too
    run.trainer.fit()
    skipped = [record.skipped for record in run.log.steps]
    assert skipped[0]
    assert not skipped[-1]
    assert run.trainer.state.skips == 0


def test_exhausted_memory_is_told_with_the_size_of_the_batch(make: Make) -> None:
    def exhausted(module: torch.nn.Module, _: object) -> None:
        raise torch.OutOfMemoryError("Tried to allocate 20.00 GiB")

    run = make(None)
    run.trainer.step.encoder.sample_encoder.register_forward_pre_hook(exhausted)
    message = r"^the device's memory is exhausted by a batch of \d samples with \d+ distinct .*--batch-size"
    with pytest.raises(TrainError, match=message):
        run.trainer.fit()
    assert run.saved == []


def test_gradients_are_clipped_and_reported_unclipped(make: Make) -> None:
    norms = []
    for limit in (0.0, 0.01):
        run = make([1.0, 1.0], optimizer=OptimizerOptions(max_grad_norm=limit))
        run.trainer._train_step(next(iter_batches(run)), 0.0)
        gradients = [p.grad for p in run.trainer.step.model.parameters() if p.grad is not None]
        norms.append((float(torch.stack([g.norm() for g in gradients]).norm()), run.log.steps[0].grad_norm))
    (free, reported), (clipped, reported_too) = norms
    assert free == pytest.approx(reported, rel=1e-5)
    assert reported_too == reported
    assert clipped == pytest.approx(0.01, rel=1e-4)
