"""Sequencing depth and diagnosis on ibd: the number of reads alone, and a random forest with and without it.

Prints AUCs of `ibd` (Crohns against Control) over five folds of whole hosts, on the samples with at least 5,000 reads:
of the number of reads, of a forest on relative abundances of all reads, and of the same forest on 5,000 reads of each
sample. About a minute.

    python benchmarks/ibd_depth.py --json depth.json
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median

import numpy as np
from machine import DATA, finish
from scipy.sparse import csr_array
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

from aam_data.checks.leaks import leak_notes
from aam_data.options.files import MetadataOptions, TableOptions
from aam_data.options.samples import SplitOptions
from aam_data.options.targets import TargetOptions
from aam_data.preprocessing.rarefaction import Rarefier
from aam_data.splits.selection import make_splits, select_samples
from aam_data.splits.splits import Splits
from aam_data.study.study import read_study
from aam_data.table import SampleCounts

DEPTH, HOSTS, FOLDS, TREES = 5000, "host_subject_id", 5, 300


def shares(counts: SampleCounts, n_features: int) -> csr_array:
    """Return relative abundances [B, A]."""
    indices, indptr = counts.indices.astype(np.int32), counts.indptr.astype(np.int32)
    matrix = csr_array((counts.counts.astype(float), indices, indptr), shape=(counts.n_samples, n_features))
    matrix.data /= np.repeat(np.asarray(matrix.sum(axis=1)).ravel(), np.diff(counts.indptr))
    return matrix


def held_out_auc(x: csr_array, ill: np.ndarray, folds: list[Splits], row_of: dict[str, int], seed: int) -> float:
    """Return the AUC over the held-out samples of all folds together."""
    predicted = np.full(len(ill), np.nan)
    for fold in folds:
        learn = np.array([row_of[i] for i in fold.train + fold.validation])
        test = np.array([row_of[i] for i in fold.test])
        forest = RandomForestClassifier(TREES, max_features="sqrt", random_state=seed, n_jobs=-1)
        predicted[test] = forest.fit(x[learn], ill[learn]).predict_proba(x[test])[:, 1]
    return float(roc_auc_score(ill, predicted))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44], help="of folds, draws and forests")
    parser.add_argument("--json", type=Path, help="also write the results to this JSON file")
    options = parser.parse_args()

    study = read_study(TableOptions(DATA / "ibd" / "table.biom"), MetadataOptions(DATA / "ibd" / "metadata.tsv"))
    target = TargetOptions(("ibd",), classifier=True)
    rows = select_samples(study, DEPTH, target).rows
    assert study.metadata is not None
    ill = study.metadata.text("ibd")[rows] == "Crohns"
    depths = study.table.depths()[rows]
    row_of = {sample_id: row for row, sample_id in enumerate(study.table.sample_ids[rows])}
    split = SplitOptions(group_column=HOSTS, val_size=0.0)
    report: dict[str, object] = {
        "samples": len(rows),
        "median_reads": {"Crohns": float(np.median(depths[ill])), "Control": float(np.median(depths[~ill]))},
        "reads_alone": float(roc_auc_score(ill, -depths)),
    }
    print(f"{len(rows)} samples; median reads: {report['median_reads']}")
    print(f"reads per sample alone: AUC {report['reads_alone']:.3f}")

    everything = shares(study.table.take_counts(rows), study.table.n_features)
    runs = []
    for seed in options.seeds:
        folds = make_splits(study, rows, split, seed, target, FOLDS)
        drawn = shares(Rarefier(study.table, DEPTH, seed).draw(rows, 0), study.table.n_features)
        aucs = {
            "forest_all_reads": held_out_auc(everything, ill, folds, row_of, seed),
            "forest_rarefied": held_out_auc(drawn, ill, folds, row_of, seed),
        }
        runs.append({"seed": seed} | aucs)
        print(
            f"seed {seed}: forest on all reads {aucs['forest_all_reads']:.3f}, rarefied {aucs['forest_rarefied']:.3f}"
        )
    for name in ("forest_all_reads", "forest_rarefied"):
        report[name] = median(run[name] for run in runs)
        print(f"median {name}: {report[name]:.3f}")
    for note in leak_notes(study, make_splits(study, rows, split, 42, target)[0], target, HOSTS, DEPTH):
        print(note)
    finish(report | {"runs": runs}, options.json)


if __name__ == "__main__":
    main()
