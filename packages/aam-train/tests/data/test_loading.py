"""The plan of batches, and that workers do not change them."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import fields

import numpy as np
import pytest
import torch
from torch import Tensor

from aam_data.options.samples import SampleOptions
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.preprocessing.rarefaction import Rarefier
from aam_data.study.study import Study
from aam_models.batch.batch import Batch
from aam_train.data.corruptions import HideCounts, MaskBases
from aam_train.data.loading import TrainingPlan, default_workers, load
from aam_train.data.run_data import build_maker
from aam_train.errors import TrainError

BOTH = (MaskBases(0.15), HideCounts(0.15))
CPU = torch.device("cpu")


def maker_of(study: Study):
    options = SampleOptions(max_bp=150)
    preprocessor = Preprocessor.fit(study, np.arange(4), options, trim_length=0, rarefy_depth=100, seed=42)
    return build_maker(study, Rarefier(study.table, 100, 42), preprocessor, 256)


def same(left: Batch, right: Batch) -> bool:
    pairs = [(getattr(left, field.name), getattr(right, field.name)) for field in fields(Batch)]
    return all(torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in pairs)


def test_workers_make_the_same_batches(study: Study) -> None:
    plan = TrainingPlan(np.arange(24), batch_size=5, seed=1, corruptions=BOTH)
    here, elsewhere = (
        list(load(maker_of(study), plan.stream(2, epochs=2), workers=workers, device=CPU)) for workers in (0, 2)
    )
    assert len(here) == len(elsewhere) == 2 * plan.steps_per_epoch - 2
    assert all(
        len(left) == len(right) == 1 and same(left[0], right[0]) for left, right in zip(here, elsewhere, strict=True)
    )


def test_the_error_of_a_dead_worker_names_the_samples_of_its_batch(study: Study) -> None:
    plan = TrainingPlan(np.arange(24), batch_size=2, seed=1, corruptions=BOTH)
    batches = load(maker_of(study), plan.stream(0, epochs=1000), workers=1, device=CPU)
    next(batches)
    (worker,) = multiprocessing.active_children()
    os.kill(worker.pid, signal.SIGKILL)
    worker.join(60)
    # not here, where a training step would compute
    with pytest.raises(TrainError, match=r"died \(.+\) before the batch of S\d+, S\d+; usually memory ran out"):
        list(batches)


def test_every_sample_once_an_epoch_in_batches_of_equal_size() -> None:
    plan = TrainingPlan(np.arange(10, 33), batch_size=5, seed=1, corruptions=BOTH)
    assert plan.steps_per_epoch == 5
    for epoch in range(3):
        requests = [request for (request,) in plan.epoch(epoch)]
        assert sorted(np.concatenate([request.rows for request in requests])) == list(range(10, 33))
        assert {len(request.rows) for request in requests} == {4, 5}
        assert {(request.draw, request.corruptions) for request in requests} == {(epoch, BOTH)}


def test_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        plan = TrainingPlan(np.arange(23), batch_size=5, seed=seed, corruptions=BOTH)
        return np.concatenate([request.rows for (request,) in plan.epoch(epoch)]).tolist()

    assert order(1, 4) == order(1, 4)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}) == 4


def test_a_stream_can_start_at_any_step() -> None:
    plan = TrainingPlan(np.arange(23), batch_size=5, seed=1, corruptions=BOTH)
    whole = list(plan.stream(0, epochs=3))
    assert len(whole) == 15
    for step in range(17):
        rest = list(plan.stream(step, epochs=3))
        assert [(r.draw, r.rows.tolist()) for (r,) in rest] == [(r.draw, r.rows.tolist()) for (r,) in whole[step:]]


def test_few_samples_are_one_batch() -> None:
    plan = TrainingPlan(np.arange(3), batch_size=32, seed=1, corruptions=BOTH)
    assert [[len(request.rows) for request in step] for step in plan.epoch(0)] == [[3]]


def test_micro_batches_are_the_step_cut_in_equal_parts() -> None:
    whole = TrainingPlan(np.arange(23), batch_size=12, seed=1, corruptions=BOTH)
    parts = TrainingPlan(np.arange(23), batch_size=4, seed=1, corruptions=BOTH, accumulation=3)
    assert whole.steps_per_epoch == parts.steps_per_epoch == 2
    for (step,), micro in zip(whole.epoch(3), parts.epoch(3), strict=True):
        assert [len(request.rows) for request in micro] == ([4, 4, 4] if len(step.rows) == 12 else [4, 4, 3])
        assert np.concatenate([request.rows for request in micro]).tolist() == step.rows.tolist()


def test_the_cpu_prepares_batches_itself() -> None:
    assert default_workers(CPU) == 0
    assert 0 <= default_workers(torch.device("cuda")) <= 4
