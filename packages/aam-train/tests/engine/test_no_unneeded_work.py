"""No unneeded work: module calls of real runs, counted by hooks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from aam_data.options.files import TableOptions
from aam_data.options.samples import SampleOptions
from aam_data.preprocessing.dataset import SampleDataset
from aam_data.preprocessing.rarefaction import Rarefier
from aam_data.study.study import Study
from aam_models.batch.batch import Batch
from aam_models.build import build_encoder
from aam_models.config.encoder import ModelOptions
from aam_models.encoder.asv.base import AsvEncoder
from aam_models.encoder.value_head import ValueHead
from aam_models.predictor.predictor import Predictor
from aam_models.requested import EMBEDDINGS, EVERYTHING, RequestedOutputs, requested_heads
from aam_train.data.corruptions import HideCounts, MaskBases
from aam_train.data.loading import BatchRequest
from aam_train.data.run_data import RunData, build_data
from aam_train.engine.step import Step
from aam_train.evaluation.inference import run_passes
from aam_train.objectives.base import SampleSet, Sources
from aam_train.objectives.registry import build_objective
from aam_train.objectives.validation import EncoderValidator
from aam_train.options.commands import EmbedOptions, PredictOptions
from aam_train.options.objective import MaskingOptions
from aam_train.options.recipe_configs import EmbedConfig, PredictConfig, PretrainConfig, TrainConfig
from aam_train.options.run import TransferOptions
from aam_train.recipes.embed import embed
from aam_train.recipes.predict import predict
from aam_train.recipes.train import train
from aam_train.reporting.records import Reporters
from aam_train.runs.records import read_preprocessor
from aam_train.setup.architecture import new_encoder_config

ALL = {"unifrac": 1.0, "faith_pd": 1.0, "nucleotides": 1.0, "counts": 1.0}
SMALL = ModelOptions(preset="tiny", embedding_dim=16, attention_heads=2, attention_layers=1)
CPU = torch.device("cpu")


@contextmanager
def calls() -> Iterator[Counter[str]]:
    """Count module calls within the context by class name, and encoded ASVs as "ASVs"."""
    found: Counter[str] = Counter()

    def note(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        found[type(module).__name__] += 1
        if isinstance(module, AsvEncoder):
            batch: Batch = inputs[0]
            found["ASVs"] += batch.n_asvs

    handle = nn.modules.module.register_module_forward_pre_hook(note)
    try:
        yield found
    finally:
        handle.remove()


def step_of(data: RunData, weights: dict[str, float]) -> Step:
    torch.manual_seed(0)
    model = build_encoder(new_encoder_config(SMALL, data.preprocessor.max_bp, weights))
    return Step(model, CPU)


@pytest.mark.parametrize("passes", [1, 3])
def test_a_prediction_encodes_every_asv_once(
    number_run: tuple[TrainConfig, Path], files: Path, study: Study, passes: int, tmp_path: Path
) -> None:
    options = PredictOptions(number_run[1], tmp_path / "p.tsv", batch_size=5, device="cpu", prediction_passes=passes)
    with calls() as found:
        predict(PredictConfig(TableOptions(files / "table.biom"), options), quiet=True)
    assert found["TransformerAsvEncoder"] == 1
    assert found["SampleEncoder"] == passes * -(-study.table.n_samples // 5)
    preprocessor = read_preprocessor(number_run[1] / "checkpoints" / "best")
    samples = SampleDataset(study, Rarefier(study.table, preprocessor.rarefy_depth, preprocessor.seed), preprocessor)
    assert found["ASVs"] == len(samples.drawn_asvs(np.arange(24), [-1, -2, -3][:passes]))
    assert found["ValueHead"] == 0


def test_every_asv_of_all_passes_is_encoded_once(
    pretrain_config: Callable[..., PretrainConfig], study: Study, data: RunData
) -> None:
    data = build_data(pretrain_config(Path()), study, data.splits, depth=5, max_bp=150, reporter=Reporters())
    step, rows = step_of(data, ALL), np.arange(3)
    union = data.maker.samples.drawn_asvs(rows, [-1, -2, -3])
    one = data.maker.samples.drawn_asvs(rows, [-1])
    assert len(one) < len(union)
    with calls() as found:
        together = run_passes(step, data.maker, rows, 2, EMBEDDINGS, 3)
    assert found["ASVs"] == len(union)
    with calls() as found:
        (alone,) = run_passes(step, data.maker, rows, 2, EMBEDDINGS, 1)
    assert found["ASVs"] == len(one)
    assert together[0].embeddings == pytest.approx(alone.embeddings, abs=1e-5)


def test_embedding_runs_no_head(number_run: tuple[TrainConfig, Path], files: Path, tmp_path: Path) -> None:
    options = EmbedOptions(number_run[1], tmp_path / "e.tsv", device="cpu")
    with calls() as found:
        embed(EmbedConfig(TableOptions(files / "table.biom"), options), quiet=True)
    assert (found["TransformerAsvEncoder"], found["SampleEncoder"], found[Predictor.__name__]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("wanted", "heads"),
    [
        (RequestedOutputs(), set()),
        (EMBEDDINGS, set()),
        (requested_heads("faith_pd"), {"faith_pd"}),
        (requested_heads("nucleotides"), {"nucleotides"}),
        (requested_heads("counts", "taxonomy"), {"counts"}),
        (EVERYTHING, {"faith_pd", "nucleotides", "counts"}),
    ],
)
@pytest.mark.parametrize("training", [False, True])
def test_heads_run_where_they_are_wanted(
    data: RunData, wanted: RequestedOutputs, heads: set[str], training: bool
) -> None:
    step = step_of(data, ALL)
    encoder = step.encoder
    assert isinstance(encoder.faith_pd_head, ValueHead)
    modules = {
        "faith_pd": encoder.faith_pd_head,
        "nucleotides": encoder.asv_encoder.nucleotide_head,
        "counts": encoder.count_head,
    }
    ran: set[str] = set()
    for name, module in modules.items():
        assert module is not None
        module.register_forward_hook(lambda *_, name=name: ran.add(name))
    batch = data.maker[BatchRequest(np.arange(4), 0, (MaskBases(0.2), HideCounts(0.5)))]
    encoder.train(training)
    every = step.run(batch, EVERYTHING).encoded
    ran.clear()
    with FlopCounterMode(display=False) as counter:
        found = step.run(batch, wanted).encoded
    assert ran == heads
    assert torch.equal(found.sample_embeddings, every.sample_embeddings)
    with FlopCounterMode(display=False) as of_everything:
        step.run(batch, EVERYTHING)
    saved = {
        "faith_pd": 2 * 4 * 16,
        "nucleotides": 2 * len(batch.masked_rows) * 16 * 4,
        "counts": 2 * batch.slots.numel() * 16,
    }
    less = of_everything.get_total_flops() - counter.get_total_flops()
    assert less == sum(flops for name, flops in saved.items() if name not in heads)


def test_a_training_step_asks_for_what_has_a_weight(data: RunData) -> None:
    step = step_of(data, ALL)
    objective = build_objective({"unifrac": 1.0}, Sources(data.pairs))
    batch = data.maker[BatchRequest(np.arange(4), 0, (MaskBases(0.2), HideCounts(0.5)))]
    true = objective.look_up(batch)
    step.train_mode()
    with calls() as found:
        terms = step.losses(batch, objective, true, objective.counts(batch, true)).terms
    assert terms.keys() == {"unifrac"}
    assert found["ValueHead"] == 0
    assert objective.outputs == RequestedOutputs()
    everything = requested_heads("nucleotides", "counts", "faith_pd")
    assert build_objective(ALL, Sources(data.pairs)).outputs == everything


def test_validation_encodes_every_asv_once_and_once_more_masked(data: RunData) -> None:
    step, rows = step_of(data, ALL), data.rows["validation"]
    masking = MaskingOptions(nuc_mask_ratio=0.2, count_mask_ratio=0.5)
    objective = build_objective(ALL, Sources(data.pairs, masking=masking))
    assert step.encoder.distance_head is not None
    asvs = data.drawn_asvs("validation")
    with calls() as found:
        metrics = EncoderValidator(objective.encoder, SampleSet(data.maker, rows, asvs, 2))(step)
    assert found["ASVs"] == 2 * len(asvs)
    assert {"unifrac_r", "faith_pd_r", "nucleotide_accuracy", "count_mse"} <= metrics.keys()
    with calls() as found:
        bases = build_objective({"nucleotides": 1.0}, Sources(masking=masking))
        EncoderValidator(bases.encoder, SampleSet(data.maker, rows, asvs, 2))(step)
    assert (found["ASVs"], found["SampleEncoder"]) == (len(asvs), 0)


def test_without_rarefaction_a_frozen_run_keeps_samples_and_no_asvs(
    train_config: Callable[..., TrainConfig], encoder_run: tuple[PretrainConfig, Path], tmp_path: Path
) -> None:
    config = train_config(
        tmp_path / "run",
        encoder_run[1],
        transfer=TransferOptions(encoder_run[1], freeze_base=True),
        sample=SampleOptions(rarefy_depth=0),
    )
    with calls() as found:
        train(config, quiet=True)
    assert found["TransformerAsvEncoder"] == 1
    assert found["SampleEncoder"] == 5  # batches of 5 of 24 samples, before the first step
