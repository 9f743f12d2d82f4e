"""Every objective in a real run: its terms, its figures, what is stored of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aam_data.errors import DataError
from aam_data.options.commands import UnifracOptions
from aam_data.options.files import PhylogenyOptions, TableOptions, TaxonomyOptions
from aam_data.options.samples import SampleOptions
from aam_data.readers.distances.matrix import open_distances
from aam_data.splits.selection import make_splits
from aam_data.splits.splits import read_splits
from aam_data.study.study import Study
from aam_data.unifrac.command import run_unifrac
from aam_data.unifrac.unifrac import unifrac_distances
from aam_models.build import build_encoder, build_predictor
from aam_models.config.encoder import ModelOptions
from aam_models.config.predictor_options import HeadOptions
from aam_models.storage.config_json import read_config
from aam_models.storage.model_folder import read_weights
from aam_train.data.corruptions import HideCounts, LookUpTaxa, MaskBases
from aam_train.data.loading import BatchRequest
from aam_train.data.run_data import RunData, build_data
from aam_train.engine.step import Step
from aam_train.errors import TrainError
from aam_train.losses.objective import TargetTerm
from aam_train.losses.output_layout import OutputLayout
from aam_train.losses.targets import NumberLoss, NumberLosses
from aam_train.objectives.base import Sources
from aam_train.objectives.registry import build_objective
from aam_train.options.commands import PredictOptions
from aam_train.options.objective import MaskingOptions, PretrainObjective, TrainObjective
from aam_train.options.recipe_configs import PredictConfig
from aam_train.recipes.predict import predict
from aam_train.recipes.pretrain import pretrain
from aam_train.recipes.train import train
from aam_train.reporting.jsonl import read_records
from aam_train.reporting.records import Reporters
from aam_train.runs.records import read_preprocessor, read_training
from aam_train.setup.architecture import new_encoder_config, predictor_config
from aam_train.setup.freezing import cache_frozen_embeddings
from aam_train.show.show import describe

Configs = Callable[..., Any]
NO_BASES = PretrainObjective(masked_base_weight=0.0, masked_count_weight=0.0)


def terms(run: Path) -> set[str]:
    return set(next(record for record in read_records(run / "metrics.jsonl") if record["kind"] == "step")["loss"])


def results(run: Path) -> dict[str, Any]:
    return json.loads((run / "report" / "results.json").read_text())


@pytest.mark.parametrize(
    ("metric", "alpha", "name"),
    [
        ("weighted", 1.0, "weighted UniFrac"),
        ("generalized", 0.5, "generalized UniFrac"),
        ("weighted_unnormalized", 1.0, "weighted UniFrac, unnormalized"),
    ],
)
def test_other_metrics(
    pretrain_config: Configs, changed: Configs, study: Study, tmp_path: Path, metric: str, alpha: float, name: str,
) -> None:  # fmt: skip
    config = pretrain_config(tmp_path / "run", objective=NO_BASES, sample=SampleOptions(rarefy_depth=0))
    run = pretrain(changed(config, "phylogeny", unifrac_metric=metric, unifrac_alpha=alpha), quiet=True)
    splits, ids = read_splits(run / "splits.tsv"), study.table.sample_ids.tolist()
    assert study.phylogeny is not None

    def distances(part: tuple[str, ...]) -> np.ndarray:
        rows = np.array([ids.index(i) for i in part])
        found = unifrac_distances(study.phylogeny, study.table.take_counts(rows), None, metric, alpha)
        return found[np.triu_indices(len(rows), 1)]

    found = results(run)
    assert found["metric"] == name
    expected = np.abs(distances(splits.test) - distances(splits.train).mean()).mean()
    assert found["constant"]["unifrac_mae"] == pytest.approx(expected, rel=1e-5)
    scale = distances(splits.train).max() if metric == "weighted_unnormalized" else 1.0
    assert read_config(run / "checkpoints" / "best").distance_scale == pytest.approx(scale, rel=1e-6)
    spread = float(read_weights(run / "checkpoints" / "best")["distance_head.spread"])
    assert spread == pytest.approx(distances(splits.train).std(ddof=1) / scale, rel=0.2)  # of 64 samples at most
    record = read_training(run / "checkpoints" / "best")
    assert (record.unifrac_metric, record.unifrac_alpha) == (metric, alpha)
    shown = dict(describe(run))["distances"]
    assert shown == ("generalized, alpha 0.5" if metric == "generalized" else metric)


def test_a_matrix_holds_what_the_options_say(
    pretrain_config: Configs, changed: Configs, files: Path, tmp_path: Path
) -> None:
    """Tree and matrix of an unbounded metric give the same run; as a bounded one it is refused."""
    matrix = tmp_path / "weighted.h5"
    options = UnifracOptions(tree=files / "tree.nwk", output=matrix, unifrac_metric="weighted_unnormalized")
    run_unifrac(TableOptions(files / "table.biom"), options)
    config = pretrain_config(tmp_path / "tree", objective=NO_BASES, sample=SampleOptions(rarefy_depth=0))
    runs = [pretrain(changed(config, "phylogeny", unifrac_metric="weighted_unnormalized"), quiet=True)]
    from_file = PhylogenyOptions(unifrac_matrix=matrix, unifrac_metric="weighted_unnormalized")
    config = dataclasses.replace(changed(config, "run", output_dir=tmp_path / "matrix"), phylogeny=from_file)
    runs.append(pretrain(config, quiet=True))
    one, other = (results(run)["aam"] for run in runs)
    assert one == pytest.approx(other, rel=1e-3)
    stored = open_distances(matrix)
    np.savez(tmp_path / "large.npz", distances=stored.take(stored.ids).values * 5, ids=stored.ids.astype(str))
    large = PhylogenyOptions(unifrac_matrix=tmp_path / "large.npz", unifrac_metric="weighted")
    config = dataclasses.replace(changed(config, "run", output_dir=tmp_path / "refused"), phylogeny=large)
    with pytest.raises(DataError, match="normalized weighted UniFrac is at most 1"):
        pretrain(config, quiet=True)
    assert not (tmp_path / "refused").exists()


@pytest.fixture(scope="module")
def taxonomy(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phyla by one base, genera by two; some genera unknown, some ASVs absent."""
    lines = ["Feature ID\tTaxon"]
    for number, sequence in enumerate(study.table.feature_ids[:-3]):
        genus = "" if number % 5 == 0 else sequence[20:22]
        lines.append(f"{sequence}\tk__Bacteria; p__{sequence[20]}; g__{genus}")
    path = tmp_path_factory.mktemp("taxonomy") / "taxonomy.tsv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_taxonomy(pretrain_config: Configs, taxonomy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    objective = PretrainObjective(0.0, 0.0, 0.0, best_metric="taxonomy_accuracy")
    nothing = {"phylogeny": PhylogenyOptions()}
    config = pretrain_config(tmp_path / "run", objective=objective, taxonomy=TaxonomyOptions(taxonomy), **nothing)
    run = pretrain(config)
    assert "3 of 37 ASVs are not in" in capsys.readouterr().err
    assert terms(run) == {"total", "taxonomy"}
    ranks = read_preprocessor(run / "checkpoints" / "best").taxonomy
    assert ranks is not None
    encoder = read_config(run / "checkpoints" / "best")
    assert encoder.taxonomy_classes == ranks.widths == (1, len(ranks.lineages[1]), len(ranks.lineages[2]))
    epochs = [record for record in read_records(run / "metrics.jsonl") if record["kind"] == "epoch"]
    assert epochs[0]["validation"]["taxonomy_accuracy:1"] == 1.0  # one kingdom
    record = read_training(run / "checkpoints" / "best")
    best = max(epoch["validation"]["taxonomy_accuracy"] for epoch in epochs)
    assert (record.best_metric, record.best_value) == ("taxonomy_accuracy", best)
    assert f"taxonomy_accuracy {best:.4g}" in dict(describe(run))["best"]
    assert all(0 <= rank["accuracy"] <= 1 for rank in results(run)["taxonomy"])


def test_training_with_everything_from_an_encoder_without_it(
    train_config: Configs, encoder_run: tuple[Any, Path], files: Path, tmp_path: Path
) -> None:
    objective = TrainObjective(masked_base_weight=0.5, masked_count_weight=0.5, huber_delta=0.1)
    phylogeny = PhylogenyOptions(tree=files / "tree.nwk", unifrac_metric="combined")
    masking = MaskingOptions(nuc_mask_strategy="span")
    config = train_config(tmp_path / "run", encoder_run[1], objective=objective, phylogeny=phylogeny, masking=masking)
    run = train(config, quiet=True)
    assert terms(run) == {"total", "target", "unifrac", "faith_pd", "nucleotides", "counts"}
    before, after = (read_weights(path / "checkpoints" / "best") for path in (encoder_run[1], run))
    # the distance head keeps the map of pretraining, Faith's PD is new and calibrated
    assert float(after["encoder.distance_head.spread"]) == float(before["distance_head.spread"])
    assert float(after["encoder.faith_pd_head.spread"]) != 1.0
    none = TrainObjective(masked_count_weight=0.5, count_prediction=False)
    run = train(train_config(tmp_path / "without", encoder_run[1], objective=none), quiet=True)
    assert terms(run) == {"total", "target"}
    assert "counts" not in read_config(run / "checkpoints" / "best").encoder.objectives


def test_another_metric_is_calibrated_anew(
    train_config: Configs, encoder_run: tuple[Any, Path], files: Path, tmp_path: Path
) -> None:
    phylogeny = PhylogenyOptions(tree=files / "tree.nwk", unifrac_metric="weighted")
    run = train(train_config(tmp_path / "run", encoder_run[1], phylogeny=phylogeny), quiet=True)
    before, after = (read_weights(path / "checkpoints" / "best") for path in (encoder_run[1], run))
    assert float(after["encoder.distance_head.spread"]) != float(before["distance_head.spread"])


def test_gradients_reach_every_parameter(data: RunData, study: Study, taxonomy: Path) -> None:
    """And those of a head only under its own term."""
    weights = {"unifrac": 1.0, "faith_pd": 1.0, "nucleotides": 1.0, "counts": 1.0, "taxonomy": 1.0}
    taxa = np.stack([np.zeros(60), np.arange(60) % 3], axis=1).astype(np.int64)
    options = ModelOptions(preset="tiny", embedding_dim=16, attention_heads=2, attention_layers=1,
                           count_embedding_method="film")  # fmt: skip
    config = new_encoder_config(options, 150, weights, taxonomy_classes=(1, 3))
    torch.manual_seed(0)
    model = build_predictor(predictor_config(config, HeadOptions((8,)), OutputLayout(2)))
    collator = data.maker.collator
    collator.taxa, collator.targets = taxa, np.random.default_rng(0).random((24, 2), dtype=np.float32)
    try:
        masking = (MaskBases(0.15), HideCounts(0.15), LookUpTaxa())
        batch = data.maker[BatchRequest(data.rows["train"], 0, masking)]
    finally:
        collator.taxa = collator.targets = None
    target = TargetTerm(NumberLosses((NumberLoss("huber"),) * 2))
    objective = build_objective(weights, Sources(data.pairs), target)
    step = Step(model, torch.device("cpu"))
    true = objective.look_up(batch)
    found = step.losses(batch, objective, true, objective.counts(batch, true))
    assert set(found.terms) == {"unifrac", "faith_pd", "nucleotides", "counts", "taxonomy", "target"}
    reached: dict[str, set[str]] = {}
    for name, term in found.terms.items():
        model.zero_grad()
        term.value().backward(retain_graph=True)
        reached[name] = {n for n, p in model.named_parameters() if p.grad is not None and bool((p.grad != 0).any())}
    # FiLM and the embedding of sizes begin as nothing: their last layers learn first
    silent = {n for n, _ in model.named_parameters()} - set.union(*reached.values())
    first_layers = ("abundance.mlp.0", "size.mlp.0")
    assert silent == {f"encoder.sample_encoder.{n}.{kind}" for n in first_layers for kind in ("weight", "bias")}
    heads = {
        "encoder.distance_head": "unifrac",
        "encoder.faith_pd_head": "faith_pd",
        "encoder.asv_encoder.nucleotide_head": "nucleotides",
        "encoder.count_head": "counts",
        "encoder.taxonomy_head": "taxonomy",
        "head": "target",
    }
    for head, own in heads.items():
        under = {name for name, parameters in reached.items() if any(p.startswith(head) for p in parameters)}
        assert under == {own}, head


def read_full(file: Path) -> list[dict[str, str]]:
    header, *lines = (line.split("\t") for line in file.read_text().splitlines())
    return [dict(zip(header, line, strict=True)) for line in lines]


def test_the_runs_own_passes_are_those_of_prediction(
    train_config: Configs, changed: Configs, files: Path, tmp_path: Path
) -> None:
    sample = SampleOptions(rarefy_depth=100, max_asvs=5, asv_sampling="random")
    config = changed(train_config(tmp_path / "run", sample=sample), "transfer", val_prediction_passes=4)
    run = train(config, quiet=True)
    options = PredictOptions(run, tmp_path / "p.tsv", device="cpu", output_variance=True)
    predict(PredictConfig(TableOptions(files / "table.biom"), options), quiet=True)
    own = {row["sample-id"]: float(row["prediction"]) for row in read_full(run / "predictions_full.tsv")}
    again = {row["sample-id"]: float(row["prediction"]) for row in read_full(tmp_path / "p_full.tsv")}
    assert again == pytest.approx(own, rel=1e-6)
    assert dict(describe(run))["ASVs"] == "up to 5 per sample, at random"
    other = PredictOptions(run, tmp_path / "first.tsv", device="cpu", asv_sampling="first")
    predict(PredictConfig(TableOptions(files / "table.biom"), other), quiet=True)
    first = {row["sample-id"]: float(row["prediction"]) for row in read_full(tmp_path / "first_full.tsv")}
    assert first != pytest.approx(own, rel=1e-3)


def test_equal_passes_are_refused(
    train_config: Configs, changed: Configs, class_run: tuple[Any, Path], files: Path, tmp_path: Path
) -> None:
    config = train_config(tmp_path / "run", sample=SampleOptions(rarefy_depth=0))
    with pytest.raises(TrainError, match=r"--val-prediction-passes 2: without rarefaction, .* are the same"):
        train(changed(config, "transfer", val_prediction_passes=2), quiet=True)
    options = PredictOptions(class_run[1], tmp_path / "p.tsv", output_variance=True)
    with pytest.raises(TrainError, match="--output-variance needs several draws"):
        predict(PredictConfig(TableOptions(files / "table.biom"), options), quiet=True)
    assert list(tmp_path.glob("p*")) == []


@pytest.mark.parametrize(("sampling", "cached"), [("abundance", True), ("random", False)])
def test_sample_embeddings_are_cached_only_where_all_draws_are_the_same(
    pretrain_config: Configs, study: Study, sampling: str, cached: bool
) -> None:
    sample = SampleOptions(rarefy_depth=0, max_asvs=4, asv_sampling=sampling)
    config = pretrain_config(Path("unused"), sample=sample)
    (splits,) = make_splits(study, np.arange(24), config.split, config.run.seed, None)
    data = build_data(config, study, splits, depth=0, max_bp=150, reporter=Reporters())
    encoder = build_encoder(new_encoder_config(config.model, 150, {"unifrac": 1.0}))
    step = Step(encoder, torch.device("cpu"), frozen=True)
    cache_frozen_embeddings(step, data, 5)
    assert (step.asv_table is None) == cached
    assert (step.sample_table is not None) == cached
