"""`pretrain`: what it writes, what it refuses, and that its losses do not depend on how targets are given."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from aam_data.errors import DataError
from aam_data.options.commands import UnifracOptions
from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.simulate.study import SimulatedStudy, write_simulated_study
from aam_data.splits.splits import read_splits
from aam_data.study.study import Study
from aam_data.unifrac.command import run_unifrac
from aam_data.unifrac.unifrac import faith_pd, unifrac_distances
from aam_models.errors import ModelError
from aam_models.storage.config_json import read_config
from aam_models.storage.folders import verify_folder
from aam_train.errors import TrainError
from aam_train.options.objective import PretrainObjective
from aam_train.options.recipe_configs import PretrainConfig
from aam_train.options.toml import config_from_toml
from aam_train.recipes.pretrain import pretrain
from aam_train.reporting.jsonl import read_records

Configs = Callable[..., Any]


def losses(run: Path) -> list[dict[str, float]]:
    return [record["loss"] for record in read_records(run / "metrics.jsonl") if record["kind"] == "step"]


def weights(run: Path) -> dict[str, np.ndarray]:
    return load_file(run / "checkpoints" / "last" / "model.safetensors")


def test_the_run_folder(encoder_run: tuple[PretrainConfig, Path], study: Study) -> None:
    config, run = encoder_run
    assert {path.name for path in run.iterdir()} == {
        "checkpoints",
        "config.toml",
        "metrics.jsonl",
        "report",
        "run.lock",
        "splits.tsv",
        "starts.jsonl",
        "tensorboard",
    }
    assert {path.name for path in (run / "report").iterdir()} == {"curves.png", "results.json", "unifrac.png"}
    assert all((run / "report" / name).read_bytes().startswith(b"\x89PNG") for name in ("curves.png", "unifrac.png"))
    assert config_from_toml((run / "config.toml").read_text(), PretrainConfig) == config
    splits = read_splits(run / "splits.tsv")
    assert sorted(splits.part_of()) == sorted(study.table.sample_ids)
    assert any((run / "tensorboard").iterdir())
    kinds = [record["kind"] for record in read_records(run / "metrics.jsonl")]
    assert kinds == ["step", "step", "step", "epoch"] * 2


def test_the_checkpoints(encoder_run: tuple[PretrainConfig, Path], files: Path) -> None:
    _, run = encoder_run
    for pointer in ("best", "last"):
        folder = run / "checkpoints" / pointer
        verify_folder(folder)
        assert {path.name for path in folder.iterdir()} == {
            "README.md",
            "config.json",
            "manifest.json",
            "model.safetensors",
            "preprocessor.json",
            "train_state.json",
            "train_state.safetensors",
            "training.json",
        }
    record = json.loads((run / "checkpoints" / "last" / "training.json").read_text())
    assert (record["command"], record["step"], record["targets"]) == ("pretrain", 6, [])
    assert [entry["path"] for entry in record["inputs"]] == [
        str(files / name) for name in ("table.biom", "metadata.tsv", "tree.nwk")
    ]
    assert sum(record["samples"].values()) == 24
    epochs = [entry for entry in read_records(run / "metrics.jsonl") if entry["kind"] == "epoch"]
    assert record["validation"] == epochs[-1]["validation"]
    card = (run / "checkpoints" / "last" / "README.md").read_text()
    assert "Made by `aam pretrain`, step 6." in card
    assert "aam train --pretrained-encoder FOLDER" in card


def test_the_constants_beside_the_results(encoder_run: tuple[PretrainConfig, Path], study: Study) -> None:
    """Predicting the training mean, computed here from the tree and the fixed draw."""
    from aam_data.preprocessing.rarefaction import Rarefier

    _, run = encoder_run
    results = json.loads((run / "report" / "results.json").read_text())
    splits, ids = read_splits(run / "splits.tsv"), study.table.sample_ids.tolist()
    rarefier = Rarefier(study.table, 100, 42)
    assert study.phylogeny is not None
    distances = {
        part: unifrac_distances(study.phylogeny, rarefier.draw(np.array([ids.index(i) for i in names]), -1))
        for part, names in (("train", splits.train), ("test", splits.test))
    }
    pairs = {part: matrix[np.triu_indices(len(matrix), 1)] for part, matrix in distances.items()}
    expected = np.abs(pairs["test"] - pairs["train"].mean()).mean()
    assert results["constant"]["unifrac_mae"] == pytest.approx(expected, rel=1e-5)
    assert results["samples"] == len(splits.test)
    assert set(results["aam"]) == {"val_loss", "unifrac_r", "unifrac_mae", "nucleotide_accuracy", "count_mse"}
    seen = {f for i in splits.train for f in study.table.data.row(ids.index(i))[0].tolist()}
    drawn = rarefier.draw(np.array([ids.index(i) for i in splits.test]), -1).indices.tolist()
    assert results["novel_asvs"]["count"] == len(set(drawn) - seen)


def test_the_order_of_the_table_changes_nothing(
    encoder_run: tuple[PretrainConfig, Path], simulated: SimulatedStudy, changed: Configs, tmp_path: Path
) -> None:
    config, expected = encoder_run
    random = np.random.default_rng(1)
    samples, features = (random.permutation(n) for n in (simulated.table.n_samples, simulated.table.n_features))
    table = simulated.table.take_samples(samples)
    table = table.regroup_features(np.argsort(features), simulated.table.feature_ids[features])
    write_simulated_study(replace(simulated, table=table), tmp_path / "study")
    config = changed(config, "table", table=tmp_path / "study" / "table.biom")
    run = pretrain(changed(config, "run", output_dir=tmp_path / "run"), quiet=True)
    assert losses(run) == losses(expected)
    assert all((weights(run)[name] == value).all() for name, value in weights(expected).items())


def test_a_matrix_from_a_file_gives_the_losses_of_the_tree(
    pretrain_config: Configs, files: Path, tmp_path: Path
) -> None:
    unrarefied = {"sample": SampleOptions(rarefy_depth=0), "run": {"epochs": 7}}
    expected = losses(pretrain(pretrain_config(tmp_path / "tree", **unrarefied), quiet=True))
    assert len(expected) == 21
    for suffix in (".h5", ".tsv", ".npy", "-without-ids.npy"):
        matrix = tmp_path / f"unifrac{suffix}"
        run_unifrac(TableOptions(files / "table.biom"), UnifracOptions(tree=files / "tree.nwk", output=matrix))
        ids = next(tmp_path.glob("unifrac*ids*"), None) if suffix == ".npy" else None
        tree = files / "tree.nwk" if "without" in suffix else None  # which checks the matrix
        given = PhylogenyOptions(tree=tree, unifrac_matrix=matrix, matrix_ids=ids)
        config = pretrain_config(tmp_path / suffix[1:], run={"epochs": 7}, sample=SampleOptions(), phylogeny=given)
        found = losses(pretrain(config, quiet=True))
        for step, (one, other) in enumerate(zip(found[:20], expected[:20], strict=True)):
            assert one == pytest.approx(other, abs=1e-5, rel=1e-5), (suffix, step)


def test_an_explicit_depth_beside_a_matrix_is_one_draw(
    pretrain_config: Configs, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    matrix = tmp_path / "unifrac.h5"
    run_unifrac(TableOptions(files / "table.biom"), UnifracOptions(tree=files / "tree.nwk", output=matrix))
    options = {"phylogeny": PhylogenyOptions(unifrac_matrix=matrix), "sample": SampleOptions(rarefy_depth=50)}
    run = pretrain(pretrain_config(tmp_path / "run", **options))
    assert "--rarefy-depth 50: one draw for all epochs, since the distances come from a file" in capsys.readouterr().err
    steps = [record for record in read_records(run / "metrics.jsonl") if record["kind"] == "step"]
    assert sum(r["occurrences"] for r in steps[:3]) == sum(r["occurrences"] for r in steps[3:])


def test_faith_pd(pretrain_config: Configs, study: Study, tmp_path: Path) -> None:
    objective = PretrainObjective(masked_base_weight=0.0, masked_count_weight=0.0)
    config = pretrain_config(tmp_path / "run", objective=objective, sample=SampleOptions(rarefy_depth=0))
    phylogeny = dataclasses.replace(config.phylogeny, unifrac_metric="combined")
    config = dataclasses.replace(config, phylogeny=phylogeny)
    run = pretrain(config, quiet=True)
    assert set(losses(run)[0]) == {"total", "unifrac", "faith_pd"}
    encoder = read_config(run / "checkpoints" / "best")
    assert encoder.objectives == ("unifrac", "faith_pd")
    # the head knows mean and spread of the training samples
    splits, ids = read_splits(run / "splits.tsv"), study.table.sample_ids.tolist()
    assert study.phylogeny is not None
    values = faith_pd(study.phylogeny, study.table.data)[[ids.index(i) for i in splits.train]]
    stored = weights(run)
    assert stored["faith_pd_head.mean"] == pytest.approx(values.mean(), rel=1e-5)
    assert stored["faith_pd_head.spread"] == pytest.approx(values.std(), rel=1e-5)
    results = json.loads((run / "report" / "results.json").read_text())
    truth = faith_pd(study.phylogeny, study.table.data)[[ids.index(i) for i in splits.test]]
    assert results["constant"]["faith_pd_mae"] == pytest.approx(np.abs(truth - values.mean()).mean(), rel=1e-5)
    assert (run / "report" / "faith_pd.png").exists()


def test_nothing_but_bases_needs_no_tree(pretrain_config: Configs, tmp_path: Path) -> None:
    objective = PretrainObjective(unifrac_weight=0.0, masked_count_weight=0.0)
    nothing = {"phylogeny": PhylogenyOptions(), "metadata": MetadataOptions(), "split": SplitOptions()}
    run = pretrain(pretrain_config(tmp_path / "run", objective=objective, **nothing), quiet=True)
    assert set(losses(run)[0]) == {"total", "nucleotides"}
    results = json.loads((run / "report" / "results.json").read_text())
    assert set(results["aam"]) == {"val_loss", "nucleotide_accuracy"}


def test_without_validation_and_held_out_samples(
    pretrain_config: Configs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split = SplitOptions(test_size=0.0, val_size=0.0)
    run = pretrain(pretrain_config(tmp_path / "run", split=split, run={"batch_size": 32}))
    text = capsys.readouterr().err
    assert text.count("no validation samples: there is no early stopping, and the last weights count as best") == 1
    assert text.count("--batch-size 32: all 24 training samples are one batch") == 1
    assert "fewer than 2 samples are held out, so there are no held-out metrics" in text
    assert [r["validation"] for r in read_records(run / "metrics.jsonl") if r["kind"] == "epoch"] == [{}, {}]
    assert json.loads((run / "report" / "results.json").read_text()) == {"part": "test", "samples": 0}
    best, last = ((run / "checkpoints" / name).resolve() for name in ("best", "last"))
    assert best == last
    assert "| validation metric |" not in (best / "README.md").read_text()


def test_one_validation_sample_has_no_pairs(
    pretrain_config: Configs, changed: Configs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its loss is undefined: null in the files, NaN again on resumption, never a crash."""
    config = pretrain_config(tmp_path / "run", split=SplitOptions(val_size=0.04))
    run = pretrain(config)
    text = capsys.readouterr().err
    assert text.count("warning: val_loss is undefined on the validation samples") == 1
    epochs = [r for r in read_records(run / "metrics.jsonl") if r["kind"] == "epoch"]
    assert all(record["validation"]["val_loss"] is None and not record["best"] for record in epochs)
    assert (run / "checkpoints" / "best").resolve() == (run / "checkpoints" / "last").resolve()
    again = pretrain(changed(config, "run", resume_from="auto", epochs=3), quiet=True)
    assert len([r for r in read_records(again / "metrics.jsonl") if r["kind"] == "epoch"]) == 3
    from aam_train.runs.records import read_training

    assert math.isnan(read_training(run / "checkpoints" / "best").validation["val_loss"])


def test_a_folder_in_use_is_refused_before_anything_is_read(pretrain_config: Configs, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("mine")
    absent = TableOptions(tmp_path / "absent.biom")
    with pytest.raises(TrainError, match=r"--output-dir .*run: the folder is not empty. Use a new one, or pass --res"):
        pretrain(pretrain_config(tmp_path / "run", table=absent), quiet=True)
    with pytest.raises(TrainError, match=r"--output-dir .*run: the folder is not empty. Use a new one$"):
        pretrain(pretrain_config(tmp_path / "run", table=absent, run={"resume_from": "auto"}), quiet=True)
    with pytest.raises(TrainError, match=r"--output-dir .*mine.txt: this is a file"):
        pretrain(pretrain_config(tmp_path / "run" / "mine.txt", table=absent), quiet=True)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("sections", "error"),
    [
        ({"table": TableOptions(Path("absent.biom"))}, DataError),
        ({"sample": SampleOptions(rarefy_depth=10**6)}, DataError),
        ({"split": SplitOptions(group_column="hots")}, DataError),
        ({"split": SplitOptions(test_size=0.05, val_size=0.9)}, ModelError),
    ],
)
def test_refused_inputs_leave_no_run_folder(
    pretrain_config: Configs, sections: dict[str, Any], error: type[Exception], tmp_path: Path
) -> None:
    with pytest.raises(error):
        pretrain(pretrain_config(tmp_path / "run", **sections), quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_that_is_not_there_is_refused(pretrain_config: Configs, tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"--device cuda:99: this machine has \d+ GPUs that PyTorch can use"):
        pretrain(pretrain_config(tmp_path / "run", run={"device": "cuda:99"}), quiet=True)
