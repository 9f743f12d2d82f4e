"""`aam show` of everything that is not a model: runs, and files of studies and runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aam_data.options.commands import UnifracOptions
from aam_data.options.files import TableOptions
from aam_data.simulate.study import SimulatedStudy
from aam_data.study.study import Study
from aam_data.unifrac.command import run_unifrac
from aam_models.errors import ModelError
from aam_train.errors import TrainError
from aam_train.files import read_json_object
from aam_train.show.show import describe

Run = tuple[Any, Path]


def test_a_finished_run(number_run: Run) -> None:
    rows = dict(describe(number_run[1]))
    assert rows["course"] == "finished, step 6, epoch 2 of 2"
    assert rows["predicts"] == "degree_days (number)"
    results = read_json_object(number_run[1] / "report" / "results.json")["targets"]["degree_days"]
    assert f"mae {results['random_forest']['mae']:.3g}" in rows["test degree_days, random forest"]


def test_an_unfinished_run(number_run: Run, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(number_run[1], run, symlinks=True)
    (run / "report" / "results.json").unlink()
    lines = (run / "metrics.jsonl").read_text().splitlines()
    (run / "metrics.jsonl").write_text("\n".join(lines[:5]) + "\n" + lines[5][:20])
    assert dict(describe(run))["course"] == "running or interrupted, step 4, epoch 1 of 2"
    (run / "metrics.jsonl").write_text("")
    assert dict(describe(run))["course"] == "running or interrupted; metrics.jsonl has no step of it"
    shutil.rmtree(run / "checkpoints")
    (run / "metrics.jsonl").unlink()
    assert describe(run) == [("run", str(run)), ("course", "running or interrupted, before its first step")]


@pytest.mark.parametrize(
    "content",
    [
        '{"targets": 3}',
        '{"targets": {"degree_days": [1]}}',
        '{"targets": {"a": {"aam": {"r2": "x"}}}}',
        '{"aam": 1}',
        '{"verdict": 3}',
        "[]",
    ],
)
def test_results_of_another_form_are_named(content: str, number_run: Run, tmp_path: Path) -> None:
    run = Path(shutil.copytree(number_run[1], tmp_path / "run", symlinks=True))
    (run / "report" / "results.json").write_text(content)
    with pytest.raises(ModelError, match=r"report/results\.json: "):
        describe(run)


def test_results_of_older_runs_have_no_verdict(number_run: Run, tmp_path: Path) -> None:
    assert dict(describe(number_run[1]))["verdict"].startswith("degree_days: ")
    run = Path(shutil.copytree(number_run[1], tmp_path / "run", symlinks=True))
    file = run / "report" / "results.json"
    file.write_text(json.dumps({"part": "test", "targets": read_json_object(file)["targets"]}))
    rows = dict(describe(run))
    assert "verdict" not in rows
    assert rows["test degree_days, aam"].startswith("r2 ")


def test_a_folder_named_like_a_fold_is_none(number_run: Run, tmp_path: Path) -> None:
    run = Path(shutil.copytree(number_run[1], tmp_path / "run", symlinks=True))
    (run / "fold-notes").mkdir()
    assert dict(describe(run))["course"] == "finished, step 6, epoch 2 of 2"


def test_folds(number_run: Run, tmp_path: Path) -> None:
    for fold in ("fold-1", "fold-2", "fold-10"):
        shutil.copytree(number_run[1], tmp_path / "cv" / fold, symlinks=True)
    shutil.copy(number_run[1] / "config.toml", tmp_path / "cv")
    shutil.copytree(number_run[1] / "report", tmp_path / "cv" / "report")
    rows = describe(tmp_path / "cv")
    assert [name for name, _ in rows[1:5]] == ["folds", "fold-1", "fold-2", "fold-10"]
    assert rows[2][1] == "finished, step 6, epoch 2 of 2"
    assert "out of fold degree_days, aam" in dict(rows)


def test_files_of_a_study(files: Path, simulated: SimulatedStudy, study: Study) -> None:
    table = dict(describe(files / "table.biom"))
    depths = study.table.depths()
    assert table["samples"].startswith("24, such as S01, S02, S03")
    assert table["counts"] == "reads"
    assert table["per sample"] == f"{depths.min():,} to {depths.max():,}, median {np.median(depths):,.6g} reads"
    assert "note" not in table
    metadata = dict(describe(files / "metadata.tsv"))
    assert metadata["column host"].startswith("12 values: H01 (2), H02 (2)")
    assert study.metadata is not None
    ages = study.metadata.numeric("age")
    assert metadata["column age"].startswith(f"numbers, {ages.min():,.6g} to {ages.max():,.6g}")
    tree = dict(describe(files / "tree.nwk"))
    assert (tree["tips"], tree["nodes"], tree["branches of the root"]) == ("60", "119", "2")
    assert dict(describe(files / "rep-seqs.fasta"))["bases"] == "40 to 40, median 40"


def test_other_files(files: Path, number_run: Run, tmp_path: Path) -> None:
    matrix = tmp_path / "d.h5"
    run_unifrac(TableOptions(files / "table.biom"), UnifracOptions(files / "tree.nwk", matrix))
    assert dict(describe(matrix))["samples"].startswith("24, such as")
    run_unifrac(
        TableOptions(files / "table.biom"),
        UnifracOptions(files / "tree.nwk", tmp_path / "pd.tsv", unifrac_metric="faith_pd"),
    )
    assert dict(describe(tmp_path / "pd.tsv"))["content"] == "alpha diversity"
    (tmp_path / "taxonomy.tsv").write_text("Feature ID\tTaxon\na\tk__A; p__B\nb\tk__A; p__C\nc\tk__A\n")
    rows = dict(describe(tmp_path / "taxonomy.tsv"))
    assert (rows["rank 1"], rows["rank 2"]) == ("1 taxa of 3 features", "2 taxa of 2 features")
    run = number_run[1]
    assert dict(describe(run / "splits.tsv"))["test"] == "4 samples"
    assert dict(describe(run / "predictions.tsv"))["rows"].startswith("4, such as")
    assert dict(describe(run / "predictions_full.tsv"))["column split"].startswith("3 values: train (14)")
    assert dict(describe(run / "metrics.jsonl"))["records"] == "6 steps, 2 epochs"
    assert dict(describe(run / "starts.jsonl"))["last start"] == "from step 0"
    assert dict(describe(run / "config.toml"))["optimizer lr"] == "0.002"
    np.savez(tmp_path / "e.npz", ids=np.array(["a"]), embeddings=np.zeros((1, 3)))
    assert ("embeddings", "float64 [1, 3]") in describe(tmp_path / "e.npz")


@pytest.mark.parametrize("content", ["{}", "word", "a\tb\n1\t2\n"])
def test_unknown_files(content: str, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text(content)
    with pytest.raises(TrainError, match=r"not a file that AAM knows .feature table, metadata, tree"):
        describe(tmp_path / "file.txt")
