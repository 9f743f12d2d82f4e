"""The memory model: sizes of micro-batches, the fit to measurements, and the prior."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from aam_models.batch.batch import Chunk, PaddedGroup
from aam_models.build import build_encoder
from aam_models.config.encoder import ModelOptions
from aam_train.data.collate import KEEP_ALL, KEEP_NONE, ActivationPlan, mark_recomputed
from aam_train.data.corruptions import HideCounts, MaskBases
from aam_train.data.loading import BatchRequest
from aam_train.data.run_data import RunData
from aam_train.engine.embedding_table import EmbeddingTable
from aam_train.engine.step import Step
from aam_train.memory.batch_plan import BatchPlan
from aam_train.memory.cost_model import BatchCost, MemoryModel, cost_of, cost_of_batch, expected_model
from aam_train.memory.splitting import MemorySplitter
from aam_train.setup.architecture import new_encoder_config

MASKING = (MaskBases(0.15), HideCounts(0.15))

WEIGHTS = {"unifrac": 1.0, "nucleotides": 1.0, "counts": 1.0}

CPU = torch.device("cpu")

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

SIZES = st.builds(BatchCost, *(st.integers(1, high) for high in (10**6, 10**6, 10**5, 10**5, 10**7, 10**7, 10**4)))


def chunk(start: int, stop: int, length: int) -> Chunk:
    return Chunk(start, stop, length, True, 0, 0)


def test_the_last_chunks_keep_their_activations() -> None:
    chunks = chunk(0, 4, 10), chunk(4, 8, 11), chunk(8, 10, 12)
    assert [c.n_tokens for c in chunks] == [40, 44, 24]

    def again(kept: int | None) -> list[bool]:
        return [c.recompute for c in mark_recomputed(chunks, kept)]

    assert again(None) == again(108) == [False, False, False]
    assert again(107) == again(68) == [True, False, False]
    assert again(67) == again(24) == [True, True, False]
    assert again(23) == again(0) == [True, True, True]
    assert cost_of(mark_recomputed(chunks, 68), [PaddedGroup(2, 5), PaddedGroup(1, 4)]) == BatchCost(
        kept=68, tokens=108, kept_slots=14, slots=14, kept_attention=66, attention=66, pairs=9
    )
    assert cost_of(mark_recomputed(chunks, 0), [PaddedGroup(3, 5)], n_all=6, keep_slots=False) == BatchCost(
        44, 108, 0, 15, 0, 75, 18
    )  # one chunk is always in memory


def test_a_model_saved_before_samples_could_be_recomputed_is_read() -> None:
    old = {"constant": 1.0, "kept": 2.0, "tokens": 3.0, "slots": 4.0, "attention": 5.0, "pairs": 6.0, "margin": 1.0}
    model = BatchPlan(8, limit=100, model=old).memory_model()
    assert model is not None
    size = BatchCost(kept=1, tokens=1, kept_slots=9, slots=1, kept_attention=9, attention=1, pairs=1)
    assert model.expected_bytes(size) == 1 + 2 + 3 + 4 + 5 + 6


def test_a_batch_has_the_size_that_was_planned(data: RunData) -> None:
    rows = data.rows["train"][:6]
    splitter = MemorySplitter(data.maker.samples, data.maker.collator, MODEL, 10**9, 6, recompute=None)
    for kept in (KEEP_ALL, KEEP_NONE, ActivationPlan(500)):
        batch = data.maker[BatchRequest(rows, 3, MASKING, kept)]
        assert cost_of_batch(batch) == splitter.cost(data.maker.samples.samples(rows, 3), activations=kept)


@given(st.lists(SIZES, min_size=8, max_size=20))
def test_a_fit_recovers_the_measured_bytes(sizes: list[BatchCost]) -> None:
    prior = replace(MODEL, constant=3e6, kept=500.0, kept_slots=3000.0, attention=1.0)
    found = prior.fit(sizes, [MODEL.expected_bytes(size) for size in sizes])
    assert 1.03 <= found.margin <= 1.3
    for size in sizes:
        if MODEL.expected_bytes(size) >= max(map(MODEL.expected_bytes, sizes)) / 2:
            assert MODEL.expected_bytes(size) <= found.max_bytes(size) <= 1.6 * MODEL.expected_bytes(size)


def test_a_measurement_of_nothing_can_be_corrected_later() -> None:
    size = BatchCost(1000, 1000, 100, 100, 1000, 1000, 4)
    first = MODEL.fit([size], [1])
    again = MODEL.fit([size, BatchCost(10**6, 10**6, 10**5, 10**5, 10**7, 10**7, 100)], [1, 10**9])
    assert first.expected_bytes(size) <= 10**6
    assert again.max_bytes(BatchCost(10**6, 10**6, 10**5, 10**5, 10**7, 10**7, 100)) >= 0.9 * 10**9


@given(SIZES, st.integers(10**6, 10**10))
def test_as_many_tokens_are_kept_as_fit(size: BatchCost, limit: int) -> None:
    spare = MODEL.spare_tokens(size, limit)
    if spare >= 0:
        assert MODEL.max_bytes(size._replace(kept=spare)) <= limit < MODEL.max_bytes(size._replace(kept=spare + 2))
    else:
        assert MODEL.max_bytes(size._replace(kept=0)) > limit - 2


def test_the_prior_of_frozen_and_cached_levels_is_small() -> None:
    small = ModelOptions(preset="tiny", embedding_dim=16, attention_heads=2, attention_layers=1)
    step = Step(build_encoder(new_encoder_config(small, 150, WEIGHTS)), CPU)
    trained = expected_model(step, math=False)
    step.frozen = True
    assert expected_model(step, math=False).kept < trained.kept / 4
    step.sample_table = EmbeddingTable(np.arange(24), 24, 16, CPU)
    known = expected_model(step, math=False)
    assert max(known.kept, known.tokens, known.kept_slots, known.slots) <= 1.0
