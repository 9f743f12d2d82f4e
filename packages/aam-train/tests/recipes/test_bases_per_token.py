"""`--bases-per-token` from pretraining to predictions: stored, reported, kept by what starts from the encoder."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from aam_data.options.files import TableOptions
from aam_models.config.encoder import ModelOptions
from aam_train.errors import TrainError
from aam_train.options.commands import PredictOptions
from aam_train.options.recipe_configs import PredictConfig, PretrainConfig
from aam_train.recipes.predict import predict
from aam_train.recipes.pretrain import pretrain
from aam_train.recipes.train import train
from aam_train.reporting.jsonl import read_records
from aam_train.show.model import describe_model

Configs = Callable[..., Any]
OF_FOUR = ModelOptions(preset="tiny", embedding_dim=16, attention_heads=2, attention_layers=1, bases_per_token=4)


@pytest.fixture(scope="module")
def run_of_four(
    pretrain_config: Callable[..., PretrainConfig], tmp_path_factory: pytest.TempPathFactory
) -> tuple[PretrainConfig, Path]:
    config = pretrain_config(tmp_path_factory.mktemp("four") / "run", model=OF_FOUR)
    return config, pretrain(config, quiet=True)


def test_pretraining_stores_it_and_needs_fewer_operations(
    run_of_four: tuple[PretrainConfig, Path], encoder_run: tuple[PretrainConfig, Path]
) -> None:
    assert json.loads((run_of_four[1] / "checkpoints/best/config.json").read_text())["model"]["bases_per_token"] == 4
    assert "bases_per_token = 4" in (run_of_four[1] / "config.toml").read_text()
    assert dict(describe_model(run_of_four[1]))["encoder"] == "16 wide, 2 heads, 1 + 1 layers, 4 bases per token"
    assert dict(describe_model(encoder_run[1]))["encoder"] == "16 wide, 2 heads, 1 + 1 layers"
    four, one = (
        [record for record in read_records(run / "metrics.jsonl") if record["kind"] == "step"]
        for run in (run_of_four[1], encoder_run[1])
    )
    assert [step["asvs"] for step in four] == [step["asvs"] for step in one]
    assert all(step["flops"] < other["flops"] / 2 for step, other in zip(four, one, strict=True))
    results = json.loads((run_of_four[1] / "report/results.json").read_text())
    assert 0 < results["aam"]["nucleotide_accuracy"] < 1


def test_what_starts_from_the_encoder_keeps_it(
    run_of_four: tuple[PretrainConfig, Path], train_config: Configs, files: Path, tmp_path: Path
) -> None:
    run = train(train_config(tmp_path / "run", run_of_four[1], run={"epochs": 1}), quiet=True)
    best = run / "checkpoints" / "best"
    assert json.loads((best / "config.json").read_text())["model"]["encoder"]["bases_per_token"] == 4
    start = load_file(run_of_four[1] / "checkpoints" / "best" / "model.safetensors")
    now = load_file(best / "model.safetensors")
    shape = {name: value.shape for name, value in start.items() if name.startswith("asv_encoder.token_embedding")}
    assert shape == {"asv_encoder.token_embedding.weight": (32, 16)}
    assert now["encoder.asv_encoder.token_embedding.weight"].shape == (32, 16)
    table = TableOptions(files / "table.biom")
    predict(PredictConfig(table, PredictOptions(run, tmp_path / "predictions.tsv", device="cpu")), quiet=True)
    with (tmp_path / "predictions.tsv").open() as lines:
        predicted = [float(row[1]) for row in list(csv.reader(lines, "excel-tab"))[1:]]
    assert len(predicted) > 10
    assert np.isfinite(predicted).all()


@pytest.mark.parametrize("given", [1, 2])
def test_another_number_than_that_of_the_encoder_is_an_error(
    given: int, run_of_four: tuple[PretrainConfig, Path], train_config: Configs, tmp_path: Path
) -> None:
    config = train_config(tmp_path / "run", run_of_four[1], model=ModelOptions(bases_per_token=given))
    with pytest.raises(TrainError, match=rf"--bases-per-token {given} \(it has 4\)\. Omit them"):
        train(config, quiet=True)
