"""Ten steps of pretraining on 1, 2 and 4 processes with the same micro-batches: the losses must be equal.

``python benchmarks/data_parallel_equivalence.py [--json FILE]`` runs one epoch of a tiny model on CPUs, on the ibd
study if it is present, otherwise on a simulated one, and prints the losses of all steps side by side.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from machine import DATA, finish

from aam_data.options.files import PhylogenyOptions, TableOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.options.simulate import SimulateOptions
from aam_data.simulate.study import simulate_study, write_simulated_study
from aam_models.config.encoder import ModelOptions
from aam_train.options.parallel import ParallelOptions
from aam_train.options.recipe_configs import PretrainConfig
from aam_train.options.run import RunOptions
from aam_train.recipes.pretrain import pretrain
from aam_train.reporting.jsonl import read_records

BATCH, STEPS = 32, 10
SMALL = ModelOptions(preset="tiny", embedding_dim=16, attention_heads=2, attention_layers=1)


def study(folder: Path) -> tuple[TableOptions, PhylogenyOptions]:
    if (DATA / "ibd").is_dir():
        return TableOptions(DATA / "ibd" / "table.biom"), PhylogenyOptions(tree=DATA / "ibd" / "insertion-tree.qza")
    write_simulated_study(simulate_study(SimulateOptions(samples=400, asvs=500, depth=1000)), folder)
    return TableOptions(folder / "table.biom"), PhylogenyOptions(tree=folder / "tree.nwk")


def losses(config: PretrainConfig) -> list[float]:
    records = read_records(pretrain(config, quiet=True) / "metrics.jsonl")
    return [record["loss"]["total"] for record in records if record["kind"] == "step"][:STEPS]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    found: dict[int, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        table, phylogeny = study(Path(name))
        for processes in (1, 2, 4):
            run = RunOptions(Path(name) / f"run-{processes}", epochs=1, batch_size=BATCH // processes, device="cpu")
            found[processes] = losses(
                PretrainConfig(
                    table,
                    run,
                    phylogeny,
                    sample=SampleOptions(rarefy_depth=500),
                    split=SplitOptions(test_size=0.2, val_size=0.02),
                    model=SMALL,
                    parallel=ParallelOptions(
                        data_parallel=processes > 1, processes=processes if processes > 1 else None
                    ),
                )
            )
    print("| step | 1 process | 2 processes | 4 processes | largest relative difference |")
    print("|---|---|---|---|---|")
    worst = 0.0
    for step, (one, *others) in enumerate(zip(*found.values(), strict=True), 1):
        difference = max(abs(other / one - 1) for other in others)
        worst = max(worst, difference)
        print(f"| {step} | {one:.6f} | " + " | ".join(f"{other:.6f}" for other in others) + f" | {difference:.1e} |")
    print(f"largest difference: {worst:.1e} (at most 1e-4)")
    finish({"losses": found, "worst": worst}, args.json)


if __name__ == "__main__":
    main()
