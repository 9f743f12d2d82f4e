"""The rate that `aam lr-find train` finds and the default rate: validation loss after five epochs with each.

python benchmarks/lr_find.py --json lr_find.json
python benchmarks/lr_find.py --studies simulated --batch-sizes 32

What is suggested should train at least as well as the default rate, or nothing should be suggested.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from machine import DATA, finish

from aam_data.options.files import MetadataOptions, TableOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.options.simulate import SimulateOptions
from aam_data.options.targets import TargetOptions
from aam_data.simulate.study import simulate_study, write_simulated_study
from aam_models.config.encoder import ModelOptions
from aam_train.files import read_json_object
from aam_train.options.optimizer import OptimizerOptions
from aam_train.options.recipe_configs import TrainConfig
from aam_train.options.run import RunOptions, TransferOptions
from aam_train.recipes.lr_find import lr_find
from aam_train.recipes.train import train
from aam_train.reporting.jsonl import read_records

STUDIES = ("simulated", "ibd", "udca")
SAMPLE = SampleOptions(rarefy_depth=1000, max_asvs=64)


def settings(study: str, folder: Path, output: Path, batch_size: int, epochs: int, seed: int) -> TrainConfig:
    """Return settings of a tiny model for a study."""
    if study == "simulated":
        files = TableOptions(folder / "table.biom"), MetadataOptions(folder / "metadata.tsv")
        target, group = TargetOptions(("degree_days",)), "host"
    elif study == "ibd":
        files = TableOptions(DATA / "ibd" / "table.biom"), MetadataOptions(DATA / "ibd" / "metadata.tsv")
        target, group = TargetOptions(("ibd",), classifier=True), "host_subject_id"
    else:
        table = TableOptions(DATA / "udca" / "table.qza", DATA / "udca" / "rep-seqs.qza")
        files = table, MetadataOptions(DATA / "udca" / "metadata.tsv", missing_samples="ignore")
        target, group = TargetOptions(("host_sex",), classifier=True), "host_subject_id"
    return TrainConfig(
        *files,
        target,
        RunOptions(output, epochs=epochs, batch_size=batch_size, seed=seed, patience=0, device="cpu"),
        TransferOptions(baselines="none"),
        sample=SAMPLE,
        split=SplitOptions(group_column=group, test_size=0.0, val_size=0.2),
        model=ModelOptions(preset="tiny"),
    )


def best_loss(config: TrainConfig, lr: float, output: Path) -> float:
    """Train with a rate and return the lowest validation loss."""
    run = replace(config.run, output_dir=output)
    train(replace(config, run=run, optimizer=OptimizerOptions(lr=lr)), quiet=True)
    losses = [r["validation"]["val_loss"] for r in read_records(output / "metrics.jsonl") if r["kind"] == "epoch"]
    return float(min(losses))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", nargs="+", choices=STUDIES, default=STUDIES)
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[8, 32])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    print(
        f"{'study':12}{'batch':>6}{'falls around':>14}{'its loss':>10}{'default':>10}{'its loss':>10}{'suggested':>12}"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_simulated_study(simulate_study(SimulateOptions(samples=200)), folder / "study")
        for study in options.studies:
            for size in options.batch_sizes:
                work = folder / f"{study}-{size}"
                config = settings(study, folder / "study", work / "search", size, options.epochs, options.seed)
                search = read_json_object(lr_find(config, quiet=True) / "lr-find.json")
                found = search.get("half")
                default = OptimizerOptions.lr
                losses = {lr: best_loss(config, lr, work / f"{lr:g}") for lr in (found, default) if lr is not None}
                row = {"study": study, "batch_size": size, "fall": found, "suggestion": search["suggestion"]}
                rows.append(row | {"loss": losses.get(found), "default": default, "default_loss": losses[default]})
                words = ("none", "") if found is None else (f"{found:.2g}", f"{losses[found]:.4f}")
                suggested = "none" if search["suggestion"] is None else f"{search['suggestion']:.2g}"
                line = (
                    f"{study:12}{size:6}{words[0]:>14}{words[1]:>10}{default:10g}{losses[default]:10.4f}{suggested:>12}"
                )
                print(line, flush=True)
    finish({"rows": json.loads(json.dumps(rows)), "epochs": options.epochs, "seed": options.seed}, options.json)


if __name__ == "__main__":
    main()
