"""Throughput of a step: work, padding, FLOPs and peaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from aam_models.batch.batch import Batch
from aam_models.build import build_encoder, build_predictor
from aam_models.config.encoder import ModelOptions
from aam_models.config.predictor import PredictorConfig
from aam_train.data.corruptions import HideCounts, MaskBases
from aam_train.data.loading import BatchRequest
from aam_train.data.run_data import RunData
from aam_train.device.memory import peak_memory
from aam_train.device.peak_flops import datasheet_peak, device_peak, measure_flops
from aam_train.engine.embedding_table import EmbeddingTable
from aam_train.engine.gradients import gradients
from aam_train.engine.optimizer import build_optimizer
from aam_train.engine.step import Step
from aam_train.engine.update import Update
from aam_train.losses.objective import Objective, TargetTerm
from aam_train.losses.targets import NumberLoss, NumberLosses
from aam_train.objectives.base import Sources
from aam_train.objectives.registry import build_objective
from aam_train.options.optimizer import OptimizerOptions
from aam_train.options.recipe_configs import PretrainConfig, TrainConfig
from aam_train.options.run import TransferOptions
from aam_train.profiling.throughput import Work, work_of
from aam_train.recipes.train import train
from aam_train.reporting.jsonl import read_records
from aam_train.setup.architecture import new_encoder_config
from aam_train.setup.freezing import freeze_unused_parameters

SMALL = ModelOptions(preset="tiny", embedding_dim=32, attention_heads=2, attention_layers=2)
WEIGHTS = {"faith_pd": 1.0, "nucleotides": 1.0, "counts": 1.0}
MASKING = (MaskBases(0.15), HideCounts(0.15))
CPU = torch.device("cpu")


@pytest.fixture
def batches(data: RunData) -> list[Batch]:
    rows = data.rows["train"]
    return [data.maker[BatchRequest(rows[part], 0, MASKING)] for part in (slice(0, 6), slice(6, 9))]


def counted(step: Step, objective: Objective, update: Update, batches: list[Batch]) -> int:
    """Count the FLOPs of a whole step with PyTorch, with attention as matrix products."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        gradients(step, objective, update, batches)
    return counter.get_total_flops()


def updating(step: Step) -> Update:
    return Update(build_optimizer(step.model, OptimizerOptions()), None, 1.0)


def test_work_counts_the_contents_of_batches(data: RunData, batches: list[Batch]) -> None:
    model = build_encoder(new_encoder_config(SMALL, 150, WEIGHTS))
    work = work_of(model, batches)
    assert work.samples == 9
    assert work.asvs == sum(len(batch.tokens) for batch in batches)
    assert work.occurrences == sum(int(mask.sum()) for batch in batches for mask in batch.slot_masks())
    assert work.slots == sum(batch.slots.numel() for batch in batches)
    assert work.tokens == sum(int(batch.lengths.sum()) for batch in batches)
    empty = [np.mean(batch.slots.numpy() == batch.n_occurrences) for batch in batches]
    assert work_of(model, batches[:1]).slot_padding == pytest.approx(empty[0])
    assert min(empty) <= work.slot_padding <= max(empty)
    assert work.token_padding == 0.0  # one length alone
    one, other = work_of(model, batches[:1]), work_of(model, batches[1:])
    assert one + other == work
    assert Work.from_sums({"samples": 2.0, "more": 1.0}) == Work(samples=2)
    assert (Work().slot_padding, Work().token_padding) == (0.0, 0.0)


def test_work_is_known_without_reading_the_device(batches: list[Batch]) -> None:
    """The meta device has no values."""
    meta = torch.device("meta")
    model = build_encoder(new_encoder_config(SMALL, 150, WEIGHTS))
    expected = work_of(model, batches)
    assert Step(model.to(meta), meta).work([batch.to(meta) for batch in batches]) == expected


def test_padding_of_tokens_is_that_within_chunks(data: RunData) -> None:
    study = data.study
    lengths = data.maker.collator.lengths.copy()
    data.maker.collator.lengths[::2] = 33
    try:
        batch = data.maker[BatchRequest(data.rows["train"][:6], 0, MASKING)]
    finally:
        data.maker.collator.lengths[:] = lengths
    padded = sum((chunk.stop - chunk.start) * chunk.length for chunk in batch.chunks)
    real = int(batch.lengths.sum())
    work = work_of(build_encoder(new_encoder_config(SMALL, 150, WEIGHTS)), [batch])
    assert work.encoded_tokens == padded > real == work.tokens
    assert work.token_padding == pytest.approx(1 - real / padded)
    assert study.sequences.lengths.max() == 40


def test_operations_of_a_step_are_those_that_pytorch_counts(data: RunData, batches: list[Batch]) -> None:
    objective = build_objective(WEIGHTS, Sources(data.pairs))
    step = Step(build_encoder(new_encoder_config(SMALL, 150, WEIGHTS)), CPU)
    step.train_mode()
    assert step.work(batches).flops == pytest.approx(counted(step, objective, updating(step), batches), rel=0.03)


def test_frozen_levels_only_count_their_forward_pass(data: RunData, batches: list[Batch]) -> None:
    weights = {"nucleotides": 1.0}
    encoder = build_encoder(new_encoder_config(SMALL, 150, weights))
    freeze_unused_parameters(encoder, build_objective(weights).trains)
    step = Step(encoder, CPU)
    step.train_mode()
    found = counted(step, build_objective(weights), updating(step), batches)
    assert step.work(batches).flops == pytest.approx(found, rel=0.03)


def test_cached_levels_count_nothing(data: RunData) -> None:
    data.maker.collator.targets = torch.rand(24, 1).numpy()
    batch = data.maker[BatchRequest(data.rows["train"][:6], 0, ())]
    data.maker.collator.targets = None
    weights = {}
    model = build_predictor(PredictorConfig(new_encoder_config(SMALL, 150, weights), 1, (64,), 0.0))
    model.encoder.requires_grad_(False)
    objective = build_objective({}, target=TargetTerm(NumberLosses((NumberLoss("mse"),))))
    step = Step(model, CPU, frozen=True)
    step.train_mode()
    runs = []
    for table in ("nothing", "asv_table", "sample_table"):
        rows = {"nothing": 0, "asv_table": data.study.table.n_features, "sample_table": 24}[table]
        if rows:
            kept = EmbeddingTable(np.arange(rows), rows, 32, CPU)
            kept.put(torch.arange(rows), torch.rand(rows, 32))
            setattr(step, table, kept)
        work = step.work([batch])
        assert work.flops == pytest.approx(counted(step, objective, updating(step), [batch]), rel=0.05)
        runs.append(work)
    assert runs[0].flops > runs[1].flops > runs[2].flops > 0
    assert [work.encoded_tokens > 0 for work in runs] == [True, False, False]
    assert [work.slots > 0 for work in runs] == [True, True, False]


def test_recomputation_does_not_count(data: RunData, batches: list[Batch]) -> None:
    step = Step(build_encoder(new_encoder_config(SMALL, 150, WEIGHTS)), CPU)
    chunks = [tuple(chunk._replace(recompute=True) for chunk in batch.chunks) for batch in batches]
    again = [replace(batch, chunks=each, recompute_samples=True) for batch, each in zip(batches, chunks, strict=True)]
    assert step.work(again) == step.work(batches)


@pytest.mark.parametrize(
    ("name", "precision", "tflops"),
    [
        ("NVIDIA H200", "bf16", 989.4),
        ("NVIDIA H100 80GB HBM3", "tf32", 494.7),
        ("NVIDIA H100 PCIe", "bf16", 756.0),
        ("NVIDIA A100-SXM4-80GB", "bf16", 312.0),
        ("NVIDIA A100-SXM4-80GB", "fp32", 19.5),
        ("Tesla V100-SXM2-16GB", "fp16", 125.0),
        ("Tesla V100-PCIE-32GB", "tf32", 14.0),
        ("NVIDIA L4", "bf16", 121.0),
        ("NVIDIA L40S", "bf16", 362.0),
        ("NVIDIA GeForce RTX 4090", "bf16", 165.2),
        ("AMD Instinct MI300A", "bf16", 980.6),
        ("AMD Instinct MI250X", "fp16", 191.5),
    ],
)
def test_peaks_of_known_gpus(name: str, precision: str, tflops: float) -> None:
    peak = datasheet_peak(name, precision)
    assert peak is not None
    assert peak.flops == pytest.approx(1e12 * tflops)
    assert peak.describe().startswith(f"{tflops:.3g} TFLOPS in ")
    assert "data sheet of " in peak.source


@pytest.mark.parametrize("name", ["NVIDIA A10G", "NVIDIA GeForce RTX 2080", "NVIDIA A1000", "Quadro T400", "Tesla K80"])
def test_unknown_gpus_are_measured(name: str) -> None:
    assert datasheet_peak(name, "fp32") is None
    assert datasheet_peak("Tesla V100-SXM2-16GB", "bf16") is None


@pytest.mark.parametrize("precision", ["none", "bf16", "fp16"])
def test_a_measured_peak_draws_no_random_number(precision: str) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    peak = device_peak(CPU, precision)
    assert torch.equal(torch.rand(2), expected)
    assert peak.flops > 0
    assert peak.source == "measured matrix-product peak"
    assert peak.precision == {"none": "fp32"}.get(precision, precision)
    assert measure_flops(CPU, torch.float32) > 0


def test_the_peak_of_memory_covers_allocated_tensors() -> None:
    before = peak_memory(CPU)
    held = torch.ones(200 * 10**6 // 4)
    assert peak_memory(CPU) >= before
    assert peak_memory(CPU) > held.numel() * 4
    assert peak_memory(CPU) > 10**7


def test_a_run_logs_all_of_it(encoder_run: tuple[PretrainConfig, Path]) -> None:
    records = read_records(encoder_run[1] / "metrics.jsonl")
    steps = [record for record in records if record["kind"] == "step"]
    epochs = [record for record in records if record["kind"] == "epoch"]
    assert len(epochs) == 2
    for number, epoch in enumerate(epochs):
        of_epoch = steps[3 * number : 3 * number + 3]
        seconds = sum(step["seconds"] for step in of_epoch)
        flops = sum(step["flops"] for step in of_epoch)
        assert epoch["flops_per_second"] == pytest.approx(flops / seconds)
        assert epoch["peak_share"] == pytest.approx(flops / seconds / epoch["peak_flops"])
        assert epoch["peak_memory"] == max(step["peak_memory"] for step in of_epoch) > 10**7
        assert 0 < epoch["slot_padding"] < 1
        assert epoch["token_padding"] == 0
        least, most = (choose(step["slot_padding"] for step in of_epoch) for choose in (min, max))
        assert least <= epoch["slot_padding"] <= most


def test_a_frozen_run_has_nothing_to_pad(
    train_config: Callable[..., TrainConfig], encoder_run: tuple[PretrainConfig, Path], tmp_path: Path
) -> None:
    config = train_config(tmp_path / "run", transfer=TransferOptions(encoder_run[1], freeze_base=True))
    records = read_records(train(config, quiet=True) / "metrics.jsonl")
    for record in records:
        assert record["token_padding"] == 0
        assert record["peak_share"] > 0
    assert all(record["slot_padding"] > 0 for record in records)  # draws differ: the sample level runs
