"""Cost of `aam predict` for increasing subsets of the ibd study: seconds per distinct ASV, and encodings per ASV.

    python benchmarks/predict.py --json predict.json
    python benchmarks/predict.py --preset tiny --passes 3 --repeats 3

The model is trained for one epoch on 40 of the samples. Each subset is predicted with the whole program in this
process, including reading the files; subsets take turns. A hook on the ASV encoder counts ASVs; "distinct" are those in
any of the passes' draws, or with --rarefy-depth 0 all.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from machine import DATA, finish
from torch import nn

from aam_data.options.files import MetadataOptions, TableOptions
from aam_data.options.samples import SampleOptions
from aam_data.options.targets import TargetOptions
from aam_data.preprocessing.dataset import SampleDataset
from aam_data.preprocessing.rarefaction import Rarefier, deep_enough
from aam_data.readers.biom.table import read_table
from aam_data.study.study import read_study
from aam_data.table import CountTable
from aam_data.writers.biom import BiomWriter
from aam_models.config.encoder import ModelOptions
from aam_models.encoder.asv.base import AsvEncoder
from aam_train.options.commands import PredictOptions
from aam_train.options.recipe_configs import PredictConfig, TrainConfig
from aam_train.options.run import RunOptions
from aam_train.recipes.predict import predict as run_predict
from aam_train.recipes.train import train as run_train
from aam_train.runs.records import read_preprocessor

IBD = DATA / "ibd"
MODEL_SAMPLES = 40


def write_part(table: CountTable, samples: int, path: Path) -> Path:
    """Write a table of this many samples: the same ones for the same number, and nested for different numbers."""
    rows = np.random.default_rng(0).permutation(table.n_samples)[:samples]
    part = table.take_samples(rows)
    with BiomWriter(path, part.n_features) as writer:
        writer.append(part.data)
        writer.finish([part.sample_ids], part.feature_ids)
    return path


def train(table: Path, folder: Path, preset: Any, depth: int) -> Path:
    return run_train(
        TrainConfig(
            table=TableOptions(table),
            metadata=MetadataOptions(IBD / "metadata.tsv"),
            target=TargetOptions(("ibd",), classifier=True),
            run=RunOptions(folder, epochs=1),
            sample=SampleOptions(rarefy_depth=depth),
            model=ModelOptions(preset=preset),
        ),
        quiet=True,
    )


def distinct(table: Path, model: Path, passes: int) -> int:
    """Return the number of ASVs that any pass over the table has to encode."""
    preprocessor, study = read_preprocessor(model / "checkpoints" / "best"), read_study(TableOptions(table))
    rows = np.flatnonzero(deep_enough(study.table, preprocessor.rarefy_depth))
    samples = SampleDataset(study, Rarefier(study.table, preprocessor.rarefy_depth, preprocessor.seed), preprocessor)
    passes = 1 if samples.are_fixed(rows) else passes
    return len(samples.drawn_asvs(rows, [-1 - number for number in range(passes)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="base", choices=["tiny", "base"])
    parser.add_argument("--samples", type=int, nargs="+", default=[60, 120, 240, 470])
    parser.add_argument("--rarefy-depth", type=int, default=0)
    parser.add_argument("--passes", type=int, default=1, help="more than 1 needs --rarefy-depth")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    encoded = 0

    def count(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        nonlocal encoded
        if isinstance(module, AsvEncoder):
            encoded += inputs[0].n_asvs

    with tempfile.TemporaryDirectory() as name:
        folder, table = Path(name), read_table(IBD / "table.biom").table
        model = train(
            write_part(table, MODEL_SAMPLES, folder / "few.biom"), folder / "run", options.preset, options.rarefy_depth
        )
        parts = {samples: write_part(table, samples, folder / f"{samples}.biom") for samples in options.samples}
        found: dict[int, dict[str, Any]] = {samples: {"times": []} for samples in parts}
        nn.modules.module.register_module_forward_pre_hook(count)
        predict = PredictOptions(
            model, folder / "p.tsv", prediction_passes=options.passes if options.passes > 1 else None, overwrite=True
        )
        for _ in range(options.repeats):
            for samples, path in parts.items():
                encoded = 0
                started, used = time.perf_counter(), time.process_time()
                run_predict(PredictConfig(TableOptions(path), predict), quiet=True)
                found[samples]["times"].append((time.perf_counter() - started, time.process_time() - used))
                found[samples]["encoded"] = encoded
        for samples, path in parts.items():
            row = found[samples]
            row["distinct"] = distinct(path, model, options.passes)
            row["seconds"], row["cpu_seconds"] = (median(values) for values in zip(*row.pop("times"), strict=True))
    print(
        f"{'samples':>9}{'distinct':>10}{'encoded / distinct':>20}{'seconds':>10}{'ms / ASV':>11}{'CPU ms / ASV':>15}"
    )
    for samples, row in found.items():
        print(
            f"{samples:9,}{row['distinct']:10,}{row['encoded'] / row['distinct']:20.3f}{row['seconds']:10.2f}"
            f"{1000 * row['seconds'] / row['distinct']:11.3f}{1000 * row['cpu_seconds'] / row['distinct']:15.3f}"
        )
    settings = {"preset": options.preset, "rarefy_depth": options.rarefy_depth, "passes": options.passes}
    finish({**settings, "samples": found}, options.json)


if __name__ == "__main__":
    main()
