"""`aam train --adaptation probe`: features that are fixed, a head that is fitted in closed form."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from aam_data.options.files import MetadataOptions, TableOptions
from aam_data.options.metadata_inputs import CategoryOptions
from aam_data.options.simulate import SimulateOptions
from aam_data.options.targets import TargetOptions
from aam_data.simulate.study import simulate_study, write_simulated_study
from aam_data.splits.splits import read_splits
from aam_data.study.study import Study, read_study
from aam_models.config.encoder import ModelOptions
from aam_models.config.predictor_options import HeadOptions, OutputOptions
from aam_train.errors import TrainError
from aam_train.options.commands import EmbedOptions, EvaluateOptions, PredictOptions
from aam_train.options.objective import TrainObjective
from aam_train.options.optimizer import OptimizerOptions
from aam_train.options.recipe_configs import EmbedConfig, EvaluateConfig, PredictConfig, TrainConfig
from aam_train.options.run import TransferOptions
from aam_train.options.toml import config_to_toml
from aam_train.recipes.embed import embed
from aam_train.recipes.evaluate import evaluate
from aam_train.recipes.inputs import read_search_inputs
from aam_train.recipes.predict import predict
from aam_train.recipes.train import train
from aam_train.runs.records import read_preprocessor, read_training
from aam_train.show.run import describe_run

Configs = Callable[..., Any]


@pytest.fixture(scope="session")
def probe_config(auto_config: Configs) -> Configs:
    """A function that gives settings of a probe on ``degree_days``; arguments as for ``train_config``."""

    def make(output: Path, encoder: Path | None = None, run: dict[str, Any] | None = None, **sections: Any) -> Any:
        return auto_config(
            output, encoder, run, **({"transfer": TransferOptions(encoder, adaptation="probe")} | sections)
        )

    return make


@pytest.fixture(scope="session")
def class_probe(probe_config: Configs, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainConfig, Path]:
    target = TargetOptions(("status",), classifier=True)
    config = probe_config(tmp_path_factory.mktemp("probe") / "run", target=target)
    return config, train(config, quiet=True)


def table(path: Path) -> dict[str, list[str]]:
    with path.open() as lines:
        _, *rows = csv.reader(lines, "excel-tab")
    return {row[0]: row[1:] for row in rows}


def features_of(files: Path, model: Path, output: Path) -> dict[str, np.ndarray]:
    embed(EmbedConfig(TableOptions(files / "table.biom"), EmbedOptions(model, output, features="wide")), quiet=True)
    stored = np.load(output)
    return dict(zip(stored["ids"].tolist(), stored["embeddings"].astype(np.float64), strict=True))


def learned(run: Path, part: str = "") -> list[str]:
    splits = read_splits(run / "splits.tsv")
    return list(splits.test) if part == "test" else [*splits.train, *splits.validation]


def column(files: Path, name: str) -> dict[str, str]:
    with (files / "metadata.tsv").open() as lines:
        return {row["sample-id"]: row[name] for row in csv.DictReader(lines, dialect="excel-tab")}


def test_classes_are_predicted_as_by_scikit_learn_on_the_same_features(
    class_probe: tuple[TrainConfig, Path], files: Path, tmp_path: Path
) -> None:
    _, run = class_probe
    features, status = features_of(files, run, tmp_path / "features.npz"), column(files, "status")
    known, new = learned(run), learned(run, "test")
    penalty = read_training(run / "checkpoints" / "best").penalties["status"]
    x, y = np.array([features[i] for i in known]), [status[i] for i in known]
    model = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=10_000).fit(x, y)
    expected = model.predict_proba(np.array([features[i] for i in new]))
    found = table(run / "predictions_probabilities.tsv")
    np.testing.assert_allclose([[float(p) for p in found[i]] for i in new], expected, atol=1e-6)


@pytest.mark.parametrize(("bases", "read"), [(180, 180), (120, 150)])
def test_a_probe_reads_long_sequences_whole(probe_config: Configs, bases: int, read: int, tmp_path: Path) -> None:
    write_simulated_study(simulate_study(SimulateOptions(24, asvs=40, bases=bases, seed=1)), tmp_path / "study")
    config = probe_config(
        tmp_path / "run",
        table=TableOptions(tmp_path / "study" / "table.biom"),
        metadata=MetadataOptions(tmp_path / "study" / "metadata.tsv"),
    )
    best = train(config, quiet=True) / "checkpoints" / "best"
    assert read_preprocessor(best).max_bp == read


def test_cut_reads_have_features_of_whole_ones(
    class_probe: tuple[TrainConfig, Path],
    study: Study,
    files: Path,
    write_table: Callable[..., Path],
    tmp_path: Path,
) -> None:
    _, run = class_probe
    whole = features_of(files, run, tmp_path / "whole.npz")
    table, letters = study.table, [study.sequences.text(i) for i in range(len(study.sequences))]
    counts = np.zeros((table.n_samples, table.n_features))
    rows = np.repeat(np.arange(table.n_samples), np.diff(table.data.indptr))
    counts[rows, table.data.indices] = table.data.counts
    longest = max(map(len, letters))
    shortest = next(n for n in range(longest) if len({each[:n] for each in letters}) == len(letters))
    cut = [each[:shortest] for each in letters]  # all different, so that the same reads are drawn
    write_table(tmp_path / "table.biom", table.sample_ids.tolist(), cut, counts)
    again = features_of(tmp_path, run, tmp_path / "cut.npz")
    assert again.keys() == whole.keys()
    for sample in learned(run):
        np.testing.assert_allclose(again[sample], whole[sample], atol=1e-5)


def test_numbers_are_predicted_as_by_scikit_learn(probe_config: Configs, files: Path, tmp_path: Path) -> None:
    run = train(probe_config(tmp_path / "run"), quiet=True)
    features, values = features_of(files, run, tmp_path / "features.npz"), column(files, "degree_days")
    known, new = learned(run), learned(run, "test")
    penalty = read_training(run / "checkpoints" / "best").penalties["degree_days"]
    x, y = np.array([features[i] for i in known]), np.array([float(values[i]) for i in known])
    model = Ridge(alpha=penalty * len(known)).fit(x, y)
    found = table(run / "predictions.tsv")
    expected = model.predict(np.array([features[i] for i in new]))
    np.testing.assert_allclose([float(found[i][0]) for i in new], expected, rtol=1e-5)


def test_predict_and_evaluate_repeat_the_run(
    class_probe: tuple[TrainConfig, Path], files: Path, tmp_path: Path
) -> None:
    _, run = class_probe
    source = TableOptions(files / "table.biom")
    predict(PredictConfig(source, PredictOptions(run, tmp_path / "new.tsv")), quiet=True)
    before, after = table(run / "predictions_probabilities.tsv"), table(tmp_path / "new_probabilities.tsv")
    assert before.keys() <= after.keys()
    for sample, shares in before.items():
        np.testing.assert_allclose(np.array(after[sample], float), np.array(shares, float), atol=1e-6)
    metadata = MetadataOptions(files / "metadata.tsv")
    options = EvaluateOptions(run, tmp_path / "evaluation", part="test")
    evaluate(EvaluateConfig(source, options, metadata), quiet=True)
    results = json.loads((run / "report" / "results.json").read_text())["targets"]["status"]["aam"]
    again = json.loads((tmp_path / "evaluation" / "results.json").read_text())["parts"]["test"]
    assert again["targets"]["status"]["aam"] == pytest.approx(results)


def test_weights_and_metadata_enter_as_in_scikit_learn(probe_config: Configs, files: Path, tmp_path: Path) -> None:
    config = probe_config(
        tmp_path / "run",
        target=TargetOptions(("status",), classifier=True),
        category=CategoryOptions(("location",), ("age",)),
        objective=TrainObjective(class_weights="auto"),
    )
    run = train(config, quiet=True)
    best, status = run / "checkpoints" / "best", column(files, "status")
    record, features = read_training(best), features_of(files, run, tmp_path / "features.npz")
    metadata = read_study(TableOptions(files / "table.biom"), MetadataOptions(files / "metadata.tsv")).metadata
    assert metadata is not None
    inputs = read_preprocessor(best).inputs
    known, new = learned(run), learned(run, "test")

    def design(ids: list[str]) -> np.ndarray:
        values = inputs.apply(metadata.take(np.array(ids, dtype=object)))
        ones = values.codes == np.arange(1, inputs.categories.sizes[0])
        return np.hstack([[features[i] for i in ids], values.covariates, ones])

    y = [status[i] for i in known]
    model = LogisticRegression(C=1 / record.penalties["status"], tol=1e-10, max_iter=10_000)
    model.fit(design(known), y, [record.class_weights[each] for each in y])
    found = table(run / "predictions_probabilities.tsv")
    np.testing.assert_allclose([[float(p) for p in found[i]] for i in new], model.predict_proba(design(new)), atol=1e-5)


def test_a_finished_probe_is_not_fitted_again(
    class_probe: tuple[TrainConfig, Path], changed: Configs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, run = class_probe
    weights = (run / "checkpoints" / "best" / "model.safetensors").stat()
    before = (run / "predictions.tsv").read_bytes()
    train(changed(config, "run", resume_from="auto"))
    assert "fitted" not in capsys.readouterr().err
    assert (run / "checkpoints" / "best" / "model.safetensors").stat() == weights
    assert (run / "predictions.tsv").read_bytes() == before


def test_the_same_settings_give_the_same_bits_and_are_described(
    class_probe: tuple[TrainConfig, Path], changed: Configs, tmp_path: Path
) -> None:
    config, run = class_probe
    again = train(changed(config, "run", output_dir=tmp_path / "again"), quiet=True)
    files = [path / "checkpoints" / "best" / "model.safetensors" for path in (run, again)]
    assert files[0].read_bytes() == files[1].read_bytes()
    shown = dict(describe_run(run))
    assert shown["course"] == "finished; fitted in closed form, without steps"
    assert shown["encoder"] == "none"
    assert "fitted in closed form" in shown["head"]


def test_an_encoder_adds_its_embeddings(
    probe_config: Configs, encoder_run: tuple[Any, Path], files: Path, tmp_path: Path
) -> None:
    run = train(probe_config(tmp_path / "run", encoder_run[1]), quiet=True)
    config = json.loads((run / "checkpoints" / "best" / "config.json").read_text())["model"]
    assert config["features"] == {
        "functions": 256,
        "base_bandwidths": 4,
        "embedding_bandwidths": 4,
        "presence_bandwidths": 0,
        "reads": 8192,
        "centres": 1024,
    }
    width = 2 * 1024 + 2 * 4 * 256 + config["encoder"]["width"] + 1
    assert len(next(iter(features_of(files, run, tmp_path / "wide.npz").values()))) == width
    source = TableOptions(files / "table.biom")
    embed(EmbedConfig(source, EmbedOptions(run, tmp_path / "narrow.npz")), quiet=True)
    assert np.load(tmp_path / "narrow.npz")["embeddings"].shape[1] == config["encoder"]["width"]


def test_several_targets_quantiles_metadata_and_folds(probe_config: Configs, files: Path, tmp_path: Path) -> None:
    config = probe_config(
        tmp_path / "run",
        target=TargetOptions(("degree_days", "age")),
        category=CategoryOptions(categorical_columns=("location",)),
        objective=TrainObjective(loss_type="quantile", quantiles=(0.1, 0.5, 0.9), conformal=True),
    )
    config = dataclasses.replace(config, transfer=dataclasses.replace(config.transfer, cv=2))
    run = train(config, quiet=True)
    with (run / "predictions_full.tsv").open() as lines:
        rows = list(csv.DictReader(lines, dialect="excel-tab"))
    assert len(rows) == 48
    assert all(float(row["lower"]) <= float(row["prediction"]) <= float(row["upper"]) for row in rows)
    source, metadata = TableOptions(files / "table.biom"), MetadataOptions(files / "metadata.tsv")
    output = tmp_path / "new.tsv"
    predict(PredictConfig(source, PredictOptions(run / "fold-1", output), metadata), quiet=True)
    assert len(table(tmp_path / "new-2.tsv")) == 24


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head": HeadOptions((8,))}, "--regressor-hidden-dims has no effect on --adaptation probe"),
        ({"link": OutputOptions(bounded_targets=True)}, "--bounded-targets has no effect"),
        ({"optimizer": OptimizerOptions(lr=1e-3)}, "--lr has no effect"),
        ({"model": ModelOptions(preset="tiny")}, "--preset has no effect"),
        ({"objective": TrainObjective(loss_type="asymmetric")}, "the loss asymmetric of degree_days has no closed"),
        ({"run": {"epochs": 3}}, "--epochs has no effect"),
        (
            {"category": CategoryOptions(("location", "season"), (), '{"season": "location"}')},
            "--categorical-hierarchy has no effect",
        ),
    ],
)
def test_options_of_gradients_are_refused(
    probe_config: Configs, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        probe_config(tmp_path / "run", **change)


def test_what_a_probe_cannot_do_is_refused(
    class_probe: tuple[TrainConfig, Path], encoder_run: tuple[Any, Path], files: Path, changed: Configs, tmp_path: Path
) -> None:
    config, run = class_probe
    source = TableOptions(files / "table.biom")
    with pytest.raises(TrainError, match="fits its head in closed form, without a learning rate"):
        read_search_inputs(changed(config, "run", output_dir=tmp_path / "search"))
    for options, message in (
        (EmbedOptions(run, tmp_path / "asvs.npz", level="asv"), "--level asv: .* has no encoder"),
        (EmbedOptions(run, tmp_path / "a.npz", features="embedding"), "--features embedding: .* has no encoder"),
        (EmbedOptions(encoder_run[1], tmp_path / "a.npz", features="wide"), "--features wide: .* has no wide features"),
    ):
        with pytest.raises(TrainError, match=message):
            embed(EmbedConfig(source, options), quiet=True)


@pytest.mark.parametrize("kind", ["data_parallel", pytest.param("fsdp", marks=pytest.mark.slow)])
def test_two_processes_fit_what_one_fits(
    class_probe: tuple[TrainConfig, Path],
    changed: Configs,
    run_processes: Callable[..., list[str]],
    tmp_path: Path,
    kind: str,
) -> None:
    config, run = class_probe
    config = changed(config, "run", output_dir=tmp_path / "run")
    if kind == "data_parallel":
        train(changed(config, "parallel", data_parallel=True, processes=2), quiet=True)
    else:
        file = tmp_path / "config.toml"
        file.write_text(config_to_toml(changed(config, "parallel", fsdp=True)), encoding="utf-8")
        run_processes(2, "run.py", "none", 0, 0, "train", "--config", file)
    one, two = (table(path / "predictions_probabilities.tsv") for path in (run, tmp_path / "run"))
    assert one.keys() == two.keys()
    for sample, shares in one.items():
        np.testing.assert_allclose(np.array(two[sample], float), np.array(shares, float), atol=1e-5)
