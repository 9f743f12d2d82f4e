"""`aam demo`: the whole pipeline on a simulated study, with baselines and a plot at the end."""

from __future__ import annotations

import time
from dataclasses import replace
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

TARGET, GROUP, DEPTH, BATCH_SIZE = "degree_days", "host", 1000, 16


def demo(config: DemoConfig, *, quiet: bool = False) -> Path:
    """Simulate a study, train with and without a pretrained encoder, and predict.

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
    console.note("1/5 simulate a study: aam simulate")
    write_simulated_study(simulate_study(SimulateOptions(seed=seed)), study)
    console.note(f"2/5 a first model of {TARGET}, from sequences alone: aam train")
    train(probe_config(study, None, folder / "probe", seed), quiet=quiet)
    console.note("3/5 pretrain an encoder on sequences and tree, without labels: aam pretrain")
    encoder = pretrain(pretrain_config(study, folder / "pretrain", seed), quiet=quiet)
    console.note("4/5 what the encoder adds, as it is and fine-tuned: aam train --pretrained-encoder")
    train(probe_config(study, encoder, folder / "probe-on-encoder", seed), quiet=quiet)
    train(fine_tune_config(study, encoder, folder / "fine-tuned", seed), quiet=quiet)
    console.note("5/5 predict with the fine-tuned model: aam predict")
    predictions = folder / "predictions.tsv"
    table = TableOptions(study / "table.biom")
    predict(PredictConfig(table, PredictOptions(folder / "fine-tuned", predictions)), quiet=quiet)
    _draw(folder)
    console.note(f"{folder / 'demo.png'} shows the results; {time.monotonic() - started:.0f} s in all")
    return folder


def pretrain_config(study: Path, output: Path, seed: int) -> PretrainConfig:
    """Return the settings of the demo's pretraining."""
    return PretrainConfig(
        table=TableOptions(study / "table.biom"),
        run=RunOptions(output, epochs=24, batch_size=BATCH_SIZE, seed=seed),
        phylogeny=PhylogenyOptions(tree=study / "tree.nwk"),
        sample=SampleOptions(rarefy_depth=DEPTH),
        metadata=MetadataOptions(study / "metadata.tsv"),
        split=SplitOptions(group_column=GROUP, stratify_column=TARGET),  # holds out the same samples as training
        model=ModelOptions(preset="tiny"),
        optimizer=OptimizerOptions(lr=4e-3),
    )


def probe_config(study: Path, encoder: Path | None, output: Path, seed: int) -> TrainConfig:
    """Return the settings of the demo's probes: those that `aam train` has by default."""
    return TrainConfig(
        table=TableOptions(study / "table.biom"),
        metadata=MetadataOptions(study / "metadata.tsv"),
        target=TargetOptions((TARGET,)),
        run=RunOptions(output, batch_size=BATCH_SIZE, seed=seed),
        transfer=TransferOptions(encoder),
        sample=SampleOptions(rarefy_depth=DEPTH if encoder is None else None),
        split=SplitOptions(group_column=GROUP),
    )


def fine_tune_config(study: Path, encoder: Path, output: Path, seed: int) -> TrainConfig:
    """Return the settings of the demo's fine-tuning."""
    config = probe_config(study, encoder, output, seed)
    return replace(config, run=replace(config.run, epochs=30), optimizer=OptimizerOptions(lr=1e-3))


def _draw(folder: Path) -> None:
    from aam_train.evaluation.plots import plot_demo

    run = folder / "fine-tuned"
    rows = [line.split("\t") for line in (run / "predictions_full.tsv").read_text("utf-8").splitlines()]
    header, body = rows[0], rows[1:]
    held_out = [row for row in body if row[header.index("split")] == "test"]
    truth, predicted = (np.array([float(row[header.index(c)]) for row in held_out]) for c in ("truth", "prediction"))
    first, middle, last = (_r2(folder / name) for name in ("probe", "probe-on-encoder", "fine-tuned"))
    r2 = {
        "constant": last["constant"],
        "forest": last["random_forest"],
        "AAM": first["aam"],
        "AAM with encoder": middle["aam"],
        "AAM fine-tuned": last["aam"],
    }
    plot_demo(
        folder / "demo.png",
        curves=folder / "pretrain" / "metrics.jsonl",
        truth=truth,
        predicted=predicted,
        r2=r2,
        target=TARGET.replace("_", " "),
    )


def _r2(run: Path) -> dict[str, float]:
    """Return the R2 of a run's model and baselines on the held-out samples."""
    models = read_json_object(run / "report" / "results.json")["targets"][TARGET]
    return {name: metrics["r2"] for name, metrics in models.items()}
