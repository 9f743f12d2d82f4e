"""Scales of targets from training to prediction: by category, of logarithms, and in model folders of older versions."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aam_data.errors import DataError
from aam_data.options.files import MetadataOptions, TableOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.options.simulate import SimulateOptions
from aam_data.options.targets import TargetOptions
from aam_data.simulate.study import simulate_study, write_simulated_study
from aam_models.config.predictor_options import HeadOptions
from aam_models.storage.folders import new_folder
from aam_train.options.commands import PredictOptions
from aam_train.options.recipe_configs import PredictConfig, TrainConfig
from aam_train.options.toml import config_from_toml, config_to_toml
from aam_train.recipes.predict import predict as run_predict
from aam_train.recipes.train import train
from aam_train.show.show import describe

MakeConfig = Callable[..., TrainConfig]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, dialect="excel-tab"))


def column(rows: list[dict[str, str]], name: str) -> dict[str, float]:
    return {row["sample-id"]: float(row[name]) for row in rows}


def predict(run: Path, sited: Path, output: Path, metadata: Path | None) -> dict[str, float]:
    options = PredictOptions(run, output, device="cpu")
    run_predict(PredictConfig(TableOptions(sited / "table.biom"), options, MetadataOptions(metadata)))
    return {row["sample-id"]: float(row["prediction"]) for row in rows_of(output)}


@pytest.fixture(scope="module")
def sited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 samples of 30 hosts; 26 of them of site a, 24 of b, 8 of c, 2 without a site."""
    folder = tmp_path_factory.mktemp("study")
    study = simulate_study(SimulateOptions(samples=60, asvs=60, hosts=30, bases=40, depth=300, seed=5))
    write_simulated_study(study, folder)
    metadata = pd.read_csv(folder / "metadata.tsv", sep="\t", dtype=str)
    metadata["site"] = (["a", "b"] * 24 + ["a", "a"] + ["c"] * 8 + ["", ""])[: len(metadata)]
    metadata.to_csv(folder / "metadata.tsv", sep="\t", index=False)
    return folder


@pytest.fixture(scope="module")
def make_run(train_config: MakeConfig, sited: Path) -> Callable[..., Path]:
    def run(folder: Path, **target: object) -> Path:
        config = train_config(
            folder / "run",
            table=TableOptions(sited / "table.biom"),
            metadata=MetadataOptions(sited / "metadata.tsv"),
            target=TargetOptions(("degree_days",), **target),
            head=HeadOptions(),
            split=SplitOptions(group_column="host"),
            sample=SampleOptions(rarefy_depth=50),
        )
        return train(config)

    return run


@pytest.fixture(scope="module")
def by_site(make_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("by_site"), target_transform="zscore-category", normalize_by=("site",))


def scales_of(run: Path) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Mean and standard deviation of all training samples, and by site."""
    saved = json.loads((run / "checkpoints" / "best" / "preprocessor.json").read_text())
    assert saved["format_version"] == 6
    (target,) = saved["targets"]
    return target["transform"], {each["values"][0]: each["transform"] for each in target["by_category"]["categories"]}


def test_scales_are_those_of_the_training_samples_of_each_category(by_site: Path, sited: Path) -> None:
    overall, sites = scales_of(by_site)
    full = rows_of(by_site / "predictions_full.tsv")
    site_of = {row["sample-id"]: row["site"] for row in rows_of(sited / "metadata.tsv")}
    train = {i: value for i, value in column(full, "truth").items() if i in ids_of(full, "train")}
    assert set(sites) == {"a", "b"}
    for site, scale in [*sites.items(), (None, overall)]:
        values = [value for i, value in train.items() if site in (None, site_of[i])]
        assert scale["mean"] == pytest.approx(np.mean(values), rel=1e-5)
        assert scale["std"] == pytest.approx(np.std(values), rel=1e-5)


def ids_of(full: list[dict[str, str]], part: str) -> set[str]:
    return {row["sample-id"] for row in full if row["split"] == part}


def test_reports_are_in_the_units_of_the_column(by_site: Path, sited: Path) -> None:
    full = rows_of(by_site / "predictions_full.tsv")
    known = {row["sample-id"]: float(row["degree_days"]) for row in rows_of(sited / "metadata.tsv")}
    assert column(full, "truth") == pytest.approx(known, rel=1e-5)
    predicted, held_out = column(full, "prediction"), ids_of(full, "test")
    found = json.loads((by_site / "report" / "results.json").read_text())["targets"]["degree_days"]
    assert found["aam"]["mae"] == pytest.approx(np.mean([abs(predicted[i] - known[i]) for i in held_out]), rel=1e-5)
    overall, sites = scales_of(by_site)
    site_of = {row["sample-id"]: row["site"] for row in rows_of(sited / "metadata.tsv")}
    learned = ids_of(full, "train") | ids_of(full, "validation")
    constant = np.mean(
        [(known[i] - sites.get(site_of[i], overall)["mean"]) / sites.get(site_of[i], overall)["std"] for i in learned]
    )
    means = {i: (s := sites.get(site_of[i], overall))["mean"] + constant * s["std"] for i in held_out}
    wanted = np.mean([abs(means[i] - known[i]) for i in held_out])  # so a constant knows the sites, as the model does
    assert found["constant"]["mae"] == pytest.approx(wanted, rel=1e-4)


def test_prediction_takes_the_categories_from_metadata(
    by_site: Path, sited: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = predict(by_site, sited, tmp_path / "again.tsv", sited / "metadata.tsv")
    assert again == pytest.approx(column(rows_of(by_site / "predictions_full.tsv"), "prediction"), rel=1e-5)
    assert (
        "warning: 10 of 60 samples use the common scale of degree_days, because the model has no scale for their "
        "site: no training sample had this category, fewer than 10 had, or their values were almost equal "
        "(no value: 2, c: 8)"
    ) in " ".join(capsys.readouterr().err.split())

    metadata = pd.read_csv(sited / "metadata.tsv", sep="\t", dtype=str)
    before = dict(zip(metadata["sample-id"], metadata["site"], strict=True))
    metadata["site"] = "never seen"
    metadata.to_csv(tmp_path / "moved.tsv", sep="\t", index=False)
    moved = predict(by_site, sited, tmp_path / "moved_predictions.tsv", tmp_path / "moved.tsv")
    overall, sites = scales_of(by_site)
    for i, value in again.items():
        own = sites.get(before[i], overall)
        z = (value - own["mean"]) / own["std"]
        assert moved[i] == pytest.approx(z * overall["std"] + overall["mean"], rel=1e-4), i


def test_prediction_without_the_categories_is_refused(by_site: Path, sited: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"needs these metadata columns \(site \(.*\. Pass a file that has them"):
        predict(by_site, sited, tmp_path / "p.tsv", None)
    metadata = pd.read_csv(sited / "metadata.tsv", sep="\t", dtype=str).drop(columns="site")
    metadata.to_csv(tmp_path / "without.tsv", sep="\t", index=False)
    with pytest.raises(DataError, match=r"without.tsv: the model needs these metadata columns \(site \("):
        predict(by_site, sited, tmp_path / "p.tsv", tmp_path / "without.tsv")
    assert [path.name for path in tmp_path.iterdir()] == ["without.tsv"]


def test_the_model_says_what_it_needs(by_site: Path) -> None:
    card = (by_site / "checkpoints" / "best" / "README.md").read_text()
    assert "\nPrediction needs the metadata columns site.\n" in card
    assert "--output predictions.tsv --metadata METADATA`" in card
    assert ("predicts", "degree_days (number, scaled by site: aam predict needs --metadata)") in describe(by_site)


def test_logarithms_in_an_older_spelling(
    make_run: Callable[..., Path], sited: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path, log_transform_targets=True)
    assert "--log-transform-targets is an older spelling of --target-transform log-minmax" in capsys.readouterr().err
    saved = json.loads((run / "checkpoints" / "best" / "preprocessor.json").read_text())["targets"][0]
    full = rows_of(run / "predictions_full.tsv")
    train = [value for i, value in column(full, "truth").items() if i in ids_of(full, "train")]
    assert saved["transform"]["kind"] == "log-minmax"
    assert saved["transform"]["low"] == pytest.approx(np.log1p(min(train)), rel=1e-5)
    assert saved["transform"]["high"] == pytest.approx(np.log1p(max(train)), rel=1e-5)
    assert predict(run, sited, tmp_path / "p.tsv", None) == pytest.approx(column(full, "prediction"), rel=1e-5)


def test_metadata_that_a_model_does_not_need_are_not_read(
    number_run: tuple[TrainConfig, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, run = number_run
    options = PredictOptions(run, tmp_path / "p.tsv", device="cpu")
    run_predict(PredictConfig(config.table, options, MetadataOptions(tmp_path / "absent.tsv")))
    assert "--metadata is not read: predictions of this model depend on the table alone" in capsys.readouterr().err
    with pytest.raises(DataError, match="--output is the file passed to --metadata"):
        run_predict(PredictConfig(config.table, options, MetadataOptions(tmp_path / "p.tsv")))


def test_a_model_folder_of_the_first_format(number_run: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    """What older versions wrote: no scales by category."""
    config, run = number_run
    folder, best = tmp_path / "model", run / "checkpoints" / "best"
    with new_folder(folder) as temporary:
        for file in best.iterdir():
            if file.name != "manifest.json":
                shutil.copy(file, temporary)
        saved = json.loads((best / "preprocessor.json").read_text())
        for target in saved["targets"]:
            del target["by_category"], target["quantiles"], target["widening"], target["bounds"]
        del saved["asv_sampling"], saved["taxonomy"], saved["inputs"], saved["loss_weights"], saved["frame"]
        (temporary / "preprocessor.json").write_text(json.dumps(saved | {"format_version": 1}))
    for model, name in ((folder, "old.tsv"), (run, "new.tsv")):
        run_predict(PredictConfig(config.table, PredictOptions(model, tmp_path / name, device="cpu")), quiet=True)
    assert (tmp_path / "old.tsv").read_bytes() == (tmp_path / "new.tsv").read_bytes()


def test_settings_in_an_older_spelling_are_read_back(train_config: MakeConfig, tmp_path: Path) -> None:
    target = TargetOptions(("y",), normalize_targets_by=("site,season",), log_transform_targets=True)
    config = train_config(tmp_path / "run", target=target)
    assert config_from_toml(config_to_toml(config), TrainConfig) == config
