"""Heads, losses and outputs through whole runs: what is written, said, stored and used again."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from aam_data.errors import DataError
from aam_data.options.files import MetadataOptions, TableOptions
from aam_data.options.targets import TargetOptions
from aam_models.config.predictor_options import HeadOptions, OutputOptions
from aam_train.errors import TrainError
from aam_train.options.commands import EvaluateOptions, PredictOptions
from aam_train.options.objective import TrainObjective
from aam_train.options.recipe_configs import EvaluateConfig, PredictConfig, TrainConfig
from aam_train.options.run import TransferOptions
from aam_train.recipes.evaluate import evaluate
from aam_train.recipes.predict import predict
from aam_train.recipes.train import train
from aam_train.runs.records import read_preprocessor, read_training
from aam_train.show.show import describe

Make = Callable[..., TrainConfig]
QUANTILES = TrainObjective("quantile", quantiles=(0.1, 0.3, 0.5, 0.7, 0.9), conformal=True, calibration_size=0.3)
EVERYTHING: dict[str, Any] = {
    "head": HeadOptions((6,), 0.1, True, ("location",), 3, "season"),
    "link": OutputOptions(learnable_output_scale=True, conditional_output_scaling=("location,season",)),
}


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, dialect="excel-tab"))


def numbers(rows: list[dict[str, str]], column: str) -> np.ndarray:
    return np.array([float(row[column]) for row in rows])


@pytest.fixture(scope="module")
def quantile_run(train_config: Make, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainConfig, Path]:
    """A model of quantiles with every head and link at once, calibrated. Read only."""
    config = train_config(tmp_path_factory.mktemp("quantiles") / "run", objective=QUANTILES, **EVERYTHING)
    return config, train(config, quiet=True)


def test_predictions_of_quantiles(quantile_run: tuple[TrainConfig, Path]) -> None:
    _, run = quantile_run
    full, short = table(run / "predictions_full.tsv"), table(run / "predictions.tsv")
    levels = ["q0.1", "q0.3", "q0.5", "q0.7", "q0.9"]
    assert list(full[0]) == ["sample-id", "target", "truth", "prediction", "lower", "upper", *levels, "split", "group"]
    assert list(short[0]) == ["sample-id", "prediction"]
    held_out = {row["sample-id"]: row["prediction"] for row in full if row["split"] == "test"}
    assert {row["sample-id"]: row["prediction"] for row in short} == held_out
    for name, twin in (("prediction", "q0.5"), ("lower", "q0.1"), ("upper", "q0.9")):
        assert [row[name] for row in full] == [row[twin] for row in full]
    values = np.stack([numbers(full, level) for level in levels], axis=1)
    assert (np.diff(values, axis=1) >= 0).all()


def test_calibration_has_groups_of_its_own_and_is_stored(quantile_run: tuple[TrainConfig, Path]) -> None:
    _, run = quantile_run
    groups: dict[str, set[str]] = {}
    for row in table(run / "splits.tsv"):
        groups.setdefault(row["split"], set()).add(row["group"])
    assert set(groups) == {"train", "validation", "calibration", "test"}
    assert sum(map(len, groups.values())) == len(set.union(*groups.values()))

    for checkpoint in (run / "checkpoints").iterdir():
        (target,) = read_preprocessor(checkpoint).targets
        assert target.quantiles == (0.1, 0.3, 0.5, 0.7, 0.9)
        assert len(target.widening) == 2
    rows = [row for row in table(run / "predictions_full.tsv") if row["split"] == "calibration"]
    truth = numbers(rows, "truth")
    for low, high, nominal in (("q0.1", "q0.9", 0.8), ("q0.3", "q0.7", 0.4)):
        inside = (numbers(rows, low) <= truth + 1e-3) & (truth <= numbers(rows, high) + 1e-3)
        assert inside.mean() >= nominal  # by construction on the samples that calibrated


def test_aam_predict_and_evaluate_say_what_the_run_said(
    quantile_run: tuple[TrainConfig, Path], files: Path, tmp_path: Path
) -> None:
    _, run = quantile_run
    paths = TableOptions(files / "table.biom"), MetadataOptions(files / "metadata.tsv")
    predict(PredictConfig(paths[0], PredictOptions(run, tmp_path / "p.tsv"), paths[1]), quiet=True)
    told = {row["sample-id"]: row for row in table(run / "predictions_full.tsv")}
    found = table(tmp_path / "p_full.tsv")
    assert len(found) == len(told) == 24
    for column in ("prediction", "lower", "upper", "q0.1", "q0.3", "q0.5", "q0.7", "q0.9"):
        expected = np.array([float(told[row["sample-id"]][column]) for row in found])
        np.testing.assert_allclose(numbers(found, column), expected, rtol=1e-4)

    evaluate(EvaluateConfig(paths[0], EvaluateOptions(run, tmp_path / "judged"), paths[1]), quiet=True)
    judged = json.loads((tmp_path / "judged" / "results.json").read_text())["parts"]
    results = json.loads((run / "report" / "results.json").read_text())["targets"]["degree_days"]["aam"]
    assert judged["test"]["targets"]["degree_days"]["aam"]["coverage"] == results["coverage"]
    assert "calibration" in judged
    assert (tmp_path / "judged" / "coverage.tsv").read_text().startswith("target\tnominal\tpart")


def test_coverage_is_reported_in_all_and_by_category(quantile_run: tuple[TrainConfig, Path], files: Path) -> None:
    _, run = quantile_run
    results = json.loads((run / "report" / "results.json").read_text())
    location = {row["sample-id"]: row["location"] for row in table(files / "metadata.tsv")}
    full = table(run / "predictions_full.tsv")
    counted = 0
    for row in results["coverage"]:
        if row["column"] not in ("", "location"):
            continue
        chosen = [
            one for one in full if one["split"] == row["part"] and row["value"] in ("", location[one["sample-id"]])
        ]
        inside = [float(one["lower"]) <= float(one["truth"]) <= float(one["upper"]) for one in chosen]
        assert (row["samples"], row["inside"]) == (len(chosen), sum(inside))
        assert row["nominal"] == pytest.approx(0.8)
        counted += 1
    assert counted > 3
    assert {row["column"] for row in results["coverage"]} == {"", "location", "season"}
    assert {row["column"] for row in table(run / "report" / "coverage.tsv")} == {"", "location", "season", "group"}
    assert (run / "report" / "predicted_vs_true.png").is_file()


def test_experts_are_logged(quantile_run: tuple[TrainConfig, Path]) -> None:
    _, run = quantile_run
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    epochs = [record for record in records if record["kind"] == "epoch"]
    assert all(record["train"]["balance"] >= 0 for record in epochs)
    uses = [epochs[-1]["validation"][f"expert_use:{k}"] for k in (1, 2, 3)]
    assert sum(uses) == pytest.approx(1)
    assert epochs[-1]["validation"]["experts_used"] == pytest.approx(1 / np.square(uses).sum())
    events = EventAccumulator(str(run / "tensorboard")).Reload()
    assert {"train/balance", "validation/expert_use:3", "validation/coverage"} <= set(events.Tags()["scalars"])


def test_aam_show_tells_everything_that_was_chosen_or_fitted(quantile_run: tuple[TrainConfig, Path]) -> None:
    _, run = quantile_run
    rows = dict(describe(run))
    assert rows["predicts"] == "degree_days (number, quantiles 0.1, 0.3, 0.5, 0.7, 0.9)"
    assert rows["head"] == (
        "3 experts chosen by season, each hidden layers 6, scaled and shifted by location (FiLM), a linear head added"
    )
    assert rows["output"] == "a learned scale and bias; a scale and bias by location, then season"
    assert rows["loss of degree_days"] == "quantile 0.1, 0.3, 0.5, 0.7, 0.9"
    widening = read_preprocessor(run / "checkpoints" / "best").targets[0].widening
    assert f"0.1 to 0.9 by {widening[0]:.4g}" in rows["calibration of degree_days"]
    assert "calibration" in rows["samples"]
    card = (run / "checkpoints" / "best" / "README.md").read_text()
    assert "Quantiles of degree_days: 0.1, 0.3, 0.5, 0.7, 0.9, calibrated; 0.5 is the prediction." in card


def test_folds_are_calibrated_each_and_pooled(train_config: Make, tmp_path: Path) -> None:
    objective = TrainObjective("quantile", conformal=True)
    config = train_config(tmp_path / "cv", objective=objective, transfer=TransferOptions(cv=3), run={"epochs": 1})
    run = train(config, quiet=True)
    full = table(run / "predictions_full.tsv")
    assert len(full) == 24
    inside = (numbers(full, "lower") <= numbers(full, "truth")) & (numbers(full, "truth") <= numbers(full, "upper"))
    everyone = next(row for row in table(run / "report" / "coverage.tsv") if not row["column"])
    assert (int(everyone["samples"]), int(everyone["inside"])) == (24, int(inside.sum()))
    shifts = {read_preprocessor(run / f"fold-{k}" / "checkpoints" / "best").targets[0].widening for k in (1, 2, 3)}
    assert len(shifts) == 3


def test_several_targets_with_losses_and_widths_of_their_own(train_config: Make, files: Path, tmp_path: Path) -> None:
    (tmp_path / "losses.json").write_text('{"age": {"type": "quantile", "quantiles": [0.25, 0.5, 0.75]}}')
    objective = TrainObjective("mae", loss_config=str(tmp_path / "losses.json"))
    target = TargetOptions(("degree_days", "age"), out_dim=4)
    run = train(train_config(tmp_path / "run", objective=objective, target=target), quiet=True)
    record = read_training(run / "checkpoints" / "best")
    assert str(tmp_path / "losses.json") in [each["path"] for each in record.inputs]
    assert record.losses == {
        "degree_days": "mae",
        "age": "quantile 0.25, 0.5, 0.75",
    }
    full = table(run / "predictions_full.tsv")
    for row in full:
        assert bool(row["lower"]) == (row["target"] == "age")
    results = json.loads((run / "report" / "results.json").read_text())["targets"]
    assert "coverage" in results["age"]["aam"]
    assert "coverage" not in results["degree_days"]["aam"]
    assert "coverage" not in results["age"]["random_forest"]


def test_class_weights_are_said_stored_and_used(
    train_config: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = TargetOptions(("status",), classifier=True, out_dim=2)
    config = train_config(tmp_path / "run", target=target, objective=TrainObjective(class_weights="stressed:3"))
    run = train(config)
    assert "class weights: healthy 1, stressed 3" in capsys.readouterr().err
    assert read_training(run / "checkpoints" / "best").class_weights == {"healthy": 1.0, "stressed": 3.0}
    assert dict(describe(run))["class weights"] == "healthy 1, stressed 3"
    rows = table(run / "report" / "confusion.tsv")
    held_out = table(run / "predictions.tsv")
    counts = np.array([[int(row[name]) for name in ("healthy", "stressed")] for row in rows])
    assert counts.sum() == len(held_out)
    assert counts[:, 1].sum() == sum(row["prediction"] == "stressed" for row in held_out)
    plain = train(
        replace(config, objective=TrainObjective(), run=replace(config.run, output_dir=tmp_path / "p")), quiet=True
    )
    losses = [read_training(each / "checkpoints" / "best").validation["val_loss"] for each in (run, plain)]
    assert losses[0] != losses[1]


def values_of(files: Path, tmp_path: Path, change: Callable[[float], float]) -> MetadataOptions:
    """The metadata with another ``degree_days``."""
    rows = table(files / "metadata.tsv")
    for row in rows:
        row["degree_days"] = str(change(float(row["degree_days"])))
    with (tmp_path / "metadata.tsv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), dialect="excel-tab")
        writer.writeheader()
        writer.writerows(rows)
    return MetadataOptions(tmp_path / "metadata.tsv")


def test_what_the_data_contradict_is_refused(train_config: Make, files: Path, tmp_path: Path) -> None:
    config = train_config(tmp_path / "run", target=TargetOptions(("degree_days",), out_dim=3))
    with pytest.raises(DataError, match="--out-dim 3: the data have 1 numbers, so the model has 1 outputs"):
        train(config, quiet=True)
    target = TargetOptions(("status",), classifier=True, out_dim=3)
    with pytest.raises(DataError, match="--out-dim 3: the data have 2 classes"):
        train(train_config(tmp_path / "run", target=target), quiet=True)
    metadata = values_of(files, tmp_path, lambda value: value - 500)
    config = train_config(tmp_path / "run", metadata=metadata, link=OutputOptions(output_activation="exp"))
    with pytest.raises(DataError, match="--output-activation exp predicts nothing below 0"):
        train(config, quiet=True)
    target = TargetOptions(("status",), classifier=True)
    config = train_config(tmp_path / "run", target=target, objective=TrainObjective(class_weights="calm:2"))
    with pytest.raises(
        TrainError, match="--class-weights calm:2: 'calm' is not a class; choose from healthy, stressed"
    ):
        train(config, quiet=True)
    config = train_config(tmp_path / "run", objective=TrainObjective(loss_config=str(tmp_path / "absent.json")))
    with pytest.raises(TrainError, match=r"--loss-config .*absent.json: cannot be read"):
        train(config, quiet=True)
    assert not (tmp_path / "run").exists()


def test_activations_hold_in_the_columns_units_whatever_the_transform(train_config: Make, tmp_path: Path) -> None:
    for transform in ("zscore", "log-minmax"):
        target = TargetOptions(("degree_days",), target_transform=transform)  # type: ignore[arg-type]
        link = OutputOptions(output_activation="softplus")
        run = train(train_config(tmp_path / transform, target=target, link=link), quiet=True)
        assert numbers(table(run / "predictions_full.tsv"), "prediction").min() >= 0
