"""Model folders of every format that AAM ever wrote: they load, and predict what they predicted then."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from aam_data.options.files import MetadataOptions, TableOptions
from aam_data.preprocessing.rarefaction import Rarefier
from aam_data.study.study import read_study
from aam_models.requested import EMBEDDINGS
from aam_models.storage.folders import verify_folder
from aam_models.storage.model_folder import load_model
from aam_train.data.run_data import build_maker
from aam_train.engine.step import Step
from aam_train.evaluation.inference import run_samples
from aam_train.options.commands import PredictOptions
from aam_train.options.recipe_configs import PredictConfig
from aam_train.recipes.predict import predict
from aam_train.runs.records import read_preprocessor, read_training

MODELS = Path(__file__).parents[1] / "stored_models"
VERSIONS = sorted(folder.name for folder in MODELS.iterdir() if folder.is_dir() and folder.name.startswith("v"))


def numbers(file: Path) -> tuple[list[str], np.ndarray]:
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines, "excel-tab"))[1:]
    return [row[0] for row in rows], np.array([[float(cell) for cell in row[1:]] for row in rows])


def test_there_is_a_folder_of_the_first_format() -> None:
    assert VERSIONS[:9] == [f"v{number}" for number in range(1, 10)]
    assert json.loads((MODELS / "v1" / "encoder" / "config.json").read_text())["format_version"] == 1


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("model", "file"), [("number", "number.tsv"), ("classes", "classes_probabilities.tsv")])
def test_predictions_are_the_same(version: str, model: str, file: str, tmp_path: Path) -> None:
    options = PredictOptions(MODELS / version / model, tmp_path / f"{model}.tsv", device="cpu")
    predict(
        PredictConfig(TableOptions(MODELS / "table.tsv"), options, MetadataOptions(MODELS / "metadata.tsv")), quiet=True
    )
    ids, found = numbers(tmp_path / file)
    expected_ids, expected = numbers(MODELS / version / file)
    assert ids == expected_ids
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("version", VERSIONS)
def test_embeddings_are_the_same(version: str) -> None:
    folder = MODELS / version / "encoder"
    verify_folder(folder)
    preprocessor, study = read_preprocessor(folder), read_study(TableOptions(MODELS / "table.tsv"))
    assert read_training(folder).command == "pretrain"
    maker = build_maker(study, Rarefier(study.table, preprocessor.rarefy_depth, preprocessor.seed), preprocessor, 0)
    step = Step(load_model(folder), torch.device("cpu"))
    found = run_samples(step, maker, np.arange(study.table.n_samples), 32, EMBEDDINGS).embeddings
    assert found is not None
    ids, expected = numbers(folder.parent / "encoder.tsv")
    assert study.table.sample_ids.tolist() == ids
    assert found == pytest.approx(expected, abs=1e-6)
