"""Micro-batches within a memory limit."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from aam_train.data.collate import KEEP_ALL, KEEP_NONE, ActivationPlan
from aam_train.data.corruptions import HideCounts, MaskBases
from aam_train.data.loading import TrainingPlan
from aam_train.data.run_data import RunData
from aam_train.data.step_split import EvenSplitter
from aam_train.memory.cost_model import MemoryModel
from aam_train.memory.splitting import MemorySplitter, _round_robin

MASKING = (MaskBases(0.15), HideCounts(0.15))

MODEL = MemoryModel(
    constant=1e6,
    kept=1000.0,
    tokens=10.0,
    kept_slots=1500.0,
    slots=500.0,
    kept_attention=3.0,
    attention=1.0,
    pairs=50.0,
    margin=1.1,
)


@pytest.mark.parametrize("recompute", [None, False, True])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_micro_batches_fit_and_hold_every_sample_once(data: RunData, processes: int, recompute: bool | None) -> None:
    samples, rows = data.maker.samples, data.rows["train"]
    alone = MemorySplitter(samples, data.maker.collator, MODEL, 0, 4, recompute=recompute)
    largest = max(alone.min_bytes([sample], processes) for sample in samples.samples(rows, 5))
    counts = []
    for limit in (int(1.01 * largest), 2 * largest, 100 * largest):
        splitter = MemorySplitter(samples, data.maker.collator, MODEL, limit, 8, recompute=recompute)
        step = splitter.split(rows, 5, processes)
        assert sorted(np.concatenate([part.rows for micro in step for part in micro])) == sorted(rows)
        assert all(len(part.rows) for micro in step for part in micro)
        for micro in step:
            n_all = sum(len(part.rows) for part in micro)
            assert n_all <= 8
            for part in micro:
                size = splitter.cost(samples.samples(part.rows, 5), n_all, part.activations)
                assert MODEL.max_bytes(size) <= limit
        counts.append(len(step))
    assert counts[0] > counts[2] == -(-len(rows) // 8)
    even = EvenSplitter(8, recompute=recompute is True).split(rows, 5, processes)
    assert [[part.rows.tolist() for part in micro] for micro in even] == [
        [part.rows.tolist() for part in micro] for micro in step
    ]


def split_by_tokens(data: RunData, limit: int) -> list[list[int]]:
    """Split a step under a memory model that only counts tokens; return the rows of each micro-batch."""
    rows = data.rows["train"]
    model = MemoryModel(
        0.0, 0.0, tokens=1.0, kept_slots=0.0, slots=0.0, kept_attention=0.0, attention=0.0, pairs=0.0, margin=1.0
    )
    splitter = MemorySplitter(data.maker.samples, data.maker.collator, model, limit, 8, recompute=False)
    return [micro[0].rows.tolist() for micro in splitter.split(rows, 0, 1)]


def tokens_of(data: RunData, rows: np.ndarray) -> int:
    return sum(chunk.n_tokens for chunk in data.maker.collator.chunks_of(data.maker.samples.samples(rows, 0)))


def test_micro_batches_have_large_and_small_samples(data: RunData) -> None:
    richness = {row: len(data.maker.samples.sample(row, 0).asv_rows) for row in data.rows["train"].tolist()}
    step = split_by_tokens(data, max(richness.values()) * 2 * 41)
    assert len(step) > 2
    assert all(len(micro) >= 2 for micro in step)
    for by_size in (sorted(richness.values())[-len(step) :], sorted(richness.values())[: len(step)]):
        assert all(any(by_size[0] <= richness[row] <= by_size[-1] for row in micro) for micro in step)


def test_micro_batches_are_as_few_as_fit(data: RunData) -> None:
    """Compare with every smaller number of micro-batches, distributed in the same way."""
    richest = max(len(sample.asv_rows) for sample in data.maker.samples.samples(data.rows["train"], 0))
    rows = data.rows["train"]
    sizes = np.array([len(sample.asv_rows) for sample in data.maker.samples.samples(rows, 0)])
    order = rows[np.argsort(-sizes, kind="stable")]
    for limit in (richest * 3 * 41 // 2, richest * 2 * 41, richest * 3 * 41):
        step = split_by_tokens(data, limit)
        for fewer in range(-(-len(rows) // 8), len(step)):
            shares = _round_robin(order, fewer)
            assert any(tokens_of(data, share) > limit for share in shares)
        assert all(tokens_of(data, np.array(micro)) <= limit for micro in step)


def test_if_one_sample_fills_memory_the_largest_come_first(data: RunData) -> None:
    richness = {row: len(data.maker.samples.sample(row, 0).asv_rows) for row in data.rows["train"].tolist()}
    step = split_by_tokens(data, max(richness.values()) * 41)
    assert len(step[0]) <= 2
    assert all(richness[left[0]] >= max(richness[row] for row in right) for left, right in pairwise(step))


def test_activations_are_recomputed_before_micro_batches_get_smaller(data: RunData) -> None:
    """First those of ASVs, as few as possible, then those of samples too."""
    rows, maker = data.rows["train"][:8], data.maker
    samples = maker.samples.samples(rows, 0)

    def kept_within(limit: int) -> list[ActivationPlan]:
        splitter = MemorySplitter(maker.samples, maker.collator, MODEL, limit, 8, recompute=None)
        return [part.activations for micro in splitter.split(rows, 0, 1) for part in micro]

    size = MemorySplitter(maker.samples, maker.collator, MODEL, 0, 8, recompute=None).cost
    everything, no_asvs, nothing = (
        MODEL.max_bytes(size(samples, activations=kept)) for kept in (KEEP_ALL, ActivationPlan(0), KEEP_NONE)
    )
    assert kept_within(everything + 10**4) == [KEEP_ALL]
    (some,) = kept_within((everything + no_asvs) // 2)
    assert some.slots
    assert some.tokens is not None
    assert 0 < some.tokens < size(samples).tokens
    assert [kept.slots for limit in (no_asvs - 1, nothing) for kept in kept_within(limit)] == [False, False]
    assert len(kept_within(nothing - 1)) > 1


def test_steps_of_a_requested_size() -> None:
    plan = TrainingPlan(np.arange(23), 4, 1, MASKING, step_size=12)
    assert [[len(request.rows) for request in step] for step in plan.epoch(0)] == [[4, 4, 4], [4, 4, 3]]
