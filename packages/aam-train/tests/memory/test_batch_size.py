"""PlanFactory by what they need of memory: what is planned, what is tried, and what a run makes of it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aam_models.batch.batch import Chunk, PaddedGroup
from aam_models.build import build_encoder
from aam_models.config.encoder import ModelOptions
from aam_train.data.collate import KEEP_ALL, KEEP_NONE, ActivationPlan, mark_recomputed
from aam_train.data.corruptions import HideCounts, MaskBases
from aam_train.data.loading import BatchRequest, TrainingPlan
from aam_train.data.run_data import RunData
from aam_train.data.step_split import EvenSplitter, RankPart
from aam_train.device.available_memory import available_memory, host_bounds
from aam_train.device.malloc import return_freed_memory
from aam_train.device.memory import peak_memory, reset_peak_memory
from aam_train.device.precision import Precision
from aam_train.engine.embedding_table import EmbeddingTable
from aam_train.engine.optimizer import build_optimizer
from aam_train.engine.step import Step
from aam_train.errors import TrainError
from aam_train.files import read_json_object
from aam_train.memory.batch_plan import BatchPlan
from aam_train.memory.cost_model import BatchCost, MemoryModel, cost_of, cost_of_batch, expected_model
from aam_train.memory.probe import probing
from aam_train.memory.profile import MeasuredStep, MemoryProfile, build_update
from aam_train.memory.search import largest_fitting
from aam_train.memory.splitting import MemorySplitter, _round_robin
from aam_train.objectives.base import Sources
from aam_train.objectives.registry import build_objective
from aam_train.options.compute import ComputeOptions
from aam_train.options.memory import MemoryOptions
from aam_train.options.objective import PretrainObjective
from aam_train.options.optimizer import OptimizerOptions
from aam_train.options.recipe_configs import PretrainConfig
from aam_train.parallel.sharded_map import split_calls
from aam_train.recipes.pretrain import pretrain
from aam_train.reporting.jsonl import read_records
from aam_train.runs.checkpoints import LAST
from aam_train.runs.records import read_training
from aam_train.setup.architecture import new_encoder_config
from aam_train.show.run import describe_run

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
    assert cost_of(mark_recomputed(chunks, 0), [PaddedGroup(3, 5)], everyone=6, keep_slots=False) == BatchCost(
        44, 108, 0, 15, 0, 75, 18
    )  # one chunk is always there


def test_a_run_of_before_samples_were_computed_again_goes_on() -> None:
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
def test_a_fit_finds_the_bytes_that_measurements_say(sizes: list[BatchCost]) -> None:
    prior = replace(MODEL, constant=3e6, kept=500.0, kept_slots=3000.0, attention=1.0)
    found = prior.fit(sizes, [MODEL.expected_bytes(size) for size in sizes])
    assert 1.03 <= found.margin <= 1.3
    for size in sizes:
        if MODEL.expected_bytes(size) >= max(map(MODEL.expected_bytes, sizes)) / 2:
            assert MODEL.expected_bytes(size) <= found.max_bytes(size) <= 1.6 * MODEL.expected_bytes(size)


@given(SIZES, st.integers(10**6, 10**10))
def test_as_many_tokens_are_kept_as_fit(size: BatchCost, limit: int) -> None:
    spare = MODEL.spare_tokens(size, limit)
    if spare >= 0:
        assert MODEL.max_bytes(size._replace(kept=spare)) <= limit < MODEL.max_bytes(size._replace(kept=spare + 2))
    else:
        assert MODEL.max_bytes(size._replace(kept=0)) > limit - 2


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
            everyone = sum(len(part.rows) for part in micro)
            assert everyone <= 8
            for part in micro:
                size = splitter.cost(samples.samples(part.rows, 5), everyone, part.activations)
                assert MODEL.max_bytes(size) <= limit
        counts.append(len(step))
    assert counts[0] > counts[2] == -(-len(rows) // 8)
    even = EvenSplitter(8, recompute=recompute is True).split(rows, 5, processes)
    assert [[part.rows.tolist() for part in micro] for micro in even] == [
        [part.rows.tolist() for part in micro] for micro in step
    ]


def cut_by_tokens(data: RunData, limit: int) -> list[list[int]]:
    """A step's samples, ordered by number of ASVs, in the micro-batches of a model of tokens alone."""
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
    step = cut_by_tokens(data, max(richness.values()) * 2 * 41)
    assert len(step) > 2
    assert all(len(micro) >= 2 for micro in step)
    for by_size in (sorted(richness.values())[-len(step) :], sorted(richness.values())[: len(step)]):
        assert all(any(by_size[0] <= richness[row] <= by_size[-1] for row in micro) for micro in step)


def test_micro_batches_are_as_few_as_fit(data: RunData) -> None:
    """Of all numbers of micro-batches, dealt as they are."""
    richest = max(len(sample.asv_rows) for sample in data.maker.samples.samples(data.rows["train"], 0))
    rows = data.rows["train"]
    sizes = np.array([len(sample.asv_rows) for sample in data.maker.samples.samples(rows, 0)])
    order = rows[np.argsort(-sizes, kind="stable")]
    for limit in (richest * 3 * 41 // 2, richest * 2 * 41, richest * 3 * 41):
        step = cut_by_tokens(data, limit)
        for fewer in range(-(-len(rows) // 8), len(step)):
            hands = _round_robin(order, fewer)
            assert any(tokens_of(data, hand) > limit for hand in hands)
        assert all(tokens_of(data, np.array(micro)) <= limit for micro in step)


def test_where_a_sample_fills_memory_the_largest_go_first(data: RunData) -> None:
    richness = {row: len(data.maker.samples.sample(row, 0).asv_rows) for row in data.rows["train"].tolist()}
    step = cut_by_tokens(data, max(richness.values()) * 41)
    assert len(step[0]) <= 2
    assert all(richness[left[0]] >= max(richness[row] for row in right) for left, right in pairwise(step))


def test_activations_are_computed_again_before_micro_batches_get_smaller(data: RunData) -> None:
    """First those of ASVs, as few as may be, then those of samples too."""
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


def test_steps_of_a_wanted_size() -> None:
    plan = TrainingPlan(np.arange(23), 4, 1, MASKING, step_size=12)
    assert [[len(request.rows) for request in step] for step in plan.epoch(0)] == [[4, 4, 4], [4, 4, 3]]


def tried(data: RunData, precision: str = "none", optimizer: str = "adamw"):
    torch.manual_seed(0)
    small = ModelOptions(preset="tiny", embedding_dim=16, attention_heads=2, attention_layers=1)
    step = Step(build_encoder(new_encoder_config(small, 150, WEIGHTS)), CPU, precision=Precision(CPU, precision))
    options = OptimizerOptions(optimizer=optimizer)  # type: ignore[arg-type]
    update = build_update(step, build_optimizer(step.model, options), 1.0)
    return step, build_objective(WEIGHTS, Sources(data.pairs)), update


@pytest.mark.parametrize(("precision", "optimizer"), [("none", "adamw"), ("fp16", "sgd")])
def test_trying_steps_leaves_no_trace(data: RunData, precision: str, optimizer: str) -> None:
    step, objective, update = tried(data, precision, optimizer)
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


@pytest.mark.skipif(sys.platform != "linux", reason="the peak can be reset on Linux alone")
def test_the_peak_is_that_since_the_last_reset() -> None:
    return_freed_memory()
    reset_peak_memory(CPU)
    before = peak_memory(CPU)
    torch.ones(30_000_000).sum()
    assert 110e6 < peak_memory(CPU) - before < 180e6
    return_freed_memory()
    reset_peak_memory(CPU)
    assert peak_memory(CPU) - before < 60e6


ROOM = """
import resource
import torch
from aam_train.device.available_memory import available_memory
from aam_train.device.memory import process_memory
from aam_train.engine.gradients import is_out_of_memory
cpu = torch.device("cpu")
free = available_memory(cpu, 1.0)
cap = 2 * process_memory("VmData") + 500_000_000
resource.setrlimit(resource.RLIMIT_DATA, (cap, cap))
capped = available_memory(cpu, 1.0)
assert capped <= min(free, int(0.75 * cap) - process_memory("VmData") + 1_000_000), (free, capped)
assert available_memory(cpu, 1.0, processes=2) <= capped
assert available_memory(cpu, 0.5) < capped
try:
    torch.empty(cap // 4)
except RuntimeError as error:
    assert is_out_of_memory(error), error
else:
    raise AssertionError("the cap does not hold")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limits are those of Linux")
def test_room_is_bounded_by_the_limits_of_the_process() -> None:
    subprocess.run([sys.executable, "-c", ROOM], check=True)
    assert available_memory(CPU, 0.5) < available_memory(CPU, 1.0)
    assert all(limit > held > 0 for limit, held in host_bounds())


def losses(run: Path) -> list[float]:
    return [record["loss"]["total"] for record in read_records(run / "metrics.jsonl") if record["kind"] == "step"]


def test_a_generous_limit_changes_nothing(pretrain_config: Callable[..., PretrainConfig], tmp_path: Path) -> None:
    plain = pretrain(pretrain_config(tmp_path / "plain"), quiet=True)
    limited = pretrain(pretrain_config(tmp_path / "limited", memory=MemoryOptions(max_memory_gb=4.0)), quiet=True)
    assert losses(limited) == losses(plain)


def test_a_tight_limit_makes_smaller_micro_batches_of_the_same_steps(
    pretrain_config: Callable[..., PretrainConfig], tmp_path: Path
) -> None:
    """Without pairs, which are those of micro-batches, the losses are the same."""
    objective = PretrainObjective(unifrac_weight=0.0)
    run = {"batch_size": 14, "seed": 5}
    plain = pretrain(pretrain_config(tmp_path / "plain", run, objective=objective), quiet=True)
    memory = MemoryOptions(target_effective_batch_size=14)
    parts = pretrain_config(tmp_path / "parts", {"batch_size": 3, "seed": 5}, objective=objective, memory=memory)
    assert losses(pretrain(parts, quiet=True)) == pytest.approx(losses(plain), rel=1e-5)


def test_the_size_that_was_found_is_kept_when_the_run_continues(
    pretrain_config: Callable[..., PretrainConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def settings(folder: str, epochs: int, resume: str | None = None) -> PretrainConfig:
        run = {"epochs": epochs, "batch_size": 32, "resume_from": resume, "patience": 0}
        memory = MemoryOptions(auto_batch_size=True, max_memory_gb=0.4)
        model = ModelOptions(preset="tiny", embedding_dim=128, attention_heads=2, attention_layers=4)
        constant = OptimizerOptions(scheduler="cosine", warmup_steps=0, lr=1e-3)
        return pretrain_config(tmp_path / folder, run, memory=memory, model=model, optimizer=constant)

    run = pretrain(settings("run", 2))
    text = capsys.readouterr().err
    found = read_json_object(run / "checkpoints" / LAST / "train_state.json")["batching"]
    n_train = read_training(run / "checkpoints" / LAST).samples["train"]
    assert 1 <= found["batch_size"] <= n_train
    assert f"batch size {found['batch_size']}: training may use up to 0.4 GB more than now (measured on " in text
    assert found["limit"] == 4e8
    assert asdict(MemoryModel(**found["model"])) == found["model"]
    assert f"up to {found['batch_size']:,} samples per process, within 0.4 GB" in dict(describe_run(run))["batches"]
    pretrain(settings("run", 3, "auto"))
    assert "memory: a batch" not in capsys.readouterr().err
    again = read_json_object(run / "checkpoints" / LAST / "train_state.json")
    assert again["batching"] == found
    assert again["step"] == 3 * -(-n_train // found["batch_size"])


def test_samples_that_cannot_fit_are_named_with_what_helps(
    pretrain_config: Callable[..., PretrainConfig], tmp_path: Path
) -> None:
    config = pretrain_config(tmp_path / "run", memory=MemoryOptions(max_memory_gb=1e-5))
    message = r"--max-memory-gb 1e-05: training may use 1e-05 GB, but \d+ samples need more even one by one: "
    message += r"S\d+ \(\d+ ASVs\), .*Allow more, or use {}a smaller --asv-chunk-size"
    with pytest.raises(TrainError, match=message.format("(?!.*--gradient-checkpointing).*")):
        pretrain(config, quiet=True)
    compute = ComputeOptions(gradient_checkpointing=False)
    keeping = pretrain_config(tmp_path / "keeping", memory=config.memory, compute=compute)
    with pytest.raises(TrainError, match=message.format("--gradient-checkpointing, or ")):
        pretrain(keeping, quiet=True)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_memory_fraction": 0.5}, "--max-memory-fraction 0.5 goes with --auto-batch-size"),
        ({"auto_batch_size": True, "max_memory_fraction": 1.5}, "must be above 0 and at most 1"),
        ({"target_effective_batch_size": 0}, "--target-effective-batch-size 0: must be 1 or more"),
        ({"max_memory_gb": 0.0}, "--max-memory-gb 0.0: must be a number above 0"),
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        MemoryOptions(**values)  # type: ignore[arg-type]


def test_what_excludes_each_other(pretrain_config: Callable[..., PretrainConfig], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--batch-size 5 and --auto-batch-size exclude each other"):
        pretrain_config(tmp_path, memory=MemoryOptions(auto_batch_size=True))
    run = {"gradient_accumulation_steps": 2}
    with pytest.raises(ValueError, match="--gradient-accumulation-steps and --target-effective-batch-size exclude"):
        pretrain_config(tmp_path, run, memory=MemoryOptions(target_effective_batch_size=8))
    assert ComputeOptions().gradient_checkpointing is None


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 10), st.integers(1, 200))
def test_passes_are_cut_by_number_and_by_padded_size(sizes: list[int], at_once: int, most: int) -> None:
    parts = split_calls(np.array(sizes, dtype=np.int64), at_once, most)
    assert [size for part in parts for size in sizes[part]] == sizes
    for part in parts:
        inside = sizes[part]
        assert 1 <= len(inside) <= at_once
        assert len(inside) == 1 or len(inside) * max(inside) <= most
    for left, right in pairwise(parts):
        further = sizes[left.start : right.start + 1]
        assert len(further) > at_once or len(further) * max(further) > most


@given(st.integers(0, 200), st.integers(0, 300))
def test_the_largest_number_that_fits(most: int, bound: int) -> None:
    asked: list[int] = []

    def fits(number: int) -> bool:
        asked.append(number)
        return number <= bound

    assert largest_fitting(most, fits) == min(most, bound)
    assert max(asked, default=0) <= max(2 * min(most, bound), 1)  # never far beyond


@pytest.mark.parametrize("profiled", [False, True])
def test_steps_that_are_profiled_are_measured_whole(data: RunData, profiled: bool) -> None:
    step, objective, update = tried(data)
    if profiled:
        step = MeasuredStep(MemoryProfile(CPU), step.model, CPU)
        update = build_update(step, build_optimizer(step.model, OptimizerOptions()), 1.0)
    with probing(step, objective, update, data.maker) as probe:
        small, large = (probe.run([RankPart(data.rows["train"][:n], KEEP_ALL)]) for n in (2, 14))
    assert large > small > 0
    if profiled:
        assert step.memory.peaks == {}


def test_a_model_of_frozen_parts_expects_little(data: RunData) -> None:
    step, _, _ = tried(data)
    whole = expected_model(step, math=False)
    step.frozen = True
    assert expected_model(step, math=False).kept < whole.kept / 4
    step.sample_table = EmbeddingTable(np.arange(24), 24, 16, CPU)
    known = expected_model(step, math=False)
    assert max(known.kept, known.tokens, known.kept_slots, known.slots) <= 1.0


def test_what_was_measured_as_nothing_can_be_learned_later() -> None:
    size = BatchCost(1000, 1000, 100, 100, 1000, 1000, 4)
    first = MODEL.fit([size], [1])
    again = MODEL.fit([size, BatchCost(10**6, 10**6, 10**5, 10**5, 10**7, 10**7, 100)], [1, 10**9])
    assert first.expected_bytes(size) <= 10**6
    assert again.max_bytes(BatchCost(10**6, 10**6, 10**5, 10**5, 10**7, 10**7, 100)) >= 0.9 * 10**9
