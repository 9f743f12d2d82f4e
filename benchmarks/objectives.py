"""Whether each pretraining objective learns its task, on simulated studies with known truth, over seeds.

Every metric is for samples of other hosts (or for a random fifth, in the study of shifts), compared with a constant:

- Faith's PD, of the simulated hosts (1,000 reads per sample) and of a study of gatherings, whose samples have 10 to 60
  more or less related ASVs: Pearson r with the true values, compared with that of the number of ASVs;
- unweighted and generalized UniFrac: Pearson r with the true distances;
- masked bases of ASVs that are not in training, compared with the most common base of each position;
- hidden abundances: mean squared error, compared with that of the training mean;
- taxonomy (the simulated clades) of ASVs that are not in training, compared with the most common clade;
- shifts: two groups of samples have the same ASVs in different proportions. Predicted distances of an encoder of
  weighted and of one of unweighted UniFrac distinguish pairs within a group from pairs between groups: area under the
  ROC curve.

    python benchmarks/objectives.py --seeds 1 2 3 --json objectives.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import h5py
import numpy as np
import torch
from biom.table import Table
from machine import finish
from sklearn.metrics import roc_auc_score

from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions, TaxonomyOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.options.simulate import SimulateOptions
from aam_data.preprocessing.rarefaction import FIXED_DRAW, Rarefier
from aam_data.readers.distances.matrix import read_distances
from aam_data.simulate.study import simulate_study, write_simulated_study
from aam_data.splits.splits import read_splits
from aam_data.study.study import read_study
from aam_data.unifrac.pair_targets import TreeTargets
from aam_models.config.encoder import ModelOptions
from aam_models.encoder.abundance import standardized_log_abundance
from aam_train.data.corruptions import HideCounts
from aam_train.data.loading import BatchRequest
from aam_train.data.run_data import build_maker
from aam_train.options.commands import EmbedOptions
from aam_train.options.objective import PretrainObjective
from aam_train.options.optimizer import OptimizerOptions
from aam_train.options.recipe_configs import EmbedConfig, PretrainConfig
from aam_train.options.run import RunOptions
from aam_train.recipes.embed import embed as run_embed
from aam_train.recipes.pretrain import pretrain as run_pretrain
from aam_train.runs.records import read_preprocessor

DEPTH = 1000


def pretrain(study: Path, output: Path, seed: int, epochs: int, **sections: Any) -> dict[str, Any]:
    """Pretrain a tiny encoder and return the metrics of its held-out samples."""
    options: dict[str, Any] = {
        "table": TableOptions(study / "table.biom"),
        "run": RunOptions(output, epochs=epochs, batch_size=16, seed=seed, patience=0),
        "metadata": MetadataOptions(study / "metadata.tsv"),
        "sample": SampleOptions(rarefy_depth=DEPTH),
        "split": SplitOptions(group_column="host"),
        "model": ModelOptions(preset="tiny"),
        "optimizer": OptimizerOptions(lr=4e-3),
    }
    run_pretrain(PretrainConfig(**(options | sections)), quiet=True)
    found: dict[str, Any] = json.loads((output / "report" / "results.json").read_text())
    return found


def count_error_of_the_mean(study: Path, run: Path) -> float:
    """Return the mean squared error on hidden abundances of held-out samples if the training mean is predicted."""
    preprocessor = read_preprocessor(run / "checkpoints" / "best")
    read = read_study(TableOptions(study / "table.biom"))
    maker = build_maker(read, Rarefier(read.table, DEPTH, preprocessor.seed), preprocessor, 0)
    row_of = {sample_id: row for row, sample_id in enumerate(read.table.sample_ids)}
    splits, values = read_splits(run / "splits.tsv"), {}
    for part in ("train", "test"):
        rows = np.array([row_of[i] for i in getattr(splits, part)])
        found = []
        for first in range(0, len(rows), 32):
            request = BatchRequest(rows[first : first + 32], FIXED_DRAW, (HideCounts(0.15),))
            batch = maker[request]
            assert batch.hidden_counts is not None
            found.append(standardized_log_abundance(batch)[batch.hidden_counts])
        values[part] = torch.cat(found).double()
    return float((values["test"] - values["train"].mean()).square().mean())


def write_taxonomy(study: Path, file: Path) -> None:
    """Write the simulated clades as genera."""
    clades = json.loads((study / "truth.json").read_text())["clades"]
    names = {asv: number for number, clade in enumerate(clades) for asv in clade["asvs"]}
    lines = ["Feature ID\tTaxon", *(f"{asv}\tk__Bacteria; g__{number}" for asv, number in names.items())]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def shifted_study(folder: Path, seed: int) -> np.ndarray:
    """Write a study of two groups with the same ASVs in different proportions; return the group of each sample.

    Each sample lacks a random fifth of the ASVs, independent of its group, so that unweighted distances vary too.
    """
    simulated = simulate_study(SimulateOptions(samples=40, asvs=80, hosts=10, depth=2000, seed=seed))
    write_simulated_study(simulated, folder)
    random = np.random.default_rng(seed)
    names = [str(name) for name in simulated.tree.tip_names]  # in the order of the tree: halves are clades
    group = np.arange(120) % 2
    weight = np.where((np.arange(len(names)) < len(names) // 2)[None, :] == (group[:, None] == 0), 8.0, 1.0)
    shares = weight * random.lognormal(0, 1, (1, len(names))) * random.lognormal(0, 0.3, (120, len(names)))
    shares *= random.random(shares.shape) < 0.8
    counts = np.stack([random.multinomial(3000, row / row.sum()) for row in shares])
    counts += (shares > 0) * 1  # the rarest are present too
    ids = [f"S{number:03d}" for number in range(120)]
    with h5py.File(folder / "table.biom", "w") as file:
        Table(counts.T.astype(float), names, ids).to_hdf5(file, "aam benchmarks")
    return group


def gathered_study(folder: Path, seed: int) -> None:
    """Write samples of 10 to 60 ASVs, each from a range of the tree's tips that is as long or longer, up to all."""
    simulated = simulate_study(SimulateOptions(samples=40, asvs=400, hosts=10, depth=2000, seed=seed))
    write_simulated_study(simulated, folder)
    random = np.random.default_rng(seed)
    names = [str(name) for name in simulated.tree.tip_names]
    counts = np.zeros((240, len(names)), dtype=np.int64)
    for row in counts:
        size = int(np.exp(random.uniform(np.log(10), np.log(60))))
        stretch = int(np.exp(random.uniform(np.log(size), np.log(len(names)))))
        tips = (random.integers(len(names)) + np.arange(max(size, stretch))) % len(names)
        row[random.choice(tips, size, replace=False)] = 1 + random.multinomial(3000, random.dirichlet(np.ones(size)))
    with h5py.File(folder / "table.biom", "w") as file:
        ids = [f"S{number:03d}" for number in range(len(counts))]
        Table(counts.T.astype(float), names, ids).to_hdf5(file, "aam benchmarks")


def richness_r(study: Path, run: Path, depth: int) -> float:
    """Return Pearson r of Faith's PD of the held-out samples with the logarithm of their number of ASVs."""
    read = read_study(TableOptions(study / "table.biom"), phylogeny=PhylogenyOptions(tree=study / "tree.nwk"))
    assert read.phylogeny is not None
    row_of = {sample_id: row for row, sample_id in enumerate(read.table.sample_ids)}
    rows = np.array([row_of[i] for i in read_splits(run / "splits.tsv").test])
    reads = Rarefier(read.table, depth, read_preprocessor(run / "checkpoints" / "best").seed)
    sizes = np.diff(reads.draw(rows, FIXED_DRAW).indptr)
    return float(np.corrcoef(np.log(sizes), TreeTargets(read.phylogeny, reads).values(rows, FIXED_DRAW))[0, 1])


def separation(study: Path, output: Path, seed: int, epochs: int, group: np.ndarray, metric: str) -> float:
    """Return the AUC of predicted distances of held-out samples: pairs between the groups against pairs within."""
    pretrain(
        study, output, seed, epochs,
        phylogeny=PhylogenyOptions(tree=study / "tree.nwk", unifrac_metric=metric),  # type: ignore[arg-type]
        objective=PretrainObjective(masked_base_weight=0.0, masked_count_weight=0.0),
        metadata=MetadataOptions(), split=SplitOptions(), sample=SampleOptions(rarefy_depth=0),
    )  # fmt: skip
    table, distances = TableOptions(study / "table.biom"), output / "d.npy"
    embed = EmbedOptions(output, output / "e.tsv", distances=distances)
    run_embed(EmbedConfig(table, embed), quiet=True)
    found = read_distances(distances, output / "d.ids.txt")
    chosen = np.isin(found.ids, read_splits(output / "splits.tsv").test)
    groups = np.array([group[int(i[1:])] for i in found.ids[chosen]])
    i, j = np.triu_indices(chosen.sum(), 1)
    return float(roc_auc_score(groups[i] != groups[j], found.values[np.ix_(chosen, chosen)][i, j]))


def metrics_of(seed: int, epochs: int, work: Path) -> dict[str, float]:
    """Return all metrics of one seed."""
    study = work / "study"
    write_simulated_study(simulate_study(SimulateOptions(samples=160, asvs=400, seed=seed)), study)
    write_taxonomy(study, study / "taxonomy.tsv")
    tree = study / "tree.nwk"

    def alone(name: str, objective: PretrainObjective, metric: str = "unifrac", **sections: Any) -> dict[str, Any]:
        """Pretrain on one objective only."""
        phylogeny = PhylogenyOptions(
            tree=tree,
            unifrac_metric=metric,  # type: ignore[arg-type]
            unifrac_alpha=0.5 if metric == "generalized" else 1.0,
        )
        return pretrain(study, work / name, seed, epochs, phylogeny=phylogeny, objective=objective, **sections)

    distances = PretrainObjective(1.0, 0.0, 0.0)
    faith_pd = alone("faith_pd", distances, "faith_pd")
    gatherings = work / "gatherings"
    gathered_study(gatherings, seed)
    gathered = pretrain(
        gatherings, work / "gathered", seed, epochs, objective=distances,
        phylogeny=PhylogenyOptions(tree=gatherings / "tree.nwk", unifrac_metric="faith_pd"),
        metadata=MetadataOptions(), split=SplitOptions(), sample=SampleOptions(rarefy_depth=0),
    )  # fmt: skip
    unweighted = alone("unifrac", distances)
    generalized = alone("generalized", distances, "generalized")
    counts = alone("counts", PretrainObjective(0.0, 0.0, 1.0))
    sequences = alone("sequences", PretrainObjective(0.0, 1.0, 0.0), taxonomy=TaxonomyOptions(study / "taxonomy.tsv"))
    shifts = work / "shifts"
    group = shifted_study(shifts, seed)
    genus = next(rank for rank in sequences["taxonomy"] if rank["rank"] == 2)
    return {
        "faith_pd_r": gathered["aam"]["faith_pd_r"],
        "faith_pd_r_of_richness": richness_r(gatherings, work / "gathered", 0),
        "faith_pd_r_hosts": faith_pd["aam"]["faith_pd_r"],
        "faith_pd_r_hosts_of_richness": richness_r(study, work / "faith_pd", DEPTH),
        "unifrac_r": unweighted["aam"]["unifrac_r"],
        "generalized_r": generalized["aam"]["unifrac_r"],
        "bases": sequences["novel_asvs"]["nucleotide_accuracy"],
        "bases_majority": sequences["novel_asvs"]["majority_accuracy"],
        "count_mse": counts["aam"]["count_mse"],
        "count_mse_of_the_mean": count_error_of_the_mean(study, work / "counts"),
        "clade": genus["accuracy"],
        "clade_majority": genus["majority_accuracy"],
        "shift_auc_weighted": separation(shifts, work / "weighted", seed, epochs, group, "weighted"),
        "shift_auc_unweighted": separation(shifts, work / "unweighted", seed, epochs, group, "unifrac"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = {}
    for seed in options.seeds:
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            rows[seed] = metrics_of(seed, options.epochs, Path(folder))
        print(f"seed {seed}: {time.monotonic() - started:.0f} s", flush=True)
    print(f"{'':28}" + "".join(f"seed {seed:>4} " for seed in rows) + "  median")
    for name in next(iter(rows.values())):
        values = [row[name] for row in rows.values()]
        print(f"{name:28}" + "".join(f"{value:9.3f} " for value in values) + f"{median(values):8.3f}")
    finish({"benchmark": "objectives", "epochs": options.epochs, "seeds": rows}, options.json)


if __name__ == "__main__":
    main()
