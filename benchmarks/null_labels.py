"""AUC and verdicts of a probe and of the baselines on labels that mean nothing, over simulated studies.

python benchmarks/null_labels.py --studies 200 --json null-labels.json
python benchmarks/null_labels.py --groups 60 --studies 20

Every study has 60, or 100, hosts of two samples, a host's two alike, and a class for each host by lot. `aam train` with
five folds by host. Prints the mean AUC of each model, and the share of studies in which the verdict calls AAM better
than the constant. 6 to 12 seconds a study.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from machine import finish
from predictive import aucs, verdict

from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.options.simulate import SimulateOptions
from aam_data.options.targets import TargetOptions
from aam_data.simulate.study import simulate_study, write_simulated_study
from aam_train.options.recipe_configs import TrainConfig
from aam_train.options.run import RunOptions, TransferOptions
from aam_train.recipes.inputs import read_run_inputs
from aam_train.recipes.train import train

BETTER = ": better than the constant by"


def write_labels(metadata: Path, seed: int) -> Path:
    """Write the class of every sample, by lot for its host, beside the study's metadata; return the file."""
    with metadata.open() as lines:
        rows = [row for row in csv.DictReader(lines, dialect="excel-tab") if not row["sample-id"].startswith("#")]
    hosts = sorted({row["host"] for row in rows})
    classes = np.random.default_rng(seed).permutation(np.arange(len(hosts)) % 2)
    label = {host: ("case", "control")[code] for host, code in zip(hosts, classes, strict=True)}
    output = metadata.with_name("labels.tsv")
    with output.open("w", newline="") as lines:
        table = csv.writer(lines, "excel-tab")
        table.writerow(["sample-id", "host", "label"])
        table.writerows([row["sample-id"], row["host"], label[row["host"]]] for row in rows)
    return output


def run_study(hosts: int, seed: int, folder: Path, baselines: str) -> dict[str, Any]:
    """Simulate a study, train on its labels, and return the AUC of each model and the verdict."""
    study = folder / "study"
    write_simulated_study(
        simulate_study(SimulateOptions(samples=2 * hosts, hosts=hosts, asvs=200, depth=1000, seed=seed)), study
    )
    config = TrainConfig(
        TableOptions(study / "table.biom"),
        MetadataOptions(write_labels(study / "metadata.tsv", seed)),
        TargetOptions(("label",), classifier=True),
        RunOptions(folder / "run", seed=seed, device="cpu"),
        TransferOptions(baselines=baselines, cv=5),
        PhylogenyOptions(study / "tree.nwk"),
        SampleOptions(rarefy_depth=500),
        SplitOptions(group_column="host"),
    )
    run = train(config, read_run_inputs(config), quiet=True)
    return {"hosts": hosts, "seed": seed, "auc": aucs(run), "verdict": verdict(run)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", nargs="+", type=int, default=[60, 100])
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--baselines", default="fast")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for hosts in options.groups:
        for seed in range(1, options.studies + 1):
            with tempfile.TemporaryDirectory() as name:
                rows.append(run_study(hosts, seed, Path(name), options.baselines))
        own = [row for row in rows if row["hosts"] == hosts]
        means = {model: statistics.mean(row["auc"][model] for row in own) for model in own[0]["auc"]}
        better = statistics.mean(any(BETTER in sentence for sentence in row["verdict"]) for row in own)
        words = "  ".join(f"{model} {value:.3f}" for model, value in means.items())
        print(f"{hosts:4} hosts, {len(own)} studies: {words}  called better in {100 * better:.1f} %", flush=True)
    finish({"rows": rows}, options.json)


if __name__ == "__main__":
    main()
