"""Classes and intervals on ibd with whole hosts held out: heads on a frozen encoder, compared with the random forest.

`surgery_and_ibd` (three classes), with and without class weights; the 0.1, 0.5 and 0.9 quantile of `age`, with and
without --conformal. Predictions are out of fold, so no host is predicted by a model trained on it (the encoder was
trained on all tables, without metadata). The number of reads alone predicts much of the diagnosis, so every sample is
one draw of 1,000 reads, for the model and for the forest. Coverage is printed for every host with its binomial
interval. A tiny encoder is pretrained for one epoch unless one is passed. A few minutes.

    python benchmarks/ibd_outputs.py --json outputs.json
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import DATA, finish

from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.options.targets import TargetOptions
from aam_data.preprocessing.rarefaction import FIXED_DRAW, Rarefier, deep_enough
from aam_data.study.study import read_study
from aam_data.writers.biom import BiomWriter
from aam_models.config.encoder import ModelOptions
from aam_models.config.predictor_options import HeadOptions
from aam_train.evaluation.interval_coverage import Coverage
from aam_train.options.objective import TrainObjective
from aam_train.options.optimizer import OptimizerOptions
from aam_train.options.recipe_configs import PretrainConfig, TrainConfig
from aam_train.options.run import RunOptions, TransferOptions
from aam_train.recipes.pretrain import pretrain as run_pretrain
from aam_train.recipes.train import train as run_train

IBD, DEPTH = DATA / "ibd", 1000
SHARED: dict[str, Any] = {
    "metadata": MetadataOptions(IBD / "metadata.tsv"),
    "split": SplitOptions(group_column="host_subject_id", val_size=0.15),
    "sample": SampleOptions(rarefy_depth=0),  # the table is one draw already, so embeddings are computed once
}


def draw(path: Path, seed: int) -> TableOptions:
    """Return a table with one draw of the sufficiently deep samples."""
    table = read_study(TableOptions(IBD / "table.biom")).table
    rows = np.flatnonzero(deep_enough(table, DEPTH))
    with BiomWriter(path, table.n_features) as writer:
        writer.append(Rarefier(table, DEPTH, seed).draw(rows, FIXED_DRAW))
        writer.finish([table.sample_ids[rows]], np.asarray(table.feature_ids))
    return TableOptions(path)


def pretrain(folder: Path, table: TableOptions, epochs: int, seed: int) -> Path:
    """Pretrain a tiny encoder on unweighted UniFrac and masked bases."""
    return run_pretrain(
        PretrainConfig(
            run=RunOptions(folder, epochs=epochs, batch_size=16, seed=seed, device="cpu"),
            phylogeny=PhylogenyOptions(IBD / "insertion-tree.qza"),
            model=ModelOptions("tiny"),
            optimizer=OptimizerOptions(lr=1e-3),
            table=table,
            **SHARED,
        ),
        quiet=True,
    )


def train(
    folder: Path,
    table: TableOptions,
    encoder: Path,
    target: TargetOptions,
    objective: TrainObjective,
    folds: int,
    seed: int,
) -> Path:
    """Train one model per fold on embeddings that are computed once."""
    return run_train(
        TrainConfig(
            run=RunOptions(folder, epochs=60, batch_size=64, seed=seed, device="cpu"),
            transfer=TransferOptions(encoder, freeze_base=True, cv=folds),
            head=HeadOptions((32,), 0.1),
            optimizer=OptimizerOptions(lr=1e-3),
            target=target,
            objective=objective,
            table=table,
            **SHARED,
        ),
        quiet=True,
    )


def coverage_of(run: Path) -> list[Coverage]:
    """Return out-of-fold coverage, overall and by host."""
    with (run / "report" / "coverage.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, dialect="excel-tab"))
    kinds = {"nominal": float, "samples": int, "inside": int}
    names = ("target", "nominal", "part", "column", "value", "samples", "inside")
    found = [Coverage(**{name: kinds.get(name, str)(row[name]) for name in names}) for row in rows]
    return [each for each in found if each.part == "test" and each.column in ("", "group")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, help="model or run folder of aam pretrain; default: a new tiny one")
    parser.add_argument("--pretrain-epochs", type=int, default=1)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--json", type=Path, help="also write the results to this JSON file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    report: dict[str, Any] = vars(options) | {"json": None, "encoder": str(options.encoder or "new")}
    with tempfile.TemporaryDirectory() as scratch:
        runs = Path(scratch)
        table = draw(runs / "table.biom", options.seed)
        encoder = options.encoder or pretrain(runs / "encoder", table, options.pretrain_epochs, options.seed)
        classes = TargetOptions(("surgery_and_ibd",), classifier=True)
        for name, weights in (("no weights", None), ("--class-weights auto", "auto")):
            objective = TrainObjective(class_weights=weights)
            run = train(runs / name, table, encoder, classes, objective, options.folds, options.seed)
            _print_metrics(f"surgery_and_ibd, {name}", run, report)
        age, quantile = TargetOptions(("age",)), TrainObjective("quantile")
        for name, objective in (
            ("as trained", quantile),
            ("--conformal", replace(quantile, conformal=True, calibration_size=0.4)),
        ):
            run = train(runs / name, table, encoder, age, objective, options.folds, options.seed)
            _print_metrics(f"age, {name}", run, report)
            _print_coverage(f"age, {name}", coverage_of(run), report)
    finish(report, options.json)


def _print_metrics(name: str, run: Path, report: dict[str, Any]) -> None:
    results = json.loads((run / "report" / "results.json").read_text())
    (models,) = results["targets"].values()
    report[name] = models
    print(f"{name}: {results['samples']} samples out of fold")
    for model, metrics in models.items():
        text = ", ".join(f"{metric} {value:.3f}" for metric, value in metrics.items() if value is not None)
        print(f"  {model:<14}{text}", flush=True)


def _print_coverage(name: str, found: list[Coverage], report: dict[str, Any]) -> None:
    report[f"{name}, coverage"] = [one.row() for one in found]
    hosts = [one for one in found if one.column]
    for one in found:
        low, high = one.uncertainty()
        label = f"host {one.value}" if one.column else "all"
        print(f"  {label:<16}{one.inside:>4} of {one.samples:<4}{one.share:>7.1%}  ({low:.1%} to {high:.1%})")
    holds = sum(low <= one.nominal <= high for one in hosts for low, high in [one.uncertainty()])
    shares = np.array([one.share for one in hosts])
    print(f"  mean over {len(hosts)} hosts {shares.mean():.1%}; 80 % is within the interval of {holds} of them")


if __name__ == "__main__":
    main()
