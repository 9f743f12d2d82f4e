"""A probe trained on reads of 150 bases, on held-out samples whose reads share no ASV with those of training.

The samples are udca's at 3,000 reads, drawn once, so that every table has the same reads; the model learns sex from
70 % of the hosts, without an encoder. `aam evaluate` predicts the other hosts' samples from the table as it is and from
tables whose reads start later, are cut, turned or have bases in front (`benchmarks/frame.py`). For each table: r of the
predictions (logits and probabilities) and the AUC minus that of the table as it is. "other reads" is another draw of
3,000 reads of the same samples: what is left to chance.

The forest learns from the same samples, and reads the ASVs of a table that were in training: none of the changed ones,
and with "in frame", those that the model's frame brings back.

    python benchmarks/transfer.py --json transfer.json
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from frame import CHANGES, letters_of
from machine import DATA, finish
from predictive import HOST
from scipy.sparse import csr_array
from scipy.special import logit
from sklearn.metrics import roc_auc_score

from aam_data.options.files import MetadataOptions, TableOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.options.targets import TargetOptions
from aam_data.preprocessing.rarefaction import Rarefier
from aam_data.splits.splits import read_splits
from aam_data.study.frame.frame import Frame
from aam_data.study.study import Study, read_study
from aam_data.writers.biom import BiomWriter
from aam_train.baselines.random_forest import Forest, ForestOptions, fit_forest
from aam_train.options.commands import EvaluateOptions
from aam_train.options.recipe_configs import EvaluateConfig, TrainConfig
from aam_train.options.run import RunOptions, TransferOptions
from aam_train.recipes.evaluate import evaluate
from aam_train.recipes.train import train
from aam_train.runs.checkpoints import model_folder
from aam_train.runs.model_parts import read_parts

DEPTH, TARGET = 3000, "host_sex"
AS_IT_IS, OTHER_READS = "as they are", "other reads"
METADATA = MetadataOptions(DATA / "udca" / "metadata.tsv", missing_samples="ignore")


def write_tables(folder: Path) -> dict[str, TableOptions]:
    """Write the table and its variants; return their files by name, the table itself first."""
    study = read_study(TableOptions(DATA / "udca" / "table.qza", DATA / "udca" / "rep-seqs.qza"))
    table, letters, random = study.table, letters_of(study), np.random.default_rng(0)
    rows = np.flatnonzero(table.depths() >= DEPTH)
    ids = np.array([f"asv-{i}" for i in range(table.n_features)])  # those of the file are hashes of the sequences
    for draw in (0, 1):
        with BiomWriter(folder / f"draw-{draw}.biom", table.n_features) as writer:
            writer.append(Rarefier(table, DEPTH, 0).draw(rows, draw))
            writer.finish([table.sample_ids[rows].astype(np.str_)], ids)
    files = {}
    for number, (name, (change, _)) in enumerate(CHANGES.items()):
        fasta = folder / f"{number}.fasta"
        records = zip(ids, letters, strict=True)
        fasta.write_text("".join(f">{i}\n{change(each, random).decode()}\n" for i, each in records))
        files[name] = TableOptions(folder / "draw-0.biom", fasta)
    assert next(iter(files)) == AS_IT_IS
    return files | {OTHER_READS: TableOptions(folder / "draw-1.biom", files[AS_IT_IS].sequences)}


def trained(table: TableOptions, output: Path, seed: int) -> Path:
    """Train a probe without an encoder and return its run folder."""
    config = TrainConfig(
        table,
        METADATA,
        TargetOptions((TARGET,), classifier=True),
        RunOptions(output, seed=seed, device="cpu"),
        TransferOptions(adaptation="probe", baselines="none"),
        sample=SampleOptions(rarefy_depth=DEPTH),
        split=SplitOptions(group_column=HOST, test_size=0.3),
    )
    return train(config, quiet=True)


def predicted(run: Path, table: TableOptions, output: Path) -> dict[str, tuple[str, float]]:
    """Return class and probability of the second class of the held-out samples, by their ids."""
    evaluate(EvaluateConfig(table, EvaluateOptions(run, output, part="test", device="cpu"), METADATA), quiet=True)
    with (output / "predictions_full.tsv").open() as lines:
        rows = list(csv.DictReader(lines, dialect="excel-tab"))
    column = [name for name in rows[0] if name.startswith("probability:")][1]
    return {row["sample-id"]: (row["truth"], float(row[column])) for row in rows if row["truth"]}


def shares_of(study: Study, samples: Sequence[str], known: Study) -> csr_array:
    """Return the shares [R, A] of the ASVs of the study ``known`` in these samples of another table."""
    row_of, column_of = ({key: i for i, key in enumerate(x)} for x in (study.table.sample_ids, known.sequences.keys))
    counts = study.table.data.take(np.array([row_of[i] for i in samples]))
    column = np.array([column_of.get(key, -1) for key in study.sequences.keys])[counts.indices]
    row, is_known = np.repeat(np.arange(len(samples), dtype=np.int32), np.diff(counts.indptr)), column >= 0
    values = counts.counts[is_known] / DEPTH, (row[is_known], column[is_known].astype(np.int32))
    return csr_array(values, shape=(len(samples), known.table.n_features))


def fitted_forest(run: Path, known: Study, seed: int) -> Forest:
    """Fit the forest of `aam train` to the samples that the run learned from."""
    splits = read_splits(run / "splits.tsv")
    part_of = splits.part_of()
    assert known.metadata is not None
    sex = dict(zip(known.table.sample_ids, known.metadata.text(TARGET), strict=True))
    samples = [i for i in known.table.sample_ids if part_of.get(i) in ("train", "validation") and sex[i]]
    codes = np.unique([sex[i] for i in samples], return_inverse=True)[1].astype(float)
    return fit_forest(shares_of(known, samples, known), codes, 2, ForestOptions(seed))


def compared(truth: np.ndarray, found: np.ndarray, original: np.ndarray) -> dict[str, float]:
    """Compare probabilities with those of the table as it is."""
    constant = np.ptp(found) == 0
    logits = (logit(np.clip(each, 1e-6, 1 - 1e-6)) for each in (found, original))
    auc, before = (float(roc_auc_score(truth, each)) for each in (found, original))
    return {
        "r": float("nan") if constant else float(np.corrcoef(*logits)[0, 1]),
        "r_probability": float("nan") if constant else float(np.corrcoef(found, original)[0, 1]),
        "move": float(np.abs(found - original).mean()),
        "auc": auc,
        "auc_difference": auc - before,
    }


def measure(files: dict[str, TableOptions], folder: Path, seed: int) -> dict[str, dict[str, dict[str, float]]]:
    """Return the comparisons of one split, by table and model."""
    run = trained(files[AS_IT_IS], folder / f"run-{seed}", seed)
    frame = read_parts(model_folder(run)).preprocessor.frame
    assert frame is not None
    known = read_study(files[AS_IT_IS], METADATA)
    forest = fitted_forest(run, known, seed)
    rows: dict[str, dict[str, dict[str, float]]] = {}
    originals: dict[str, np.ndarray] = {}
    for number, (name, table) in enumerate(files.items()):
        by_sample = predicted(run, table, folder / f"evaluation-{seed}-{number}")
        samples = sorted(by_sample)
        truth = np.unique([by_sample[i][0] for i in samples], return_inverse=True)[1]
        found = {"aam": np.array([by_sample[i][1] for i in samples])}
        forest_frames: dict[str, Frame | None] = {"forest": None, "forest in frame": frame}
        for model, used in forest_frames.items():
            found[model] = forest.predict(shares_of(read_study(table, frame=used), samples, known))[:, 1]
        originals = originals or found
        rows[name] = {model: compared(truth, each, originals[model]) for model, each in found.items()}
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        files = write_tables(Path(name))
        by_seed = [measure(files, Path(name), seed) for seed in options.seeds]
    print(f"{'medians of':12}{len(by_seed)} splits    ", "".join(f"{model:>38}" for model in by_seed[0][AS_IT_IS]))
    print(f"{'':29}" + 3 * f"{'r':>12}{'r of p':>8}{'AUC':>8}{'change':>10}")
    report: dict[str, dict[str, Any]] = {}
    for table, models in by_seed[0].items():
        medians = {m: {k: median(seed[table][m][k] for seed in by_seed) for k in models[m]} for m in models}
        report[table] = {"medians": medians, "seeds": [seed[table] for seed in by_seed]}
        columns = "".join(
            f"{x['r']:12.3f}{x['r_probability']:8.3f}{x['auc']:8.3f}{x['auc_difference']:+10.3f}"
            for x in medians.values()
        )
        print(f"{table:29}{columns}", flush=True)
    finish({"seeds": options.seeds, "tables": report}, options.json)


if __name__ == "__main__":
    main()
