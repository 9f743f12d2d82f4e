"""Held-out AUC of AAM and its baselines on real studies, by the program's own cross-validation.

python benchmarks/predictive.py --json predictive.json
python benchmarks/predictive.py --studies udca --seeds 1 2 3 --pretrained-encoder runs/encoder

udca: sex at 3,000 reads, 5 folds by host. ibd and surgery: diagnosis, and diagnosis with surgery, at 5,000 reads, 5
folds by host. tadpole: life stage of 18 samples, 3 folds. ibd, surgery and tadpole have the UniFrac kernel too.
cohorts: case or control of the IBD cohorts of gut-corpus at 2,000 reads, one study held out at a time, and the mean AUC
over cohorts. Prints one line per seed and the medians, with the differences from the forest and their intervals.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from machine import DATA, finish

from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.options.targets import TargetOptions
from aam_train.files import read_json_object
from aam_train.options.recipe_configs import TrainConfig
from aam_train.options.run import RunOptions, TransferOptions
from aam_train.recipes.inputs import read_run_inputs
from aam_train.recipes.train import train

STUDIES = ("udca", "ibd", "surgery", "tadpole", "cohorts")
HOST = "host_subject_id"


def settings(study: str, seed: int, folder: Path, encoder: Path | None, baselines: str) -> TrainConfig:
    """Return settings of a probe on a study."""
    udca, ibd, gut, tadpole = (DATA / name for name in ("udca", "ibd", "gut-corpus", "tadpole"))
    run = RunOptions(folder / f"{study}-{seed}", seed=seed, device="cpu")
    cv = {"cv": 0, "cv_by": "study"} if study == "cohorts" else {"cv": 3 if study == "tadpole" else 5}
    transfer = TransferOptions(encoder, baselines=baselines, **cv)
    if study == "udca":
        return TrainConfig(
            TableOptions(udca / "table.qza", udca / "rep-seqs.qza"),
            MetadataOptions(udca / "metadata.tsv", missing_samples="ignore"),
            TargetOptions(("host_sex",), classifier=True),
            run,
            transfer,
            sample=SampleOptions(rarefy_depth=3000),
            split=SplitOptions(group_column=HOST),
        )
    if study in ("ibd", "surgery"):
        return TrainConfig(
            TableOptions(ibd / "table.biom"),
            MetadataOptions(ibd / "metadata.tsv", missing_samples="ignore"),
            TargetOptions(("ibd" if study == "ibd" else "surgery_and_ibd",), classifier=True),
            run,
            transfer,
            PhylogenyOptions(ibd / "insertion-tree.qza", missing_tips="ignore"),
            SampleOptions(rarefy_depth=5000),
            SplitOptions(group_column=HOST),
        )
    if study == "tadpole":
        return TrainConfig(
            TableOptions(tadpole / "table.qza", tadpole / "rep-seqs.qza"),
            MetadataOptions(tadpole / "metadata.txt", missing_samples="ignore"),
            TargetOptions(("life_stage",), classifier=True),
            run,
            transfer,
            PhylogenyOptions(tadpole / "rooted-tree.qza", missing_tips="ignore"),
            SampleOptions(rarefy_depth=5000),
        )
    return TrainConfig(
        TableOptions(gut / "table.biom"),
        MetadataOptions(ibd_cohorts(gut / "metadata.tsv", folder), missing_samples="ignore"),
        TargetOptions(("status",), classifier=True),
        run,
        transfer,
        sample=SampleOptions(rarefy_depth=2000),
    )


def ibd_cohorts(path: Path, folder: Path) -> Path:
    """Write the rows of the IBD cohorts, and return the file."""
    with path.open() as lines:
        header, *rows = csv.reader(lines, "excel-tab")
    cohort = header.index("cohort")
    output = folder / "ibd-cohorts.tsv"
    with output.open("w", newline="") as lines:
        csv.writer(lines, "excel-tab").writerows([header, *(row for row in rows if row[cohort].startswith("IBD"))])
    return output


def aucs(run: Path) -> dict[str, float]:
    """Return the AUC of each model: pooled over folds, or the mean over held-out values."""
    results = read_json_object(run / "report" / "results.json")
    source = results["values"]["mean"] if "values" in results else results
    (models,) = source["targets"].values()
    return {name: metrics["auc"] for name, metrics in models.items()}


def verdict(run: Path) -> Sequence[str]:
    (sentences,) = read_json_object(run / "report" / "results.json")["verdict"].values()
    return sentences if isinstance(sentences, list) else [sentences]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", nargs="+", choices=STUDIES, default=STUDIES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--baselines", default="fast")
    parser.add_argument("--pretrained-encoder", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        for study in options.studies:
            for seed in options.seeds:
                config = settings(study, seed, Path(name), options.pretrained_encoder, options.baselines)
                inputs = read_run_inputs(config)
                start = time.perf_counter()
                run = train(config, inputs, quiet=True)
                row = {"study": study, "seed": seed, "seconds": time.perf_counter() - start, "auc": aucs(run)}
                rows.append(row | {"verdict": verdict(run)})
                print(f"{study:8} seed {seed} {row['seconds']:6.0f} s  {in_words(row['auc'])}", flush=True)
                print("  " + "\n  ".join(rows[-1]["verdict"]), flush=True)
            own = [row["auc"] for row in rows if row["study"] == study]
            medians = {model: median(auc[model] for auc in own) for model in own[0]}
            print(f"{study:8} median           {in_words(medians)}", flush=True)
    finish({"rows": rows}, options.json)


def in_words(values: dict[str, float]) -> str:
    return "  ".join(f"{model} {value:.3f}" for model, value in values.items())


if __name__ == "__main__":
    main()
