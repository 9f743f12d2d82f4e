"""Whether the nearest other sample is of the same host, by the wide features that `aam embed` writes.

The 793 samples of udca with 3,000 reads, two of nearly every host. A probe without an encoder takes nothing from the
labels for its features. Distances: cosine and Euclidean, of all columns and without the last one, which is log
richness; beside them Bray-Curtis and Jaccard distances of the same reads by ASV, from scipy.

    python benchmarks/retrieval.py --json retrieval.json
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
from machine import DATA, finish
from predictive import HOST
from scipy.spatial.distance import cdist
from transfer import AS_IT_IS, DEPTH, METADATA, trained, write_tables

from aam_data.options.files import TableOptions
from aam_data.study.study import read_study
from aam_train.options.commands import EmbedOptions
from aam_train.options.recipe_configs import EmbedConfig
from aam_train.recipes.embed import embed


def share_found(distances: np.ndarray, hosts: np.ndarray) -> float:
    """Return the share of samples, of hosts with several, whose nearest other sample is of the same host."""
    np.fill_diagonal(distances, np.inf)
    has_other = (hosts[:, None] == hosts).sum(axis=1) > 1
    return float((hosts[distances.argmin(axis=1)] == hosts)[has_other].mean())


def measure(table: TableOptions, folder: Path, seed: int) -> dict[str, float]:
    """Return the shares by distance."""
    run, output = trained(table, folder / f"run-{seed}", seed), folder / f"features-{seed}.npz"
    embed(EmbedConfig(table, EmbedOptions(run, output, features="wide", device="cpu")), quiet=True)
    study, stored = read_study(table, METADATA), np.load(output)
    assert study.metadata is not None
    row_of = {sample: row for row, sample in enumerate(stored["ids"].tolist())}
    of_samples = study.metadata.text(HOST)
    known = np.array([row for row, host in enumerate(of_samples) if host is not None])
    hosts, ids = of_samples[known], study.table.sample_ids[known]
    features = stored["embeddings"].astype(np.float64)[[row_of[i] for i in ids]]
    counts, shape = study.table.data.take(known), (len(known), study.table.n_features)
    shares = np.zeros(shape)
    shares[np.repeat(np.arange(shape[0]), np.diff(counts.indptr)), counts.indices] = counts.counts / DEPTH
    distances = {
        "cosine, without richness": cdist(features[:, :-1], features[:, :-1], "cosine"),
        "cosine": cdist(features, features, "cosine"),
        "Euclidean, without richness": cdist(features[:, :-1], features[:, :-1]),
        "Euclidean": cdist(features, features),
        "Bray-Curtis of ASVs": cdist(shares, shares, "cityblock") / 2,
        "Jaccard of ASVs": cdist(shares > 0, shares > 0, "jaccard"),
    }
    return {name: share_found(each, hosts) for name, each in distances.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if not DATA.exists():
        raise SystemExit(f"{DATA} does not exist: nothing to measure")
    with tempfile.TemporaryDirectory() as name:
        table = write_tables(Path(name))[AS_IT_IS]
        by_seed = [measure(table, Path(name), seed) for seed in options.seeds]
    for distance in by_seed[0]:
        values = [each[distance] for each in by_seed]
        print(f"{distance:28} median {median(values):.3f}  " + " ".join(f"{value:.3f}" for value in values))
    finish({"seeds": options.seeds, "same host": by_seed}, options.json)


if __name__ == "__main__":
    main()
