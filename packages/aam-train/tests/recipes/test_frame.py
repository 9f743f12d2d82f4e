"""Tables whose reads start elsewhere or are of the other strand, in every command that has a model."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aam_data.errors import DataError
from aam_data.options.files import MetadataOptions, TableOptions
from aam_data.options.frame import FrameOptions
from aam_data.options.samples import SplitOptions
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.simulate.study import SimulatedStudy
from aam_data.study.orientation import reverse_complement
from aam_train.options.commands import BaselineOptions, EmbedOptions, EvaluateOptions, PredictOptions
from aam_train.options.recipe_configs import (
    BaselineConfig,
    EmbedConfig,
    EvaluateConfig,
    PredictConfig,
    PretrainConfig,
    TrainConfig,
)
from aam_train.recipes.embed import embed
from aam_train.recipes.evaluate import evaluate
from aam_train.recipes.inputs import read_run_inputs
from aam_train.recipes.predict import predict
from aam_train.recipes.random_forest import random_forest_baseline
from aam_train.recipes.train import train
from aam_train.runs.checkpoints import model_folder
from aam_train.runs.records import read_preprocessor
from aam_train.show.model import describe_model

PRIMER = "GTGCCAGCAGCCGCGGTAA"
CHANGES: dict[str, Callable[[str], str]] = {
    "other strand": lambda s: reverse_complement(s.encode()).decode(),
    "primer": lambda s: PRIMER + s,
    "longer": lambda s: PRIMER + s + "ACGTACGTAC",
    "5 bases later": lambda s: s[5:],
}


def numbers(path: Path) -> tuple[list[str], np.ndarray]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, dialect="excel-tab"))[1:]
    return [row[0] for row in rows], np.array([[float(cell) for cell in row[1:]] for row in rows])


@pytest.fixture(scope="module")
def changed_tables(
    simulated: SimulatedStudy, write_table: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    folder, table = tmp_path_factory.mktemp("changed"), simulated.table
    counts = np.zeros((table.n_samples, table.n_features))
    for sample in range(table.n_samples):
        features, reads = table.data.row(sample)
        counts[sample, features] = reads
    tables = {}
    for name, change in CHANGES.items():
        letters = [change(one) for one in table.feature_ids]
        unique = sorted(set(letters))
        summed = np.stack([counts[:, [one == u for one in letters]].sum(axis=1) for u in unique], axis=1)
        tables[name] = write_table(folder / f"{name}.biom", list(table.sample_ids), unique, summed)
    return tables


def test_a_run_stores_the_frame_of_its_training_reads(number_run: tuple[TrainConfig, Path]) -> None:
    preprocessor = read_preprocessor(model_folder(number_run[1]))
    frame = preprocessor.frame
    assert frame is not None
    assert frame.length == 40
    assert frame.is_informative
    assert Preprocessor.from_dict(preprocessor.to_dict()) == preprocessor
    (shown,) = (text for name, text in describe_model(number_run[1]) if name == "frame")
    assert shown == f"sequences that start like {frame.consensus[:20]}, up to 40 bases"


@pytest.mark.parametrize("change", ["other strand", "primer", "longer"])
def test_predictions_are_those_of_the_reads_in_the_frame(
    change: str,
    changed_tables: dict[str, Path],
    number_run: tuple[TrainConfig, Path],
    files: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, table in (("as it is", files / "table.biom"), ("changed", changed_tables[change])):
        options = PredictOptions(number_run[1], tmp_path / f"{name}.tsv", device="cpu")
        predict(PredictConfig(TableOptions(table), options))
    (ids, expected), (same_ids, found) = (numbers(tmp_path / f"{name}.tsv") for name in ("as it is", "changed"))
    assert ids == same_ids
    assert found == pytest.approx(expected, rel=1e-5)
    assert "brought into the frame of the model" in " ".join(capsys.readouterr().err.split())


def test_reads_that_start_later_keep_their_positions(
    changed_tables: dict[str, Path], encoder_run: tuple[PretrainConfig, Path], files: Path, tmp_path: Path
) -> None:
    moves = {}
    for name, table, frame in (
        ("whole", files / "table.biom", "auto"),
        ("later", changed_tables["5 bases later"], "auto"),
        ("ignored", changed_tables["5 bases later"], "ignore"),
    ):
        options = EmbedOptions(encoder_run[1], tmp_path / f"{name}.tsv", device="cpu")
        embed(EmbedConfig(TableOptions(table), options, FrameOptions(frame)), quiet=True)
        moves[name] = numbers(tmp_path / f"{name}.tsv")[1]
    near, far = (np.abs(moves[name] - moves["whole"]).mean() for name in ("later", "ignored"))
    assert near < far / 2


def test_models_are_evaluated_in_their_frame(
    changed_tables: dict[str, Path], number_run: tuple[TrainConfig, Path], files: Path, tmp_path: Path
) -> None:
    metadata = MetadataOptions(files / "metadata.tsv")
    for name, table in (("as it is", files / "table.biom"), ("turned", changed_tables["other strand"])):
        evaluate(EvaluateConfig(TableOptions(table), EvaluateOptions(number_run[1], tmp_path / name), metadata))
    whole, turned = (numbers(tmp_path / name / "predictions.tsv")[1] for name in ("as it is", "turned"))
    assert turned == pytest.approx(whole, rel=1e-5)


def test_training_starts_in_the_frame_of_the_encoder(
    changed_tables: dict[str, Path],
    train_config: Callable[..., TrainConfig],
    encoder_run: tuple[PretrainConfig, Path],
    files: Path,
    tmp_path: Path,
) -> None:
    table = TableOptions(changed_tables["other strand"])
    run = train(train_config(tmp_path / "run", encoder_run[1], {"epochs": 1}, table=table), quiet=True)
    frame = read_preprocessor(model_folder(encoder_run[1])).frame
    assert read_preprocessor(model_folder(run)).frame == frame
    options = BaselineOptions(output=tmp_path / "forest.tsv", n_estimators=20)
    split = SplitOptions(splits_from=run)
    random_forest_baseline(BaselineConfig(table, MetadataOptions(files / "metadata.tsv"), options, split))
    forest = json.loads((tmp_path / "forest_metrics.json").read_text())["targets"]["degree_days"]["random_forest"]
    own = json.loads((run / "report" / "results.json").read_text())["targets"]["degree_days"]["random_forest"]
    assert forest == own
    primer = TableOptions(changed_tables["primer"])
    config = train_config(tmp_path / "other", encoder_run[1], table=primer, frame=FrameOptions("ignore"))
    assert read_run_inputs(config).study.sequences.lengths.max() == 40 + len(PRIMER)
    with pytest.raises(ValueError, match="--frame ignore only applies with --pretrained-encoder"):
        train_config(tmp_path / "scratch", frame=FrameOptions("ignore"))


def test_another_gene_stops(
    number_run: tuple[TrainConfig, Path], study: object, write_table: Callable[..., Path], tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    sequences = ["".join(random.choice(list("ACGT"), 40)) for _ in range(10)]
    table = write_table(tmp_path / "table.biom", ["a", "b"], sequences, np.full((2, 10), 50))
    options = PredictOptions(number_run[1], tmp_path / "predictions.tsv")
    with pytest.raises(
        DataError, match=r"table.biom: another region or primer: this model reads sequences that"
    ) as raised:
        predict(PredictConfig(TableOptions(table), options), quiet=True)
    assert raised.value.code == "sequences-other-region"
    assert not options.output.exists()
