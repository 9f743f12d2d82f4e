"""`run_train`: the run folder, transfer, frozen encoders, folds, and the baselines beside the model."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file
from scipy.sparse import csr_array
from sklearn import metrics as sk
from sklearn.ensemble import RandomForestRegressor

from aam_data.checks.leaks import leak_notes
from aam_data.errors import DataError
from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.options.targets import TargetOptions
from aam_data.preprocessing.rarefaction import Rarefier
from aam_data.splits.selection import make_splits
from aam_data.splits.splits import read_splits
from aam_data.study.study import Study
from aam_models.config.encoder import ModelOptions
from aam_models.config.predictor_options import HeadOptions
from aam_train.errors import TrainError
from aam_train.options.objective import TrainObjective
from aam_train.options.optimizer import OptimizerOptions
from aam_train.options.recipe_configs import PretrainConfig, TrainConfig
from aam_train.options.run import TransferOptions
from aam_train.options.toml import config_from_toml
from aam_train.recipes.train import train as run_train
from aam_train.reporting.jsonl import read_records
from aam_train.setup.transfer import OPTIONAL_PARTS

Configs = Callable[..., Any]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, dialect="excel-tab"))


def results_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "report" / "results.json").read_text())


def weights(run: Path, pointer: str = "last") -> dict[str, np.ndarray]:
    return load_file(run / "checkpoints" / pointer / "model.safetensors")


def test_the_run_folder(number_run: tuple[TrainConfig, Path]) -> None:
    config, run = number_run
    assert {path.name for path in run.iterdir()} == {
        "checkpoints",
        "config.toml",
        "metrics.jsonl",
        "predictions.tsv",
        "predictions_full.tsv",
        "report",
        "run.lock",
        "starts.jsonl",
        "splits.tsv",
        "tensorboard",
    }
    pictures = {"comparison.png", "curves.png", "predicted_vs_true.png", "validation_predicted_vs_true.png"}
    assert {path.name for path in (run / "report").iterdir()} == pictures | {"results.json"}
    assert all((run / "report" / name).read_bytes().startswith(b"\x89PNG") for name in pictures)
    assert config_from_toml((run / "config.toml").read_text(), TrainConfig) == config
    record = json.loads((run / "checkpoints" / "best" / "training.json").read_text())
    assert record["targets"] == ["degree_days"]
    assert record["inputs"][-1]["path"].endswith("checkpoints/best/model.safetensors")


def test_predictions_of_held_out_samples(number_run: tuple[TrainConfig, Path], files: Path) -> None:
    _, run = number_run
    splits = read_splits(run / "splits.tsv")
    lines = (run / "predictions.tsv").read_text().splitlines()
    assert lines[0] == "sample-id\tprediction"
    assert [line.split("\t")[0] for line in lines[1:]] == list(splits.test)
    full = rows_of(run / "predictions_full.tsv")
    assert list(full[0]) == ["sample-id", "target", "truth", "prediction", "split", "group"]
    metadata = pd.read_csv(files / "metadata.tsv", sep="\t", index_col="sample-id", dtype={"host": str})
    part_of = splits.part_of()
    assert {row["sample-id"]: row["split"] for row in full} == part_of
    for row in full:
        assert row["target"] == "degree_days"
        assert float(row["truth"]) == pytest.approx(metadata.loc[row["sample-id"], "degree_days"], rel=1e-5)
        assert row["group"] == metadata.loc[row["sample-id"], "host"]
    assert [f"{row['sample-id']}\t{row['prediction']}" for row in full if row["split"] == "test"] == lines[1:]
    groups = {part: {row["group"] for row in full if row["split"] == part} for part in ("train", "validation", "test")}
    assert len(groups["train"] | groups["validation"] | groups["test"]) == sum(map(len, groups.values()))


def test_results_are_those_of_the_predictions(number_run: tuple[TrainConfig, Path]) -> None:
    _, run = number_run
    test = [row for row in rows_of(run / "predictions_full.tsv") if row["split"] == "test"]
    truth, prediction = (np.array([float(row[name]) for row in test]) for name in ("truth", "prediction"))
    found = results_of(run)
    assert (found["part"], found["samples"]) == ("test", len(test))
    assert set(found["targets"]["degree_days"]) == {"aam", "constant", "random_forest", "clr_linear"}
    aam = found["targets"]["degree_days"]["aam"]
    assert aam["r2"] == pytest.approx(sk.r2_score(truth, prediction), abs=1e-6)
    assert aam["mae"] == pytest.approx(sk.mean_absolute_error(truth, prediction), rel=1e-6)
    assert aam["rmse"] == pytest.approx(sk.mean_squared_error(truth, prediction) ** 0.5, rel=1e-6)


def test_the_baselines_learn_on_the_same_split(number_run: tuple[TrainConfig, Path], study: Study) -> None:
    """Constant and forest from the fixed draw, computed here."""
    _, run = number_run
    splits, ids = read_splits(run / "splits.tsv"), study.table.sample_ids.tolist()
    learn = np.array([ids.index(i) for i in (*splits.train, *splits.validation)])
    test = np.array([ids.index(i) for i in splits.test])
    assert study.metadata is not None
    target = study.metadata.numeric("degree_days")
    drawn = Rarefier(study.table, 100, 42).draw(np.arange(24), -1)
    shares = np.zeros((24, study.table.n_features))
    for row in range(24):
        features, counts = drawn.row(row)
        shares[row, features] = counts / 100
    found = results_of(run)["targets"]["degree_days"]
    constant = np.full(len(test), target[learn].mean())
    assert found["constant"]["mae"] == pytest.approx(np.abs(target[test] - constant).mean(), rel=1e-5)
    low, high = (bound(target[learn[: len(splits.train)]]) for bound in (np.min, np.max))
    scaled = ((target - low) / (high - low)).astype(np.float32)
    forest = RandomForestRegressor(20, max_features="sqrt", min_samples_leaf=1, random_state=42)
    forest.fit(csr_array(shares[learn]), scaled[learn])
    predicted = forest.predict(csr_array(shares[test])) * (high - low) + low
    assert found["random_forest"]["r2"] == pytest.approx(sk.r2_score(target[test], predicted), abs=1e-5)


def test_the_encoder_is_the_pretrained_one_and_the_head_is_new(
    train_config: Configs, encoder_run: tuple[PretrainConfig, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a learning rate of next to nothing the weights stay where they began."""
    config = train_config(tmp_path / "run", encoder_run[1], run={"epochs": 1}, optimizer=OptimizerOptions(lr=1e-30))
    run = run_train(config)
    text = capsys.readouterr().err
    assert "tensors loaded; new: head.0, head.3, norm; left behind: asv_encoder.nucleotide_head, count_head, " in text
    assert "distance_head, sample_encoder.abundance.hidden; frozen: 0 of " in text
    assert "held-out samples were used, without their targets, in pretraining" not in text  # the same split
    before, after = weights(encoder_run[1], "best"), weights(run)
    shared = {name for name in before if not name.startswith(OPTIONAL_PARTS)}
    assert {name.removeprefix("encoder.") for name in after if name.startswith("encoder.")} == shared
    assert all(np.array_equal(before[name], after[f"encoder.{name}"]) for name in shared)


def test_samples_seen_in_pretraining_are_said(
    train_config: Configs, encoder_run: tuple[PretrainConfig, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split = SplitOptions(group_column="host", test_size=0.6, val_size=0.2)
    run_train(train_config(tmp_path / "run", encoder_run[1], run={"epochs": 1}, split=split))
    assert "held-out samples were used, without their targets, in pretraining: S" in capsys.readouterr().err


@pytest.mark.parametrize("depth", [100, 0], ids=["embeddings of ASVs", "embeddings of samples"])
def test_a_frozen_encoder_stays_and_its_caches_change_nothing(
    train_config: Configs,
    encoder_run: tuple[PretrainConfig, Path],
    depth: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def config(name: str) -> TrainConfig:
        return train_config(
            tmp_path / name,
            encoder_run[1],
            transfer=TransferOptions(encoder_run[1], freeze_base=True),
            sample=SampleOptions(rarefy_depth=depth),
        )

    cached = run_train(config("cached"), quiet=True)
    before, after = weights(encoder_run[1], "best"), weights(cached)
    assert all(
        np.array_equal(before[name.removeprefix("encoder.")], after[name]) for name in after if "encoder" in name
    )
    monkeypatch.setattr("aam_train.setup.predictor_setup.cache_frozen_embeddings", lambda step, data, batch_size: None)
    computed = run_train(config("computed"), quiet=True)
    for one, other in zip(
        rows_of(cached / "predictions_full.tsv"), rows_of(computed / "predictions_full.tsv"), strict=True
    ):
        assert float(one["prediction"]) == pytest.approx(float(other["prediction"]), rel=1e-6)
    losses = [
        [r["loss"]["total"] for r in read_records(run / "metrics.jsonl") if r["kind"] == "step"]
        for run in (cached, computed)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


@pytest.mark.parametrize(
    ("model", "sample", "message"),
    [
        (ModelOptions(preset="base"), SampleOptions(), r"--preset base \(it is 16 wide, with 2 heads and 1 layers\)"),
        (ModelOptions(embedding_dim=32), SampleOptions(), r"--embedding-dim 32 \(it has 16\)"),
        (ModelOptions(bases_per_token=4), SampleOptions(), r"--bases-per-token 4 \(it has 1\)"),
        (
            ModelOptions(count_embedding=False),
            SampleOptions(),
            r"--no-count-embedding \(it was trained the other way\)",
        ),
        (
            ModelOptions(attention_layers=3),
            SampleOptions(max_bp=100),
            r"--attention-layers 3 \(it has 1\); --max-bp 100 \(it has 150\)\. Omit them",
        ),
    ],
)
def test_options_that_contradict_the_encoder_are_refused(
    train_config: Configs,
    encoder_run: tuple[PretrainConfig, Path],
    model: ModelOptions,
    sample: SampleOptions,
    message: str,
    tmp_path: Path,
) -> None:
    config = train_config(tmp_path / "run", encoder_run[1], model=model, sample=sample)
    with pytest.raises(TrainError, match=message):
        run_train(config, quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_rarefaction_and_length_come_with_the_encoder(
    train_config: Configs, changed: Configs, encoder_run: tuple[PretrainConfig, Path], tmp_path: Path
) -> None:
    config = train_config(tmp_path / "run", encoder_run[1], run={"epochs": 1}, sample=SampleOptions())
    run = run_train(config, quiet=True)
    preprocessor = json.loads((run / "checkpoints" / "best" / "preprocessor.json").read_text())
    assert (preprocessor["rarefy_depth"], preprocessor["max_bp"]) == (100, 150)


def test_unifrac_as_a_second_objective(train_config: Configs, files: Path, tmp_path: Path) -> None:
    tree = {"phylogeny": PhylogenyOptions(tree=files / "tree.nwk"), "run": {"epochs": 1}}
    run = run_train(train_config(tmp_path / "with", **tree), quiet=True)
    steps = [record for record in read_records(run / "metrics.jsonl") if record["kind"] == "step"]
    assert set(steps[0]["loss"]) == {"total", "unifrac", "target"}
    run = run_train(
        train_config(tmp_path / "without", objective=TrainObjective(unifrac_weight=0.0), **tree), quiet=True
    )
    steps = [record for record in read_records(run / "metrics.jsonl") if record["kind"] == "step"]
    assert set(steps[0]["loss"]) == {"total", "target"}
    assert not any("distance_head" in name for name in weights(run))


def test_a_classifier(class_run: tuple[TrainConfig, Path], files: Path) -> None:
    _, run = class_run
    found = results_of(run)["targets"]["status"]
    assert set(found) == {"aam", "constant", "random_forest", "clr_linear"}
    assert set(found["aam"]) == {"accuracy", "balanced_accuracy", "f1", "auc"}
    assert found["constant"]["auc"] == 0.5
    names = {path.name for path in (run / "report").iterdir()}
    pictures = {"comparison.png", "confusion.png", "curves.png", "validation_confusion.png"}
    assert names == pictures | {"confusion.tsv", "results.json"}
    shares, named = rows_of(run / "predictions_probabilities.tsv"), rows_of(run / "predictions.tsv")
    assert list(shares[0]) == ["sample-id", "healthy", "stressed"]
    for row, prediction in zip(shares, named, strict=True):
        both = {name: float(row[name]) for name in ("healthy", "stressed")}
        assert sum(both.values()) == pytest.approx(1, abs=1e-6)
        assert prediction["prediction"] == max(both, key=both.__getitem__)
    truth = pd.read_csv(files / "metadata.tsv", sep="\t", index_col="sample-id")["status"]
    right = [truth[row["sample-id"]] == row["prediction"] for row in named]
    assert found["aam"]["accuracy"] == pytest.approx(np.mean(right))


def test_several_targets_with_missing_values(train_config: Configs, files: Path, tmp_path: Path) -> None:
    """A value that is missing is masked; a sample that misses all of them is left out."""
    metadata = pd.read_csv(files / "metadata.tsv", sep="\t", dtype=str)
    metadata.loc[::3, "degree_days"] = "not collected"
    metadata.loc[[0, 1], "depth"] = "missing"
    metadata.to_csv(tmp_path / "metadata.tsv", sep="\t", index=False)
    config = train_config(
        tmp_path / "run",
        metadata=MetadataOptions(tmp_path / "metadata.tsv"),
        target=TargetOptions(("degree_days", "depth")),
    )
    run = run_train(config, quiet=True)
    full = rows_of(run / "predictions_full.tsv")
    assert len(full) == 2 * 23  # the first sample misses both
    missing = {row["sample-id"] for row in full if row["truth"] == "" and row["target"] == "degree_days"}
    assert missing == set(metadata["sample-id"][3::3])
    assert all(row["prediction"] for row in full)
    assert not (run / "predictions.tsv").exists()
    assert {row["sample-id"] for row in rows_of(run / "predictions-1.tsv")} == set(read_splits(run / "splits.tsv").test)
    assert (run / "report" / "predicted_vs_true-2.png").exists()
    assert set(results_of(run)["targets"]) == {"degree_days", "depth"}
    epochs = [record for record in read_records(run / "metrics.jsonl") if record["kind"] == "epoch"]
    assert {"mae", "mae:degree_days", "mae:depth"} <= set(epochs[0]["validation"])


def test_folds_cover_every_sample_once(
    train_config: Configs, changed: Configs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = TargetOptions(("status",), classifier=True)
    config = train_config(tmp_path / "run", target=target, transfer=TransferOptions(cv=3), run={"epochs": 1})
    run = run_train(config)
    tests = [read_splits(run / f"fold-{fold}" / "splits.tsv").test for fold in (1, 2, 3)]
    assert sorted(i for test in tests for i in test) == sorted(f"S{n:02d}" for n in range(1, 25))
    pooled = rows_of(run / "predictions.tsv")
    assert [row["sample-id"] for row in pooled] == [i for test in tests for i in test]
    each = [row for fold in (1, 2, 3) for row in rows_of(run / f"fold-{fold}" / "predictions.tsv")]
    assert pooled == each
    found = results_of(run)
    assert found["samples"] == 24
    truth = {row["sample-id"]: row["truth"] for row in rows_of(run / "predictions_full.tsv")}
    right = [row["prediction"] == truth[row["sample-id"]] for row in pooled]
    assert found["targets"]["status"]["aam"]["accuracy"] == pytest.approx(np.mean(right))
    stressed = [float(row["stressed"]) for row in rows_of(run / "predictions_probabilities.tsv")]
    auc = sk.roc_auc_score([truth[row["sample-id"]] == "stressed" for row in pooled], stressed)
    assert found["targets"]["status"]["aam"]["auc"] == pytest.approx(auc)
    of_folds = [results_of(run / f"fold-{fold}")["targets"]["status"] for fold in (1, 2, 3)]
    accuracy = found["folds"]["status"]["random_forest"]["accuracy"]
    each_accuracy = [fold["random_forest"]["accuracy"] for fold in of_folds]
    assert accuracy["mean"] == pytest.approx(np.mean(each_accuracy))
    assert accuracy["sd"] == pytest.approx(np.std(each_accuracy, ddof=1))
    assert [fold["constant"]["auc"] for fold in of_folds] == [0.5] * 3  # the constants of different folds have no order
    assert found["targets"]["status"]["constant"]["auc"] == 0.5
    assert config_from_toml((run / "config.toml").read_text(), TrainConfig) == config
    text = capsys.readouterr().err
    assert "fold 3 of 3" in text
    assert "status, 24 held-out samples (95 % intervals in brackets):" in text
    assert "status, mean and standard deviation over the folds:\n  AAM            accuracy " in text
    assert f"accuracy {accuracy['mean']:.3g} ± {accuracy['sd']:.2g}, " in text


def test_leaks_of_all_folds_are_said_once(
    train_config: Configs, study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = train_config(
        tmp_path / "run", split=SplitOptions(), transfer=TransferOptions(cv=3), run={"epochs": 1, "seed": 36}
    )
    splits = make_splits(study, np.arange(24), config.split, config.run.seed, config.target, 3)
    found = [leak_notes(study, each, config.target, None, 100) for each in splits]
    distinct = {note for notes in found for note in notes}
    assert [len(notes) for notes in found] == [1, 1, 1]  # hosts; the second and third fold have the same figures
    assert len(distinct) == 2
    run_train(config)
    text = capsys.readouterr().err
    assert [text.count(note) for note in distinct] == [1] * len(distinct)


def test_a_class_that_a_fold_does_not_know(train_config: Configs, files: Path, tmp_path: Path) -> None:
    """All samples of a class are of one host, so that one fold cannot learn it."""
    metadata = pd.read_csv(files / "metadata.tsv", sep="\t", dtype=str)
    metadata.loc[metadata["host"] == "H05", "status"] = "unknown to the others"
    metadata.to_csv(tmp_path / "metadata.tsv", sep="\t", index=False)
    config = train_config(
        tmp_path / "run",
        metadata=MetadataOptions(tmp_path / "metadata.tsv"),
        target=TargetOptions(("status",), classifier=True),
        transfer=TransferOptions(cv=2),
        run={"epochs": 1},
    )
    run = run_train(config, quiet=True)
    shares = rows_of(run / "predictions_probabilities.tsv")
    assert list(shares[0]) == ["sample-id", "healthy", "stressed", "unknown to the others"]
    assert all(sum(float(row[name]) for name in list(row)[1:]) == pytest.approx(1, abs=1e-6) for row in shares)
    assert {float(row["unknown to the others"]) for row in shares} > {0.0}
    unknown = [r for r in rows_of(run / "predictions_full.tsv") if r["truth"] == ""]
    assert {row["group"] for row in unknown} == {"H05"}


def test_without_held_out_samples(train_config: Configs, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    split = SplitOptions(test_size=0.0, val_size=0.0)
    run = run_train(train_config(tmp_path / "run", split=split))
    text = capsys.readouterr().err
    assert "no validation samples: there is no early stopping, and the last weights count as best" in text
    assert "no sample is held out, so there are no held-out metrics and no baselines" in text
    assert "share their host" not in text
    assert results_of(run) == {"part": "test", "samples": 0, "targets": {}}
    assert (run / "predictions.tsv").read_text() == "sample-id\tprediction\n"
    assert len(rows_of(run / "predictions_full.tsv")) == 24


def test_a_metric_that_cannot_be_computed_does_not_end_the_run(
    train_config: Configs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split = SplitOptions(val_size=0.04)  # one sample: no R2
    config = train_config(tmp_path / "run", split=split, transfer=TransferOptions(best_metric="r2"))
    run = run_train(config)
    text = capsys.readouterr().err
    assert text.count("warning: r2 is undefined on the validation samples") == 1
    assert re.search("warning: [1-6] of the 6 test and validation samples share their host with training samples", text)
    assert (run / "checkpoints" / "best").resolve() == (run / "checkpoints" / "last").resolve()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (TargetOptions(("degree_day",)), "degree_day"),
        (TargetOptions(("season",)), "season"),
        (TargetOptions(("host",), classifier=True), None),
    ],
)
def test_refused_targets_leave_no_run_folder(
    train_config: Configs, target: TargetOptions, message: str | None, tmp_path: Path
) -> None:
    config = train_config(tmp_path / "run", target=target)
    if message is None:  # classes of two samples, of which a split leaves some without training samples
        run_train(replace(config, run=replace(config.run, epochs=1)), quiet=True)
        return
    with pytest.raises(DataError, match=message):
        run_train(config, quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_inputs_that_are_refused_leave_no_run_folder(train_config: Configs, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        run_train(train_config(tmp_path / "run", table=TableOptions(tmp_path / "absent.biom")), quiet=True)
    with pytest.raises(TrainError, match=r"no such folder\. Pass a run folder or a model folder"):
        run_train(train_config(tmp_path / "run", tmp_path / "absent"), quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_the_head_starts_at_the_mean_or_the_shares_of_the_classes(
    train_config: Configs, study: Study, tmp_path: Path
) -> None:
    optimizer, head = OptimizerOptions(lr=1e-30), HeadOptions()
    transform = TargetOptions(("degree_days",), target_transform="none")
    config = train_config(tmp_path / "number", run={"epochs": 1}, optimizer=optimizer, head=head, target=transform)
    run = run_train(config, quiet=True)
    ids = study.table.sample_ids.tolist()
    train = [ids.index(i) for i in read_splits(run / "splits.tsv").train]
    assert study.metadata is not None
    assert weights(run)["head.0.bias"] == pytest.approx([study.metadata.numeric("degree_days")[train].mean()], rel=1e-5)
    classes = TargetOptions(("status",), classifier=True)
    config = train_config(tmp_path / "classes", run={"epochs": 1}, optimizer=optimizer, head=head, target=classes)
    run = run_train(config, quiet=True)
    train = [ids.index(i) for i in read_splits(run / "splits.tsv").train]
    names = study.metadata.text("status")[train]
    shares = np.array([np.sum(names == "healthy") + 1, np.sum(names == "stressed") + 1])
    prior = torch.from_numpy(weights(run)["head.0.bias"]).softmax(dim=0).numpy()
    np.testing.assert_allclose(prior, shares / shares.sum(), rtol=1e-5)
