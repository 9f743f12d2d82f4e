"""`run_predict`: the run's own predictions again, whatever the order, the batches or the other samples."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aam_data.errors import DataError
from aam_data.options.files import MetadataOptions, TableOptions
from aam_data.options.frame import FrameOptions
from aam_data.options.samples import SampleOptions
from aam_data.options.simulate import SimulateOptions
from aam_data.options.targets import TargetOptions
from aam_data.simulate.study import SimulatedStudy, simulate_study, write_simulated_study
from aam_data.study.study import Study
from aam_models.errors import ModelError
from aam_train.errors import TrainError
from aam_train.options.commands import PredictOptions
from aam_train.options.recipe_configs import PredictConfig, PretrainConfig, TrainConfig
from aam_train.recipes.predict import predict as run_predict
from aam_train.recipes.train import train


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, dialect="excel-tab"))


def predicted(path: Path) -> dict[str, str]:
    return {row["sample-id"]: row["prediction"] for row in rows_of(path)}


def predict(run: Path, table: Path | TableOptions, output: Path, batch_size: int = 32) -> list[Path]:
    options = table if isinstance(table, TableOptions) else TableOptions(table)
    config = PredictConfig(options, PredictOptions(run, output, batch_size=batch_size, device="cpu"))
    return run_predict(config, quiet=True)


def assert_same(found: dict[str, str], expected: dict[str, str]) -> None:
    assert found.keys() == expected.keys()
    for sample, value in expected.items():
        assert float(found[sample]) == pytest.approx(float(value), rel=1e-5), sample


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_the_runs_own_predictions_again(
    number_run: tuple[TrainConfig, Path], files: Path, batch_size: int, tmp_path: Path
) -> None:
    _, run = number_run
    written = predict(run, files / "table.biom", tmp_path / "predictions.tsv", batch_size)
    assert written == [tmp_path / "predictions.tsv", tmp_path / "predictions_full.tsv"]
    assert sorted(tmp_path.iterdir()) == sorted(written)
    found = predicted(tmp_path / "predictions.tsv")
    assert_same(found, {row["sample-id"]: row["prediction"] for row in rows_of(run / "predictions_full.tsv")})
    held_out = predicted(run / "predictions.tsv")
    assert_same({sample: found[sample] for sample in held_out}, held_out)


def test_the_order_of_the_table_changes_nothing(
    number_run: tuple[TrainConfig, Path], simulated: SimulatedStudy, files: Path, tmp_path: Path
) -> None:
    random = np.random.default_rng(1)
    samples, features = (random.permutation(n) for n in (simulated.table.n_samples, simulated.table.n_features))
    table = simulated.table.take_samples(samples)
    table = table.regroup_features(np.argsort(features), simulated.table.feature_ids[features])
    write_simulated_study(replace(simulated, table=table), tmp_path)
    predict(number_run[1], tmp_path / "table.biom", tmp_path / "permuted.tsv", 7)
    predict(number_run[1], files / "table.biom", tmp_path / "plain.tsv")
    permuted, plain = predicted(tmp_path / "permuted.tsv"), predicted(tmp_path / "plain.tsv")
    assert list(permuted) == table.sample_ids.tolist() != list(plain)
    assert_same(permuted, plain)


def test_a_sample_does_not_depend_on_the_others(
    number_run: tuple[TrainConfig, Path], simulated: SimulatedStudy, tmp_path: Path
) -> None:
    few = simulated.table.take_samples(np.array([5, 3]))
    write_simulated_study(replace(simulated, table=few), tmp_path)
    predict(number_run[1], tmp_path / "table.biom", tmp_path / "few.tsv")
    expected = {row["sample-id"]: row["prediction"] for row in rows_of(number_run[1] / "predictions_full.tsv")}
    assert_same(predicted(tmp_path / "few.tsv"), {sample: expected[sample] for sample in ("S06", "S04")})


def test_a_table_that_shares_no_asv_with_training(
    number_run: tuple[TrainConfig, Path], simulated: SimulatedStudy, tmp_path: Path
) -> None:
    other = simulate_study(SimulateOptions(samples=9, asvs=40, hosts=3, bases=60, depth=300, seed=99))
    assert not set(other.table.feature_ids) & set(simulated.table.feature_ids)
    write_simulated_study(other, tmp_path)
    table, options = TableOptions(tmp_path / "table.biom"), PredictOptions(number_run[1], tmp_path / "predictions.tsv")
    with pytest.raises(DataError, match=r"another region or primer: .* --frame ignore to go on"):
        run_predict(PredictConfig(table, options), quiet=True)
    run_predict(PredictConfig(table, options, frame=FrameOptions("ignore")), quiet=True)
    values = [float(value) for value in predicted(tmp_path / "predictions.tsv").values()]
    assert len(values) == 9
    assert np.isfinite(values).all()


def test_samples_that_cannot_be_predicted_are_listed(
    number_run: tuple[TrainConfig, Path],
    study: Study,
    write_table: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sequences = study.table.feature_ids[:5].tolist()
    counts = np.array([[60, 40, 0, 0, 0], [99, 0, 0, 0, 0], [0, 0, 0, 0, 0], [50, 50, 50, 50, 50]])
    table = write_table(tmp_path / "table.biom", ["enough", "shallow", "empty", "deep"], sequences, counts)
    config = PredictConfig(TableOptions(table), PredictOptions(number_run[1], tmp_path / "predictions.tsv"))
    run_predict(config)
    assert "2 samples predicted, 2 not; " in capsys.readouterr().err
    assert list(predicted(tmp_path / "predictions.tsv")) == ["enough", "deep"]
    full = rows_of(tmp_path / "predictions_full.tsv")
    assert list(full[0]) == ["sample-id", "target", "prediction", "note"]
    notes = {row["sample-id"]: row["note"] for row in full}
    assert notes == {
        "enough": "",
        "deep": "",
        "shallow": "not predicted: 99 reads, fewer than 100",
        "empty": "not predicted: no reads",
    }
    assert {row["sample-id"]: row["prediction"] != "" for row in full}["shallow"] is False


def test_named_class_probabilities(class_run: tuple[TrainConfig, Path], files: Path, tmp_path: Path) -> None:
    written = predict(class_run[1], files / "table.biom", tmp_path / "p.tsv", 5)
    assert [path.name for path in written] == ["p.tsv", "p_probabilities.tsv", "p_full.tsv"]
    shares, names = rows_of(tmp_path / "p_probabilities.tsv"), predicted(tmp_path / "p.tsv")
    assert list(shares[0]) == ["sample-id", "healthy", "stressed"]
    for row in shares:
        healthy, stressed = float(row["healthy"]), float(row["stressed"])
        assert healthy + stressed == pytest.approx(1, abs=1e-7)
        assert names[row["sample-id"]] == ("healthy" if healthy > stressed else "stressed")
    own = {row["sample-id"]: row for row in rows_of(class_run[1] / "predictions_probabilities.tsv")}
    for row in shares:
        if row["sample-id"] in own:
            assert float(row["healthy"]) == pytest.approx(float(own[row["sample-id"]]["healthy"]), abs=1e-5)


@pytest.fixture(scope="module")
def trimmed_run(
    train_config: Callable[..., TrainConfig], files: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainConfig, Path]:
    """Two targets with odd names, sequences trimmed to 30 bases, no rarefaction, at most 5 ASVs a sample."""
    folder = tmp_path_factory.mktemp("trimmed")
    metadata = pd.read_csv(files / "metadata.tsv", sep="\t", dtype=str)
    metadata = metadata.rename(columns={"degree_days": "../degree $days$", "depth": "de|pth"})
    metadata.to_csv(folder / "metadata.tsv", sep="\t", index=False)
    config = train_config(
        folder / "run",
        table=TableOptions(files / "table.biom", trim_length=30),
        metadata=MetadataOptions(folder / "metadata.tsv"),
        target=TargetOptions(("../degree $days$", "de|pth")),
        sample=SampleOptions(rarefy_depth=0, max_asvs=5),
    )
    return config, train(config, quiet=True)


def test_several_targets_have_a_file_each(trimmed_run: tuple[TrainConfig, Path], files: Path, tmp_path: Path) -> None:
    _, run = trimmed_run
    written = predict(run, files / "table.biom", tmp_path / "new.tsv", 7)
    assert [path.name for path in written] == ["new-1.tsv", "new-2.tsv", "new_full.tsv"]
    full = rows_of(run / "predictions_full.tsv")
    for number, target in enumerate(("../degree $days$", "de|pth"), 1):
        expected = {row["sample-id"]: row["prediction"] for row in full if row["target"] == target}
        assert_same(predicted(tmp_path / f"new-{number}.tsv"), expected)
    assert {path.name for path in (run / "report").iterdir()} >= {"predicted_vs_true-1.png", "comparison-2.png"}


def test_the_model_says_how_sequences_are_trimmed(
    trimmed_run: tuple[TrainConfig, Path], files: Path, tmp_path: Path
) -> None:
    table = TableOptions(files / "table.biom", trim_length=30)
    predict(trimmed_run[1], table, tmp_path / "given.tsv")
    predict(trimmed_run[1], files / "table.biom", tmp_path / "own.tsv")
    assert (tmp_path / "given-1.tsv").read_bytes() == (tmp_path / "own-1.tsv").read_bytes()
    with pytest.raises(TrainError, match="--trim-length 35: the model needs 30"):
        predict(trimmed_run[1], replace(table, trim_length=35), tmp_path / "wrong.tsv")


def test_models_that_predict_nothing_are_refused(
    encoder_run: tuple[PretrainConfig, Path],
    number_run: tuple[TrainConfig, Path],
    files: Path,
    tmp_path: Path,
) -> None:
    output = tmp_path / "out" / "predictions.tsv"
    output.parent.mkdir()
    with pytest.raises(TrainError, match="a pretrained encoder predicts no targets"):
        predict(encoder_run[1], files / "table.biom", output)
    with pytest.raises(TrainError, match="absent: no such folder"):
        predict(tmp_path / "absent", files / "table.biom", output)
    with pytest.raises(ModelError, match="not a model folder"):
        predict(files, files / "table.biom", output)
    damaged = tmp_path / "damaged"
    shutil.copytree(number_run[1] / "checkpoints" / "best", damaged)
    preprocessor = json.loads((damaged / "preprocessor.json").read_text())
    (damaged / "preprocessor.json").write_text(json.dumps(preprocessor | {"rarefy_depth": 1}))
    with pytest.raises(ModelError, match=r"preprocessor.json: the file was changed or is damaged"):
        predict(damaged, files / "table.biom", output)
    assert list(output.parent.iterdir()) == []


def test_a_model_folder_can_be_moved_and_used_alone(
    number_run: tuple[TrainConfig, Path], files: Path, tmp_path: Path
) -> None:
    shutil.copytree(number_run[1] / "checkpoints" / "best", tmp_path / "model")
    predict(tmp_path / "model", files / "table.biom", tmp_path / "moved.tsv")
    predict(number_run[1], files / "table.biom", tmp_path / "run.tsv")
    assert (tmp_path / "moved.tsv").read_bytes() == (tmp_path / "run.tsv").read_bytes()


def test_outputs_that_would_harm_are_refused(number_run: tuple[TrainConfig, Path], files: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.tsv"  # BIOM, of any name
    shutil.copy(files / "table.biom", table)
    with pytest.raises(DataError, match="--output is the file passed to --table"):
        predict(number_run[1], table, table)
    full = table.rename(tmp_path / "p_full.tsv")
    with pytest.raises(DataError, match=r"p_full.tsv: is written next to --output p.tsv and is the file .* --table"):
        predict(number_run[1], full, tmp_path / "p.tsv")
    full.rename(table)
    with pytest.raises(DataError, match="--output is a folder"):
        predict(number_run[1], table, tmp_path)
    with pytest.raises(DataError, match="the folder of --output does not exist"):
        predict(number_run[1], table, tmp_path / "absent" / "p.tsv")
    with pytest.raises(TrainError, match="must differ from the model's own folder"):
        predict(number_run[1], table, number_run[1] / "checkpoints" / "best" / "p.tsv")
    assert table.read_bytes() == (files / "table.biom").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["table.tsv"]
