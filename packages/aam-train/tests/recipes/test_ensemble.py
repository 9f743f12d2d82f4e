"""`--ensemble`, and folds as an ensemble: predictions are means of what the models predict on their own."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, r2_score

from aam_data.options.files import MetadataOptions, TableOptions
from aam_data.options.metadata_inputs import CategoryOptions
from aam_data.options.targets import TargetOptions
from aam_data.splits.splits import read_splits
from aam_models.config.encoder import ModelOptions
from aam_models.config.predictor_options import HeadOptions
from aam_models.errors import ModelError
from aam_train.errors import TrainError
from aam_train.options.commands import EmbedOptions, EvaluateOptions, PredictOptions
from aam_train.options.objective import TrainObjective
from aam_train.options.optimizer import OptimizerOptions
from aam_train.options.recipe_configs import EmbedConfig, EvaluateConfig, PredictConfig, TrainConfig
from aam_train.options.run import RunOptions, TransferOptions
from aam_train.recipes.embed import embed
from aam_train.recipes.evaluate import evaluate
from aam_train.recipes.inputs import read_search_inputs
from aam_train.recipes.predict import predict
from aam_train.recipes.train import train
from aam_train.runs.ensemble import member_folders
from aam_train.runs.records import read_preprocessor
from aam_train.show.show import describe

Configs = Callable[..., Any]
Run = tuple[TrainConfig, Path]
CLASSES = TargetOptions(("status",), classifier=True)
COLUMNS = ("prediction", "lower", "upper", "q0.1", "q0.5", "q0.9")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, dialect="excel-tab"))


def column(path: Path, name: str) -> np.ndarray:
    return np.array([float(row[name]) for row in rows_of(path)])


def predicted(model: Path, files: Path, output: Path, **options: Any) -> Path:
    """Predict the table of the study; return the full table."""
    settings = PredictOptions(model, output, device="cpu", **options)
    predict(PredictConfig(TableOptions(files / "table.biom"), settings), quiet=True)
    return output.with_name(f"{output.stem}_full.tsv")


def results_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "report" / "results.json").read_text())
    return found


@pytest.fixture(scope="session")
def probes(train_config: Configs) -> Configs:
    """A function that gives settings of probes on classes; options of ``transfer`` are keyword arguments."""

    def make(output: Path, run: dict[str, Any] | None = None, **transfer: Any) -> Any:
        return train_config(
            output,
            None,
            {"epochs": RunOptions.epochs, "batch_size": 5} | (run or {}),
            target=CLASSES,
            transfer=TransferOptions(adaptation="probe", **({"baselines": "none"} | transfer)),
            head=HeadOptions(),
            model=ModelOptions(),
            optimizer=OptimizerOptions(),
        )

    return make


@pytest.fixture(scope="session")
def numbers(train_config: Configs, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three finished models of a number with quantiles, trained step by step. Read only."""
    config = train_config(
        tmp_path_factory.mktemp("numbers") / "run",
        run={"epochs": 1},
        transfer=TransferOptions(ensemble=3, baselines="random_forest"),
        objective=TrainObjective(loss_type="quantile", quantiles=(0.1, 0.5, 0.9)),
    )
    return config, train(config, quiet=True)


@pytest.fixture(scope="session")
def classes(probes: Configs, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two finished probes of a class. Read only."""
    config = probes(tmp_path_factory.mktemp("classes") / "run", ensemble=2)
    return config, train(config, quiet=True)


@pytest.fixture(scope="session")
def folds(probes: Configs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished cross-validation with two folds. Read only."""
    return train(probes(tmp_path_factory.mktemp("folds") / "run", cv=2), quiet=True)


@pytest.fixture
def copy(classes: Run, tmp_path: Path) -> Path:
    """A copy of the probes, to be changed."""
    return Path(shutil.copytree(classes[1], tmp_path / "copy", symlinks=True))


def test_numbers_and_quantiles_are_means_of_the_members(numbers: Run, files: Path, tmp_path: Path) -> None:
    _, run = numbers
    members = [run / f"member-{number}" for number in (1, 2, 3)]
    whole = predicted(run, files, tmp_path / "whole.tsv")
    each = [predicted(member, files, tmp_path / f"{member.name}.tsv") for member in members]
    for name in COLUMNS:
        expected = np.mean([column(one, name) for one in each], axis=0)
        np.testing.assert_allclose(column(whole, name), expected, rtol=1e-6)
    values = np.stack([column(one, "prediction") for one in each])
    assert (values.std(axis=0) > 0).all()
    np.testing.assert_allclose(column(whole, "spread"), np.std(values, axis=0, ddof=1), rtol=1e-4)
    assert "spread" not in rows_of(each[0])[0]


def test_the_run_reports_the_means(numbers: Run, files: Path, tmp_path: Path) -> None:
    _, run = numbers
    again = {row["sample-id"]: row for row in rows_of(predicted(run, files, tmp_path / "whole.tsv"))}
    own = rows_of(run / "predictions_full.tsv")
    for name in (*COLUMNS, "spread"):
        np.testing.assert_allclose(
            [float(row[name]) for row in own], [float(again[row["sample-id"]][name]) for row in own], rtol=1e-5
        )
    held_out = [row for row in own if row["split"] == "test"]
    truth, values = (np.array([float(row[name]) for row in held_out]) for name in ("truth", "prediction"))
    found = results_of(run)
    metrics = found["targets"]["degree_days"]
    assert metrics["aam"]["mae"] == pytest.approx(mean_absolute_error(truth, values))
    assert metrics["aam"]["r2"] == pytest.approx(r2_score(truth, values))
    each = [results_of(run / f"member-{number}")["targets"]["degree_days"] for number in (1, 2, 3)]
    assert metrics["random_forest"] == each[0]["random_forest"]
    assert [set(one) for one in each] == [{"aam", "constant", "random_forest"}, *2 * [{"aam", "constant"}]]
    errors = [one["aam"]["mae"] for one in each]
    assert found["members"]["degree_days"]["aam"]["mae"] == {
        "mean": pytest.approx(np.mean(errors)), "sd": pytest.approx(np.std(errors, ddof=1)), "members": 3,
    }  # fmt: skip


def test_members_differ_by_their_seed_alone(numbers: Run, classes: Run, probes: Configs, tmp_path: Path) -> None:
    _, run = numbers
    members = [run / f"member-{number}" for number in (1, 2, 3)]
    assert len({(member / "splits.tsv").read_bytes() for member in members}) == 1
    preprocessors = [read_preprocessor(member / "checkpoints" / "best") for member in members]
    assert preprocessors[0].seed == 42
    assert len({preprocessor.seed for preprocessor in preprocessors}) == 3
    assert preprocessors[0].frame == preprocessors[1].frame
    alone = train(probes(tmp_path / "alone"), quiet=True)
    for name in ("predictions_probabilities.tsv", "report/results.json"):
        assert (alone / name).read_bytes() == (classes[1] / "member-1" / name).read_bytes()


def test_classes_are_predicted_by_the_mean_of_their_probabilities(classes: Run, files: Path, tmp_path: Path) -> None:
    _, run = classes
    whole = predicted(run, files, tmp_path / "whole.tsv")
    each = [predicted(run / f"member-{n}", files, tmp_path / f"{n}.tsv") for n in (1, 2)]
    names = ("healthy", "stressed")
    shares = np.stack(
        [[column(one, f"probability:{name}") for name in names] for one in each]
    )  # [member, class, sample]
    mean = shares.mean(axis=0)
    for number, name in enumerate(names):
        np.testing.assert_allclose(column(whole, f"probability:{name}"), mean[number], atol=1e-6)
        np.testing.assert_allclose(column(tmp_path / "whole_probabilities.tsv", name), mean[number], atol=1e-6)
    likeliest = mean.argmax(axis=0)
    assert [row["prediction"] for row in rows_of(whole)] == [names[code] for code in likeliest]
    of_likeliest = shares[:, likeliest, np.arange(len(likeliest))]
    np.testing.assert_allclose(column(whole, "spread"), of_likeliest.std(axis=0, ddof=1), atol=1e-6)


def test_passes_are_those_of_every_member(numbers: Run, files: Path, tmp_path: Path) -> None:
    _, run = numbers
    options = {"prediction_passes": 2, "output_variance": True}
    whole = predicted(run, files, tmp_path / "whole.tsv", **options)
    each = [predicted(run / f"member-{n}", files, tmp_path / f"{n}.tsv", **options) for n in (1, 2, 3)]
    for name in ("prediction", "variance"):
        expected = np.mean([column(one, name) for one in each], axis=0)
        np.testing.assert_allclose(column(whole, name), expected, rtol=1e-6)
    single = column(predicted(run, files, tmp_path / "single.tsv"), "prediction")
    assert (single != column(whole, "prediction")).any()


def test_the_folds_are_a_model(folds: Path, files: Path, tmp_path: Path) -> None:
    """Each fold reads the table in its own frame."""
    frames = [read_preprocessor(folds / f"fold-{n}" / "checkpoints" / "best").frame for n in (1, 2)]
    assert frames[0] != frames[1]
    whole = predicted(folds, files, tmp_path / "whole.tsv")
    each = [predicted(folds / f"fold-{n}", files, tmp_path / f"{n}.tsv") for n in (1, 2)]
    values = np.stack([column(one, "probability:stressed") for one in each])
    np.testing.assert_allclose(column(whole, "probability:stressed"), values.mean(axis=0), atol=1e-6)
    options = EvaluateOptions(folds, tmp_path / "evaluation", device="cpu")
    config = EvaluateConfig(TableOptions(files / "table.biom"), options, MetadataOptions(files / "metadata.tsv"))
    evaluate(config, quiet=True)
    parts = json.loads((tmp_path / "evaluation" / "results.json").read_text())["parts"]
    splits = [read_splits(folds / f"fold-{n}" / "splits.tsv") for n in (1, 2)]
    trained = {i for split in splits for i in split.train}
    chosen_by = {i for split in splits for i in split.validation} - trained
    assert {part: found["samples"] for part, found in parts.items()} == {
        "train": len(trained), "validation": len(chosen_by),
    }  # fmt: skip
    assert len(trained) + len(chosen_by) == 24
    assert ("folds", "2") in describe(folds)
    assert [name for name, _ in describe(folds) if name.startswith("model ")] == ["model fold-1", "model fold-2"]


def test_evaluate_repeats_the_report(classes: Run, files: Path, tmp_path: Path) -> None:
    _, run = classes
    options = EvaluateOptions(run, tmp_path / "evaluation", part="test", device="cpu")
    config = EvaluateConfig(TableOptions(files / "table.biom"), options, MetadataOptions(files / "metadata.tsv"))
    evaluate(config, quiet=True)
    again = json.loads((tmp_path / "evaluation" / "results.json").read_text())["parts"]["test"]
    assert again["targets"]["status"]["aam"] == pytest.approx(results_of(run)["targets"]["status"]["aam"])
    rows = {row["sample-id"]: row for row in rows_of(run / "predictions_full.tsv")}
    for row in rows_of(tmp_path / "evaluation" / "predictions_full.tsv"):
        assert float(row["spread"]) == pytest.approx(float(rows[row["sample-id"]]["spread"]), abs=1e-6)


def test_a_restart_trains_only_what_is_missing(
    classes: Run, copy: Path, probes: Configs, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = copy / "member-1" / "checkpoints" / "best" / "model.safetensors"
    before = weights.stat().st_ino, weights.stat().st_mtime_ns
    (copy / "ensemble.json").unlink()
    for gone in ("member-2", "report"):
        shutil.rmtree(copy / gone)
    with pytest.raises(TrainError, match=r"without ensemble.json, .* such as .*/copy/member-1, or resume"):
        member_or_model(copy)
    train(probes(copy, {"resume_from": "auto"}, ensemble=2))
    text = capsys.readouterr().err
    assert text.count("logistic regression fitted") == 1
    assert "member-1 is finished: it is not trained again" in text
    assert (weights.stat().st_ino, weights.stat().st_mtime_ns) == before
    for name in ("ensemble.json", "report/results.json", "predictions_full.tsv", "member-2/predictions_full.tsv"):
        assert (copy / name).read_bytes() == (classes[1] / name).read_bytes()


def member_or_model(path: Path) -> None:
    """Read a model as `aam predict` does."""
    describe_only = PredictOptions(path, path.with_name("out.tsv"), device="cpu")
    predict(PredictConfig(TableOptions(Path("absent.biom")), describe_only), quiet=True)


def test_a_copy_of_plain_model_folders_predicts_the_same(classes: Run, files: Path, tmp_path: Path) -> None:
    _, run = classes
    plain = tmp_path / "elsewhere" / "plain"
    for name in ("member-1", "member-2"):
        shutil.copytree(run / name / "checkpoints" / "best", plain / name)
    shutil.copy(run / "ensemble.json", plain)
    first, second = (predicted(path, files, tmp_path / f"{path.name}.tsv") for path in (run, plain))
    assert first.read_bytes() == second.read_bytes()
    shown = describe(plain)
    assert shown[0] == ("ensemble", str(plain))
    assert dict(shown)["prediction"] == "mean of 2 models, with their standard deviation as spread"
    assert dict(shown)["model member-1"] == "step 0, seed 42"


def test_show_lists_the_members(numbers: Run) -> None:
    shown = dict(describe(numbers[1]))
    assert shown["members"] == "3"
    assert [shown[f"member-{n}"] for n in (1, 2, 3)] == 3 * ["finished, step 3, epoch 1 of 1"]
    assert shown["predicts"] == "degree_days (number, quantiles 0.1, 0.5, 0.9)"
    assert "mae" in shown["test degree_days, random forest"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "ensemble.json"),
        ("[]", "expected a JSON object"),
        ('{"format_version": 1}', "missing keys: members"),
        ('{"format_version": 2, "models": []}', "format version 2; this program reads versions up to 1"),
        ('{"format_version": "1", "members": ["member-1", "member-2"]}', "format_version: expected int"),
        ('{"format_version": 1, "members": ["member-1", "member-2"], "more": 1}', "unknown keys: more"),
        ('{"format_version": 1, "members": ["member-1"]}', "1 members; there must be 2 to 10,000"),
        ('{"format_version": 1, "members": ["member-1", 2]}', "expected str"),
        ('{"format_version": 1, "members": ["member-1", "member-1"]}', "a member is named twice"),
        ('{"format_version": 1, "members": ["member-1", "../copy/member-2"]}', "not names of members"),
        ('{"format_version": 1, "members": ["member-1", "/member-2"]}', "not names of members"),
        ('{"format_version": 1, "members": ["member-1", "member-2/checkpoints/best"]}', "not names of members"),
        ('{"format_version": 1, "members": ["member-1", "member-2\\n"]}', "not names of members"),
        ('{"format_version": 1, "members": ["member-1", "member-0"]}', "not names of members"),
    ],
)
def test_damaged_lists_of_members(content: str, message: str, copy: Path) -> None:
    (copy / "ensemble.json").write_text(content)
    for use in (member_or_model, describe):
        with pytest.raises(ModelError, match=message):
            use(copy)


def test_absent_and_linked_members(copy: Path, classes: Run) -> None:
    shutil.rmtree(copy / "member-2")
    with pytest.raises(TrainError, match=r"member-2: no such folder, and ensemble.json names it"):
        member_folders(copy)
    (copy / "member-2").symlink_to(classes[1] / "member-2")
    with pytest.raises(ModelError, match=r"member-2: a link"):
        member_folders(copy)


def test_damaged_weights_of_a_member(copy: Path) -> None:
    weights = copy / "member-2" / "checkpoints" / "best" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match=r"member-2.*the file was changed or is damaged"):
        member_or_model(copy)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("number", r"its models differ in targets: member-1 has status \(classification\), unlike member-2"),
        ("encoder", r"its models differ in targets: member-1 has status"),
        ("inputs", "its models differ in metadata columns: member-2 has age, unlike member-1"),
        ("depth", "its models differ in --rarefy-depth: member-1 has 100, unlike member-2"),
        ("classes", "its models differ in classes: member-1 has healthy, unlike member-2"),
    ],
)
def test_members_that_do_not_match(
    kind: str, message: str, copy: Path, numbers: Run, encoder_run: tuple[Any, Path], train_config: Configs
) -> None:
    other = copy / "member-2"
    if kind == "number":
        shutil.rmtree(other)
        shutil.copytree(numbers[1] / "member-2", other, symlinks=True)
    elif kind == "encoder":
        shutil.rmtree(other)
        shutil.copytree(encoder_run[1], other, symlinks=True)
    elif kind == "inputs":
        shutil.rmtree(other)
        more = {"target": CLASSES, "category": CategoryOptions(numeric_columns=("age",))}
        train(train_config(other, run={"epochs": 1}, transfer=TransferOptions(baselines="none"), **more), quiet=True)
    else:
        change_description(other / "checkpoints" / "best", kind)
    with pytest.raises(ModelError, match=f"{message}.* such as .*/copy/member-1"):
        describe(copy)


def change_description(model: Path, kind: str) -> None:
    """Change what a model says about its data; the manifest no longer fits, which `aam show` does not look at."""
    preprocessor = json.loads((model / "preprocessor.json").read_text())
    if kind == "depth":
        preprocessor["rarefy_depth"] = 50
    else:
        text = json.dumps(preprocessor).replace('"healthy"', '"dead"')
        preprocessor = json.loads(text)
        record = (model / "training.json").read_text()
        (model / "training.json").write_text(record.replace('"healthy"', '"dead"'))
    (model / "preprocessor.json").write_text(json.dumps(preprocessor))


def test_commands_that_need_one_model(
    classes: Run, files: Path, tmp_path: Path, train_config: Configs, changed: Configs
) -> None:
    _, run = classes
    table = TableOptions(files / "table.biom")
    one = r"Pass one of them, such as .*/member-1"
    with pytest.raises(TrainError, match=f"embeddings that cannot be compared. {one}"):
        embed(EmbedConfig(table, EmbedOptions(run, tmp_path / "out.npz")))
    options = PredictOptions(run, tmp_path / "out.tsv", category_attention=tmp_path / "attention.tsv")
    with pytest.raises(TrainError, match=r"--category-attention: .* attend differently. Pass one of them with --model"):
        predict(PredictConfig(table, options))
    for use in (train, read_search_inputs):
        with pytest.raises(TrainError, match=r"one is needed here. Pass one, such as .*/member-1"):
            use(train_config(tmp_path / "new", run))
    assert not (tmp_path / "new").exists()


def test_folds_with_other_classes_are_no_model(
    probes: Configs, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (files / "metadata.tsv").read_text().splitlines()
    header = lines[0].split("\t")
    host, status = header.index("host"), header.index("status")
    rows = [line.split("\t") for line in lines[1:]]
    rare = next(row[host] for row in rows if not row[0].startswith("#"))
    for row in rows:
        row[status] = "rare" if row[host] == rare else row[status]
    (tmp_path / "metadata.tsv").write_text("\n".join([lines[0], *("\t".join(row) for row in rows)]) + "\n")
    config = probes(tmp_path / "run", cv=2)
    run = train(type(config)(**(vars(config) | {"metadata": MetadataOptions(tmp_path / "metadata.tsv")})))
    assert not (run / "ensemble.json").exists()
    words = capsys.readouterr().err
    assert "warning: aam predict cannot average the models" in words
    assert "its models differ in classes: " in words
    assert any("rare" in split for split in read_splits(run / "fold-1" / "splits.tsv").test) or "has rare" in words
