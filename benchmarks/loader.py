"""Time to prepare a batch of 32 ibd samples, by part, compared with dense slices of the same table.

python benchmarks/loader.py --json loader.json
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from machine import DATA, finish

from aam_data.options.files import PhylogenyOptions, TableOptions
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.preprocessing.rarefaction import Rarefier, deep_enough
from aam_data.study.study import read_study
from aam_train.data.corruptions import HideCounts, MaskBases
from aam_train.data.loading import BatchRequest
from aam_train.data.run_data import build_maker, build_pairs

BATCH, DEPTH, SEED = 32, 5000, 0


def milliseconds(run: Callable[[int], object], repeats: int) -> float:
    """Return the median over different batches."""
    times = []
    for i in range(repeats):
        started = time.perf_counter()
        run(i)
        times.append(1000 * (time.perf_counter() - started))
    return median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    ibd = DATA / "ibd"
    study = read_study(TableOptions(ibd / "table.biom"), None, PhylogenyOptions(tree=ibd / "insertion-tree.qza"))
    rows = np.flatnonzero(deep_enough(study.table, DEPTH))
    random = np.random.default_rng(SEED)
    batches = [random.choice(rows, BATCH, replace=False) for _ in range(options.repeats)]
    rarefier, whole = Rarefier(study.table, DEPTH, SEED), Rarefier(study.table, 0, SEED)
    drawn = build_maker(study, rarefier, Preprocessor(150, 0, DEPTH, SEED, 1024), 256)
    as_is = build_maker(study, whole, Preprocessor(150, 0, 0, SEED, 1024), 256)
    pairs = build_pairs(study, rarefier, PhylogenyOptions())
    assert pairs is not None
    dense = np.zeros((study.table.n_features, study.table.n_samples))
    for row in range(study.table.n_samples):
        indices, counts = study.table.data.row(row)
        dense[indices, row] = counts
    plain, masked = (), (MaskBases(0.15), HideCounts(0.15))
    n = options.repeats
    times = {
        "batch, counts as they are": milliseconds(lambda i: as_is[BatchRequest(batches[i], 0, plain)], n),
        "batch, rarefied": milliseconds(lambda i: drawn[BatchRequest(batches[i], 0, plain)], n),
        "batch, rarefied and masked": milliseconds(lambda i: drawn[BatchRequest(batches[i], 0, masked)], n),
        "true distances of its pairs": milliseconds(lambda i: pairs.pairs(batches[i], batches[i], 0), n),
        "dense columns of the table": milliseconds(lambda i: [np.flatnonzero(dense[:, b]) for b in batches[i]], n),
    }
    for name, value in times.items():
        print(f"{name:32}{value:8.2f} ms")
    finish({"batch": BATCH, "milliseconds": times}, options.json)


if __name__ == "__main__":
    main()
