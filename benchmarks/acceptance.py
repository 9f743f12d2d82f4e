"""Acceptance metrics of the first version, measured on real files through the program's own commands.

    python benchmarks/acceptance.py                     # everything, about an hour on two cores
    python benchmarks/acceptance.py demo unifrac        # some parts
    python benchmarks/acceptance.py ibd --seeds 42      # one seed

Parts: demo, ibd, folds, tadpole, unifrac, same, marks. All except demo and same need the studies in ../shared/data.
Criteria without a number (resuming bit for bit, wheels that pull in only their own layer) are covered by tests and nox
sessions.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any
from zipfile import ZipFile

import h5py
import numpy as np
from biom import load_table
from machine import DATA, finish

from aam_data.options.files import PhylogenyOptions, TableOptions
from aam_data.readers.distances.matrix import read_distances
from aam_data.study.study import read_study
from aam_data.unifrac.unifrac import faith_pd, unifrac_distances

IBD, TADPOLE = DATA / "ibd", DATA / "tadpole"
# 28 epochs take under ten minutes on two cores
PRETRAIN = ["--preset", "tiny", "--lr", "6e-3", "--batch-size", "16", "--epochs", "28", "--masked-base-weight", "4"]
FOLDS = 5


def aam(*arguments: object) -> float:
    """Run a command of the program and return the seconds it took."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "aam_cli", *map(str, arguments)], check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def demo(folder: Path, seeds: list[int]) -> dict[str, Any]:
    """Line 1: R2 of the demo compared with the random forest, and its time."""
    runs = []
    for seed in seeds:
        seconds = aam("demo", "--output-dir", folder / f"demo-{seed}", "--seed", seed)
        models = read_json(folder / f"demo-{seed}" / "train" / "report" / "results.json")["targets"]["degree_days"]
        runs.append({"seed": seed, "seconds": seconds} | {name: metrics["r2"] for name, metrics in models.items()})
        print(f"demo, seed {seed}: {runs[-1]}")
    middle = {name: median(run[name] for run in runs) for name in ("aam", "random_forest", "constant", "seconds")}
    print(f"demo, median: {middle}")
    return {"runs": runs, "median": middle}


def ibd(folder: Path, seeds: list[int]) -> dict[str, Any]:
    """Line 2: pretraining with hosts held out."""
    runs = []
    for seed in seeds:
        output = folder / f"ibd-{seed}"
        files = ["--table", IBD / "table.biom", "--tree", IBD / "insertion-tree.qza", "--missing-tips", "ignore"]
        group = ["--metadata", IBD / "metadata.tsv", "--group-column", "host_subject_id"]
        seconds = aam("pretrain", *files, *group, *PRETRAIN, "--seed", seed, "--output-dir", output)
        results = read_json(output / "report" / "results.json")
        novel = results["novel_asvs"]
        runs.append(
            {
                "seed": seed,
                "seconds": seconds,
                "r": results["aam"]["unifrac_r"],
                "mae": results["aam"]["unifrac_mae"],
                "mae_below_constant": 1 - results["aam"]["unifrac_mae"] / results["constant"]["unifrac_mae"],
                "accuracy": novel["nucleotide_accuracy"],
                "points_above_majority": 100 * (novel["nucleotide_accuracy"] - novel["majority_accuracy"]),
            }
        )
        print(f"ibd, seed {seed}: {runs[-1]}")
    middle = {name: median(run[name] for run in runs) for name in runs[0] if name != "seed"}
    print(f"ibd, median: {middle}")
    return {"runs": runs, "median": middle}


def folds(folder: Path, seeds: list[int]) -> dict[str, Any]:
    """Line 3: ibd with the first seed's encoder, frozen and not, in grouped folds; repeated predictions."""
    encoder = folder / f"ibd-{seeds[0]}"
    if not encoder.is_dir():
        ibd(folder, seeds[:1])
    base = [
        "--table",
        IBD / "table.biom",
        "--metadata",
        IBD / "metadata.tsv",
        "--metadata-column",
        "ibd",
        "--classifier",
    ]
    base += ["--group-column", "host_subject_id", "--pretrained-encoder", encoder]
    found: dict[str, Any] = {}
    ways = {"frozen": ["--freeze-base", "--epochs", 40, "--lr", "3e-3"], "whole": ["--epochs", 12, "--lr", "1e-3"]}
    for name, options in ways.items():
        output = folder / f"folds-{name}"
        seconds = aam("train", *base, *options, "--cv", FOLDS, "--output-dir", output)
        each = [
            read_json(output / f"fold-{k}" / "report" / "results.json")["targets"]["ibd"] for k in range(1, FOLDS + 1)
        ]
        pooled = read_json(output / "report" / "results.json")["targets"]["ibd"]
        found[name] = {
            "seconds": seconds,
            "fold_auc": {model: [fold[model]["auc"] for fold in each] for model in ("aam", "random_forest")},
            "pooled_auc": {model: metrics["auc"] for model, metrics in pooled.items()},
        }
        print(f"ibd, {FOLDS} grouped folds, {name}: {found[name]}")
    found["repeated"] = repeated(folder / "folds-frozen" / "fold-1", folder)
    print(f"largest difference of repeated probabilities: {found['repeated']}")
    return found


def repeated(run: Path, folder: Path) -> dict[str, float]:
    """Return the largest difference between a run's own test predictions and those of `aam predict`, by batch size."""
    own = read_table(run / "predictions_probabilities.tsv")
    differences = {}
    for size in (1, 7, 64):
        output = folder / f"again-{size}.tsv"
        aam("predict", "--model", run, "--table", IBD / "table.biom", "--output", output, "--batch-size", size)
        again = read_table(output.with_name(f"again-{size}_probabilities.tsv"))
        differences[f"batch size {size}"] = max(
            abs(float(again[sample][name]) - float(value)) for sample, row in own.items() for name, value in row.items()
        )
    return differences


def read_table(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return {row.pop("SampleID"): row for row in csv.DictReader(file, delimiter="\t")}


def tadpole(folder: Path, seeds: list[int]) -> dict[str, Any]:
    """Line 4: unmodified QIIME 2 files with all three commands; the table also with another study's model."""
    files = ["--table", TADPOLE / "table.qza", "--sequences", TADPOLE / "rep-seqs.qza"]
    tree = ["--tree", TADPOLE / "rooted-tree.qza", "--missing-tips", "ignore"]
    encoder, run, output = folder / "tadpole-encoder", folder / "tadpole", folder / "tadpole.tsv"
    fit = ["--epochs", 5, "--lr", "2e-3"]
    seconds = aam("pretrain", *files, *tree, "--preset", "tiny", *fit, "--output-dir", encoder)
    target = ["--metadata", TADPOLE / "metadata.txt", "--metadata-column", "life_stage", "--classifier"]
    seconds += aam("train", *files, *target, *fit, "--pretrained-encoder", encoder, "--output-dir", run)
    seconds += aam("predict", "--model", run, *files, "--output", output)
    classes = list(next(iter(read_table(folder / "tadpole_probabilities.tsv").values())))
    found = {"seconds": seconds, "predicted": len(read_table(output)), "classes": classes}
    print(f"tadpole: {found}")
    return found


def unifrac(folder: Path, seeds: list[int]) -> dict[str, Any]:
    """Line 5: comparison with QIIME 2, and with ssu if installed (scikit-bio and simulated trees are in the tests)."""
    study = read_study(
        TableOptions(TADPOLE / "rarefied_table.qza", TADPOLE / "rep-seqs.qza"),
        None,
        PhylogenyOptions(tree=TADPOLE / "rooted-tree.qza", missing_tips="ignore"),
    )
    assert study.phylogeny is not None
    ids = study.table.sample_ids
    theirs = read_distances(TADPOLE / "unweighted_unifrac_distance_matrix.qza").take(ids).values
    with ZipFile(TADPOLE / "faith_pd_vector.qza") as archive:
        name = next(name for name in archive.namelist() if name.endswith("/data/alpha-diversity.tsv"))
        lines = [line.split("\t") for line in archive.read(name).decode().splitlines()[1:]]
    pd = {row[0]: float(row[1]) for row in lines if not row[0].startswith("#")}
    found = {
        "tadpole, unweighted UniFrac, QIIME 2": float(
            np.abs(unifrac_distances(study.phylogeny, study.table.data) - theirs).max()
        ),
        "tadpole, Faith PD, QIIME 2": float(
            np.abs(faith_pd(study.phylogeny, study.table.data) - [pd[i] for i in ids]).max()
        ),
    }
    print(f"largest difference: {found}")
    return found


def same(folder: Path, seeds: list[int]) -> dict[str, Any]:
    """Line 6: permuted rows and columns, and a study without shared ASVs."""
    run = folder / f"demo-{seeds[0]}"
    if not run.is_dir():
        demo(folder, seeds[:1])
    table = load_table(str(run / "study" / "table.biom"))
    random = np.random.default_rng(0)
    permuted = table.sort_order(random.permutation(table.ids())).sort_order(
        random.permutation(table.ids("observation")), "observation"
    )
    with h5py.File(folder / "permuted.biom", "w") as file:
        permuted.to_hdf5(file, "benchmark")
    aam("predict", "--model", run / "train", "--table", folder / "permuted.biom", "--output", folder / "permuted.tsv")
    first, second = read_table(run / "predictions.tsv"), read_table(folder / "permuted.tsv")
    assert first.keys() == second.keys()
    difference = max(
        abs(float(first[i]["prediction"]) - float(second[i]["prediction"])) / abs(float(first[i]["prediction"]))
        for i in first
    )
    aam("simulate", "--output-dir", folder / "other", "--seed", 999)
    other = ["--table", folder / "other" / "table.biom"]
    aam("predict", "--model", run / "train", *other, "--output", folder / "other.tsv")
    shared = set(load_table(str(folder / "other" / "table.biom")).ids("observation")) & set(table.ids("observation"))
    found = {
        "relative difference of a permuted table": difference,
        "ASVs shared with the other study": len(shared),
        "predicted there": len(read_table(folder / "other.tsv")),
    }
    print(f"same: {found}")
    return found


def marks(folder: Path, seeds: list[int]) -> dict[str, Any]:
    """Line 8: the other benchmarks in this folder."""
    scripts = {
        "training_step": [],
        "unifrac": [],
        "loader": [],
        "frozen_epochs": [],
        "startup": [],
    }
    found = {}
    for name, options in scripts.items():
        report = folder / f"{name}.json"
        print(f"--- {name}")
        subprocess.run(
            [sys.executable, str(Path(__file__).with_name(f"{name}.py")), *options, "--json", str(report)], check=True
        )
        found[name] = read_json(report)
    return found


PARTS = {"demo": demo, "ibd": ibd, "folds": folds, "tadpole": tadpole, "unifrac": unifrac, "same": same, "marks": marks}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44])
    parser.add_argument("--folder", type=Path, help="keep the runs here; default: a temporary folder")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = {name: PARTS[name](folder, options.seeds) for name in options.parts or PARTS}
    finish(found, options.json)


if __name__ == "__main__":
    main()
