"""Categories and covariates through whole runs: fitted, saved, used again, told, refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aam_data.errors import DataError
from aam_data.options.files import MetadataOptions, TableOptions
from aam_data.options.metadata_inputs import CategoryOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.options.targets import TargetOptions
from aam_data.splits.selection import make_splits
from aam_data.study.study import Study, read_study
from aam_models.config.conditioning import ConditioningOptions
from aam_models.predictor.predictor import Predictor
from aam_models.storage.model_folder import load_model
from aam_train.data.loading import BatchRequest
from aam_train.data.run_data import build_data
from aam_train.engine.optimizer import build_optimizer, set_rate
from aam_train.errors import TrainError
from aam_train.losses.objective import TargetTerm, Term
from aam_train.losses.targets import NumberLoss, NumberLosses
from aam_train.objectives.registry import build_objective
from aam_train.options.commands import EmbedOptions, EvaluateOptions, PredictOptions
from aam_train.options.optimizer import CategoryOptimizerOptions, OptimizerOptions
from aam_train.options.recipe_configs import EmbedConfig, EvaluateConfig, PredictConfig, TrainConfig
from aam_train.options.run import TransferOptions
from aam_train.parallel.strategy import Single
from aam_train.recipes.embed import embed
from aam_train.recipes.evaluate import evaluate
from aam_train.recipes.lr_find import lr_find
from aam_train.recipes.predict import predict as run_predict
from aam_train.recipes.train import train
from aam_train.reporting.console import ConsoleReporter
from aam_train.reporting.records import Reporters
from aam_train.runs.folder import check_run
from aam_train.runs.records import read_preprocessor
from aam_train.runs.sharded_checkpoint import ShardedTensors, write_index, write_shard
from aam_train.setup.predictor_setup import set_up_first_split
from aam_train.setup.run_context import RunContext
from aam_train.show.show import describe
from aam_train.signals import StopFlag

Configs = Callable[..., Any]
KINDS = ("concat", "add", "gmu", "cross-attention", "perceiver")
CATEGORIES = CategoryOptions(("location,season",), ("age",), None, "auto", "location")


def rows_of(file: Path) -> list[list[str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines, "excel-tab"))


def predict(model: Path, files: Path, output: Path, metadata: Path | None = None, **options: Any) -> list[list[str]]:
    config = PredictConfig(
        TableOptions(files / "table.biom"),
        PredictOptions(model, output, device="cpu", **options),
        MetadataOptions(metadata or files / "metadata.tsv"),
    )
    run_predict(config, quiet=True)
    return rows_of(output)


def write_metadata(path: Path, source: Path, change: Callable[[list[list[str]]], list[list[str]]]) -> Path:
    rows = change(rows_of(source))
    path.write_text("\n".join("\t".join(row) for row in rows) + "\n", encoding="utf-8")
    return path


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.numpy().tobytes()


@pytest.fixture(scope="session")
def conditioned(train_config: Configs, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainConfig, Path]:
    """A finished run with two categories, a covariate and loss weights, by cross-attention. Read only."""
    config = train_config(
        tmp_path_factory.mktemp("conditioned") / "run",
        category=CATEGORIES,
        conditioning=ConditioningOptions(categorical_fusion="cross-attention", cross_attn_heads=2),
        category_optimizer=CategoryOptimizerOptions(2e-2),
    )
    return config, train(config, quiet=True)


def test_prediction_repeats_the_run(conditioned: tuple[TrainConfig, Path], files: Path, tmp_path: Path) -> None:
    found = {row[0]: row[1] for row in predict(conditioned[1], files, tmp_path / "p.tsv")[1:]}
    held_out = rows_of(conditioned[1] / "predictions.tsv")[1:]
    assert held_out
    assert [found[row[0]] for row in held_out] == [row[1] for row in held_out]


def test_the_order_of_samples_and_columns_of_the_file_does_not_matter(
    conditioned: tuple[TrainConfig, Path], files: Path, tmp_path: Path
) -> None:
    def turn_round(rows: list[list[str]]) -> list[list[str]]:
        return [[row[0], *reversed(row[1:])] for row in [rows[0], *reversed(rows[1:])]]

    other = write_metadata(tmp_path / "turned.tsv", files / "metadata.tsv", turn_round)
    expected = predict(conditioned[1], files, tmp_path / "p.tsv")
    assert predict(conditioned[1], files, tmp_path / "q.tsv", other) == expected


def test_only_the_columns_that_the_model_reads_are_needed_and_missing_ones_are_named(
    conditioned: tuple[TrainConfig, Path], files: Path, tmp_path: Path
) -> None:
    header = rows_of(files / "metadata.tsv")[0]
    needed = [0, *(header.index(name) for name in ("location", "season", "age"))]
    few = write_metadata(
        tmp_path / "few.tsv", files / "metadata.tsv", lambda rows: [[r[i] for i in needed] for r in rows]
    )
    expected = predict(conditioned[1], files, tmp_path / "p.tsv")
    assert predict(conditioned[1], files, tmp_path / "q.tsv", few) == expected
    fewer = write_metadata(tmp_path / "fewer.tsv", few, lambda rows: [row[:2] for row in rows])
    with pytest.raises(
        DataError,
        match=r"fewer.tsv: .*columns \(season \(categorical input\), age \(numeric input\)\)\. Pass a",
    ):
        predict(conditioned[1], files, tmp_path / "r.tsv", fewer)
    evaluation = EvaluateConfig(
        TableOptions(files / "table.biom"),
        EvaluateOptions(conditioned[1], tmp_path / "judged", device="cpu"),
        MetadataOptions(fewer),
    )
    with pytest.raises(DataError, match="season"):
        evaluate(evaluation, quiet=True)
    without = PredictConfig(TableOptions(files / "table.biom"), PredictOptions(conditioned[1], tmp_path / "r.tsv"))
    with pytest.raises(
        DataError, match=r"columns \(location .*, season .*, age .*Pass a file that has them with --met"
    ):
        run_predict(without, quiet=True)


def test_unseen_categories_are_unknown_and_told_and_missing_numbers_are_the_mean(
    conditioned: tuple[TrainConfig, Path], files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    column = rows_of(files / "metadata.tsv")[0].index("season")
    age = rows_of(files / "metadata.tsv")[0].index("age")

    def set_first(season: str, number: str) -> Callable[[list[list[str]]], list[list[str]]]:
        def change(rows: list[list[str]]) -> list[list[str]]:
            rows[1][column], rows[1][age] = season, number
            return rows

        return change

    source = files / "metadata.tsv"
    unseen = write_metadata(tmp_path / "unseen.tsv", source, set_first("monsoon", ""))
    missing = write_metadata(tmp_path / "missing.tsv", source, set_first("", "not provided"))
    found = predict(conditioned[1], files, tmp_path / "p.tsv", unseen)
    assert found == predict(conditioned[1], files, tmp_path / "q.tsv", missing)
    usual = predict(conditioned[1], files, tmp_path / "r.tsv")
    assert found[1] != usual[1]
    assert found[2:] == usual[2:]
    config = PredictConfig(
        TableOptions(files / "table.biom"),
        PredictOptions(conditioned[1], tmp_path / "s.tsv", device="cpu"),
        MetadataOptions(unseen),
    )
    capsys.readouterr()
    run_predict(config, quiet=True)
    told = capsys.readouterr().err
    assert "warning: season: 1 of " in told
    assert "have categories that no training sample has, so the model treats them as unknown (monsoon: 1)" in told


def test_evaluation_gives_the_runs_own_figures(
    conditioned: tuple[TrainConfig, Path], files: Path, tmp_path: Path
) -> None:
    config = EvaluateConfig(
        TableOptions(files / "table.biom"),
        EvaluateOptions(conditioned[1], tmp_path / "judged", part="test", device="cpu"),
        MetadataOptions(files / "metadata.tsv"),
    )
    evaluate(config, quiet=True)
    found = json.loads((tmp_path / "judged" / "results.json").read_text())["parts"]["test"]["targets"]["degree_days"]
    expected = json.loads((conditioned[1] / "report" / "results.json").read_text())["targets"]["degree_days"]
    assert found["aam"] == pytest.approx(expected["aam"], nan_ok=True)
    assert set(expected) == {"aam", "constant", "random_forest", "clr_linear", "metadata_forest"}


def test_embeddings_need_no_metadata(conditioned: tuple[TrainConfig, Path], files: Path, tmp_path: Path) -> None:
    output = tmp_path / "embeddings.tsv"
    embed(EmbedConfig(TableOptions(files / "table.biom"), EmbedOptions(conditioned[1], output, device="cpu")))
    assert len(rows_of(output)) == 25


def test_attention_is_written_for_models_that_have_it(
    conditioned: tuple[TrainConfig, Path], number_run: tuple[TrainConfig, Path], files: Path, tmp_path: Path
) -> None:
    predict(conditioned[1], files, tmp_path / "p.tsv", category_attention=tmp_path / "attention.tsv")
    header, *rows = rows_of(tmp_path / "attention.tsv")
    assert header == ["sample-id", "(sample)", "location", "season", "(numeric columns)"]
    assert len(rows) == 24
    assert np.array([row[1:] for row in rows], dtype=float).sum(axis=1) == pytest.approx(1, abs=1e-5)
    with pytest.raises(
        TrainError, match=r"--category-attention: .* was not trained with --categorical-fusion cross-att"
    ):
        predict(number_run[1], files, tmp_path / "q.tsv", category_attention=tmp_path / "none.tsv")
    there = tmp_path / "x" / ".." / "r_full.tsv"
    with pytest.raises(
        TrainError, match=r"--category-attention .*r_full.tsv: must differ from the files of the predictions"
    ):
        predict(conditioned[1], files, tmp_path / "r.tsv", category_attention=there)
    assert not (tmp_path / "q.tsv").exists()


def test_the_preprocessor_is_fitted_on_training_samples(conditioned: tuple[TrainConfig, Path], study: Study) -> None:
    preprocessor = read_preprocessor(conditioned[1] / "checkpoints" / "best")
    assert study.metadata is not None
    row_of = {sample_id: row for row, sample_id in enumerate(study.table.sample_ids)}
    parts = {row[0]: row[1] for row in rows_of(conditioned[1] / "splits.tsv")[1:]}
    train = [row_of[i] for i, part in parts.items() if part == "train"]
    location = study.metadata.text("location")[train].tolist()
    names, counts = preprocessor.inputs.categories.names[0], preprocessor.inputs.categories.counts[0]
    assert dict(zip(names, counts, strict=True)) == {name: location.count(name) for name in sorted(set(location))}
    (scale,) = preprocessor.inputs.covariates.scales
    age = study.metadata.numeric("age")[train]
    assert (scale.mean, scale.std) == pytest.approx((age.mean(), age.std()))
    assert preprocessor.loss_weights is not None
    raw = np.array([1 / location.count(name) for name in location])
    assert preprocessor.loss_weights.apply(study.metadata)[train] == pytest.approx(raw / raw.mean())


def test_a_model_tells_what_it_reads(conditioned: tuple[TrainConfig, Path]) -> None:
    told = dict(describe(conditioned[1]))
    assert told["category season"].startswith("4 known: autumn (")
    assert told["covariate age"].startswith("mean ")
    assert told["fusion"] == "cross-attention, 2 heads, categories 16 wide"
    assert told["needs"] == "--metadata with location, season, age for aam predict"
    assert told["loss weights"].startswith("location: ")
    card = (conditioned[1] / "checkpoints" / "best" / "README.md").read_text()
    assert "Prediction needs the metadata columns location, season, age." in card
    assert "--metadata METADATA" in card


@pytest.mark.parametrize("kind", KINDS)
def test_every_fusion_trains_saves_and_predicts_the_same(
    kind: str, train_config: Configs, files: Path, tmp_path: Path
) -> None:
    small = {"cross_attn_heads": 2} if kind == "cross-attention" else {}
    small |= {"perceiver_num_latents": 3, "perceiver_num_layers": 1} if kind == "perceiver" else {}
    config = train_config(
        tmp_path / "run",
        run={"epochs": 1},
        category=CategoryOptions(("location", "season")),
        conditioning=ConditioningOptions(categorical_fusion=kind, **small),
    )
    run = train(config, quiet=True)
    found = {row[0]: row[1] for row in predict(run, files, tmp_path / "p.tsv")[1:]}
    held_out = rows_of(run / "predictions.tsv")[1:]
    assert [found[row[0]] for row in held_out] == [row[1] for row in held_out]


def test_cross_validation_classes_and_the_search_for_a_rate(train_config: Configs, files: Path, tmp_path: Path) -> None:
    sections = {
        "target": TargetOptions(("status",), classifier=True),
        "category": CategoryOptions(("location",), ("age",), None, "effective"),
    }
    config = train_config(
        tmp_path / "run",
        run={"epochs": 1},
        split=SplitOptions(group_column="host", val_size=0.2),
        transfer=TransferOptions(cv=2),
        **sections,
    )
    run = train(config, quiet=True)
    assert len(rows_of(run / "predictions.tsv")) == 25
    curve = lr_find(train_config(tmp_path / "search", **sections), quiet=True)
    assert (curve / "lr-find.tsv").is_file()


def test_conditions_travel_with_their_samples(study: Study, train_config: Configs) -> None:
    config = train_config(Path("unused"), category=CATEGORIES)
    (splits,) = make_splits(study, np.arange(24), config.split, 42, config.target)
    data = build_data(config, study, splits, depth=100, max_bp=150, reporter=Reporters())
    rows = np.array([7, 3, 20])
    batch = data.maker[BatchRequest(rows, 0, ())]
    assert study.metadata is not None
    expected = data.preprocessor.inputs.apply(study.metadata)
    assert batch.categories is not None
    assert batch.covariates is not None
    assert batch.sample_weights is not None
    assert batch.categories.tolist() == expected.codes[rows].tolist()
    assert batch.covariates.tolist() == expected.covariates[rows].tolist()
    weights = data.preprocessor.loss_weights
    assert weights is not None
    assert batch.sample_weights.tolist() == weights.apply(study.metadata)[rows].tolist()
    assert batch.to(torch.device("meta")).categories.device.type == "meta"


def test_weights_are_applied_once_and_divided_by_their_sum(study: Study, train_config: Configs) -> None:
    """Hand-computed: a weighted mean of squared residuals over the known targets of all micro-batches."""
    category = replace(CATEGORIES, numeric_columns=())
    config = train_config(Path("unused"), category=category, target=TargetOptions(("degree_days", "age")))
    (splits,) = make_splits(study, np.arange(24), config.split, 42, config.target)
    data = build_data(config, study, splits, depth=100, max_bp=150, reporter=Reporters())
    targets = data.maker.collator.targets
    assert targets is not None
    targets[3, 1] = np.nan
    loss = NumberLosses((NumberLoss("mse", 0.5), NumberLoss("mse", 2.0)))
    objective = build_objective({}, target=TargetTerm(loss))
    batches = [data.maker[BatchRequest(np.array(rows), 0, ())] for rows in ([3, 8, 1], [12, 0])]
    counts = [objective.counts(batch, objective.look_up(batch))["target"] for batch in batches]
    outputs = torch.arange(10.0).reshape(5, 2) / 10
    order = np.array([3, 8, 1, 12, 0])
    weights = data.maker.collator.sample_weights
    assert weights is not None
    numerator = denominator = 0.0
    for output, row in zip(outputs.tolist(), order, strict=True):
        for t, spread in enumerate((0.5, 2.0)):
            if np.isfinite(targets[row, t]):
                numerator += float(weights[row]) * ((output[t] - float(targets[row, t])) / spread) ** 2
                denominator += float(weights[row])
    assert sum(counts) == pytest.approx(denominator)
    found = 0.0
    for batch, part in zip(batches, (outputs[:3], outputs[3:]), strict=True):
        assert objective.target is not None
        total = objective.target.loss.sum(part, batch.targets, batch.sample_weights)
        found += Term(total, sum(counts), 1.0).value().item()
    assert found == pytest.approx(numerator / denominator)


def test_equal_weights_are_no_weights(train_config: Configs, tmp_path: Path) -> None:
    manual = '{"summer": 3, "winter": 3, "spring": 3, "autumn": 3}'
    weighted = CategoryOptions(categorical_loss_weights=manual, categorical_loss_weight_column="season")
    losses = []
    for number, category in enumerate((CategoryOptions(), weighted)):
        run = train(train_config(tmp_path / str(number), run={"epochs": 1}, category=category), quiet=True)
        lines = (run / "metrics.jsonl").read_text().splitlines()
        losses.append([json.loads(line)["loss"]["total"] for line in lines[:-1]])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_a_rate_for_what_reads_the_metadata(conditioned: tuple[TrainConfig, Path]) -> None:
    model = load_model(conditioned[1] / "checkpoints" / "best")
    optimizer = build_optimizer(model, OptimizerOptions(lr=1e-3), 1e-2)
    set_rate(optimizer, 5e-4)  # half of the peak, as a schedule would have it
    names = {id(p): name for name, p in model.named_parameters()}
    rate = {names[id(p)]: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert rate.keys() == dict(model.named_parameters()).keys()
    for name, value in rate.items():
        assert value == pytest.approx(5e-3 if name.startswith(("conditioning.", "fusion.")) else 5e-4), name
    decayed = {names[id(p)] for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]}
    assert decayed == {name for name, p in model.named_parameters() if p.dim() > 1}


def test_only_what_is_new_moves_beside_a_frozen_encoder(
    encoder_run: tuple[Any, Path], train_config: Configs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Staged training: bit for bit the encoder of pretraining, and everything else learns."""
    config = train_config(
        tmp_path / "run",
        encoder_run[1],
        category=CategoryOptions(("location,season",), ("age",)),
        conditioning=ConditioningOptions(categorical_fusion="perceiver", perceiver_num_latents=3),
        transfer=TransferOptions(encoder_run[1], freeze_base=True),
        optimizer=OptimizerOptions(lr=1e-2),
    )
    run = train(config)
    told = capsys.readouterr().err
    report = next(line for line in told.splitlines() if line.startswith("encoder from"))
    assert "conditioning.embedding.tables.0" in report
    assert "fusion.reads.0" in report
    pretrained = load_model(encoder_run[1] / "checkpoints" / "best").state_dict()
    after = load_model(run / "checkpoints" / "last")
    assert isinstance(after, Predictor)
    kept = {name: tensor for name, tensor in after.encoder.state_dict().items() if name in pretrained}
    assert len(kept) > 20
    assert [name for name, tensor in kept.items() if bits(tensor) != bits(pretrained[name])] == []
    study = read_study(config.table, config.metadata)
    context = RunContext(Single(torch.device("cpu")), StopFlag(), ConsoleReporter(quiet=True))
    begun = set_up_first_split(config, study, context)
    names = [name for name, p in begun.step.model.named_parameters() if p.requires_grad]
    first, last = begun.step.model.state_dict(), after.state_dict()
    assert {name for name in first if bits(first[name]) != bits(last[name])} == set(names)
    assert not any(name.startswith("encoder.") for name in names)
    # nothing of the training samples is unknown, so that the unknown category is still nothing
    assert all((table.weight[0] == 0).all() for table in after.conditioning.embedding.tables)


def test_a_run_continues_with_another_rate_but_not_with_other_columns(conditioned: tuple[TrainConfig, Path]) -> None:
    config = replace(conditioned[0], run=replace(conditioned[0].run, resume_from="auto"))
    slower = replace(config, category_optimizer=CategoryOptimizerOptions(1e-3))
    assert check_run(slower, slower.run).resume is not None
    other = replace(config, category=replace(CATEGORIES, numeric_columns=()))
    with pytest.raises(TrainError, match="numeric"):
        check_run(other, other.run)


def test_codes_of_parents_come_back_from_a_checkpoint_in_parts(tmp_path: Path) -> None:
    tensors = {"model.parent_codes_0": torch.tensor([0, 2, 1, 1])}
    write_shard(tmp_path, tensors, 0, 1)
    write_index(tmp_path, tensors, 1)
    assert torch.equal(ShardedTensors(tmp_path, "model.")["parent_codes_0"], tensors["model.parent_codes_0"])


def test_conditions_go_with_cached_sample_embeddings(
    encoder_run: tuple[Any, Path], train_config: Configs, files: Path, tmp_path: Path
) -> None:
    """Without rarefaction a frozen encoder runs once; the run's own predictions are those of the whole model."""
    config = train_config(
        tmp_path / "run",
        encoder_run[1],
        category=CATEGORIES,
        sample=SampleOptions(rarefy_depth=0),
        transfer=TransferOptions(encoder_run[1], freeze_base=True),
    )
    run = train(config, quiet=True)
    found = {row[0]: float(row[1]) for row in predict(run, files, tmp_path / "p.tsv")[1:]}
    held_out = rows_of(run / "predictions.tsv")[1:]
    assert [found[row[0]] for row in held_out] == pytest.approx([float(row[1]) for row in held_out], rel=1e-5)


def test_the_encoder_of_a_predictor_comes_without_what_it_read(
    conditioned: tuple[TrainConfig, Path], train_config: Configs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = train_config(
        tmp_path / "run",
        conditioned[1],
        run={"epochs": 1},
        category=CategoryOptions(("season",)),
        transfer=TransferOptions(conditioned[1], freeze_base=True),
    )
    run = train(config)
    assert "new: conditioning.embedding.tables.0, fusion.linear, head." in capsys.readouterr().err
    before, after = (load_model(folder / "checkpoints" / "best") for folder in (conditioned[1], run))
    assert isinstance(before, Predictor)
    assert isinstance(after, Predictor)
    kept = before.encoder.state_dict()
    assert {name: bits(tensor) for name, tensor in after.encoder.state_dict().items()} == {
        name: bits(tensor) for name, tensor in kept.items()
    }
    assert len(after.conditioning.embedding.tables) == 1
