"""AUC of a probe and of a random forest from few labels, in the mean over draws of the samples to learn from.

python benchmarks/few_labels.py --json few-labels.json
python benchmarks/few_labels.py --studies udca --pretrained-encoder runs/encoder

udca: sex at 3,000 reads; 20, 40, 80 and 160 hosts to learn from, all others held out. cohorts: case or control of the
IBD cohorts of gut-corpus at 2,000 reads; as many samples to learn from, all others held out. Every draw has at least
two hosts, or samples, of each class. Prints the means over the draws, and the mean difference with its standard error.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from machine import finish
from predictive import aucs, settings

from aam_data.options.samples import SplitOptions
from aam_data.study.study import Study
from aam_train.options.recipe_configs import TrainConfig
from aam_train.recipes.inputs import RunInputs, read_run_inputs
from aam_train.recipes.train import train
from aam_train.runs.folder import check_run

STUDIES = ("udca", "cohorts")
SIZES, DRAWS = (20, 40, 80, 160), 20


def units_of(study: Study, config: TrainConfig) -> dict[str, list[int]]:
    """Return the usable samples by host, or each on its own: those with a label and enough reads."""
    assert study.metadata is not None
    labels, column = study.metadata.text(config.target.metadata_column[0]), config.split.group_column
    names = study.table.sample_ids if column is None else study.metadata.text(column)
    deep = np.asarray(study.table.depths()) >= (config.sample.rarefy_depth or 0)
    units: dict[str, list[int]] = {}
    for row in np.flatnonzero(deep):
        if labels[row] is not None and names[row] is not None:
            units.setdefault(str(names[row]), []).append(int(row))
    return units


def draw(study: Study, config: TrainConfig, size: int, number: int) -> dict[str, list[int]]:
    """Draw the samples of a split: a probe learns from those of "val" too, here one host or one sample."""
    assert study.metadata is not None
    units, labels = units_of(study, config), study.metadata.text(config.target.metadata_column[0])
    rng = np.random.default_rng((number, size))
    while True:
        names = rng.choice(sorted(units), size, replace=False)
        _, counts = np.unique([str(labels[units[name][0]]) for name in names], return_counts=True)
        if len(counts) == 2 and counts.min() >= 2:
            break
    parts = {"train": names[:-1], "val": names[-1:], "test": sorted(units.keys() - set(names))}
    return {part: [row for name in chosen for row in units[name]] for part, chosen in parts.items()}


def run_draw(config: TrainConfig, study: Study, size: int, number: int, folder: Path) -> dict[str, float]:
    """Train on a draw and return the AUC of each model on all other samples."""
    paths = {}
    for part, rows in draw(study, config, size, number).items():
        path = paths[f"{part}_samples"] = folder / f"{part}-{size}-{number}.txt"
        path.write_text("".join(f"{i}\n" for i in study.table.sample_ids[rows]))
    split = SplitOptions(config.split.group_column, **paths)
    run = replace(config.run, output_dir=folder / f"run-{size}-{number}", seed=number)
    transfer = replace(config.transfer, cv=0, cv_by=None, baselines="random_forest")
    config = replace(config, split=split, run=run, transfer=transfer)
    return aucs(train(config, RunInputs(check_run(config, run), (), study), quiet=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", nargs="+", choices=STUDIES, default=STUDIES)
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--pretrained-encoder", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        for study_name in options.studies:
            folder = Path(name) / study_name
            folder.mkdir()
            config = settings(study_name, 0, folder, options.pretrained_encoder, "none")
            study = read_run_inputs(config).study
            for size in options.sizes:
                found = [run_draw(config, study, size, number, folder) for number in range(1, options.draws + 1)]
                differences = [auc["aam"] - auc["random_forest"] for auc in found]
                row = {model: statistics.mean(auc[model] for auc in found) for model in ("aam", "random_forest")}
                error = statistics.stdev(differences) / len(found) ** 0.5 if len(found) > 1 else float("nan")
                row |= {"difference": statistics.mean(differences), "standard_error": error}
                rows.append({"study": study_name, "size": size, "draws": found, **row})
                words = "  ".join(f"{key} {value:.3f}" for key, value in row.items())
                print(f"{study_name:8} {size:4}  {words}", flush=True)
    finish({"rows": rows}, options.json)


if __name__ == "__main__":
    main()
