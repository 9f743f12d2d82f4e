"""`aam demo`: the whole pipeline on a simulated study, with baselines and a plot at the end."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.options.simulate import SimulateOptions
from aam_data.options.targets import TargetOptions
from aam_data.simulate.study import simulate_study, write_simulated_study
from aam_models.config.encoder import ModelOptions
from aam_train.files import read_json_object
from aam_train.options.commands import PredictOptions
from aam_train.options.optimizer import OptimizerOptions
from aam_train.options.recipe_configs import DemoConfig, PredictConfig, PretrainConfig, TrainConfig
from aam_train.options.run import RunOptions, TransferOptions
from aam_train.recipes.predict import predict
from aam_train.recipes.pretrain import pretrain
from aam_train.recipes.train import train
from aam_train.reporting.console import ConsoleReporter
from aam_train.runs.folder import check_unused

TARGET, GROUP, DEPTH = "degree_days", "host", 1000


def demo(config: DemoConfig, *, quiet: bool = False) -> Path:
    """Simulate a study, pretrain, train and predict.

    Args:
        config: all settings.
        quiet: print warnings only.

    Returns:
        The folder.

    Raises:
        TrainError: the folder is in use.
        RunStopped: after a signal.

    Example:
        >>> demo(DemoConfig(DemoOptions(Path("aam-demo"))))  # doctest: +SKIP
        PosixPath('aam-demo')
    """
    folder, seed, console = config.demo.output_dir, config.demo.seed, ConsoleReporter(quiet=quiet)
    check_unused(folder)
    started = time.monotonic()
    study = folder / "study"
    console.note("1/4 simulate a study: aam simulate")
    write_simulated_study(simulate_study(SimulateOptions(seed=seed)), study)
    console.note("2/4 pretrain an encoder on sequences and tree, without labels: aam pretrain")
    pretrain(pretrain_config(study, folder / "pretrain", seed), quiet=quiet)
    console.note(f"3/4 train a predictor of {TARGET} on some hosts, test it on others: aam train")
    train(train_config(study, folder / "pretrain", folder / "train", seed), quiet=quiet)
    console.note("4/4 predict: aam predict")
    predictions = folder / "predictions.tsv"
    table = TableOptions(study / "table.biom")
    predict(PredictConfig(table, PredictOptions(folder / "train", predictions)), quiet=quiet)
    _draw(folder)
    console.note(f"{folder / 'demo.png'} shows the results; {time.monotonic() - started:.0f} s in all")
    return folder


def pretrain_config(study: Path, output: Path, seed: int) -> PretrainConfig:
    """Return the settings of the demo's pretraining."""
    return PretrainConfig(
        table=TableOptions(study / "table.biom"),
        run=RunOptions(output, epochs=24, batch_size=16, seed=seed),
        phylogeny=PhylogenyOptions(tree=study / "tree.nwk"),
        sample=SampleOptions(rarefy_depth=DEPTH),
        metadata=MetadataOptions(study / "metadata.tsv"),
        split=SplitOptions(group_column=GROUP, stratify_column=TARGET),  # holds out the same samples as training
        model=ModelOptions(preset="tiny"),
        optimizer=OptimizerOptions(lr=4e-3),
    )


def train_config(study: Path, encoder: Path, output: Path, seed: int) -> TrainConfig:
    """Return the settings of the demo's training."""
    return TrainConfig(
        table=TableOptions(study / "table.biom"),
        metadata=MetadataOptions(study / "metadata.tsv"),
        target=TargetOptions((TARGET,)),
        run=RunOptions(output, epochs=30, batch_size=16, seed=seed),
        transfer=TransferOptions(encoder),
        split=SplitOptions(group_column=GROUP),
        optimizer=OptimizerOptions(lr=1e-3),
    )


def _draw(folder: Path) -> None:
    from aam_train.evaluation.plots import plot_demo

    rows = [line.split("\t") for line in (folder / "train" / "predictions_full.tsv").read_text("utf-8").splitlines()]
    header, body = rows[0], rows[1:]
    held_out = [row for row in body if row[header.index("split")] == "test"]
    truth, predicted = (np.array([float(row[header.index(c)]) for row in held_out]) for c in ("truth", "prediction"))
    results = read_json_object(folder / "train" / "report" / "results.json")["targets"][TARGET]
    names = {"AAM": "aam", "forest": "random_forest", "constant": "constant"}
    plot_demo(
        folder / "demo.png",
        curves=folder / "pretrain" / "metrics.jsonl",
        truth=truth,
        predicted=predicted,
        r2={name: results[key]["r2"] for name, key in names.items()},
        target=TARGET.replace("_", " "),
    )
