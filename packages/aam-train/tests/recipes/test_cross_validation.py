"""`--cv` with `--repeats`, and `--cv-by`: folders, splits, figures of all folds together, and resumption."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aam_data.errors import DataError
from aam_data.options.samples import SplitOptions
from aam_data.options.targets import TargetOptions
from aam_data.splits.splits import read_splits
from aam_train.errors import TrainError
from aam_train.options.run import TransferOptions
from aam_train.recipes.train import train
from aam_train.runs.checkpoints import model_folder, run_folders_in
from aam_train.show.run import describe_run

Configs = Callable[..., Any]
STATUS = TargetOptions(("status",), classifier=True)
FAST = {"epochs": 1}


def results_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "report" / "results.json").read_text())
    return found


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, dialect="excel-tab"))


def test_repeats(train_config: Configs, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    transfer = TransferOptions(cv=2, repeats=2, baselines="none")
    run = train(train_config(tmp_path / "run", target=STATUS, transfer=transfer, run=FAST))
    folders = run_folders_in(run)
    assert [folder.relative_to(run).as_posix() for folder in folders] == [
        "repeat-1/fold-1", "repeat-1/fold-2", "repeat-2/fold-1", "repeat-2/fold-2",
    ]  # fmt: skip
    tests = [read_splits(folder / "splits.tsv").test for folder in folders]
    assert set(tests[0]) | set(tests[1]) == set(tests[2]) | set(tests[3])
    assert set(tests[0]) not in (set(tests[2]), set(tests[3]))
    found, each = results_of(run), [results_of(run / f"repeat-{number}") for number in (1, 2)]
    areas = [one["targets"]["status"]["aam"]["auc"] for one in each]
    assert found["targets"]["status"]["aam"]["auc"] == pytest.approx(np.mean(areas))
    assert found["repeats"]["status"]["aam"]["auc"] == {
        "mean": pytest.approx(np.mean(areas)), "sd": pytest.approx(np.std(areas, ddof=1)), "repeats": 2,
    }  # fmt: skip
    assert found["folds"]["status"]["aam"]["accuracy"]["folds"] == 4
    low, high = found["intervals"]["status"]["aam"]["auc"]
    assert low < found["targets"]["status"]["aam"]["auc"] < high
    assert len(rows_of(run / "repeat-2" / "predictions.tsv")) == found["samples"] == 24
    text = capsys.readouterr().err
    assert "repeat 2 of 2, fold 1 of 2" in text
    assert "status, mean and standard deviation over the repeats:" in text
    assert [name for name, _ in describe_run(run)][2] == "repeat-1/fold-1"
    with pytest.raises(TrainError, match=r"an ensemble of several models, .* such as .*/run/repeat-1/fold-1"):
        model_folder(run)


def test_the_first_repeat_has_the_folds_of_one(train_config: Configs, tmp_path: Path) -> None:
    one, two = (TransferOptions(cv=2, repeats=repeats, baselines="none") for repeats in (1, 2))
    alone = train(train_config(tmp_path / "one", transfer=one, run=FAST))
    repeated = train(train_config(tmp_path / "two", transfer=two, run=FAST))
    assert results_of(alone)["targets"] == results_of(repeated / "repeat-1")["targets"]


def test_values_are_held_out_one_at_a_time(
    train_config: Configs, tmp_path: Path, capsys: pytest.CaptureFixture[str], files: Path
) -> None:
    split = SplitOptions(val_size=0.2)
    transfer = TransferOptions(cv_by="location", baselines="random_forest")
    run = train(train_config(tmp_path / "run", split=split, transfer=transfer, run=FAST))
    site_of = {row["sample-id"]: row["location"] for row in rows_of(files / "metadata.tsv")}
    values = sorted(set(site_of.values()))
    folders = run_folders_in(run)
    assert len(folders) == len(values) > 1
    for value, folder in zip(values, folders, strict=True):
        own = read_splits(folder / "splits.tsv")
        assert {site_of[i] for i in own.test} == {value}
        assert value not in {site_of[i] for i in (*own.train, *own.validation)}
        assert own.validation
    found = results_of(run)
    each = found["values"]["each"]
    assert found["values"]["column"] == "location"
    assert list(each) == values
    for value, folder in zip(values, folders, strict=True):
        assert each[value]["targets"] == results_of(folder)["targets"]
    mean = found["values"]["mean"]
    of_values = [one["targets"]["degree_days"]["aam"]["mae"] for one in each.values()]
    assert mean["targets"]["degree_days"]["aam"]["mae"] == pytest.approx(np.mean(of_values))
    assert mean["bootstrap"]["groups"] == {"degree_days": len(values)}
    assert found["verdict"] == mean["verdict"]
    text = capsys.readouterr().err
    assert f"fold 1 of {len(values)}: location {values[0]}" in text
    assert "degree_days, mean over the values of location:" in text


def test_values_that_divide_groups(train_config: Configs, tmp_path: Path) -> None:
    config = train_config(tmp_path / "run", transfer=TransferOptions(cv_by="season"), run=FAST)
    with pytest.raises(DataError, match=r"groups of --group-column host have samples of several values"):
        train(config)
    assert not (tmp_path / "run").exists()


def test_resuming_continues_where_it_stopped(train_config: Configs, tmp_path: Path) -> None:
    transfer = TransferOptions(cv=2, repeats=2, baselines="none")
    whole = train(train_config(tmp_path / "whole", transfer=transfer, run=FAST))
    part = train_config(tmp_path / "part", transfer=transfer, run=FAST)
    train(part)
    for path in (tmp_path / "part" / "repeat-2" / "fold-2", tmp_path / "part" / "repeat-2" / "report"):
        for file in sorted(path.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink()
        path.rmdir()
    train(train_config(tmp_path / "part", transfer=transfer, run=FAST | {"resume_from": "auto"}))
    for name in ("report/results.json", "repeat-2/predictions.tsv", "repeat-2/fold-2/splits.tsv"):
        assert (tmp_path / "part" / name).read_bytes() == (whole / name).read_bytes()


def test_baselines_may_differ_when_a_run_is_resumed(train_config: Configs, tmp_path: Path) -> None:
    train(train_config(tmp_path / "run", transfer=TransferOptions(baselines="none"), run=FAST))
    assert set(results_of(tmp_path / "run")["targets"]["degree_days"]) == {"aam", "constant"}
    other, again = TransferOptions(baselines="clr_linear"), {"epochs": 2, "resume_from": "auto"}
    train(train_config(tmp_path / "run", transfer=other, run=again))
    assert set(results_of(tmp_path / "run")["targets"]["degree_days"]) == {"aam", "constant", "clr_linear"}
