"""`aam evaluate` and `aam embed` beside the runs that they look at."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aam_data.errors import DataError
from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions
from aam_data.options.samples import SplitOptions
from aam_data.readers.distances.matrix import read_distances
from aam_data.splits.splits import read_splits
from aam_data.study.study import Study
from aam_models.storage.model_folder import load_model
from aam_train.errors import TrainError
from aam_train.options.commands import EmbedOptions, EvaluateOptions, PredictOptions
from aam_train.options.recipe_configs import EmbedConfig, EvaluateConfig, PredictConfig
from aam_train.recipes.embed import embed as run_embed
from aam_train.recipes.evaluate import evaluate as run_evaluate
from aam_train.recipes.predict import predict
from aam_train.recipes.pretrain import pretrain
from aam_train.recipes.train import train

Run = tuple[Any, Path]
Configs = Callable[..., Any]


def rows_of(file: Path) -> list[list[str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines, "excel-tab"))


def numbers(file: Path) -> tuple[list[str], np.ndarray]:
    rows = rows_of(file)[1:]
    return [row[0] for row in rows], np.array([[float(cell) for cell in row[1:]] for row in rows])


def evaluate(files: Path, model: Path, output: Path, **options: Any) -> dict[str, Any]:
    config = EvaluateConfig(
        TableOptions(files / "table.biom"),
        EvaluateOptions(model, output, device="cpu", **options),
        MetadataOptions(files / "metadata.tsv"),
        PhylogenyOptions(tree=files / "tree.nwk"),
    )
    run_evaluate(config, quiet=True)
    return json.loads((output / "results.json").read_text())


def test_the_runs_own_test_samples_give_the_runs_own_figures(
    number_run: Run, class_run: Run, files: Path, tmp_path: Path
) -> None:
    for run, column in ((number_run[1], "degree_days"), (class_run[1], "status")):
        own = json.loads((run / "report" / "results.json").read_text())
        found = evaluate(files, run, tmp_path / column, part="test")["parts"]
        assert set(found) == {"test"}
        assert found["test"]["samples"] == own["samples"]
        expected = {name: value for name, value in own["targets"][column]["aam"].items() if value is not None}
        judged = found["test"]["targets"][column]["aam"]
        assert {name: judged[name] for name in expected} == pytest.approx(expected, rel=1e-5)
        assert found["test"]["bootstrap"]["groups"] == own["bootstrap"]["groups"] == {column: 2}  # hosts of the run
        assert found["test"]["verdict"] == own["verdict"]
        written = {row[0]: row[1] for row in rows_of(tmp_path / column / "predictions.tsv")[1:]}
        assert set(written) == set(read_splits(run / "splits.tsv").test)


def test_what_the_model_trained_on_is_judged_apart_beside_the_training_mean(
    number_run: Run, files: Path, study: Study, tmp_path: Path
) -> None:
    splits = read_splits(number_run[1] / "splits.tsv")
    parts = evaluate(files, number_run[1], tmp_path / "all")["parts"]
    assert {part: parts[part]["samples"] for part in parts} == {
        part: len(getattr(splits, part)) for part in ("test", "validation", "train")
    }
    assert parts["train"]["bootstrap"]["groups"] == {"degree_days": 7}
    low, high = parts["train"]["intervals"]["degree_days"]["aam"]["mae"]
    assert low < parts["train"]["targets"]["degree_days"]["aam"]["mae"] < high
    assert study.metadata is not None
    truth = dict(zip(study.table.sample_ids, study.metadata.numeric("degree_days"), strict=True))
    mean = np.mean([truth[i] for i in splits.train])
    error = np.mean([abs(truth[i] - mean) for i in splits.test])
    assert parts["test"]["targets"]["degree_days"]["constant"]["mae"] == pytest.approx(error, rel=1e-6)
    full = rows_of(tmp_path / "all" / "predictions_full.tsv")
    assert full[0] == ["sample-id", "target", "truth", "prediction", "split", "note"]
    assert {row[0]: row[4] for row in full[1:]} == splits.part_of()
    assert (tmp_path / "all" / "predicted_vs_true.png").exists()


def test_classes_that_the_model_does_not_know_are_told(
    class_run: Run, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header, *lines = (files / "metadata.tsv").read_text().splitlines()
    status = header.split("\t").index("status")
    cells = [line.split("\t") for line in lines]
    for row in cells[::4]:
        row[status] = "dead"
    metadata = tmp_path / "metadata.tsv"
    metadata.write_text("\n".join([header, *("\t".join(row) for row in cells)]) + "\n")
    options = EvaluateOptions(class_run[1], tmp_path / "judged", device="cpu")
    run_evaluate(EvaluateConfig(TableOptions(files / "table.biom"), options, MetadataOptions(metadata)), quiet=True)
    text = f"warning: {len(cells[::4])} samples have classes that the model does not know and are not evaluated: dead"
    assert text in capsys.readouterr().err


def test_a_model_without_its_run_knows_no_parts(
    number_run: Run, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = (number_run[1] / "checkpoints" / "best").resolve()
    copy = tmp_path / "model"
    copy.mkdir()
    for file in alone.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    assert set(evaluate(files, copy, tmp_path / "new")["parts"]) == {"new"}
    assert "warning: which samples the model was trained on is unknown" in capsys.readouterr().err
    with_splits = evaluate(files, copy, tmp_path / "known", splits_from=number_run[1], part="test")
    own = evaluate(files, number_run[1], tmp_path / "own", part="test")
    assert with_splits == own
    with pytest.raises(TrainError, match="--part new: no sample of the table"):
        evaluate(files, number_run[1], tmp_path / "none", part="new")
    with pytest.raises(TrainError, match=r"the folder is not empty. Use a new one$"):
        evaluate(files, number_run[1], tmp_path / "own")


def test_an_encoder_has_no_predictions_to_average(encoder_run: Run, files: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"--prediction-passes: .* is an encoder"):
        evaluate(files, encoder_run[1], tmp_path / "encoder", prediction_passes=5)
    assert not (tmp_path / "encoder").exists()


def test_an_encoder_is_judged_on_what_it_learned(encoder_run: Run, files: Path, tmp_path: Path) -> None:
    results = json.loads((encoder_run[1] / "report" / "results.json").read_text())
    own = results["aam"]
    found = evaluate(files, encoder_run[1], tmp_path / "encoder", part="test")["parts"]["test"]["targets"]["encoder"]
    assert found["aam"] == pytest.approx({name: own[name] for name in found["aam"]}, rel=1e-5)
    assert found["constant"] == pytest.approx(results["constant"], rel=1e-5)
    assert set(found["aam"]) == {"unifrac_r", "unifrac_mae", "nucleotide_accuracy", "count_mse"}


def embed(files: Path, model: Path, output: Path, **options: Any) -> list[Path]:
    table = options.pop("table", files / "table.biom")
    options = {"device": "cpu"} | options
    return run_embed(EmbedConfig(TableOptions(table), EmbedOptions(model, output, **options)), quiet=True)


def test_embeddings_do_not_depend_on_order_or_batches(
    encoder_run: Run, files: Path, study: Study, write_table: Callable[..., Path], tmp_path: Path
) -> None:
    embed(files, encoder_run[1], tmp_path / "a.tsv", batch_size=32)
    ids, first = numbers(tmp_path / "a.tsv")
    assert rows_of(tmp_path / "a.tsv")[0] == ["sample-id", *(f"D{d + 1}" for d in range(16))]
    assert ids == study.table.sample_ids.tolist()
    dense = np.zeros((24, study.table.n_features))
    dense[np.repeat(np.arange(24), study.table.features_per_sample()), study.table.data.indices] = (
        study.table.data.counts
    )
    order, features = np.random.default_rng(0).permutation(24), np.random.default_rng(1).permutation(dense.shape[1])
    names = [str(name) for name in study.table.feature_ids[features]]
    other = write_table(tmp_path / "b.biom", [ids[row] for row in order], names, dense[order][:, features])
    embed(files, encoder_run[1], tmp_path / "b.npz", table=other, batch_size=3)
    with np.load(tmp_path / "b.npz") as arrays:
        assert arrays["ids"].tolist() == [ids[row] for row in order]
        assert arrays["embeddings"] == pytest.approx(first[order], abs=1e-6)


def test_predicted_distances_are_those_of_the_embeddings(encoder_run: Run, files: Path, tmp_path: Path) -> None:
    embed(files, encoder_run[1], tmp_path / "e.tsv", distances=tmp_path / "d.tsv")
    ids, points = numbers(tmp_path / "e.tsv")
    found = read_distances(tmp_path / "d.tsv")
    assert found.ids.tolist() == ids
    head = load_model(encoder_run[1] / "checkpoints" / "best").distance_head
    slope, offset = 0.05 + np.exp(head.slope.item()), head.offset.item()
    squares = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    expected = 1 / (1 + np.exp(-(slope / 2 * np.log(squares + 1e-6) + offset)))
    np.fill_diagonal(expected, 0.0)
    assert found.values == pytest.approx(expected, abs=1e-5)
    with pytest.raises(DataError, match="--output exists"):
        embed(files, encoder_run[1], tmp_path / "e.tsv")
    assert embed(files, encoder_run[1], tmp_path / "e.tsv", overwrite=True) == [tmp_path / "e.tsv"]


def test_asvs_are_embedded_under_every_id_of_the_file(
    encoder_run: Run, study: Study, write_table: Callable[..., Path], tmp_path: Path
) -> None:
    sequences = [str(name) for name in study.table.feature_ids[:4]]
    names = ["x1", "x2", "x3", "x4", "x5"]
    (tmp_path / "seqs.fasta").write_text(
        "".join(f">{name}\n{sequence}\n" for name, sequence in zip(names, [*sequences, sequences[1]], strict=True))
    )
    table = write_table(tmp_path / "t.biom", ["s1"], names, np.full((1, 5), 100.0))
    options = EmbedOptions(encoder_run[1], tmp_path / "a.tsv", level="asv", device="cpu")
    run_embed(EmbedConfig(TableOptions(table, tmp_path / "seqs.fasta"), options), quiet=True)
    ids, embeddings = numbers(tmp_path / "a.tsv")
    rows = dict(zip(ids, embeddings, strict=True))
    assert sorted(rows) == names
    assert np.array_equal(rows["x2"], rows["x5"])
    assert len({row.tobytes() for row in embeddings}) == 4


def test_a_model_without_distances_predicts_none(number_run: Run, files: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"has not learned distances \(--unifrac-weight was 0\)"):
        embed(files, number_run[1], tmp_path / "e.tsv", distances=tmp_path / "d.h5")
    assert list(tmp_path.iterdir()) == []


def test_a_run_takes_the_splits_of_another(
    encoder_run: Run, train_config: Configs, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (files / "metadata.tsv").read_text().splitlines()
    column = lines[0].split("\t").index("degree_days")
    row = lines[1].split("\t")
    row[column] = ""
    (tmp_path / "metadata.tsv").write_text("\n".join([lines[0], "\t".join(row), *lines[2:]]) + "\n")
    config = train_config(
        tmp_path / "run",
        encoder_run[1],
        metadata=MetadataOptions(tmp_path / "metadata.tsv"),
        split=SplitOptions(group_column="host", splits_from=encoder_run[1]),
    )
    run = train(config)
    before, after = (read_splits(path / "splits.tsv").part_of() for path in (encoder_run[1], run))
    assert after == {sample_id: part for sample_id, part in before.items() if sample_id != row[0]}
    text = capsys.readouterr().err
    assert f"1 of 24 samples of {encoder_run[1]}/splits.tsv cannot be used here: {row[0]}" in text
    assert "were used, without their targets, in pretraining" not in text


def test_splits_that_do_not_fit_are_refused(encoder_run: Run, train_config: Configs, tmp_path: Path) -> None:
    (tmp_path / "splits.tsv").write_text("sample-id\tsplit\tgroup\nelsewhere\ttrain\t\n")
    for source, message in (
        (tmp_path, "contains none of the table's samples"),
        (tmp_path / "absent", "no such file of splits"),
    ):
        config = train_config(tmp_path / "run", encoder_run[1], split=SplitOptions(splits_from=source))
        with pytest.raises(DataError, match=message):
            train(config, quiet=True)
    for other in ({"train_samples": tmp_path, "val_samples": tmp_path}, {"stratify_column": "season"}):
        with pytest.raises(ValueError, match=r"--splits-from and --(train-samples|stratify-column) cannot be combined"):
            SplitOptions(splits_from=tmp_path, **other)


def test_an_existing_prediction_is_not_overwritten(number_run: Run, files: Path, tmp_path: Path) -> None:
    (tmp_path / "p.tsv").write_text("mine")
    options = PredictOptions(number_run[1], tmp_path / "p.tsv", device="cpu")
    with pytest.raises(DataError, match=r"--output exists\. Choose another file, or pass --overwrite"):
        predict(PredictConfig(TableOptions(files / "table.biom"), options), quiet=True)
    assert (tmp_path / "p.tsv").read_text() == "mine"
    (tmp_path / "p.tsv").rename(tmp_path / "p_full.tsv")
    with pytest.raises(DataError, match=r"p_full.tsv: is written next to --output p.tsv and exists\. .*--overwrite"):
        predict(PredictConfig(TableOptions(files / "table.biom"), options), quiet=True)
    assert [path.name for path in tmp_path.iterdir()] == ["p_full.tsv"]
    options = PredictOptions(number_run[1], tmp_path / "p.tsv", device="cpu", overwrite=True)
    predict(PredictConfig(TableOptions(files / "table.biom"), options), quiet=True)
    assert len(rows_of(tmp_path / "p.tsv")) == 25


def test_another_alpha_than_the_model_learned_is_an_error(
    pretrain_config: Configs, files: Path, tmp_path: Path
) -> None:
    learned = PhylogenyOptions(tree=files / "tree.nwk", unifrac_metric="generalized", unifrac_alpha=0.25)
    run = pretrain(pretrain_config(tmp_path / "run", run={"epochs": 1}, phylogeny=learned), quiet=True)
    table, options = TableOptions(files / "table.biom"), EvaluateOptions(run, tmp_path / "evaluation", device="cpu")
    asked = replace(learned, unifrac_alpha=0.5)
    with pytest.raises(TrainError, match=r"--unifrac-alpha 0\.5: the model learned 0\.25\. Omit it"):
        run_evaluate(EvaluateConfig(table, options, phylogeny=asked), quiet=True)
    run_evaluate(EvaluateConfig(table, options, phylogeny=learned), quiet=True)
    assert (tmp_path / "evaluation" / "results.json").is_file()
